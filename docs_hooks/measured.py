"""The measured figures as tables, read from `benchmarks/results` when the site is built."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

RESULTS = Path(__file__).resolve().parent.parent / "benchmarks" / "results"
OURS = "batchprop, JAX"
PEERS = [
    "batchprop, NumPy",
    "scikit-learn",
    "PyTorch",
    "PyTorch, fused",
    "torch.compile",
    "JAX, jitted step",
    "JAX, jitted scan",
]
ADDED = ["plain + norms / plain", "clipped / plain", "private / plain"]
OTHERS = [
    "Opacus ghost / private",
    "Opacus hooks / private",
    "JAX vmap, no noise / clipped",
    "PyTorch plain / plain",
]


def peers() -> str:
    """Return how many times as long as batchprop on JAX each peer takes for a step."""
    rows = [
        [_whole(f"{row['case']}, {row['solver']}"), *(_ratio(row["contestants"], peer) for peer in PEERS)]
        for row in _read("peers")["steps"]
    ]
    return _table(["network, batch, solver", *PEERS], rows)


def private() -> str:
    """Return what norms, clipping and noise add to a plain step, and what others take for the same."""
    steps = _read("private")["steps"]
    rows = [[_whole(name), *(_ratio(row["ratios"], name) for row in steps)] for name in [*ADDED, *OTHERS]]
    return _table(["a step's time, as a multiple", *(row["case"] for row in steps)], rows)


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
    "peers": peers,
    "private": private,
    "bad-rows": bad_rows,
    "streamed": streamed,
}


def _read(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def _whole(name: str) -> str:
    """A name that is not broken over lines."""
    return f'<span class="whole">{name}</span>'


def _ratio(found: dict[str, Any], name: str) -> str:
    return f"{found[name]['ratio']:.2f}" if name in found else "–"


def _mean_precision(cells: list[dict[str, Any]], name: str) -> dict[str, float]:
    found = [cell["average_precision"] for cell in cells if cell["data"] == name]
    return {who: sum(one[who] for one in found) / len(found) for who in ("batchprop", "cleanlab")}


def _beside_cleanlab(name: str, precision: dict[str, float], time: float) -> list[str]:
    return [name, f"{precision['batchprop']:.3f}", f"{precision['cleanlab']:.3f}", f"{time:.2f}"]


def _table(heading: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heading = list(heading)
    lines = [heading, ["---", *["--:"] * (len(heading) - 1)], *map(list, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
