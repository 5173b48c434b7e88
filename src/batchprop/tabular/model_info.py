"""The information on a model in settings.json, read as an untrusted file."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from batchprop.data.files import expand_paths
from batchprop.errors import DataError, ModelError, ParameterError
from batchprop.files import open_file
from batchprop.tabular.options import FILE_OPTIONS, TrainOptions, read_values

FORMAT = 3
"""The version of the folder format; 1 and 2 were before the first release."""

SETTINGS = "settings.json"

MAX_BYTES = 1 << 26
"""In bytes: the file for half a million columns is smaller."""

MAX_NAME = 4096

_PARTS = ("versions", "settings", "data", "target", "network", "training", "test", "baseline")


def model_folder(path: Path) -> Path:
    """Return the folder of a model that is named by its folder or by a file in it."""
    return path if path.is_dir() else path.parent


def check_format(folder: Path) -> None:
    """Check that this version can read the model of a folder; one without settings.json passes.

    Raises:
        ModelError: another version wrote it.
    """
    try:
        info = read_info(folder)
    except (OSError, ValueError, RecursionError):
        return
    # The first format had no number.
    if (number := info.get("format", 1)) != FORMAT:
        raise ModelError(
            f"{folder} holds a model of format {number!r:.40}, and this version of batchprop reads format "
            f"{FORMAT}: train it again with `batchprop train`"
        )


def training_table(model: Path) -> tuple[Path | None, TrainOptions]:
    """Return the table that a model was trained on, None for the digits, and how its file is read.

    Args:
        model: the model's folder, or a file in it.

    Raises:
        DataError: settings.json or the table does not exist, or settings.json is damaged.
    """
    folder = model_folder(model)
    try:
        info = read_info(folder)
        name = _table_name(info)
        given = info.get("settings", {})
        options = TrainOptions(
            **read_values(
                {name: given.get(name, getattr(TrainOptions, name)) for name in (*FILE_OPTIONS, "on_bad_row")}
            )
        )
    except (OSError, ValueError, LookupError, TypeError, RecursionError, ParameterError):
        raise DataError(
            f"{folder} does not tell what its model was trained on: name a table, as "
            f"batchprop look {model} DATA"
        ) from None
    if name is None:
        return None, options
    # A relative path starts at the folder of `batchprop train`: most likely here, or the model's parent.
    # A recursive pattern could search without end, and the file that names it is untrusted.
    for path in (Path(name), folder.parent / name) if "**" not in name else ():
        with suppress(DataError):
            # Of many files the first one is enough to look at.
            return expand_paths(path)[0], options
    raise DataError(f"{name}, which {model} was trained on, is not there: name a table after the model")


def read_info(folder: Path) -> dict[str, Any]:
    """Return the parts of settings.json, each a dict.

    Raises:
        OSError, ValueError, RecursionError: it does not exist, or is damaged.
    """
    path = folder / SETTINGS
    with open_file(path, follow=True) as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"{path} is no file of settings")
    info = json.loads(content.decode())
    if not isinstance(info, dict):
        raise ValueError(f"{path} holds no named parts")  # noqa: TRY004 of a file, not of an argument
    odd = [name for name in _PARTS if not isinstance(info.get(name, {}), dict)]
    if odd:
        raise ValueError(f"{odd[0]} in {path} holds no named values")
    return info


def _table_name(info: dict[str, Any]) -> str | None:
    files = info["data"]["files"]
    if not isinstance(files, list):
        raise TypeError("the names of the files are no list")
    if not files:
        return None
    name = files[0]
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise ValueError("the name of the table is no name")
    return name
