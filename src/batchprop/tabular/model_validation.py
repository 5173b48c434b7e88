"""Checks the content of a model file before anything in it is built.

A model is a zip archive of ``schema.json``, a tree of nodes that say what to build, and of NumPy arrays, a
part each, ``ID.npy``. Parts must be uncompressed, and the size of each must match its bytes in the file, so
that reading takes memory and time in proportion to the file's size, not to the sizes that it declares.
"""

import json
import math
import os
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from batchprop.errors import ModelError, join_truncated

TRUSTED_TYPES = (
    "batchprop.estimators.classifier.MLPClassifier",
    "batchprop.estimators.ensemble.MLPEnsembleClassifier",
    "batchprop.estimators.ensemble.MLPEnsembleRegressor",
    "batchprop.estimators.regressor.MLPRegressor",
    "batchprop.tabular.level_means.LevelMeans",
    "batchprop.tabular.piecewise.PiecewiseLinear",
    "batchprop.tabular.transformers.ColumnCaster",
    "batchprop.tabular.transformers.DateParts",
    "batchprop.tabular.transformers.SmoothClip",
    "batchprop.tabular.transformers.TargetScaler",
)

SCIKIT_LEARN = (
    "sklearn.compose._column_transformer.ColumnTransformer",
    "sklearn.compose._target.TransformedTargetRegressor",
    "sklearn.impute._base.MissingIndicator",
    "sklearn.impute._base.SimpleImputer",
    "sklearn.pipeline.FeatureUnion",
    "sklearn.pipeline.Pipeline",
    "sklearn.preprocessing._data.RobustScaler",
    "sklearn.preprocessing._data.StandardScaler",
    "sklearn.preprocessing._encoders.OneHotEncoder",
)

_SCALARS = ("bool", "bool_", "str_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
            "float16", "float32", "float64")  # fmt: skip
_NUMPY = {f"numpy.{name}" for name in _SCALARS}
_PLAIN = {f"builtins.{name}" for name in ("bool", "float", "int", "str")}

# Each kind of node, and the types it may build. No model has functions, methods, partial calls, sparse
# matrices (archives within the archive), or the other types that skops knows.
_BUILT_TYPES = {
    "JsonNode": {"builtins.str"},
    "DictNode": {"builtins.dict"},
    "ListNode": {"builtins.list"},
    "TupleNode": {"builtins.tuple"},
    "SliceNode": {"builtins.slice"},
    "TypeNode": _PLAIN | _NUMPY,
    "DTypeNode": {"numpy.dtype"},
    "NdArrayNode": {"numpy.ndarray"} | _NUMPY,
    "ObjectNode": {*TRUSTED_TYPES, *SCIKIT_LEARN},
}

SCHEMA = "schema.json"
MAX_DEPTH = 200
"""Levels of nesting: a model has 30."""

_ARRAY = re.compile(r"\d{1,20}\.npy")
# As NumPy writes it; no model has objects, records or dates.
_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00(..)\{'descr': '[<>|=][biufU](\d{1,9})', 'fortran_order': (?:True|False), "
    rb"'shape': \(((?:\d{1,18},? ?)*)\), \} *\n",
    re.DOTALL,
)
_BYTES_PER_CHARACTER = 4


def validate_archive(file: BinaryIO, path: Path) -> None:
    """Check a model file before anything in it is built.

    Args:
        file: the file, open for reading.
        path: its name, for messages.

    Raises:
        ModelError: it holds types that no model has.
        ValueError, LookupError, zipfile.BadZipFile: it is not a model, or is damaged.
    """
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        _check_members(members, file.seek(0, os.SEEK_END))
        if (wrong := archive.testzip()) is not None:
            raise zipfile.BadZipFile(f"its part {wrong} has a wrong checksum")
        nodes = list(_nodes(json.loads(archive.read(SCHEMA))))
        _check_types(nodes, path)
        _check_repeated(nodes)
        used = {node["file"] for node in nodes if "file" in node}
        if odd := sorted(used ^ {member.filename for member in members} - {SCHEMA}):
            raise ValueError(f"its part {odd[0]} is {'missing' if odd[0] in used else 'used nowhere'}")
        for name in sorted(used):
            _check_array(archive, name)


def _check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    """Refuse members that are compressed, encrypted, overlapping, duplicate, or of an unknown name."""
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise zipfile.BadZipFile("its parts are compressed, which batchprop never does")
    if any(member.flag_bits & 1 for member in members):
        raise zipfile.BadZipFile("its parts are encrypted, which batchprop never does")
    if sum(member.file_size for member in members) > size:
        raise zipfile.BadZipFile("its parts are larger than the file")
    names = [member.filename for member in members]
    if len(set(names)) < len(names):
        raise zipfile.BadZipFile("it holds two parts of one name")
    for name in names:
        if name != SCHEMA and not _ARRAY.fullmatch(name):
            raise zipfile.BadZipFile(f"it holds a part {name[:40]!r}, which no model has")


def _nodes(root: Any) -> Iterator[dict[str, Any]]:
    """Yield all nodes of the tree, each before its children; refuse one deeper than any model's."""
    waiting: list[tuple[Any, int]] = [(root, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")
        if isinstance(value, dict):
            if _is_node(value):
                yield value
            elif not isinstance(value.get("__id__", {}), dict):
                # skops takes it for the node of that number, even if other entries are missing.
                raise ValueError("a node in it does not say what it is")
            waiting.extend((inner, depth + 1) for inner in value.values())
        elif isinstance(value, list):
            waiting.extend((inner, depth + 1) for inner in value)


def _is_node(value: dict[str, Any]) -> bool:
    # A table may have a column of that name, whose entry is a node.
    return isinstance(value.get("__loader__"), str)


def _check_types(nodes: Iterable[dict[str, Any]], path: Path) -> None:
    foreign = set()
    for node in nodes:
        kind, built = node["__loader__"], f"{node['__module__']}.{node['__class__']}"
        if built not in _BUILT_TYPES.get(kind, ()):
            named = built if kind in _BUILT_TYPES else f"{built} (by a {kind})"
            foreign.add(named[:100].encode("unicode_escape").decode())
        if kind == "JsonNode" and not isinstance(node["content"], str):
            raise ValueError("a value in it is not written as JSON")
        if "file" in node and node["file"] != f"{node['__id__']}.npy":
            raise ValueError(f"it refers to a part {node['file']!r} by another name")
    if foreign:
        raise ModelError(
            f"{path} holds types that no model of batchprop has, and was not loaded: "
            f"{join_truncated(sorted(foreign))}; "
            "use a model that `batchprop train` wrote"
        )


def _check_repeated(nodes: list[dict[str, Any]]) -> None:
    """Refuse a node that refers to a larger node by its number.

    A node with a known number is that node again. If such references were short, a short file with a list of
    two lists of two lists, and so on, would become an endless model.
    """
    first: dict[Any, tuple[str, int]] = {}
    sizes: dict[int, int] = {}
    # In reverse order, the content of a node comes before it.
    for node in reversed(nodes):
        size = 1 + sum(sizes[id(inner)] for inner in _children(node))
        sizes[id(node)] = size
        number = node.get("__id__")
        if not isinstance(number, int):
            raise ValueError(f"a node in it has the number {number!r}"[:80])  # noqa: TRY004 of a file
        if first.setdefault(number, (node["__loader__"], size)) != (node["__loader__"], size):
            raise ValueError(f"two nodes in it have the number {number}")


def _children(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    waiting: list[Any] = [*node.values()]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if _is_node(value):
                yield value
            else:
                waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _check_array(archive: zipfile.ZipFile, name: str) -> None:
    """Refuse an array whose declared size is wrong: NumPy allocates it before it reads."""
    size = archive.getinfo(name).file_size
    with archive.open(name) as part:
        header = _HEADER.match(part.read(10_000))
    if header is None:
        raise ValueError(f"its part {name} is no array of numbers or text")
    letter = _BYTES_PER_CHARACTER if b"'<U" in header[0] or b"'>U" in header[0] else 1
    shape = [int(length) for length in re.findall(rb"\d+", header[3])]
    declared = math.prod(shape) * int(header[2]) * letter
    begins = 10 + int.from_bytes(header[1], "little")
    if header.end() != begins or begins + declared != size or max(shape, default=0) > size:
        raise ValueError(f"its part {name} is not as large as it says")
