"""`batchprop train`: its options."""

import inspect
import os
from pathlib import Path
from typing import Any

import typer

from batchprop.cli.extras import require_tables
from batchprop.cli.options import (
    TABLES_HELP,
    check_target_given,
    option,
    own_argument,
    own_option,
    parse_values,
    with_parameters,
)
from batchprop.cli.processes import PROCESS_OPTIONS, join_processes, launch_processes
from batchprop.tabular.options import (
    FILES,
    PRESET_OPTIONS,
    SOURCE_OPTIONS,
    describe_preset,
    make_options,
    option_table,
)

EXAMPLES = """Examples:

batchprop train

batchprop train flowers.csv --target species

batchprop train houses.parquet --target price --hidden 256,128 --dropout 0.1 --out price-model

batchprop train visits.csv --target visits --task regression --loss poisson --epochs 50

batchprop train houses.parquet --target price --engine numpy --out numpy-model

batchprop train data/*.parquet --target sold --checkpoint-every 5min --memory 4GB

batchprop train data/*.parquet --target sold --resume

batchprop train data/*.parquet --target sold --processes 4

batchprop train --sql "SELECT * FROM 'data/*.parquet' WHERE price > 0" --target price

cat flowers.csv | batchprop train - --target species
"""


def preset_option(name: str) -> inspect.Parameter:
    """Return the command's parameter for an option of the table, whose default may be the preset's."""
    return option(name, value=None, default=describe_preset(name)) if name in PRESET_OPTIONS else option(name)


@with_parameters(
    own_argument(
        "data",
        list[Path] | None,
        None,
        metavar="DATA",
        help=f"{TABLES_HELP}, or a folder of such; - is standard input. Without it: --sql, or the digits.",
    ),
    *map(preset_option, option_table()),
    own_option(
        "out",
        Path | None,
        None,
        metavar="FOLDER",
        help="Folder to write.",
        default="named after DATA: flowers-model",
        panel=FILES,
    ),
    own_option("force", bool, False, "--force", help="Replace a model in that folder.", panel=FILES),
    *PROCESS_OPTIONS,
)
def train(*, data: list[Path] | None, out: Path | None, force: bool, **values: Any) -> None:
    """Train a network on a table, and save it in a folder with its scores, learning curve and a report.

    Columns are encoded by their type. Some rows are held out for the test,
    others for early stopping. Ctrl-C ends the training early: the best weights so far
    are saved, and the exit code is 130; SIGTERM and SIGHUP likewise, with 143 and 129. With
    --checkpoint-every, --resume continues the training.
    """
    if (code := launch_processes(values, data or [])) is not None:
        raise typer.Exit(code)
    # Before JAX is asked for its devices.
    join_processes(values)
    with require_tables():
        from batchprop.data.queries import QUERY
        from batchprop.data.tables import check_source

        check_source(data or None, **{name: values[name] for name in SOURCE_OPTIONS})
        has_table = bool(data) or values["sql"] is not None
        options = make_options(digits=not has_table, saves=values["resume"], **parse_values(values))
    check_target_given((data or [QUERY])[0] if has_table else None, values, "predict")
    check_memory(options.memory)
    with require_tables():
        from batchprop.cli.train_command import train_command
    tables = tuple(data) if data else None
    out = out or Path(f"{default_name(data) if data or options.sql is None else 'query'}-model")
    raise typer.Exit(train_command(tables, options, out, force=force))


def default_name(data: list[Path] | None) -> str:
    """Return the name of the default folder: the table's, or that of the folder of several."""
    if not data:
        return "digits"
    first = data[0]
    if str(first) == "-":
        return "table"
    if len(data) > 1 or set("*?[") & set(first.name):
        return Path(os.path.realpath(first)).parent.name or "table"
    if first.is_dir():
        return Path(os.path.realpath(first)).name or "table"
    return Path(first.stem).stem if first.suffix.lower() in {".gz", ".zst"} else first.stem


def check_memory(amount: str | int | None) -> int | None:
    """Return how many bytes an amount of memory is, such as 4GB.

    Raises:
        ParameterError: it is not an amount, or less than 1 MiB.
    """
    if amount is None:
        return None
    with require_tables():
        from batchprop.data.memory import parse_memory
    return parse_memory(amount)
