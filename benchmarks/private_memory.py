"""The peak of memory of a fresh process that trains, plain or private."""

from __future__ import annotations

import json
import sys
from typing import Any

from benchmarks.cases import Task, quick
from benchmarks.fresh import peak, run_fresh
from benchmarks.private_cases import CASES, CLIPPED, NORMS, PLAIN, POISSON, PRIVATE, PrivateTask

TRAINED = {one.name: one for one in (PLAIN, NORMS, CLIPPED, PRIVATE, POISSON)}
WANTED = 1.2


def measure(case: int) -> dict[str, Any]:
    """Train each of ours in a process of its own.

    Args:
        case: its place in ``CASES``.

    Returns:
        The peaks by name, and what of them is the interpreter, the libraries and the table; the private
        step's peak as a multiple of the plain step's, and the same of what training adds to the table.
    """
    runs = {name: run_fresh(str(case), name, module="benchmarks.private_memory") for name in TRAINED}
    plain, private = runs[PLAIN.name], runs[PRIVATE.name]
    ratio = private["peak_bytes"] / plain["peak_bytes"]
    return {
        "case": CASES[case].name,
        "runs": runs,
        "ratio": ratio,
        "ratio_of_added": private["added_bytes"] / plain["added_bytes"],
        "wanted": WANTED,
        "met": ratio <= WANTED,
    }


def train(case: int, name: str) -> dict[str, int]:
    """Train for a few steps in this process; what compiling needs is part of the peak."""
    job = PrivateTask(Task(quick(CASES[case]), "sgd"))
    run = TRAINED[name].prepare(job).start()
    made = peak()
    run()
    return {"peak_made_bytes": made, "peak_bytes": peak(), "added_bytes": peak() - made}


if __name__ == "__main__":
    print(json.dumps(train(int(sys.argv[1]), sys.argv[2])))
