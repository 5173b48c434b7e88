"""`batchprop walk`: its options."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from batchprop.cli.extras import require_tables
from batchprop.cli.settings import parse_hidden
from batchprop.cli.train import Activation
from batchprop.errors import ParameterError

EXAMPLES = """Examples:

batchprop walk

batchprop walk --rows 3 --hidden 2 --activation tanh

batchprop walk flowers.csv --target species --rows 4
"""


def walk(
    data: Annotated[
        Path | None, typer.Argument(metavar="DATA", help="A CSV, TSV or Parquet file. Without it: iris.")
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The column to predict; needed with DATA.")
    ] = None,
    task: Annotated[
        Literal["auto", "classes", "numbers"], typer.Option(help="What the target holds.")
    ] = "auto",
    rows: Annotated[int, typer.Option(metavar="NUMBER", min=1, help="Examples in the batch.")] = 5,
    hidden: Annotated[
        str, typer.Option(metavar="WIDTHS", help="Widths of the hidden layers, as 4 or 4,3.")
    ] = "4",
    activation: Annotated[
        Activation, typer.Option(metavar="NAME", help="Of every hidden layer, as of train.")
    ] = "sigmoid",
    learning_rate: Annotated[
        float, typer.Option(metavar="NUMBER", min=1e-12, max=1e6, help="α of the update.")
    ] = 0.5,
    seed: Annotated[
        int,
        typer.Option(
            metavar="NUMBER", min=0, max=2**32 - 1, help="Of the rows chosen and the first weights."
        ),
    ] = 0,
) -> None:
    """Walk one small batch through backpropagation, line by line, and see every matrix.

    Each line of the algorithm stands above what it computes: forward, the loss,
    dZ, the tensor DW with a sheet for each example, its collapse to dW, and the
    update.
    """
    if data is not None and target is None:
        raise ParameterError(f"--target is missing: name the column of {data} to predict")
    if data is None and target is not None:
        raise ParameterError("--target names a column, but there is no DATA: name a file before it")
    widths = parse_hidden(hidden)
    from batchprop.cli import walk_command as walking

    if data is None or target is None:
        batch = walking.iris(rows, seed)
    else:
        with require_tables():
            from batchprop.cli.walk_table import from_table
        batch = from_table(data, target, None if task == "auto" else task, rows, seed)
    for line in walking.steps(batch, widths, activation, learning_rate, seed):
        typer.secho(line, bold=line.startswith(("▸", "──")))
