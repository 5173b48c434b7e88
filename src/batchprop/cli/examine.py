"""`batchprop examine`: its options."""

from pathlib import Path
from typing import Any

import typer

from batchprop.cli.extras import require_tables
from batchprop.cli.options import (
    check_safe_csv,
    check_suffix,
    option,
    own_argument,
    own_option,
    parse_options,
    reading_options,
    safe_csv_option,
    with_parameters,
)
from batchprop.errors import ParameterError

EXAMPLES = """Examples:

batchprop examine

batchprop examine flowers.csv --target species

batchprop examine flowers.csv --target species --members 8

batchprop examine houses.parquet --target price --top 20 --out suspicious.csv --map prices.png
"""

MIN_MEMBERS = 4
"""So many networks hold out every row once."""

_TRAINING = "The network and its training"
_OUTPUT = "What comes out"


@with_parameters(
    own_argument(
        "data",
        Path | None,
        None,
        metavar="DATA",
        help="A CSV, TSV, JSON lines or Parquet file, or a workbook. Without it: the digits.",
    ),
    option("target", help="The column to examine; needed with DATA."),
    *reading_options(),
    option("hidden", value=(100,), panel=_TRAINING),
    option("learning_rate", help="The step size of Adam.", panel=_TRAINING),
    option("batch_size", value=None, default="a tenth of the rows, from 16 to 200", panel=_TRAINING),
    option("epochs", help="At most this many passes over the rows; fewer if learning ends.", panel=_TRAINING),
    option("seed", help="Seed of the initial weights and the order of the rows.", panel=_TRAINING),
    option("engine", panel=_TRAINING),
    own_option(
        "members",
        int,
        1,
        metavar="N",
        low=1,
        help="Train so many networks, at least 4, and rank each row by those that did not learn from it.",
        panel=_TRAINING,
    ),
    own_option("top", int, 50, metavar="ROWS", low=0, help="How many rows to print.", panel=_OUTPUT),
    own_option(
        "out",
        Path | None,
        None,
        metavar="FILE",
        help="File to write with all rows, the most suspicious first: .csv, .tsv or .parquet.",
        default="named after DATA: flowers-examined.csv",
        panel=_OUTPUT,
    ),
    own_option(
        "data_map",
        Path | None,
        None,
        "--map",
        metavar="FILE",
        help="Draw every row as a point, by the network's predictions for it.",
        panel=_OUTPUT,
    ),
    safe_csv_option(panel=_OUTPUT),
    own_option("force", bool, False, "--force", help="Replace those files.", panel=_OUTPUT),
)
def examine(
    *,
    data: Path | None,
    members: int,
    top: int,
    out: Path | None,
    data_map: Path | None,
    safe_csv: bool,
    force: bool,
    **values: Any,
) -> None:
    """Find the rows of a table whose target looks wrong: mislabelled classes, or numbers far off.

    A network is trained on all rows that have a target, and its prediction for each
    row is recorded: it learns the common patterns early, and memorises the rows
    that contradict them late.
    Rows are ranked by their mean loss over the epochs. Ctrl-C ends the training
    early: rows are ranked by the epochs so far, and the exit code is 130.

    With --members, several networks each hold out a part of the rows, and a row is
    ranked by the loss of those that held it out.

    Each row is named by its line in the file. Parquet files and the digits have no
    lines: their rows are counted, and row 1 is the first.
    """
    if tenth := values["batch_size"] is None:
        values["batch_size"] = "auto"
    options = parse_options(data, values, "examine")
    if 1 < members < MIN_MEMBERS:
        raise ParameterError(
            f"--members {members} does not hold out every row: give 1, or at least {MIN_MEMBERS}"
        )
    if members > 1 and data_map is not None:
        raise ParameterError(
            f"--map shows how one network's answers change over its epochs, and --members {members} asks for "
            "several: leave out one of them"
        )
    out = out or Path(f"{data.stem if data else 'digits'}-examined.csv")
    with require_tables():
        from batchprop.cli.examine_command import IMAGE_SUFFIXES, ExamineFiles, examine_command
        from batchprop.tabular.predictions import OUTPUT_DELIMITERS
    check_suffix("--out", out, tuple(OUTPUT_DELIMITERS))
    check_safe_csv(out, safe_csv=safe_csv)
    if data_map is not None:
        check_suffix("--map", data_map, IMAGE_SUFFIXES)
    files = ExamineFiles(data, out, data_map, safe_csv, force)
    raise typer.Exit(examine_command(options, files, n_members=members, top=top, tenth=tenth))
