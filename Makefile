# Everything on a fresh machine with Python 3.11 or later: make run, make test, make check.
# Without make: see "Without make" in README.md.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: run test rows long faults chaos fuzz study gpu sensitivity check docs

run: $(READY)
	$(BIN)/bench run --method fsm

# the long files first (tests/conftest.py): else one process ends minutes before the other
test: $(READY)
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

# every row once, really trained on the phantom; two workers share a workspace
rows: $(READY)
	$(BIN)/pytest -m rows -n 2 -rA tests/test_rows_train.py

# what takes longest: many kills and full disks, of runs, suites and sweeps, also on a PostgreSQL of its own where there is
# one, on Ray nodes, on a SLURM of its own where there is one, and in a bucket; a browser, a wheel, a real CT
long: $(VENV)/.ray
	$(BIN)/pytest -m long -n 2 --dist loadgroup

# a kill and a full disk at every disk operation of a run, one after the other
faults: $(READY)
	FAULT_POINTS=all $(BIN)/pytest -m long tests/test_disk_faults.py

# every fault of docs/faults.md, and kills at random moments on processes and on Ray; writes the page.
# Hours on two cores; stopped, it goes on with make chaos ANEW=
CHAOS_KILLS ?= 200
CHAOS_RAY_KILLS ?= 100
ANEW ?= --anew
chaos: $(VENV)/.ray
	$(BIN)/python docs/fault_matrix.py $(ANEW) --kills $(CHAOS_KILLS) --ray-kills $(CHAOS_RAY_KILLS)

# 200,000 inputs to all parsers; make test has 5,000 of them
fuzz: $(READY)
	FUZZ_INPUTS=200000 $(BIN)/pytest tests/fuzz

# the study of docs/study: hours of all cores; the same command goes on where it was stopped;
# python docs/study_cells.py unpack --root workspace/study takes the cells that are kept in docs/study/cells
STUDY_ROOT ?= workspace/study
study: $(READY)
	$(BIN)/bench suite --config docs/study/study.toml --root $(STUDY_ROOT)
	$(BIN)/python docs/study.py --root $(STUDY_ROOT)

# speed and checks on a CUDA device, at most eight minutes, with the Python at hand: no set-up
GPU_OUT ?= speed-gpu.json
gpu:
	$(PYTHON) docs/gpu.py --out $(GPU_OUT)

# how small a true gain the suite finds: studies drawn of the stored scores, minutes on one core; with
# ARGS="--root ROOT" trained networks are scored first (docs/sensitivity.md has the whole commands)
sensitivity: $(READY)
	$(BIN)/python docs/sensitivity.py $(ARGS)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest --collect-only -qq  # two test files of one name end here, in seconds

# the site, into build/site; a warning, a link or an anchor that leads nowhere is an error
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

$(VENV)/.docs: $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $(VENV)/.docs

$(VENV)/.ray: $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[ray]'
	touch $(VENV)/.ray

# torch and torchvision are pinned as a pair, and first, so that no other package chooses them
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch torchvision
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(READY)
