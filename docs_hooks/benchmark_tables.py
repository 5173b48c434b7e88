"""Benchmark results as tables, read from `benchmarks/results` when the site is built."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.league_report import summarize
from benchmarks.tables import divide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

RESULTS = Path(__file__).resolve().parent.parent / "benchmarks" / "results"
OURS = "batchprop, JAX"
LIBRARIES = ["scikit-learn", "PyTorch", "PyTorch, fused", "torch.compile"]
BY_HAND = ["batchprop, NumPy", "JAX, jitted step", "JAX, jitted scan", "JAX, scan of a copy"]
# The heading of a row, and the name of its ratio in the results.
ADDED = {
    "norms as well": "plain + norms / plain",
    "clipped": "clipped / plain",
    "clipped, with noise: private": "private / plain",
    "private, Poisson sampling": "private, Poisson / plain",
    "PyTorch, plain": "PyTorch plain / plain",
}
PRIVATE = {
    "Opacus, ghost": "Opacus ghost / private",
    "Opacus, hooks": "Opacus hooks / private",
    "`vmap(grad)`": "JAX vmap / private",
}
CLIPPED = {
    "Opacus, ghost": "Opacus ghost, no noise / clipped",
    "Opacus, hooks": "Opacus hooks, no noise / clipped",
    "`vmap(grad)`": "JAX vmap, no noise / clipped",
    "the same by Optax": "JAX vmap, Optax's clipping / clipped",
}


def peer_table(names: list[str]) -> str:
    """Return the time of a step of each peer, as a multiple of batchprop's on JAX."""
    rows = [
        [
            _keep_on_one_line(f"{row['case']}, {row['solver']}"),
            *(format_ratio(row["contestants"], peer) for peer in names),
        ]
        for row in _read("peers")["steps"]
    ]
    return _table(["network, batch, solver", *names], rows)


def private_table(heading: str, names: dict[str, str]) -> str:
    """Return ratios of steps of private training: a row for each name, a column for each network."""
    steps = _read("private")["steps"]
    rows = [[title, *(format_ratio(row["ratios"], name) for row in steps)] for title, name in names.items()]
    cases = (_keep_on_one_line(row["case"].replace(", ", ",<br>")) for row in steps)
    return _table([heading, *cases], rows)


def bad_rows_table() -> str:
    """Return average precision and time of finding wrong labels, compared with cleanlab."""
    results = _read("bad_rows")
    summary = results["summary"]
    rows = [
        _cleanlab_row(
            table["name"],
            _mean_precision(results["cells"], table["name"]),
            summary["time_ratio"][table["name"]],
        )
        for table in results["tables"]
    ]
    rows.append(_cleanlab_row("**all**", summary["average_precision"], summary["time_ratio_of_all"]))
    return _table(
        ["table", "average precision, batchprop", "cleanlab", "time, as a share of cleanlab's"], rows
    )


def streaming_table() -> str:
    """Return time and memory of training from files, compared with training in memory."""
    results = _read("streamed")
    rows = [["time of an epoch over Parquet, as a multiple of one in memory", f"{results['ratio']:.2f}"]]
    rows += [
        [f"peak memory, {int(n) // 1_000_000} million rows", f"{peak['peak_bytes'] / 1e6:.0f} MB"]
        for n, peak in results["peaks"].items()
    ]
    rows.append(["peak memory, four times the rows", f"{results['growth']:.3f} times as much"])
    return _table(["30-256-256-2, batches of 256", "measured"], rows)


def league_table(group: str) -> str:
    """Return the league's means and ranks on the tables of a group, "dev" or "held_out"."""
    groups = divide()
    cells = [cell for cell in _read("league")["cells"] if groups[cell["table"]] == group]
    return _table(*summarize(cells))


TABLES: dict[str, Callable[[], str]] = {
    "libraries": partial(peer_table, LIBRARIES),
    "by-hand": partial(peer_table, BY_HAND),
    "added": partial(private_table, "a plain step is 1", ADDED),
    "beside-private": partial(private_table, "our private step is 1", PRIVATE),
    "beside-clipped": partial(private_table, "our clipped step is 1", CLIPPED),
    "bad-rows": bad_rows_table,
    "streamed": streaming_table,
    "league-held-out": partial(league_table, "held_out"),
    "league-dev": partial(league_table, "dev"),
}


def _read(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def _keep_on_one_line(name: str) -> str:
    """Return a name that the browser does not break over lines."""
    return f'<span class="whole">{name}</span>'


def format_ratio(ratios: dict[str, Any], name: str) -> str:
    """Return a ratio by its name, or a dash; three digits, as rounds differ by more than a fourth shows."""
    if name not in ratios:
        return "–"
    ratio = ratios[name]["ratio"]
    return f"{ratio:.{max(0, 3 - len(str(int(ratio))))}f}"


def _mean_precision(cells: list[dict[str, Any]], name: str) -> dict[str, float]:
    precisions = [cell["average_precision"] for cell in cells if cell["data"] == name]
    return {who: sum(one[who] for one in precisions) / len(precisions) for who in ("batchprop", "cleanlab")}


def _cleanlab_row(name: str, precision: dict[str, float], time: float) -> list[str]:
    return [name, f"{precision['batchprop']:.3f}", f"{precision['cleanlab']:.3f}", f"{time:.2f}"]


def _table(heading: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heading = list(heading)
    lines = [heading, ["---", *["--:"] * (len(heading) - 1)], *map(list, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
