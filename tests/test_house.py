"""The house: who imports whom, what is documented, how long a room is, documents that run."""

from __future__ import annotations

import ast
import importlib
import io
import pkgutil
import re
import subprocess
import sys
import tokenize
import tomllib
from contextlib import chdir
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import batchprop
from docs_hooks.blocks import run

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "batchprop"
SOURCES = sorted(PACKAGE.rglob("*.py"))
EVERY_FILE = sorted(
    path for folder in ("src", "tests", "benchmarks", "docs_hooks") for path in (ROOT / folder).rglob("*.py")
)
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("**/*.md")])

# The core, lowest first: a module imports only what stands before it.
CORE = [
    "errors",
    "arrays",
    "activations",
    "heads",
    "network",
    "factors",
    "clipping",
    "gradient",
    "backprop",
    "optimizers",
    "mechanism",
    "schedules",
    "batches",
    "courses",
    "sources",
    "streams",
    "objective",
    "looking",
    "histories",
    "training",
    "check",
    "engines",
]
# Not the core, yet what several shells need: imports the core, and shells import it.
SHARED = {"locking", "packing", "pictures", "unfinished"}
# May import everything: the front door and the command line.
FREE = {"__init__", "__main__", "cli"}
CORE_NEEDS = {"numpy", "array_api_compat"}
SLOW_TO_IMPORT = {"jax", "matplotlib", "pandas", "rich", "scipy", "skops", "sklearn", "typer"}

LONGEST_FILE = 400
LONGEST_BODY = 40  # lines after the signature and the docstring


def shown(path: Path) -> str:
    """The path as pytest prints it beside a test."""
    return str(path.relative_to(ROOT))


def room(path: Path) -> str:
    """`src/batchprop/engines/numpy.py` stands in the room `engines`, `heads.py` is one."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path: Path) -> Iterator[str]:
    """Every module that the file imports, absolute: `batchprop.heads`, `numpy.linalg`."""
    inside = ("batchprop", *path.relative_to(PACKAGE).with_suffix("").parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*inside[: -node.level]] if node.level else []
            base += node.module.split(".") if node.module else []
            # `from batchprop import heads` and `from . import heads` name the room in the alias.
            names = [alias.name for alias in node.names] if base == ["batchprop"] else [""]
            yield from (".".join([*base, name]).rstrip(".") for name in names)


def neighbours(path: Path) -> set[str]:
    """The rooms of this house that the file imports, its own left out."""
    ours = {name.split(".")[1] for name in imported(path) if name.startswith("batchprop.")}
    ours |= {"__init__" for name in imported(path) if name == "batchprop"}
    return ours - {room(path), "__version__"}


@pytest.mark.parametrize("path", SOURCES, ids=shown)
def test_imports_point_downward(path: Path) -> None:
    here = room(path)
    if here in FREE:
        return
    allowed = set(CORE[: CORE.index(here)]) if here in CORE else set(CORE) | SHARED
    wrong = neighbours(path) - allowed
    assert not wrong, f"{shown(path)} may import only {sorted(allowed)}, not {sorted(wrong)}"


@pytest.mark.parametrize("path", [path for path in SOURCES if room(path) in CORE], ids=shown)
def test_the_core_needs_only_numpy_and_the_array_api(path: Path) -> None:
    outside = {name.split(".")[0] for name in imported(path)} - {"batchprop", "__future__"}
    compiled = (
        {"jax"}
        if path.stem in {"devices", "jax", "programs", "randomness"} and room(path) == "engines"
        else set()
    )
    assert outside - sys.stdlib_module_names <= CORE_NEEDS | compiled


def test_every_core_module_is_there() -> None:
    assert set(CORE) <= {room(path) for path in SOURCES}


def test_import_batchprop_loads_nothing_slow() -> None:
    code = "import batchprop, sys; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT / "src"
    ).stdout.split()
    assert not SLOW_TO_IMPORT & set(loaded)


def modules() -> list[str]:
    """The name of every module of the package, imported or not."""
    found = pkgutil.walk_packages([str(PACKAGE)], prefix="batchprop.")
    return ["batchprop", *(module.name for module in found if not module.name.endswith("__main__"))]


@pytest.mark.parametrize("name", modules())
def test_all_lists_what_exists(name: str) -> None:
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", [])
    assert len(set(exported)) == len(exported)
    for export in exported:
        assert getattr(module, export) is not None, f"{name}.{export} is listed, not there"


def test_dir_lists_what_is_imported_lazily() -> None:
    assert set(batchprop.__all__) <= set(dir(batchprop))


def public_definitions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    """Public functions and classes of a module, and the public methods of those classes."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    for node in tree.body:
        if isinstance(node, kinds) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from (
                    inner
                    for inner in node.body
                    if isinstance(inner, kinds) and not inner.name.startswith("_")
                )


@pytest.mark.parametrize("path", SOURCES, ids=shown)
def test_whatever_is_public_is_documented(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{shown(path)} has no docstring"
    bare = [node.name for node in public_definitions(tree) if not ast.get_docstring(node)]
    assert not bare, f"no docstring in {shown(path)}: {bare}"


def body_length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the first statement after the docstring to the last."""
    statements = function.body[1:] if ast.get_docstring(function) else function.body
    if not statements:
        return 0
    return (statements[-1].end_lineno or 0) - statements[0].lineno + 1


@pytest.mark.parametrize("path", EVERY_FILE, ids=shown)
def test_files_and_functions_fit_on_a_page(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_FILE
    long = {
        node.name: body_length(node)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and body_length(node) > LONGEST_BODY
    }
    assert not long, f"over {LONGEST_BODY} lines without the docstring: {long}"


# Taken apart, so that this file does not carry the marks it looks for.
MARKS = re.compile("|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "type: " + "ignore"]))
BLANKET = re.compile("no" + r"qa(?!: [A-Z]+\d+)|pragma: no " + "cover")


@pytest.mark.parametrize("path", EVERY_FILE, ids=shown)
def test_no_marks_are_left_behind(path: Path) -> None:
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    left = [text for text in comments if MARKS.search(text) or BLANKET.search(text)]
    assert not left


def test_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert batchprop.__version__ == project["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## (Unreleased|{re.escape(batchprop.__version__)})", changelog, re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=shown)
def test_documents_run(document: Path, tmp_path: Path) -> None:
    with chdir(tmp_path):  # what one block writes, the next may read
        run(document)
