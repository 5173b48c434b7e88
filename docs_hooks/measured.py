"""The measured figures as tables, read from `benchmarks/results` when the site is built."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

RESULTS = Path(__file__).resolve().parent.parent / "benchmarks" / "results"
OURS = "batchprop, JAX"
LIBRARIES = ["scikit-learn", "PyTorch", "PyTorch, fused", "torch.compile"]
BY_HAND = ["batchprop, NumPy", "JAX, jitted step", "JAX, jitted scan", "JAX, scan of a copy"]
# What a row of the page says, and the name of its ratio in the results.
ADDED = {
    "norms as well": "plain + norms / plain",
    "clipped": "clipped / plain",
    "clipped, with noise: private": "private / plain",
    "private, batches by chance": "private, Poisson / plain",
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


def peers(names: list[str]) -> str:
    """Return how many times as long as batchprop on JAX some peers take for a step."""
    rows = [
        [
            _whole(f"{row['case']}, {row['solver']}"),
            *(three_digits(row["contestants"], peer) for peer in names),
        ]
        for row in _read("peers")["steps"]
    ]
    return _table(["network, batch, solver", *names], rows)


def private(heading: str, names: dict[str, str]) -> str:
    """Return ratios of private training's steps, a line for each name and a column for each network."""
    steps = _read("private")["steps"]
    rows = [[said, *(three_digits(row["ratios"], name) for row in steps)] for said, name in names.items()]
    cases = (_whole(row["case"].replace(", ", ",<br>")) for row in steps)
    return _table([heading, *cases], rows)


def bad_rows() -> str:
    """Return average precision and time of finding wrong labels, beside cleanlab."""
    found = _read("bad_rows")
    summary = found["summary"]
    rows = [
        _beside_cleanlab(
            table["name"],
            _mean_precision(found["cells"], table["name"]),
            summary["time_ratio"][table["name"]],
        )
        for table in found["tables"]
    ]
    rows.append(_beside_cleanlab("**all**", summary["average_precision"], summary["time_ratio_of_all"]))
    return _table(["table", "average precision, batchprop", "cleanlab", "time, of cleanlab's"], rows)


def streamed() -> str:
    """Return what training from files takes, beside training in memory."""
    found = _read("streamed")
    rows = [["an epoch over Parquet, of one in memory", f"{found['ratio']:.2f}"]]
    rows += [
        [f"peak memory, {int(n) // 1_000_000} million rows", f"{peak['peak_bytes'] / 1e6:.0f} MB"]
        for n, peak in found["peaks"].items()
    ]
    rows.append(["peak memory, four times the rows", f"{found['growth']:.3f} times as much"])
    return _table(["30-256-256-2, batches of 256", "seen"], rows)


TABLES: dict[str, Callable[[], str]] = {
    "libraries": partial(peers, LIBRARIES),
    "by-hand": partial(peers, BY_HAND),
    "added": partial(private, "a plain step is 1", ADDED),
    "beside-private": partial(private, "our private step is 1", PRIVATE),
    "beside-clipped": partial(private, "our clipped step is 1", CLIPPED),
    "bad-rows": bad_rows,
    "streamed": streamed,
}


def _read(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def _whole(name: str) -> str:
    """A name that is not broken over lines."""
    return f'<span class="whole">{name}</span>'


def three_digits(found: dict[str, Any], name: str) -> str:
    """Return a ratio by its name, or a dash; rounds differ by more than a fourth digit would say."""
    if name not in found:
        return "–"
    ratio = found[name]["ratio"]
    return f"{ratio:.{max(0, 3 - len(str(int(ratio))))}f}"


def _mean_precision(cells: list[dict[str, Any]], name: str) -> dict[str, float]:
    found = [cell["average_precision"] for cell in cells if cell["data"] == name]
    return {who: sum(one[who] for one in found) / len(found) for who in ("batchprop", "cleanlab")}


def _beside_cleanlab(name: str, precision: dict[str, float], time: float) -> list[str]:
    return [name, f"{precision['batchprop']:.3f}", f"{precision['cleanlab']:.3f}", f"{time:.2f}"]


def _table(heading: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heading = list(heading)
    lines = [heading, ["---", *["--:"] * (len(heading) - 1)], *map(list, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
