"""The peak of memory of a fresh process that trains, plain or private."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.cases import Task, quick
from benchmarks.fresh import peak
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
    runs = {name: _run(case, name) for name in TRAINED}
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


def _run(case: int, name: str) -> dict[str, int]:
    command = [sys.executable, "-m", "benchmarks.private_memory", str(case), name]
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=root)
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    print(json.dumps(train(int(sys.argv[1]), sys.argv[2])))
