"""batchprop against its peers, interleaved within one run; `make bench` runs everything.

`--quick` tries everything once on little data and writes nothing. `--part` and `--case` run less, and write
nothing either.
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import growth, report, steps, whole_fit
from benchmarks.cases import CASES, GPU_CASES, Case, shorten
from benchmarks.contestants import CONTESTANTS, OURS, Contestant
from benchmarks.machine import describe_machine, time_import
from benchmarks.picture import draw

RESULTS = Path(__file__).parent / "results"
PARTS = ("steps", "fit", "growth")
VERSIONS = ("batchprop", "numpy", "scipy", "scikit-learn", "jax", "jaxlib", "optax", "torch")

MAX_LOAD = 0.5
WAIT = "Libraries that spin while they wait for their threads come out many times too slow."
QUICK_NOTICE = "All of it ran, once and on little data: no figure above means anything."


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.run")
    parser.add_argument("--quick", action="store_true", help="once, on little data; writes nothing")
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--rounds", type=int, default=5, help="that count; 5")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this; may be repeated")
    parser.add_argument("--case", default="", help="only cases whose name holds this, as '64-64-10'")
    return parser.parse_args()


def main() -> None:
    """Measure, print the tables, and write the results."""
    options = arguments()
    taking_part, missing = select_contestants(options)
    console = Console(width=160)
    warn_if_busy(console)
    parts = options.part or (PARTS if options.device == "cpu" else ("steps",))
    results: dict[str, Any] = {"machine_before": describe_machine(VERSIONS)}
    if "steps" in parts:
        configure_jax(options)
        results["steps"] = time_steps(options, taking_part, console)
        console.print(report.times_table(results["steps"], missing), report.ratios_table(results["steps"]))
        console.print(report.format_verdict(results["steps"]), highlight=False)
    if "fit" in parts:
        results["whole_fit"] = whole_fit.measure(seeds=1 if options.quick else 10)
        console.print(report.format_whole_fit(results["whole_fit"]), highlight=False)
        results["import_seconds"] = time_import("batchprop", repeats=1 if options.quick else 5)
    if "growth" in parts:
        results["growth"] = measure_growth(few=options.quick)
        console.print(
            report.format_growth(results["growth"]["time"], results["growth"]["memory"]), highlight=False
        )
    if options.quick:
        console.print(QUICK_NOTICE)
    if not (options.quick or options.part or options.case):
        write_results(results | {"machine": describe_machine(VERSIONS)}, options)


def warn_if_busy(console: Console) -> None:
    """Warn if other processes distort the timings."""
    load = os.getloadavg()[0]
    if load > MAX_LOAD * (os.cpu_count() or 1):
        console.print(f"[bold]The machine is busy (load {load:.1f}).[/] {WAIT}", highlight=False)


def select_contestants(options: argparse.Namespace) -> tuple[list[Contestant], list[str]]:
    """Return the contestants, and the names of those whose packages are missing.

    Raises:
        SystemExit: If a package is missing and ``--quick`` is not set.
    """
    able = [one for one in CONTESTANTS if one.on_gpu or options.device == "cpu"]
    packages = sorted({package for one in able for package in one.missing})
    if packages and (not options.quick or OURS.missing):
        raise SystemExit(
            f"not installed: {', '.join(packages)}. Run: pip install -r benchmarks/requirements.txt"
        )
    return [one for one in able if not one.missing], [one.name for one in able if one.missing]


def configure_jax(options: argparse.Namespace) -> None:
    """Set device and precision of JAX before it is imported; Torch is configured in its own file."""
    if options.device == "cpu":
        os.environ["JAX_PLATFORMS"] = "cpu"
    if options.precision == "bfloat16":
        # On NVIDIA GPUs the level "bfloat16" equals the default; this one names the products.
        os.environ["JAX_DEFAULT_MATMUL_PRECISION"] = "BF16_BF16_F32"


def time_steps(
    options: argparse.Namespace, taking_part: list[Contestant], console: Console
) -> list[dict[str, Any]]:
    """Time every selected case."""
    cases: tuple[Case, ...] = CASES if options.device == "cpu" else GPU_CASES
    cases = tuple(case for case in cases if options.case in case.name)
    if options.quick:
        cases = tuple(shorten(case) for case in (cases[0], cases[len(cases) // 2]))
    figures = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="torch")
        rounds = 1 if options.quick else options.rounds
        for row in steps.measure_all(cases, taking_part, rounds, options.device, options.precision):
            figures.append(row)
            told = ", ".join(f"{name} {one['ratio']:.2f}" for name, one in row["contestants"].items())
            console.print(f"{row['case']}, {row['solver']}: {told}", highlight=False, soft_wrap=True)
    return figures


def measure_growth(*, few: bool) -> dict[str, Any]:
    """Time and memory by rows."""
    if few:
        return {
            "time": growth.time_per_row(10**5, rounds=1),
            "memory": growth.measure_memory(10**5, (10_000, 100)),
        }
    return {"time": growth.time_per_row(10**7, rounds=5), "memory": growth.measure_memory(10**7)}


def write_results(results: dict[str, Any], options: argparse.Namespace) -> None:
    """Write the JSON and the figure; results of a GPU or another precision get their own files."""
    name = "peers"
    if options.device != "cpu":
        name += f"-{options.device}"
    if options.precision != "float32":
        name += f"-{options.precision}"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    draw(results["steps"], results["machine"], RESULTS / f"{name}.png")


if __name__ == "__main__":
    main()
