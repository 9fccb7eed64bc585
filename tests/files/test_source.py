"""What a fingerprint sees of code, and what it does not."""

from __future__ import annotations

import importlib
import itertools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmark.files import source
from benchmark.files.code import Code
from benchmark.plan.nodes import Net

REPOSITORY = Path(__file__).resolve().parents[2]
LOSS = '''
from __future__ import annotations
from helper.sums import total
import helper.scales as scales
from math import exp
RATE = 2
class Base:
    def shared(self): return RATE
class Loss(Base):
    """What it is."""
    weight: float = 1.0
    def __call__(self, x: Shape):
        # why
        """In words."""
        from helper.late import late
        if x is None:
            raise ValueError("no x, says one")
        return 1.0 * total(x) + scales.BIG + late(x) + exp(0)
class Shape:
    def size(self): return 3
def unused(): return 4
'''
SUMS = "def total(x):\n    return inner(x)\ndef inner(x):\n    return x + 1\n"
FILES = {
    "loss/__init__.py": LOSS,
    "helper/__init__.py": "",
    "helper/sums.py": SUMS,
    "helper/scales.py": "BIG = 10\nSMALL = 1\n",
    "helper/late.py": "def late(x):\n    return x\n",
}


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Code]]:
    """The code that `loss.Loss` reaches in FILES with one text changed, and files moved."""
    numbers = itertools.count()

    def forget() -> None:
        source._module.cache_clear()
        source._read.cache_clear()
        for name in [n for n in sys.modules if n.partition(".")[0] in ("loss", "helper")]:
            del sys.modules[name]

    def read(file: str = "", old: str = "", new: str = "", files: dict[str, str] = FILES) -> Code:
        folder = tmp_path / str(next(numbers))
        for name, text in files.items():
            assert name != file or old in text
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace(old, new) if name == file else text)
        forget()
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(folder))
            importlib.invalidate_caches()
            return source.reached([importlib.import_module("loss").Loss])

    yield read
    forget()


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("loss/__init__.py", "# why", "# because"),
        ("loss/__init__.py", "What it is.", "What it was."),
        ("loss/__init__.py", '"""In words."""', '"""In other words."""'),
        ("loss/__init__.py", "1.0 * total(x) + scales", "(1.0\n   * total( x )) + scales"),
        ("loss/__init__.py", "says one", "says another"),
        ("loss/__init__.py", "return 4", "return 5"),
        ("helper/scales.py", "SMALL = 1", "SMALL = 2"),
        ("loss/__init__.py", "import helper.scales as scales", "from helper import scales"),
    ],
)
def test_what_makes_no_number_changes_nothing(
    code: Callable[..., Code], file: str, old: str, new: str
) -> None:
    assert code(file, old, new) == code()


@pytest.mark.parametrize(
    ("file", "old", "new", "name"),
    [
        ("loss/__init__.py", "1.0 *", "-1.0 *", "Loss"),
        ("loss/__init__.py", "weight: float = 1.0", "weight: float = 2.0", "Loss"),
        ("loss/__init__.py", "RATE = 2", "RATE = 3", "RATE"),
        ("loss/__init__.py", "return RATE", "return -RATE", "Base"),
        ("loss/__init__.py", "return 3", "return 4", "Shape"),  # by an annotation alone
        ("helper/sums.py", "x + 1", "x + 2", "inner"),
        ("helper/scales.py", "BIG = 10", "BIG = 11", "BIG"),
        ("helper/late.py", "return x", "return -x", "late"),
    ],
)
def test_what_a_number_reaches_changes_it(
    code: Callable[..., Code], file: str, old: str, new: str, name: str
) -> None:
    before, after = code(), code(file, old, new)
    assert before.fingerprint != after.fingerprint
    assert before.others and after.others and before.ours == after.ours == frozenset()
    assert {name for name, _ in before.others ^ after.others} == {name}


def test_another_function_under_the_same_name_is_seen(code: Callable[..., Code]) -> None:
    files = {**FILES, "helper/sums.py": SUMS + "def other(x):\n    return inner(x) + total(x)\n"}
    before = code(files=files)
    old, new = "import total", "import other as total"
    assert before.fingerprint != code("loss/__init__.py", old, new, files).fingerprint


def test_a_moved_module_is_the_same_code(code: Callable[..., Code]) -> None:
    moved = {name.replace("sums", "plus"): text for name, text in FILES.items()}
    assert code("loss/__init__.py", "helper.sums", "helper.plus", moved) == code()


def test_what_is_starred_relative_or_under_a_condition_is_found(code: Callable[..., Code]) -> None:
    new = "if True:\n    from helper.sums import *\nfrom helper.pack import BIG"
    files = {**FILES, "helper/pack.py": "from .scales import BIG\n"}
    kept = {**files, "loss/__init__.py": LOSS.replace("scales.BIG", "BIG")}
    one = code("loss/__init__.py", "from helper.sums import total", new, kept)
    assert {"total", "inner", "BIG", "late"} <= {name for name, _ in one.others or ()}
    changed = {**kept, "helper/scales.py": "BIG = 12\n"}
    assert one != code("loss/__init__.py", "from helper.sums import total", new, changed)


def test_what_has_no_source_is_not_readable() -> None:
    names: dict[str, type] = {}
    exec("class Made:\n    pass", {"__name__": "nowhere"}, names)
    assert not source.readable(names["Made"]) and source.readable(Net)


WHOLE = """
import benchmark.parts
from equal_code import code_of_all_rows
print(benchmark.parts.__path__[0], len(code_of_all_rows().ours), code_of_all_rows().fingerprint)
"""


@pytest.mark.long
def test_moving_every_module_of_parts_changes_no_fingerprint(tmp_path: Path) -> None:
    """`git mv` and new imports: what is stored stays what it is."""
    names = sorted(
        path.stem for path in (REPOSITORY / "benchmark/parts").glob("[!_]*.py") if path.stem
    )
    for top in ("benchmark", "methods", "baselines", "sweeps"):
        shutil.copytree(REPOSITORY / top, tmp_path / top, ignore=shutil.ignore_patterns("__py*"))
    for name in names:
        (tmp_path / f"benchmark/parts/{name}.py").rename(tmp_path / f"benchmark/parts/m_{name}.py")
    old = re.compile(rf"(benchmark\.parts\.|from benchmark\.parts import )({'|'.join(names)})\b")
    for path in tmp_path.rglob("*.py"):
        path.write_text(old.sub(r"\1m_\2", path.read_text()))
    for path in (tmp_path / "benchmark", tmp_path / "methods", tmp_path / "baselines"):
        for file in path.rglob("*.py"):  # `from benchmark.parts import stages` names a module
            text = file.read_text()
            file.write_text(re.sub(r"import m_(\w+)$", r"import m_\1 as \1", text, flags=re.M))
    assert _whole(tmp_path) == _whole(REPOSITORY)


def _whole(root: Path) -> str:
    paths = os.pathsep.join([str(root), str(REPOSITORY / "tests")])
    done = subprocess.run(
        [sys.executable, "-c", WHOLE],
        env={**os.environ, "PYTHONPATH": paths},
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    where, count, fingerprint = done.stdout.split()
    assert where == str(root / "benchmark/parts") and int(count) > 200
    return fingerprint
