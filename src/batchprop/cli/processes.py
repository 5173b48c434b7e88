"""`batchprop train` in several processes: started here, or by the launcher of a cluster."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from batchprop.cli.options import own_option
from batchprop.cli.terminal import echo
from batchprop.errors import ParameterError
from batchprop.processes import current

PROCESSES = "Several processes"

DEFAULT_MAX_RESTARTS = 3

arguments = list[str]()
"""Those of the command line, with which other processes are started."""

PROCESS_OPTIONS = (
    own_option(
        "processes",
        str | None,
        None,
        metavar="N",
        help="Train in N processes of this machine, each with its own part of the rows, and its own GPU "
        "where there are some; auto is one for each GPU.",
        default="this one",
        panel=PROCESSES,
    ),
    own_option(
        "max_restarts",
        int,
        DEFAULT_MAX_RESTARTS,
        metavar="N",
        low=0,
        help="How often --processes start again from the last checkpoint, if one of them is lost.",
        panel=PROCESSES,
    ),
    own_option(
        "coordinator",
        str | None,
        None,
        metavar="HOST:PORT",
        help="Where process 0 listens, if no --processes, torchrun, srun or mpirun starts them. What they "
        "exchange is not encrypted: use a private network.",
        panel=PROCESSES,
    ),
    own_option(
        "process_id",
        int | None,
        None,
        metavar="I",
        low=0,
        help="The number of this process, from 0.",
        panel=PROCESSES,
    ),
    own_option(
        "num_processes",
        int | None,
        None,
        metavar="N",
        low=1,
        help="How many processes train with --coordinator.",
        panel=PROCESSES,
    ),
    own_option(
        "step_timeout",
        str | None,
        None,
        metavar="TIME",
        help="How long some steps may take, before the run ends and names the process that is stuck.",
        default="20 times the usual",
        panel=PROCESSES,
    ),
)
"""The options of several processes, which no model depends on."""

_NAMES = ("processes", "max_restarts", "coordinator", "process_id", "num_processes", "step_timeout")


def launch_processes(values: dict[str, Any], data: Sequence[Path]) -> int | None:
    """Run this command in several processes, if ``processes`` says so and this is none of them.

    Args:
        values: of the options.
        data: the tables.

    Returns:
        The exit code, or None to train in this process.

    Raises:
        ParameterError: an option is not allowed, or does not go with another.
    """
    if values["processes"] is None:
        return None
    if (launcher := _launcher(os.environ)) is not None:
        if launcher == "batchprop":
            return None
        raise ParameterError(
            f"processes={values['processes']} does not go with {launcher}, which started this process with "
            "others: leave it out"
        )
    if any(str(path) == "-" for path in data):
        raise ParameterError(
            "standard input, -, is read once, and processes=N need it each: write it to a file"
        )
    if values["coordinator"] is not None:
        raise ParameterError(
            "processes=N starts processes, and `coordinator` joins them: leave one of them out"
        )
    from batchprop.distributed.launcher import count_gpus, launch

    n_processes = _read_processes(values["processes"], count_gpus)
    if n_processes == 1:
        return None
    return launch(
        [sys.executable, "-m", "batchprop", *arguments],
        n_processes,
        max_restarts=values["max_restarts"],
        device=values["device"],
        tell=lambda text: echo(f"batchprop: {text}", err=True),
    )


def join_processes(values: dict[str, Any]) -> None:
    """Join this process with the others, if there are any; take the options of processes out of the values.

    Raises:
        ParameterError: an option is missing or not allowed.
        BatchpropError: the processes cannot be joined.
    """
    own = {name: values.pop(name) for name in _NAMES}
    seconds = None if own["step_timeout"] is None else _read_seconds(own["step_timeout"])
    joined = {name: own[name] for name in ("coordinator", "process_id", "num_processes")}
    if all(value is None for value in joined.values()) and _launcher(os.environ) is None:
        if seconds is not None and own["processes"] is None:
            raise ParameterError("`step_timeout` is for several processes: add processes=N, or leave it out")
        return
    from batchprop import distributed
    from batchprop.distributed.launcher import RESTARTS

    distributed.initialize(**joined, device=values["device"], step_timeout=seconds)
    restarts = os.environ.get(RESTARTS)
    if restarts is None or not distributed.is_active():
        return
    values["resume"] = values["resume"] or int(restarts) > 0
    # Otherwise a lost process would cost the whole training, where its state can be saved.
    if values["solver"] != "lbfgs" and not values["record"]:
        values["checkpoint_every"] = values["checkpoint_every"] or "5min"


def process_words() -> list[str]:
    """Return the words that start as many processes again, if ``--processes`` started this one."""
    started = _launcher(os.environ) == "batchprop"
    return ["--processes", str(current().count)] if started else []


def _launcher(environ: Mapping[str, str]) -> str | None:
    """Return the name of what started this process with others, or None."""
    from batchprop.distributed.clusters import find_cluster

    cluster = find_cluster(environ)
    return None if cluster is None else cluster.name


def _read_processes(text: str, count_gpus: Any) -> int:
    if text == "auto":
        return max(int(count_gpus(os.environ)), 1)
    if not text.isdecimal() or int(text) == 0:
        raise ParameterError(f"processes={text!r} is not allowed: give a number of at least 1, or auto")
    return int(text)


def _read_seconds(text: str) -> float:
    from batchprop.tabular.options import parse_seconds

    try:
        return parse_seconds(text)
    except ParameterError as error:
        raise ParameterError(str(error).replace("time_limit", "step_timeout")) from None
