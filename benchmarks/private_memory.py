"""The peak memory of a fresh process during plain or private training."""

from __future__ import annotations

import json
import sys
from typing import Any

from benchmarks.cases import Task, shorten
from benchmarks.fresh import peak_bytes, run_in_fresh_process
from benchmarks.private_cases import CASES, CLIPPED, NORMS, PLAIN, POISSON, PRIVATE, PrivateTask

CONTESTANTS = {one.name: one for one in (PLAIN, NORMS, CLIPPED, PRIVATE, POISSON)}
MAX_RATIO = 1.2


def measure(case: int) -> dict[str, Any]:
    """Train each of our contestants in a separate process.

    Args:
        case: the index in ``CASES``.

    Returns:
        The peaks by name, and the share of the interpreter, the libraries and the table; the private
        step's peak as a multiple of the plain step's, with and without that share.
    """
    runs = {
        name: run_in_fresh_process(str(case), name, module="benchmarks.private_memory")
        for name in CONTESTANTS
    }
    plain, private = runs[PLAIN.name], runs[PRIVATE.name]
    ratio = private["peak_bytes"] / plain["peak_bytes"]
    return {
        "case": CASES[case].name,
        "runs": runs,
        "ratio": ratio,
        "ratio_of_added": private["added_bytes"] / plain["added_bytes"],
        "wanted": MAX_RATIO,
        "met": ratio <= MAX_RATIO,
    }


def train(case: int, name: str) -> dict[str, int]:
    """Train for a few steps in this process; the peak includes compilation."""
    job = PrivateTask(Task(shorten(CASES[case]), "sgd"))
    run = CONTESTANTS[name].prepare(job).start()
    made = peak_bytes()
    run()
    return {"peak_made_bytes": made, "peak_bytes": peak_bytes(), "added_bytes": peak_bytes() - made}


if __name__ == "__main__":
    print(json.dumps(train(int(sys.argv[1]), sys.argv[2])))
