"""Which code numbers come from: the classes and functions that they reach, each by its qualified
name and its syntax tree without comments, docstrings and formatting.

Nothing is imported or run: modules are parsed, and names are followed through their imports. The
name of a module counts nowhere, so a file can be moved. Not followed are Python's own library, the
packages in `LIBRARIES` (known by their version) and our own `NO_NUMBERS`, which store, show or
steer. What is reached through an object alone, without a name or an annotation in the source, is
not seen: name such code among the roots.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from benchmark.files.code import Code, Definition

OURS = frozenset({"benchmark", "methods", "baselines", "sweeps"})
BY_VERSION = """PIL SimpleITK filelock jinja2 matplotlib medpy mlflow nibabel numpy optuna pandas
psutil pyarrow pydicom pytest rich safetensors scipy segmentation_models_pytorch statsmodels timm
torch torchvision"""
LIBRARIES = frozenset(BY_VERSION.split())
NO_NUMBERS = (
    "benchmark.analysis",
    "benchmark.cli",
    "benchmark.errors",
    "benchmark.files",
    "benchmark.reporting",
    "benchmark.running.bench",
    "benchmark.running.stop",
    "benchmark.store",
    "benchmark.testing",
    "benchmark.tracking",
)
Place = tuple[str, str]  # module, name at its top


def reached(roots: Iterable[type | Any]) -> Code:
    """Return all definitions that classes and functions reach, themselves too. Raises `SyntaxError`
    for a module that Python cannot parse; what cannot be found is left out."""
    ours: set[Definition] = set()
    others: set[Definition] = set()
    for (module, name), read in _walk(roots):
        (ours if is_ours(module) else others).add((name, read.digest))
    return Code(ours=frozenset(ours), others=frozenset(others))


def code_of(values: Iterable[Any], roots: tuple[Callable[..., Any], ...]) -> Code:
    """Return the code that functions reach, and the classes of values with them."""
    return _code_of(frozenset(type(value) for value in values), roots)


@cache
def _code_of(classes: frozenset[type], roots: tuple[Callable[..., Any], ...]) -> Code:
    return reached((*classes, *roots))


def uses(root: type | Any, attribute: str) -> bool:
    """Return whether any definition that a class or function reaches has `.attribute` in it."""
    return any(attribute in read.attributes for _, read in _walk([root]))


def is_ours(module: str) -> bool:
    """Return whether a module, or the value of an entry point, is of this distribution."""
    return _top_of(module.partition(":")[0]) in OURS


def _walk(roots: Iterable[type | Any]) -> Iterator[tuple[Place, _Read]]:
    left = [_place_of(root) for root in roots]
    seen: set[Place] = set()
    while left:
        place = left.pop()
        if place not in seen:
            seen.add(place)
            read = _read(*place)
            yield place, read
            left += read.reaches


def _top_of(module: str) -> str:
    return module.partition(".")[0]


def readable(root: type | Any) -> bool:
    """Return whether the definition of a class or function can be read at all."""
    found = _module(root.__module__)
    return found is not None and _place_of(root)[1] in found.defined


def _place_of(root: type | Any) -> Place:
    return root.__module__, root.__qualname__.partition(".")[0]


@dataclass(frozen=True, kw_only=True)
class _Read:
    """A definition: the hash of its tree, the places that it names, and the attributes in it."""

    digest: str
    reaches: tuple[Place, ...]
    attributes: frozenset[str]


@cache
def _read(module: str, name: str) -> _Read:
    found = _module(module)
    statements = found.defined.get(name, []) if found else []
    writer = _Writer(found) if found else None
    text = [part for statement in statements for part in writer.tree(statement)] if writer else []
    return _Read(
        digest=hashlib.sha256("\0".join(text).encode()).hexdigest()[:8],
        reaches=tuple(dict.fromkeys(writer.reaches)) if writer else (),
        attributes=frozenset(writer.attributes) if writer else frozenset(),
    )


@dataclass(kw_only=True)
class _Module:
    """A parsed module: what it defines at its top, and what its imports bind, as dotted paths."""

    name: str
    defined: dict[str, list[ast.stmt]] = field(default_factory=dict)
    bound: dict[str, str] = field(default_factory=dict)
    starred: list[str] = field(default_factory=list)
    found: dict[tuple[str, ...], tuple[str, Place | None]] = field(default_factory=dict)


@cache
def _module(name: str) -> _Module | None:
    """Return a module that is followed, or None."""
    top = _top_of(name)
    silent = any(f"{name}.".startswith(f"{part}.") for part in NO_NUMBERS)
    if top in LIBRARIES or top in sys.stdlib_module_names or silent:
        return None
    path = _path(name)
    if path is None or path.suffix != ".py":
        return None
    module = _Module(name=name)
    tree = ast.parse(path.read_bytes())
    for statement in _top(tree.body):
        for defined in _defines(statement):
            module.defined.setdefault(defined, []).append(statement)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        _bind(node, module, package)
    return module


def _path(name: str) -> Path | None:
    loaded = sys.modules.get(name)
    if loaded is not None:
        file = getattr(loaded, "__file__", None)
        return Path(file) if file else None
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None
    return Path(spec.origin) if spec and spec.origin and spec.has_location else None


def _top(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module's top, those under `if`, `try` and `with` too."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.If | ast.Try | ast.With | ast.For | ast.While):
            for inner in ("body", "orelse", "finalbody"):
                yield from _top(getattr(statement, inner, ()))
            for handler in getattr(statement, "handlers", ()):
                yield from _top(handler.body)


def _defines(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Assign):
        for target in statement.targets:
            yield from (node.id for node in ast.walk(target) if isinstance(node, ast.Name))
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
        yield from (node.id for node in ast.walk(statement.target) if isinstance(node, ast.Name))


def _bind(node: ast.AST, module: _Module, package: str) -> None:
    if isinstance(node, ast.Import):
        for item in node.names:
            path = item.name if item.asname else item.name.partition(".")[0]
            module.bound.setdefault(item.asname or path, path)
    elif isinstance(node, ast.ImportFrom):
        above = package.split(".")[: len(package.split(".")) - node.level + 1]
        start = ".".join(above) if node.level else ""
        source = ".".join(part for part in (start, node.module or "") if part)
        for item in node.names:
            if item.name == "*":
                module.starred.append(source)
            else:
                module.bound.setdefault(item.asname or item.name, f"{source}.{item.name}")


def _look_up(module: _Module, chain: tuple[str, ...]) -> tuple[str, Place | None]:
    """Return what a dotted name means in a module: a text that does not depend on where it lies,
    and its place where it is a definition that is followed."""
    known = module.found.get(chain)
    if known is None:
        known = module.found[chain] = _looked_up(module, chain)
    return known


def _looked_up(module: _Module, chain: tuple[str, ...]) -> tuple[str, Place | None]:
    first, rest = chain[0], chain[1:]
    if first in module.defined:
        return ".".join(chain), (module.name, first)
    if first in module.bound:
        return _at(module.bound[first], rest)
    for source in module.starred:
        starred = _module(source)
        if starred and (first in starred.defined or first in starred.bound):
            return _look_up(starred, chain)
    return ".".join(chain), None


def _at(path: str, rest: tuple[str, ...]) -> tuple[str, Place | None]:
    """Follow an absolute dotted path: the longest part that is a module, then names in it."""
    parts = (*path.split("."), *rest)
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        followed = _module(name)
        if followed is None:
            continue
        inside = parts[length:]
        return _look_up(followed, inside) if inside else ("a module", None)
    top = parts[0]
    return (parts[-1] if top in OURS else ".".join(parts)), None


class _Writer:
    """Writes a syntax tree as texts: node types and values, names as what they mean."""

    def __init__(self, module: _Module) -> None:
        self._module = module
        self.reaches: list[Place] = []
        self.attributes: set[str] = set()

    def tree(self, node: ast.AST) -> Iterator[str]:
        """Yield the texts of a node and of all below it. Fields that are empty are left out, so
        that versions of Python which add one agree."""
        if isinstance(node, ast.Raise):  # the words of an error make no number
            yield "Raise"
            return
        chain = _chain(node)
        if isinstance(node, ast.Attribute):
            self.attributes.update(chain[1:] or (node.attr,))
        if chain:
            text, place = _look_up(self._module, chain)
            if place:
                self.reaches.append(place)
            yield text
            return
        yield type(node).__name__
        for name, value in ast.iter_fields(node):
            if name in ("ctx", "type_comment") or (name, type(node)) == ("kind", ast.Constant):
                continue
            if isinstance(value, list):
                yield from self._list(name, value)
            elif isinstance(value, ast.AST):
                yield name
                yield from self.tree(value)
            elif value is not None or isinstance(node, ast.Constant):
                yield f"{name}={value!r}"

    def _list(self, name: str, items: list[Any]) -> Iterator[str]:
        kept = [item for item in items if not _is_silent(item)]
        if kept:
            yield f"{name}["
            for item in kept:
                yield from self.tree(item) if isinstance(item, ast.AST) else (repr(item),)
            yield "]"


def _chain(node: ast.AST) -> tuple[str, ...]:
    """The parts of a dotted name, () for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return (node.id, *reversed(parts)) if isinstance(node, ast.Name) else ()


def _is_silent(item: object) -> bool:
    """Docstrings, and imports: what they bring in is written where it is used."""
    if isinstance(item, ast.Expr):
        return isinstance(item.value, ast.Constant) and isinstance(item.value.value, str)
    return isinstance(item, ast.Import | ast.ImportFrom)
