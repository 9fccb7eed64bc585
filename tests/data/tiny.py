"""For tests: the tiny set of tests/conftest.py, whichever conftest was imported last."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

from bench_process import REPOSITORY

if "tiny_set" not in sys.modules:
    spec = importlib.util.spec_from_file_location("tiny_set", REPOSITORY / "tests/conftest.py")
    assert spec is not None and spec.loader is not None
    sys.modules["tiny_set"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["tiny_set"])

_found: Any = sys.modules["tiny_set"]
ORGANS, TinySource, Trainer = _found.ORGANS, _found.TinySource, _found.Trainer
tiny_volume = _found.tiny_volume
