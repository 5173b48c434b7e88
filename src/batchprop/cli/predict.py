"""`batchprop predict`: its options, and the predictions written."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from batchprop.cli.extra import tables_extra
from batchprop.errors import DataError, ParameterError

EXAMPLES = """Examples:

batchprop predict flowers-model flowers.csv

batchprop predict flowers-model flowers.csv --proba --out answers.parquet
"""


def predict(
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL", help="The folder that `batchprop train` wrote, or its model.skops."),
    ],
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA", help="A CSV, TSV or Parquet file with the columns trained on, in any order."
        ),
    ],
    proba: Annotated[
        bool, typer.Option("--proba", help="Add each class's probability, a column each.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="A file to write, .csv, .tsv or .parquet.", show_default="CSV on standard output"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace that file.")] = False,
) -> None:
    """Predict the target for each row of a table, in the order of its rows."""
    with tables_extra():
        from batchprop.tables.predicting import ENDINGS, predictions, to_csv, words_of, write
        from batchprop.tables.reading import read
        from batchprop.tables.storing import load_model, new_file
    if out is None:
        pipeline = load_model(model)
        text = to_csv(predictions(pipeline, read(data, text=words_of(pipeline)), proba=proba))
        _check_encodable(text)
        typer.echo(text, nl=False)
        return
    if out.suffix.lower() not in ENDINGS:
        raise ParameterError(f"--out {out} names no format: end it in {', '.join(ENDINGS)}")
    with new_file(out, force=force, table=data) as part:
        pipeline = load_model(model)
        table = predictions(pipeline, read(data, text=words_of(pipeline)), proba=proba)
        write(table, part)
    typer.echo(f"{len(table):,} predictions in {out}")


def _check_encodable(text: str) -> None:
    """Answers, unlike what is said about them, must not lose a letter."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError as error:
        raise DataError(
            f"standard output is {encoding}, which lacks {text[error.start]!a} of the answers: "
            "write them to a file with --out, or set PYTHONIOENCODING=utf-8"
        ) from error
