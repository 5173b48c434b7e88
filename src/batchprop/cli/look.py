"""`batchprop look`: its options."""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from batchprop.cli.extras import require_tables
from batchprop.cli.settings import TrainOptions, parse_hidden
from batchprop.cli.train import Activation
from batchprop.errors import ParameterError

EXAMPLES = """Examples:

batchprop look

batchprop look flowers.csv --target species --rows 12

batchprop look flowers-model flowers.csv --out flowers.html --no-open
"""

_PAGES = (".html", ".htm")

_batch = partial(typer.Option, rich_help_panel="The batch")
_training = partial(typer.Option, rich_help_panel="A network trained on the spot, where no MODEL is given")
_files = partial(typer.Option, rich_help_panel="What comes out")


def look(
    model: Annotated[
        Path | None,
        typer.Argument(
            metavar="MODEL",
            help="The folder that `batchprop train` wrote, or its model.skops; or DATA. Without it: a small "
            "network, trained on the spot.",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="DATA",
            help="A CSV, TSV or Parquet file. Without it: what MODEL was trained on, or the digits.",
        ),
    ] = None,
    *,
    target: Annotated[
        str | None, _training(metavar="COLUMN", help="The column of DATA to learn; needed without MODEL.")
    ] = None,
    hidden: Annotated[
        str | None,
        _training(metavar="WIDTHS", help="Widths of the hidden layers, as 16,8; or none.", show_default="32"),
    ] = None,
    activation: Annotated[
        Activation | None, _training(metavar="NAME", help="Of every hidden layer.", show_default="relu")
    ] = None,
    epochs: Annotated[
        int | None,
        _training(metavar="NUMBER", min=1, help="Passes over the rows.", show_default="30"),
    ] = None,
    rows: Annotated[
        int, _batch(metavar="NUMBER", min=1, max=64, help="Examples in the batch, labels in turn.")
    ] = 8,
    image: Annotated[
        str | None,
        _batch(metavar="SIZE", help="Height and width, as 28x28, where a row is an image."),
    ] = None,
    seed: Annotated[
        int,
        _batch(metavar="NUMBER", min=0, max=2**32 - 1, help="Of the rows drawn, and of the training."),
    ] = 0,
    out: Annotated[
        Path | None,
        _files(
            metavar="FILE", help="The page to write, .html.", show_default="named after DATA: flowers.html"
        ),
    ] = None,
    opened: Annotated[
        bool, _files("--open/--no-open", help="Open the page in the browser when it is written.")
    ] = True,
    force: Annotated[bool, _files("--force", help="Replace that file.")] = False,
) -> None:
    """See every matrix of one batch in the browser: forward, loss, backward, collapse, update.

    One file is written that needs no network and can be mailed. Step through the
    algorithm with the arrow keys, hover over an example or a cell, leave examples
    out of the batch and see what becomes of the gradient.
    """
    with require_tables():
        from batchprop.cli import look_command as microscope
    model, data = microscope.resolve_arguments(model, data)
    given = {"--target": target, "--hidden": hidden, "--activation": activation, "--epochs": epochs}
    if model is not None:
        _refuse(given)
    settings = TrainOptions(
        data=data,
        target=target,
        hidden=parse_hidden(hidden or "32"),
        activation=activation or "relu",
        solver="sgd",
        learning_rate=0.1,
        epochs=epochs or 30,
        seed=seed,
        out=out or Path(f"{(data or model or Path('digits')).stem}.html"),
        force=force,
    )
    if settings.out.suffix.lower() not in _PAGES:
        raise ParameterError(f"--out {settings.out} names no page: end it in {', '.join(_PAGES)}")
    if model is None:
        settings.check("learn")
    raise typer.Exit(microscope.look_command(settings, model, rows=rows, image=_size(image), opened=opened))


def _refuse(given: Mapping[str, object]) -> None:
    for option, value in given.items():
        if value is not None:
            raise ParameterError(
                f"{option} {value} is for a network trained on the spot, and MODEL is trained: leave one out"
            )


def _size(image: str | None) -> tuple[int, int] | None:
    if image is None:
        return None
    found = re.fullmatch(r"([1-9]\d*)[x×]([1-9]\d*)", image)
    if found is None:
        raise ParameterError(f"--image {image!r} is no height and width: write 28x28")
    return int(found[1]), int(found[2])
