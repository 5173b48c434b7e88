"""`batchprop predict`: its options."""

from pathlib import Path

from batchprop.cli.extras import require_tables
from batchprop.cli.options import (
    TABLES_HELP,
    check_safe_csv,
    check_suffix,
    option,
    own_argument,
    own_option,
    safe_csv_option,
    with_parameters,
)
from batchprop.cli.terminal import echo
from batchprop.cli.train import check_memory
from batchprop.data.separators import check_separator
from batchprop.errors import ParameterError
from batchprop.tabular.options import SOURCE_OPTIONS

EXAMPLES = """Examples:

batchprop predict flowers-model flowers.csv

batchprop predict flowers-model flowers.csv --proba --out answers.parquet

batchprop predict flowers-model flowers.csv --number --keep petal_width,petal_length

batchprop predict flowers-model flowers/*.csv --memory 4GB --out answers.csv

batchprop predict flowers-model --sql "SELECT * FROM 'flowers/*.csv' WHERE petal_width > 1"

cat flowers.csv | batchprop predict flowers-model -
"""


@with_parameters(
    own_argument(
        "model", Path, metavar="MODEL", help="The folder that `batchprop train` wrote, or its model.skops."
    ),
    own_argument(
        "data",
        list[Path] | None,
        None,
        metavar="DATA",
        help=f"{TABLES_HELP}, a folder of such, or a pattern, with the columns trained on, in any order; "
        "- is standard input.",
    ),
    *(option(name, panel="") for name in SOURCE_OPTIONS),
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
    safe_csv_option(),
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
    data: list[Path] | None,
    sql: str | None,
    database: str | None,
    sheet: str | None,
    proba: bool,
    keep: str | None,
    number: bool,
    safe_csv: bool,
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
        from batchprop.cli.predict_command import PredictOptions, PredictSource, to_file, to_stdout
        from batchprop.data.tables import check_source
        from batchprop.tabular.predictions import OUTPUT_DELIMITERS, read_kept
    check_source(data or None, sql=sql, database=database, sheet=sheet)
    if not data and sql is None:
        raise ParameterError("DATA is missing: name the table to predict for, or give `sql`")
    source = PredictSource(tuple(data or ()), sql, database, sheet)
    options = PredictOptions(
        source, proba, read_kept(keep), number, check_memory(memory), check_separator(separator), safe_csv
    )
    if out is None:
        to_stdout(model, options)
        return
    check_suffix("--out", out, tuple(OUTPUT_DELIMITERS))
    check_safe_csv(out, safe_csv=safe_csv)
    count = to_file(model, options, out, force=force)
    echo(f"{count:,} predictions in {out}")
