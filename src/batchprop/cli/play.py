"""`batchprop play`: its options."""

from pathlib import Path
from typing import Any

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

EXAMPLES = """Examples:

batchprop play

batchprop play flowers.csv --target species
"""

_PAGES = (".html", ".htm")


@with_parameters(
    own_argument(
        "data",
        Path | None,
        None,
        metavar="DATA",
        help="A CSV, TSV, JSON lines or Parquet file, or a workbook, to begin with; of more than 5,000 rows "
        "a sample. Without it: points of the plane.",
    ),
    option("target", help="The column of DATA to learn; needed with DATA.", panel=""),
    *reading_options(panel=""),
    option("seed", help="Seed of the points, the initial weights and the batches.", panel=""),
    own_option(
        "out",
        Path | None,
        None,
        metavar="FILE",
        help="The page to write, .html; an earlier page of this command is replaced.",
        default="playground.html, or named after DATA: flowers-playground.html",
    ),
    own_option("open_page", bool, True, "--open/--no-open", help="Open the page in the browser."),
    own_option("force", bool, False, "--force", help="Replace any other file of that name, too."),
)
def play(*, data: Path | None, out: Path | None, open_page: bool, force: bool, **values: Any) -> None:
    """Play with a network that learns in the browser: start, pause, and step one batch at a time.

    One file is written that trains by itself: it needs no network, and can be
    mailed. Choose data, layers and batch size, see every unit, the decision
    boundary, the loss and the gradient noise scale move, and open the microscope
    on the batch that was paused.
    """
    out = out or Path("playground.html" if data is None else f"{data.stem}-playground.html")
    check_suffix("--out", out, _PAGES, "page")
    options = parse_options(data, values, "learn")
    from batchprop.cli import play_command

    with require_tables():
        table = None if data is None else play_command.load_table(data, options)
    play_command.play_command(table, data, options.seed, out, open_page=open_page, force=force)
