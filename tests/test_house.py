"""House rules that no tool knows: lengths, annotations, modules of one importer, the drawing."""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CODE = ("benchmark", "methods", "baselines", "sweeps")
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for top in CODE
    for path in sorted((ROOT / top).glob("**/*.py"))
}
TREES = {name: ast.parse(path.read_bytes()) for name, path in MODULES.items()}
MOST_LINES = 300
LONGEST_FUNCTION = 46  # lines, without the examples in its docstring
BANNED = re.compile(
    r"\bas good as\b|\bparts (?:it|them)\b|\bwhoever\b"
    r"|(?<!there )\b(?:is|are|was|were) no (?!longer|more|better|worse|evidence|sign|surprise)\w"
    r"|(?<![.\w])1 (?:patients|seeds|cells|folds|rows|cases|trainings|points|steps|epochs"
    r"|organs)\b",
    re.IGNORECASE,
)  # no native speaker writes these: "is not a", "takes apart", "anybody who", "1 patient"
ENTRANCES = ("benchmark.cli", "methods", "baselines")  # found by name, and imported by nobody
FORMS = tuple(
    f"benchmark.data.readers.{one}" for one in ("numbers", "segments", "contours")
)  # 0033
MOST_SINGLES = 38  # as this counts; lower it with each that goes


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                yield f"{name}, line {node.lineno}: {node.name}", node


def length(function: ast.FunctionDef) -> int:
    """Lines from its name to its end; an example in its docstring is a test, not its length."""
    assert function.end_lineno is not None
    _, _, examples = (ast.get_docstring(function, clean=False) or "").partition(">>>")
    return function.end_lineno - function.lineno + 1 - (examples.count("\n") if examples else 0)


def test_no_file_and_no_function_is_long() -> None:
    lines = {name: len(path.read_text().splitlines()) for name, path in MODULES.items()}
    assert not {name: n for name, n in lines.items() if n > MOST_LINES}
    long = {where: length(function) for where, function in functions()}
    assert not {where: n for where, n in long.items() if n > LONGEST_FUNCTION}


def test_every_function_is_annotated() -> None:
    bare = []
    for where, function in functions():
        given = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        given += [one for one in (function.args.vararg, function.args.kwarg) if one]
        open_ = [one.arg for one in given if one.annotation is None]
        if function.returns is None or set(open_) - {"self", "cls"}:
            bare.append(where)
    assert not bare


def imported(tree: ast.AST) -> Iterator[str]:
    """The modules that a module names, those within functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (item.name for item in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{item.name}" for item in node.names)


def test_few_modules_have_one_importer() -> None:
    """A module that one other alone imports is half of it: is it worth a file?"""
    importers: dict[str, set[str]] = {name: set() for name in MODULES}
    for name, tree in TREES.items():
        for other in {*imported(tree)} & MODULES.keys() - {name}:
            importers[other].add(name)
    singles = [
        name
        for name, found in importers.items()
        if len(found) == 1
        and MODULES[name].name != "__init__.py"
        and not name.startswith((*ENTRANCES, *FORMS))
    ]
    print("\n".join(singles))
    assert len(singles) <= MOST_SINGLES


def test_the_drawing_of_the_floors_is_the_contract() -> None:
    """docs/architecture.md draws a floor a line, from the top, as the contract in pyproject.toml
    has them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    floors = next(c for c in contracts["contracts"] if c["name"].startswith("floors"))
    wanted = [re.split(r" [|:] ", layer) for layer in floors["layers"]]
    page = (ROOT / "docs" / "architecture.md").read_text()
    drawing = page.split("```")[1].splitlines()
    names = [re.findall(r"(\w+)(?:/|\.py)(?=\s)", line) for line in drawing]
    known = {name for layer in wanted for name in layer}
    drawn = [kept for line in names if (kept := [name for name in line if name in known])]
    assert drawn == wanted, f"drawn: {drawn}"


def scripts(tree: ast.AST) -> Iterator[ast.AST]:
    """A module, and the code for other processes that stands in its texts."""
    yield tree
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and "import" in node.value
        ):
            with suppress(SyntaxError, ValueError):  # words
                yield ast.parse(node.value)


def test_whatever_is_imported_within_a_function_or_a_text_is_there() -> None:
    """What an import at a file's top lacks is seen when tests are collected; what a function of a
    long test, or a script in a text, lacks is seen by nobody for weeks."""
    lacking = []
    for path in [*ROOT.glob("tests/**/*.py"), *ROOT.glob("docs/*.py"), *MODULES.values()]:
        for tree in scripts(ast.parse(path.read_bytes())):
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(CODE):
                    module = importlib.import_module(str(node.module))
                    names = {item.name for item in node.names if not hasattr(module, item.name)}
                    names = {n for n in names if f"{node.module}.{n}" not in MODULES}
                    lacking += [f"{path.name}: {node.module}.{name}" for name in names]
    assert not lacking


def said(tree: ast.AST) -> Iterator[str]:
    """The texts of a module that may reach a person: all but docstrings."""
    bodies = [node.body for node in ast.walk(tree) if hasattr(node, "body")]
    first = [body[0] for body in bodies if isinstance(body, list) and body]
    documents = {id(one.value) for one in first if isinstance(one, ast.Expr)}
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and id(node) not in documents:
            yield text


def test_pages_and_output_are_written_as_one_speaks() -> None:
    pages = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("docs/**/*.txt")]
    texts = {path.name: [path.read_text(encoding="utf-8")] for path in pages}
    texts |= {name: list(said(tree)) for name, tree in TREES.items()}
    found = [
        f"{name}: {text[max(0, hit.start() - 30) : hit.end() + 30]!r}"
        for name, of_name in texts.items()
        for text in of_name
        for hit in BANNED.finditer(text)
    ]
    assert not found, "\n".join(found)


def test_readme_is_two_screens() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(readme.splitlines()) <= 110
    assert "make run " in readme and "make test " in readme and "<!-- STUDY -->" in readme
