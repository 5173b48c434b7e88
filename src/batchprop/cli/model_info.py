"""What settings.json tells of a model, read as a file that anybody may have written."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from batchprop.data.files import expand_paths
from batchprop.errors import DataError
from batchprop.tabular.persistence import SETTINGS

MAX_BYTES = 1 << 26
"""Bytes: a table of half a million columns has fewer."""

MAX_NAME = 4096

_PARTS = ("versions", "settings", "data", "target", "network", "training", "test", "baseline")


def training_table(model: Path) -> Path | None:
    """Return the table that a model was trained on; None for the digits.

    Args:
        model: the model's folder, or a file in it.

    Raises:
        DataError: settings.json is not there, or is none, or the table is not there.
    """
    folder = model if model.is_dir() else model.parent
    try:
        found = _table(_read(folder / SETTINGS))
    except (OSError, ValueError, LookupError, RecursionError):
        raise DataError(
            f"{folder} does not tell what its model was trained on: name a table, as "
            f"batchprop look {model} DATA"
        ) from None
    if found is None:
        return None
    # A relative path was one from where `batchprop train` ran: most likely here, or where the model lies.
    # A pattern through all folders below may have no end, and the file that names it may be anybody's.
    for path in (Path(found), folder.parent / found) if "**" not in found else ():
        with suppress(DataError):
            # Of many files the first will do to look at.
            return expand_paths(path)[0]
    raise DataError(f"{found}, which {model} was trained on, is not there: name a table behind the model")


def _read(path: Path) -> dict[str, Any]:
    """The parts of settings.json, each of them named values."""
    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} is no file of settings")
    told = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(told, dict):
        raise ValueError(f"{path} holds no named parts")  # noqa: TRY004 of a file, not of an argument
    odd = [name for name in _PARTS if not isinstance(told.get(name, {}), dict)]
    if odd:
        raise ValueError(f"{odd[0]} in {path} holds no named values")
    return told


def _table(told: dict[str, Any]) -> str | None:
    found = told["settings"]["data"]
    if found is None:
        return None
    if not isinstance(found, str) or not 0 < len(found) <= MAX_NAME or not found.isprintable():
        raise ValueError("the name of the table is no name")
    return found
