"""The structure of the package: imports, docstrings, and documents that run."""

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
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import batchprop
from docs_hooks.blocks import run_document
from tests.cli.commands import skip_figures

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "batchprop"
SOURCES = sorted(PACKAGE.rglob("*.py"))
EVERY_FILE = sorted(
    path for folder in ("src", "tests", "benchmarks", "docs_hooks") for path in (ROOT / folder).rglob("*.py")
)
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("**/*.md")])

# The core, lowest first: a module imports only those before it.
CORE = [
    "format",
    "errors",
    "arrays",
    "activations",
    "heads",
    "params",
    "network",
    "clipping",
    "gradient",
    "backprop",
    "optimizers",
    "dp_sgd",
    "schedules",
    "processes",
    "batches",
    "objective",
    "dynamics",
    "training",
    "gradcheck",
    "influence",
    "engines",
]
# Shared modules outside the core: they import only the core.
SHARED = ["files", "webdata"]
# The shells, lowest first: each may import the core, the shared modules, and the shells before it.
SHELLS = [
    "distributed",
    "data",
    "estimators",
    "callbacks",
    "privacy",
    "export",
    "plots",
    "microscope",
    "report",
    "tabular",
    "playground",
    "cli",
]
# `batchprop/__init__.py` may import everything.
FREE = {"__init__", "__main__"}
CORE_NEEDS = {"numpy", "array_api_compat"}
SLOW_TO_IMPORT = {"jax", "matplotlib", "pandas", "rich", "scipy", "skops", "sklearn", "typer"}


def shown(path: Path) -> str:
    """The path as a test id."""
    return str(path.relative_to(ROOT))


def room(path: Path) -> str:
    """The layer of a file: `src/batchprop/engines/numpy.py` is in `engines`, `heads.py` is its own."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


@cache
def parse(path: Path) -> ast.Module:
    """Parse a file; cached, since several tests read it."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imported(path: Path) -> tuple[str, ...]:
    """The absolute names of all modules that the file imports: `batchprop.heads`, `numpy.linalg`."""
    return tuple(find_imports(path))


def find_imports(path: Path) -> Iterator[str]:
    """Find the imports in a file's tree, in order."""
    inside = ("batchprop", *path.relative_to(PACKAGE).with_suffix("").parts)
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*inside[: -node.level]] if node.level else []
            base += node.module.split(".") if node.module else []
            # `from batchprop.cli import app` and `from . import app` name the module in the alias.
            # The version is a constant that any module may read.
            names = [alias.name for alias in node.names if alias.name != "__version__"]
            modules = [name for name in names if is_module(*base, name)]
            yield from (".".join([*base, name]) for name in modules)
            if len(modules) < len(names):
                yield ".".join(base)


@cache
def is_module(*parts: str) -> bool:
    """Whether a dotted name is a module or package of batchprop."""
    place = PACKAGE.parent.joinpath(*parts)
    return place.is_dir() or place.with_suffix(".py").exists()


def module_name(path: Path) -> str:
    """`src/batchprop/engines/numpy.py` is `batchprop.engines.numpy`."""
    parts = ("batchprop", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


MODULE_NAMES = {module_name(source) for source in SOURCES}


def modules_imported_by(path: Path) -> set[str]:
    """The modules of batchprop that the file imports when loaded, without `batchprop/__init__.py`."""
    known = MODULE_NAMES - {"batchprop", module_name(path)}
    return {name for name in imported(path) if name in known}


def imported_layers(path: Path) -> set[str]:
    """The layers that the file imports, without its own."""
    ours = {name.split(".")[1] for name in imported(path) if name.startswith("batchprop.")}
    ours |= {"__init__" for name in imported(path) if name == "batchprop"}
    return ours - {room(path)}


def allowed_imports(place: str) -> set[str]:
    """The layers that a layer may import."""
    if place in CORE:
        return set(CORE[: CORE.index(place)])
    if place in SHARED:
        return set(CORE)
    front_door = {"__init__"} if place == "cli" else set[str]()
    return {*CORE, *SHARED, *SHELLS[: SHELLS.index(place)]} | front_door


# A test of all files takes less time than a test for each, and names every file that is wrong.
def test_imports_point_downward() -> None:
    shelled = [path for path in SOURCES if room(path) not in FREE]
    wrong = {shown(path): imported_layers(path) - allowed_imports(room(path)) for path in shelled}
    assert {path: sorted(layers) for path, layers in wrong.items() if layers} == {}


def test_no_circular_imports() -> None:
    graph = {module_name(path): modules_imported_by(path) for path in SOURCES}
    TopologicalSorter(graph).prepare()  # which raises CycleError, naming the modules


def test_without_several_processes_nothing_of_them_is_imported() -> None:
    # A fit asks `batchprop.processes`, and `distributed.initialize` sets what it answers.
    assert {room(path) for path in SOURCES if "distributed" in imported_layers(path)} == {"__init__", "cli"}


@pytest.mark.parametrize("path", [path for path in SOURCES if room(path) in CORE], ids=shown)
def test_core_imports_only_numpy_and_array_api_compat(path: Path) -> None:
    outside = {name.split(".")[0] for name in imported(path)} - {"batchprop", "__future__"}
    uses_jax = path.stem in {"compiled", "devices", "jax", "prng", "programs", "sharding"}
    compiled = {"jax"} if uses_jax and room(path) == "engines" else set()
    assert outside - sys.stdlib_module_names <= CORE_NEEDS | compiled


def test_every_package_has_a_layer() -> None:
    assert {*CORE, *SHARED, *SHELLS} | FREE >= {room(path) for path in SOURCES} >= {*CORE, *SHARED, *SHELLS}


def test_import_batchprop_loads_nothing_slow() -> None:
    code = "import batchprop, sys; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT / "src"
    ).stdout.split()
    assert not SLOW_TO_IMPORT & set(loaded)


def modules() -> list[str]:
    """The name of every module of the package, imported or not."""
    result = pkgutil.walk_packages([str(PACKAGE)], prefix="batchprop.")
    return ["batchprop", *(module.name for module in result if not module.name.endswith("__main__"))]


def test_all_lists_what_exists() -> None:
    for name in modules():
        module = importlib.import_module(name)
        exported = getattr(module, "__all__", [])
        assert len(set(exported)) == len(exported), name
        for export in exported:
            assert getattr(module, export, None) is not None, f"{name}.{export} is listed, not there"


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


def test_public_names_are_documented() -> None:
    trees = {shown(path): parse(path) for path in SOURCES}
    assert [path for path, tree in trees.items() if not ast.get_docstring(tree)] == []
    assert [
        f"{path}: {node.name}"
        for path, tree in trees.items()
        for node in public_definitions(tree)
        if not ast.get_docstring(node)
    ] == []


# Split, so that this file does not contain the marks itself.
MARKS = re.compile("|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "type: " + "ignore"]))
BLANKET = re.compile("no" + r"qa(?!: [A-Z]+\d+)|pragma: no " + "cover")


def marks_in(path: Path) -> list[str]:
    """The comments of a file with such a mark."""
    text = path.read_text(encoding="utf-8")
    # Search the whole file first: only few files need to be tokenised for their comments.
    if not MARKS.search(text) and not BLANKET.search(text):
        return []
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    return [text for text in comments if MARKS.search(text) or BLANKET.search(text)]


def test_no_todo_marks_or_blanket_suppressions() -> None:
    assert {shown(path): marks for path in EVERY_FILE if (marks := marks_in(path))} == {}


# What writes, renames or removes by a name, and so would follow a link or wait for a pipe.
PATH_WRITES = {"rmdir", "unlink", "write_bytes", "write_text"}
MODULE_WRITES = {"copy", "copyfile", "mkdtemp", "mkstemp", "remove", "rename", "replace", "rmtree"}


def test_files_are_written_and_removed_by_files_py_alone() -> None:
    assert [
        f"{shown(path)}, line {node.lineno}: {ast.unparse(node)}"
        for path in SOURCES
        if path.stem != "files"
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Call) and writes(node)
    ] == []


def writes(call: ast.Call) -> bool:
    """Whether a call writes or removes a file by its name."""
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    owner = ast.unparse(function.value) if isinstance(function, ast.Attribute) else ""
    if name == "open":
        modes = [node.value for node in call.args if isinstance(node, ast.Constant)]
        return any(isinstance(mode, str) and re.fullmatch("[wxa][bt+]*", mode) for mode in modes)
    return name in PATH_WRITES or (name in MODULE_WRITES and owner in {"os", "shutil", "tempfile"})


def test_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert batchprop.__version__ == project["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## (Unreleased|{re.escape(batchprop.__version__)})", changelog, re.MULTILINE)


def test_promises_name_tests_that_exist() -> None:
    text = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
    file = ""
    for path, name in re.findall(r"`([\w/]+\.py)?::(\w+)`", text):
        file = path or file
        assert f"def {name}(" in (ROOT / "tests" / file).read_text(encoding="utf-8"), f"{file}::{name}"
    promises = re.findall(r"^- (.*?)(?=^- |^#|\n\n)", text, re.MULTILINE | re.DOTALL)
    assert len(promises) > 10
    assert [each for each in promises if "::test_" not in each and "No test" not in each] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=shown)
def test_documents_run(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    skip_figures(monkeypatch)  # they take most of a small training, and have tests of their own
    with chdir(tmp_path):  # what one block writes, the next may read
        run_document(document)
