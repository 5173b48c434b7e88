"""`batchprop look`: its options."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from batchprop.cli.extras import require_tables
from batchprop.cli.options import (
    check_suffix,
    option,
    own_argument,
    own_option,
    parse_options,
    reading_options,
    with_parameters,
)
from batchprop.errors import ParameterError
from batchprop.tabular.options import FILE_OPTIONS, READING_OPTIONS

EXAMPLES = """Examples:

batchprop look

batchprop look flowers.csv --target species --rows 12

batchprop look flowers-model flowers.csv --out flowers.html --no-open
"""

_PAGES = (".html", ".htm")
_TABLE = "How DATA is read; with MODEL, --sheet and --separator only"
_BATCH, _OUTPUT = "The batch", "What comes out"
_TRAINING = "A network trained on the spot, if no MODEL is given"
_DEFAULTS = {"hidden": "32", "epochs": 30, "activation": "relu"}


@with_parameters(
    own_argument(
        "model",
        Path | None,
        None,
        metavar="MODEL",
        help="The folder that `batchprop train` wrote, or its model.skops; or DATA. Without it: a small "
        "network, trained on the spot.",
    ),
    own_argument(
        "data",
        Path | None,
        None,
        metavar="DATA",
        help="A CSV, TSV, JSON lines or Parquet file, or a workbook. Without it: the training table of "
        "MODEL, or the digits.",
    ),
    option("target", help="The column of DATA to learn; needed without MODEL.", panel=_TRAINING),
    *reading_options(panel=_TABLE),
    option(
        "hidden",
        value=None,
        help="Widths of the hidden layers, as 16,8; or none.",
        default="32",
        panel=_TRAINING,
    ),
    option(
        "activation", value=None, help="Activation of the hidden layers.", default="relu", panel=_TRAINING
    ),
    option("epochs", value=None, help="Passes over the rows.", default="30", panel=_TRAINING),
    own_option(
        "rows",
        int,
        8,
        metavar="NUMBER",
        low=1,
        high=64,
        help="Examples in the batch, balanced over the labels.",
        panel=_BATCH,
    ),
    own_option(
        "image",
        str | None,
        None,
        metavar="SIZE",
        help="Height and width, as 28x28, if a row is an image.",
        panel=_BATCH,
    ),
    option("seed", help="Seed of the rows drawn and of the training.", panel=_BATCH),
    own_option(
        "out",
        Path | None,
        None,
        metavar="FILE",
        help="The page to write, .html; an earlier page of this command is replaced.",
        default="named after DATA or MODEL: flowers.html",
        panel=_OUTPUT,
    ),
    own_option(
        "open_page",
        bool,
        True,
        "--open/--no-open",
        help="Open the page in the browser when it is written.",
        panel=_OUTPUT,
    ),
    own_option(
        "force", bool, False, "--force", help="Replace any other file of that name, too.", panel=_OUTPUT
    ),
)
def look(
    *,
    model: Path | None,
    data: Path | None,
    rows: int,
    image: str | None,
    out: Path | None,
    open_page: bool,
    force: bool,
    **values: Any,
) -> None:
    """See every matrix of one batch in the browser: forward, loss, backward, collapse, update.

    One file is written that needs no network and can be mailed. Step through the
    algorithm with the arrow keys, hover over an example or a cell, leave examples
    out of the batch and see how the gradient changes.
    """
    with require_tables():
        from batchprop.cli import look_command as microscope
    model, data = microscope.resolve_arguments(model, data)
    if model is not None:
        _refuse_training(values)
    values |= {name: value for name, value in _DEFAULTS.items() if values[name] is None}
    out = out or Path(f"{(data or model or Path('digits')).stem}.html")
    check_suffix("--out", out, _PAGES, "page")
    purpose = "learn" if model is None else None
    options = parse_options(data, values, purpose, solver="sgd", learning_rate=0.1)
    source = microscope.LookSource(model, data, rows, _size(image))
    raise typer.Exit(microscope.look_command(options, source, out, open_page=open_page, force=force))


def _refuse_training(values: Mapping[str, object]) -> None:
    for name in ("target", *_DEFAULTS, *(name for name in READING_OPTIONS if name not in FILE_OPTIONS)):
        if values[name] not in (None, "auto"):
            raise ParameterError(
                f"--{name} {values[name]} is for a network trained on the spot, and MODEL is trained: leave "
                "one out"
            )


def _size(image: str | None) -> tuple[int, int] | None:
    if image is None:
        return None
    match = re.fullmatch(r"([1-9]\d*)[x×]([1-9]\d*)", image)
    if match is None:
        raise ParameterError(f"--image {image!r} is no height and width: write 28x28")
    return int(match[1]), int(match[2])
