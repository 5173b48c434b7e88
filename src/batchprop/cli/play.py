"""`batchprop play`: its options."""

from pathlib import Path
from typing import Annotated

import typer

from batchprop.cli.extras import require_play
from batchprop.errors import ParameterError

EXAMPLES = """Examples:

batchprop play

batchprop play flowers.csv --target species
"""


def play(
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="DATA",
            help="A CSV, TSV or Parquet file to begin with. Without it: points of the plane.",
        ),
    ] = None,
    *,
    target: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The column of DATA to learn; needed with DATA.")
    ] = None,
    port: Annotated[
        int,
        typer.Option(
            metavar="NUMBER",
            min=0,
            max=65535,
            help="Where to listen, on 127.0.0.1 alone; 0 takes a free one.",
        ),
    ] = 0,
    seed: Annotated[
        int,
        typer.Option(metavar="NUMBER", min=0, max=2**32 - 1, help="Of the points and the first weights."),
    ] = 0,
    opened: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = True,
) -> None:
    """Play with a training in the browser: start, pause, and step one batch at a time.

    Choose data, layers and batch size, and see the decision boundary, the loss and
    the gradient noise scale move; open the microscope on the batch that was paused.
    It runs until Ctrl-C, or until its terminal is closed.
    """
    if data is not None and target is None:
        raise ParameterError(f"--target is missing: name the column of {data} to learn")
    if data is None and target is not None:
        raise ParameterError("--target names a column, but there is no DATA: name a file before it")
    with require_play():
        from batchprop.cli import play_command as playing
    raise typer.Exit(playing.run(data, target, seed=seed, port=port, opened=opened))
