"""`batchprop predict`: its options."""

from pathlib import Path
from typing import Annotated

import typer

from batchprop.cli.extras import require_tables
from batchprop.cli.train import in_bytes
from batchprop.errors import ParameterError

EXAMPLES = """Examples:

batchprop predict flowers-model flowers.csv

batchprop predict flowers-model flowers.csv --proba --out answers.parquet

batchprop predict flowers-model flowers/*.csv --memory 4GB --out answers.csv
"""


def predict(
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL", help="The folder that `batchprop train` wrote, or its model.skops."),
    ],
    data: Annotated[
        list[Path],
        typer.Argument(
            metavar="DATA",
            help="CSV, TSV or Parquet files (text also packed, .csv.gz or .csv.zst), a folder of such, or a "
            "pattern; with the columns trained on, in any order.",
        ),
    ],
    proba: Annotated[
        bool, typer.Option("--proba", help="Add each class's probability, a column each.")
    ] = False,
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="AMOUNT",
            help="What predicting may take, as 4GB; a larger table is read and answered a part at a time.",
            show_default="a quarter of the free memory",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="A file to write, .csv, .tsv or .parquet.", show_default="CSV on standard output"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace that file.")] = False,
) -> None:
    """Predict the target for each row of a table, in the order of its files and rows.

    A row that cannot be read stops it, and says where it stands: every row has
    its answer. A file is written whole or not at all.
    """
    with require_tables():
        from batchprop.cli.predict_command import PredictOptions, to_file, to_stdout
        from batchprop.tabular.predictions import ENDINGS
    wanted = PredictOptions(data, proba, None if memory is None else in_bytes(memory))
    if out is None:
        to_stdout(model, wanted)
        return
    if out.suffix.lower() not in ENDINGS:
        raise ParameterError(f"--out {out} names no format: end it in {', '.join(ENDINGS)}")
    number = to_file(model, wanted, out, force=force)
    typer.echo(f"{number:,} predictions in {out}")
