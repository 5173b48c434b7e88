"""`batchprop tune`: its options."""

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
from batchprop.cli.train import check_memory, default_name, preset_option
from batchprop.errors import ParameterError
from batchprop.tabular.options import FILES, SOURCE_OPTIONS

EXAMPLES = """Examples:

batchprop tune flowers.csv --target species --time 10min

batchprop tune houses.parquet --target price --trials 30 --preset fast --out price-tuned

batchprop tune visits.csv --target visits --group visitor --time 2h
"""

SEARCH = "The search"

TABLE_OPTIONS = (
    *SOURCE_OPTIONS, "target", "task", "weights", "drop", "columns", "type", "separator", "missing",
    "decimal", "test_fraction", "test", "group", "memory", "on_bad_row", "max_skipped",
)  # fmt: skip
NETWORK_OPTIONS = (
    "preset", "members", "epochs", "patience", "activation", "loss", "quantile", "class_weight", "seed",
    "engine", "device", "precision",
)  # fmt: skip


@with_parameters(
    own_argument(
        "data",
        list[Path] | None,
        None,
        metavar="DATA",
        help=f"{TABLES_HELP}, or a folder of such; - is standard input. Without it: --sql.",
    ),
    *map(option, TABLE_OPTIONS),
    own_option(
        "time_limit",
        str | None,
        None,
        "--time",
        "--time-limit",
        help="How long the search may take, as 60s, 10min or 2h; the report comes on top.",
        metavar="TIME",
        default="10min, if there is no --trials",
        panel=SEARCH,
    ),
    own_option(
        "trials",
        int | None,
        None,
        help="How many trials to make, with those of earlier calls.",
        metavar="NUMBER",
        default="as many as there is time for",
        low=1,
        panel=SEARCH,
    ),
    *map(preset_option, NETWORK_OPTIONS),
    own_option(
        "out",
        Path | None,
        None,
        metavar="FOLDER",
        help="Folder to write. The trials are kept in FOLDER.trials: the same command goes on from them.",
        default="named after DATA: flowers-tuned",
        panel=FILES,
    ),
    own_option("force", bool, False, "--force", help="Replace a model in that folder.", panel=FILES),
)
def tune(
    *, data: list[Path] | None, trials: int | None, out: Path | None, force: bool, **values: Any
) -> None:
    """Search for the best networks of a table, and save an ensemble of them in a folder, with all trials.

    A trial trains networks with other hidden layers, bins, learning rate, dropout, penalty and batch size;
    the first has the preset's own. Bad trials end early. Ctrl-C ends the search: the best so far
    are saved, and the exit code is 130. Needs the extra `tune`.
    """
    with require_tables("tune"):
        from batchprop.data.queries import QUERY
        from batchprop.data.tables import check_source

        check_source(data or None, **{name: values[name] for name in SOURCE_OPTIONS})
    if not data and values["sql"] is None:
        raise ParameterError("DATA is missing: name a table, and the column to predict with --target")
    check_target_given((data or [QUERY])[0], values, "predict")
    check_memory(values["memory"])
    with require_tables("tune"):
        from batchprop.cli.tune_command import tune_command
    out = out or Path(f"{default_name(data) if data else 'query'}-tuned")
    options = {name: value for name, value in parse_values(values).items() if value is not None}
    raise typer.Exit(tune_command(tuple(data) if data else None, options, trials, out, force=force))
