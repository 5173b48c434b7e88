"""`batchprop play`: its options."""

from pathlib import Path

import typer

from batchprop.cli.extras import require_play
from batchprop.cli.options import check_target_given, option, own_argument, own_option, with_parameters

EXAMPLES = """Examples:

batchprop play

batchprop play flowers.csv --target species
"""


@with_parameters(
    own_argument(
        "data",
        Path | None,
        None,
        metavar="DATA",
        help="A CSV, TSV or Parquet file to begin with. Without it: points of the plane.",
    ),
    option("target", help="The column of DATA to learn; needed with DATA.", panel=""),
    own_option(
        "port",
        int,
        0,
        metavar="NUMBER",
        low=0,
        high=65535,
        help="Where to listen, on 127.0.0.1 alone; 0 takes a free one.",
    ),
    option("seed", help="Seed of the points and the initial weights.", panel=""),
    own_option("open_page", bool, True, "--open/--no-open", help="Open the page in the browser."),
)
def play(*, data: Path | None, target: str | None, port: int, seed: int, open_page: bool) -> None:
    """Play with a training in the browser: start, pause, and step one batch at a time.

    Choose data, layers and batch size, and see the decision boundary, the loss and
    the gradient noise scale move; open the microscope on the batch that was paused.
    It runs until Ctrl-C, or until its terminal is closed.
    """
    check_target_given(data, {"target": target}, "learn")
    with require_play():
        from batchprop.cli import play_command as playing
    raise typer.Exit(playing.run(data, target, seed=seed, port=port, opened=open_page))
