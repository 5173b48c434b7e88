"""`batchprop walk`: its options."""

from pathlib import Path
from typing import Any

from batchprop.cli.extras import require_tables
from batchprop.cli.options import (
    option,
    own_argument,
    own_option,
    parse_options,
    reading_options,
    with_parameters,
)
from batchprop.cli.terminal import echo, page_width

EXAMPLES = """Examples:

batchprop walk

batchprop walk --rows 3 --hidden 2 --activation tanh

batchprop walk flowers.csv --target species --rows 4
"""


@with_parameters(
    own_argument(
        "data",
        Path | None,
        None,
        metavar="DATA",
        help="A CSV, TSV, JSON lines or Parquet file, or a workbook. Without it: iris.",
    ),
    option("target", panel=""),
    *reading_options(panel=""),
    own_option("rows", int, 5, metavar="NUMBER", low=1, help="Examples in the batch."),
    option("hidden", value=(4,), help="Widths of the hidden layers, as 4 or 4,3.", panel=""),
    option("activation", value="sigmoid", help="Activation of the hidden layers, as in train.", panel=""),
    option("learning_rate", value=0.5, high=1e6, help="Step size of the update, α.", panel=""),
    option("seed", help="Seed of the rows chosen and the initial weights.", panel=""),
)
def walk(*, data: Path | None, rows: int, **values: Any) -> None:
    """Walk one small batch through backpropagation, line by line, and see every matrix.

    Each line of the algorithm is printed above its result: forward, the loss,
    dZ, the tensor DW with a slice for each example, its collapse to dW, and the
    update.
    """
    options = parse_options(data, values, "predict")
    from batchprop.cli import walk_command as walking

    if data is None:
        batch = walking.iris(rows, options.seed)
    else:
        with require_tables():
            from batchprop.cli.walk_table import from_table
        batch = from_table(data, options, rows)
    lines = walking.steps(
        batch, options.hidden, options.activation, options.learning_rate, options.seed, page_width()
    )
    for line in lines:
        echo(line, bold=line.startswith(("▸", "──")))
