"""Private training and per-example norms against plain training and against the peers, in turn.

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
from benchmarks.cases import Case, Run, Task, shorten
from benchmarks.machine import describe_machine
from benchmarks.private_cases import CASES, COMPARISONS, CONTESTANTS, PLAIN, Contestant, PrivateTask, Trainer
from benchmarks.rounds import interleave, paired_ratio
from benchmarks.run import QUICK_NOTICE, RESULTS, VERSIONS, warn_if_busy


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.private")
    parser.add_argument("--quick", action="store_true", help="two cases once, on little data; writes nothing")
    parser.add_argument("--rounds", type=int, default=5, help="that count; 5")
    parser.add_argument("--case", default="", help="only cases whose name holds this, as '64-64-64-10'")
    return parser.parse_args()


def main() -> None:
    """Measure, print the tables, and write the results."""
    options = arguments()
    contestants = select_contestants(options)
    os.environ["JAX_PLATFORMS"] = "cpu"
    console = Console(width=160)
    warn_if_busy(console)
    before = describe_machine((*VERSIONS, "opacus"))
    chosen = [i for i, case in enumerate(CASES) if options.case in case.name][: 2 if options.quick else None]
    figures = []
    for i in chosen:
        case = shorten(CASES[i]) if options.quick else CASES[i]
        figures.append(measure(case, contestants, 1 if options.quick else options.rounds))
        console.print(f"{case.name}: {format_ratios(figures[-1])}", highlight=False, soft_wrap=True)
    console.print(private_report.times_table(figures), private_report.ratios_table(figures))
    console.print(private_report.format_verdict(figures), highlight=False)
    peaks = [private_memory.measure(i) for i in (chosen[:1] if options.quick else chosen)]
    console.print(private_report.format_memory(peaks), highlight=False, soft_wrap=True)
    if options.quick:
        console.print(QUICK_NOTICE)
    if not (options.quick or options.case):
        results = {"machine_before": before, "machine": describe_machine((*VERSIONS, "opacus"))}
        write_results(results | {"steps": figures, "memory": peaks})


def select_contestants(options: argparse.Namespace) -> list[Contestant]:
    """Return the contestants.

    Raises:
        SystemExit: If a package is missing and ``--quick`` is not set.
    """
    packages = sorted({package for one in CONTESTANTS for package in one.missing})
    if packages and (not options.quick or PLAIN.missing):
        raise SystemExit(
            f"not installed: {', '.join(packages)}. Run: pip install -r benchmarks/requirements-private.txt"
        )
    return [one for one in CONTESTANTS if not one.missing]


def measure(case: Case, contestants: list[Contestant], rounds: int) -> dict[str, Any]:
    """Check that all do the same work, and time them after a warm-up round."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="torch|opacus")
        warnings.filterwarnings("ignore", message="Full backward hook is firing")  # as Opacus means it to
        free_bytes = available_bytes()
        left_out = {
            one.name: f"needs {one.bytes_needed(case) / 1e9:.0f} GB"
            for one in contestants
            if one.bytes_needed(case) > free_bytes
        }
        running = [one for one in contestants if one.name not in left_out]
        checked = private_work.check(case, running)
        trainers: dict[str, Trainer] = {}
        first_seconds: dict[str, float] = {}
        for one in running:
            trainers[one.name] = one.prepare(PrivateTask(Task(one.case(case), "sgd")))
            run: Run = trainers[one.name].start()
            began = time.perf_counter()
            run()
            first_seconds[one.name] = time.perf_counter() - began
        seconds_taken = interleave({name: trainer.start for name, trainer in trainers.items()}, rounds)
    steps = {one.name: one.case(case).steps for one in running}
    a_step = {name: [seconds / steps[name] for seconds in seconds_taken[name]] for name in seconds_taken}
    return {
        "case": case.name,
        **asdict(case),
        "checked": checked,
        "left_out": left_out,
        "contestants": {
            name: {
                "seconds": seconds_taken[name],
                "steps": steps[name],
                "us_a_step": 1e6 * statistics.median(a_step[name]),
                "first_run_seconds": first_seconds[name],
            }
            for name in seconds_taken
        },
        "ratios": compare(case, a_step),
    }


def compare(case: Case, a_step: dict[str, list[float]]) -> dict[str, dict[str, Any]]:
    """Return every comparison of contestants that both ran, by name."""
    ratios = {}
    for one in COMPARISONS:
        if one.numerator.name in a_step and one.denominator.name in a_step:
            time_ratio = paired_ratio(a_step[one.numerator.name], a_step[one.denominator.name])
            ratios[f"{one.numerator.name} / {one.denominator.name}"] = {
                "ratio": time_ratio.median,
                "lowest": time_ratio.lowest,
                "highest": time_ratio.highest,
                "wanted": one.bound(case),
                "at_most": one.is_upper_bound,
                "met": one.is_met(case, time_ratio.median),
            }
    return ratios


def format_ratios(row: dict[str, Any]) -> str:
    """Format the ratios of a case in one line."""
    return ", ".join(f"{name} {one['ratio']:.2f}" for name, one in row["ratios"].items())


def available_bytes() -> float:
    """Return the bytes of free memory, if the system reports them."""
    facts = Path("/proc/meminfo")
    if not facts.exists():
        return float("inf")
    line = next(line for line in facts.read_text("utf-8").splitlines() if line.startswith("MemAvailable"))
    return float(line.split()[1]) * 1024


def write_results(results: dict[str, Any]) -> None:
    """Write the JSON and the figure."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "private.json").write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    private_report.draw(results["steps"], results["machine"], RESULTS / "private.png")


if __name__ == "__main__":
    main()
