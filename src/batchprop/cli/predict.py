"""`batchprop predict`: its options."""

from pathlib import Path

import typer

from batchprop.cli.extras import require_tables
from batchprop.cli.options import check_suffix, option, own_argument, own_option, with_parameters
from batchprop.cli.train import check_memory
from batchprop.data.separators import check_separator

EXAMPLES = """Examples:

batchprop predict flowers-model flowers.csv

batchprop predict flowers-model flowers.csv --proba --out answers.parquet

batchprop predict flowers-model flowers.csv --number --keep petal_width,petal_length

batchprop predict flowers-model flowers/*.csv --memory 4GB --out answers.csv
"""


@with_parameters(
    own_argument(
        "model", Path, metavar="MODEL", help="The folder that `batchprop train` wrote, or its model.skops."
    ),
    own_argument(
        "data",
        list[Path],
        metavar="DATA",
        help="CSV, TSV or Parquet files (text also compressed, .csv.gz or .csv.zst), a folder of such, or a "
        "pattern; with the columns trained on, in any order.",
    ),
    own_option("proba", bool, False, "--proba", help="Add the probability of each class, a column each."),
    own_option(
        "keep",
        str | None,
        None,
        metavar="NAMES",
        help="Columns of DATA to copy before the answers, as id,name; quote a name that holds a comma.",
        default="none",
    ),
    own_option(
        "number", bool, False, "--number", help="Begin each line with the row's number, 1 for the first row."
    ),
    option(
        "memory",
        help="The memory that predicting may take, as 4GB; a larger table is predicted in parts.",
        panel="",
    ),
    option("separator", panel=""),
    own_option(
        "out",
        Path | None,
        None,
        help="A file to write, .csv, .tsv or .parquet.",
        default="CSV on standard output",
    ),
    own_option("force", bool, False, "--force", help="Replace that file."),
)
def predict(
    *,
    model: Path,
    data: list[Path],
    proba: bool,
    keep: str | None,
    number: bool,
    memory: str | None,
    separator: str | None,
    out: Path | None,
    force: bool,
) -> None:
    """Predict the target for each row of a table, in the order of its files and rows.

    Every row gets a prediction: a row that cannot be read ends the command, and
    the message names its position. A file is written completely or not at all.
    """
    with require_tables():
        from batchprop.cli.predict_command import PredictOptions, to_file, to_stdout
        from batchprop.tabular.predictions import OUTPUT_DELIMITERS, read_kept
    options = PredictOptions(
        data, proba, read_kept(keep), number, check_memory(memory), check_separator(separator)
    )
    if out is None:
        to_stdout(model, options)
        return
    check_suffix("--out", out, tuple(OUTPUT_DELIMITERS))
    count = to_file(model, options, out, force=force)
    typer.echo(f"{count:,} predictions in {out}")
