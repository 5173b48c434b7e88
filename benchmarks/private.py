"""Private training and every example's norm beside plain training and beside the peers, all in turn.

`make bench-private` runs all of it. `--quick` tries two cases once, on little data; it and `--case` write
nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import private_memory, private_report, private_work
from benchmarks.cases import Case, Run, Task, quick
from benchmarks.machine import machine
from benchmarks.private_cases import CASES, COMPARISONS, CONTESTANTS, PLAIN, Contestant, PrivateTask, Trainer
from benchmarks.rounds import in_turn, ratio
from benchmarks.run import QUICK, RESULTS, VERSIONS, warn_if_busy


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.private")
    parser.add_argument("--quick", action="store_true", help="two cases once, on little data; writes nothing")
    parser.add_argument("--rounds", type=int, default=5, help="that count; 5")
    parser.add_argument("--case", default="", help="only cases whose name holds this, as '64-64-64-10'")
    return parser.parse_args()


def main() -> None:
    """Measure, print the tables, and write the figures down."""
    options = arguments()
    taking_part = field(options)
    os.environ["JAX_PLATFORMS"] = "cpu"
    console = Console(width=160)
    warn_if_busy(console)
    before = machine((*VERSIONS, "opacus"))
    chosen = [i for i, case in enumerate(CASES) if options.case in case.name][: 2 if options.quick else None]
    figures = []
    for i in chosen:
        case = quick(CASES[i]) if options.quick else CASES[i]
        figures.append(measure(case, taking_part, 1 if options.quick else options.rounds))
        console.print(f"{case.name}: {told(figures[-1])}", highlight=False, soft_wrap=True)
    console.print(private_report.times(figures), private_report.ratios(figures))
    console.print(private_report.verdict(figures), highlight=False)
    peaks = [private_memory.measure(i) for i in (chosen[:1] if options.quick else chosen)]
    console.print(private_report.memory(peaks), highlight=False, soft_wrap=True)
    if options.quick:
        console.print(QUICK)
    if not (options.quick or options.case):
        found = {"machine_before": before, "machine": machine((*VERSIONS, "opacus"))}
        write(found | {"steps": figures, "memory": peaks})


def field(options: argparse.Namespace) -> list[Contestant]:
    """Return who takes part.

    Raises:
        SystemExit: a package is missing, and this is not the quick try.
    """
    packages = sorted({package for one in CONTESTANTS for package in one.missing})
    if packages and (not options.quick or PLAIN.missing):
        raise SystemExit(
            f"not installed: {', '.join(packages)}. Run: pip install -r benchmarks/requirements-private.txt"
        )
    return [one for one in CONTESTANTS if not one.missing]


def measure(case: Case, taking_part: list[Contestant], rounds: int) -> dict[str, Any]:
    """Check that all do the same work, and time them after a round that does not count."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="torch|opacus")
        warnings.filterwarnings("ignore", message="Full backward hook is firing")  # as Opacus means it to
        room = available()
        left_out = {
            one.name: f"needs {one.bytes_needed(case) / 1e9:.0f} GB"
            for one in taking_part
            if one.bytes_needed(case) > room
        }
        running = [one for one in taking_part if one.name not in left_out]
        checked = private_work.check(case, running)
        trainers: dict[str, Trainer] = {}
        first_seconds: dict[str, float] = {}
        for one in running:
            trainers[one.name] = one.prepare(PrivateTask(Task(one.case(case), "sgd")))
            run: Run = trainers[one.name].start()
            began = time.perf_counter()
            run()
            first_seconds[one.name] = time.perf_counter() - began
        taken = in_turn({name: trainer.start for name, trainer in trainers.items()}, rounds)
    steps = {one.name: one.case(case).steps for one in running}
    a_step = {name: [seconds / steps[name] for seconds in taken[name]] for name in taken}
    return {
        "case": case.name,
        **asdict(case),
        "checked": checked,
        "left_out": left_out,
        "contestants": {
            name: {
                "seconds": taken[name],
                "steps": steps[name],
                "us_a_step": 1e6 * statistics.median(a_step[name]),
                "first_run_seconds": first_seconds[name],
            }
            for name in taken
        },
        "ratios": compared(case, a_step),
    }


def compared(case: Case, a_step: dict[str, list[float]]) -> dict[str, dict[str, Any]]:
    """Every comparison whose sides both ran, by name."""
    found = {}
    for one in COMPARISONS:
        if one.of.name in a_step and one.to.name in a_step:
            beside = ratio(a_step[one.of.name], a_step[one.to.name])
            found[f"{one.of.name} / {one.to.name}"] = {
                "ratio": beside.median,
                "lowest": beside.lowest,
                "highest": beside.highest,
                "wanted": one.bound(case),
                "at_most": one.at_most,
                "met": one.met(case, beside.median),
            }
    return found


def told(row: dict[str, Any]) -> str:
    """The ratios of a case in one line."""
    return ", ".join(f"{name} {one['ratio']:.2f}" for name, one in row["ratios"].items())


def available() -> float:
    """Bytes of memory that nobody uses, where the system tells."""
    facts = Path("/proc/meminfo")
    if not facts.exists():
        return float("inf")
    line = next(line for line in facts.read_text("utf-8").splitlines() if line.startswith("MemAvailable"))
    return float(line.split()[1]) * 1024


def write(found: dict[str, Any]) -> None:
    """Write the JSON and the picture."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "private.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    private_report.draw(found["steps"], found["machine"], RESULTS / "private.png")


if __name__ == "__main__":
    main()
