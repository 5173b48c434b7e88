"""The results of the private-training benchmark as tables and a figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.private_cases import CONTESTANTS
from benchmarks.report import format_microseconds, met_and_missed

# The colour-blind-safe palette of Okabe and Ito; marker shapes encode the same.
MARKERS = {
    "plain + norms / plain": ("#56B4E9", "v"),
    "clipped / plain": ("#009E73", "^"),
    "private / plain": ("#0072B2", "D"),
    "Opacus ghost / private": ("#D55E00", "o"),
    "Opacus hooks / private": ("#E69F00", "s"),
    "JAX vmap, no noise / clipped": ("#CC79A7", "P"),
}


def times_table(figures: list[dict[str, Any]]) -> Table:
    """Microseconds per step: one row per contestant, one column per case."""
    shown = _table("Microseconds a step, medians", figures)
    for one in CONTESTANTS:
        cells = [_time(row["contestants"].get(one.name), row["left_out"].get(one.name)) for row in figures]
        shown.add_row(one.name, *cells)
    return shown


def ratios_table(figures: list[dict[str, Any]]) -> Table:
    """The ratios: one row per comparison, one column per case."""
    shown = _table("Ratios within a round: median, lowest to highest, what is wanted", figures)
    for name in dict.fromkeys(name for row in figures for name in row["ratios"]):
        shown.add_row(name.replace(" / ", "\n/ "), *(_ratio(row["ratios"].get(name)) for row in figures))
    return shown


def format_verdict(figures: list[dict[str, Any]]) -> str:
    """Format how many targets are met, and which are not."""
    asked = [
        (f"{row['case']}: {name} {one['ratio']:.2f}, wanted {_bound_sign(one)} {one['wanted']:g}", one["met"])
        for row in figures
        for name, one in row["ratios"].items()
        if one["wanted"] is not None
    ]
    lines = [
        *met_and_missed(asked),
        *(
            f"  left out: {row['case']}: {name}, {why}"
            for row in figures
            for name, why in row["left_out"].items()
        ),
    ]
    return "\n".join(lines)


def format_memory(results: list[dict[str, Any]]) -> str:
    """Format the memory peaks, one per line."""
    lines = ["Peak of memory of a fresh process, MB; in brackets what training adds, compiling included"]
    for one in results:
        peaks = ", ".join(
            f"{name} {run['peak_bytes'] / 1e6:,.0f} ({run['added_bytes'] / 1e6:,.0f})"
            for name, run in one["runs"].items()
        )
        lines.append(
            f"  {one['case']}: {peaks}; private {one['ratio']:.2f} of plain, wanted ≤ {one['wanted']:g}: "
            f"{'met' if one['met'] else 'missed'} (of what is added {one['ratio_of_added']:.2f})"
        )
    return "\n".join(lines)


def draw(figures: list[dict[str, Any]], machine: dict[str, Any], path: Path) -> None:
    """Draw the cost of our extras and the peers' time relative to ours; a bar marks the target."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (ours, peers) = plt.subplots(1, 2, sharey=True, figsize=(11, 4.8), layout="constrained")
    _panel(ours, figures, list(MARKERS)[:3])
    ours.set_title("batchprop on JAX, against its own plain step")
    _panel(peers, figures, list(MARKERS)[3:])
    peers.set_xscale("log")
    peers.set_title("peers, against batchprop's own private (or clipped) step")
    ours.invert_yaxis()
    figure.supxlabel("time a step as a multiple: median, lowest to highest round; bar: what was wanted")
    figure.text(
        0.995, 0.005, f"{machine['cores']} cores, {machine['date'][:10]}", ha="right", color="0.4", fontsize=8
    )
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _panel(axes: Any, figures: list[dict[str, Any]], names: list[str]) -> None:
    for place, name in enumerate(names):
        colour, shape = MARKERS[name]
        results = [
            (height, row["ratios"][name]) for height, row in enumerate(figures) if name in row["ratios"]
        ]
        heights = [height + 0.6 * (place / (len(names) - 1) - 0.5) for height, _ in results]
        for y, (_, one) in zip(heights, results, strict=True):
            axes.plot([one["lowest"], one["highest"]], [y, y], color=colour, linewidth=1, alpha=0.6)
            if one["wanted"] is not None:
                axes.plot(one["wanted"], y, "|", color="black", markersize=11)
        axes.plot([one["ratio"] for _, one in results], heights, shape, color=colour, label=name)
    axes.axvline(1, color="black", linewidth=1)
    axes.grid(axis="x", color="0.88")
    axes.set_axisbelow(True)
    axes.set_yticks(range(len(figures)), [row["case"].replace(", ", "\n") for row in figures])
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, loc="best")


def _table(title: str, figures: list[dict[str, Any]]) -> Table:
    shown = Table("", title=title, show_lines=True)
    for row in figures:
        shown.add_column(row["case"].replace(", ", ",\n"), justify="right")
    return shown


def _time(one: dict[str, Any] | None, left_out: str | None) -> str:
    if one is None:
        return left_out or "not installed"
    return format_microseconds(one)


def _ratio(one: dict[str, Any] | None) -> str:
    if one is None:
        return "–"
    lines = f"{one['ratio']:.2f}\n{one['lowest']:.2f}–{one['highest']:.2f}"
    if one["wanted"] is None:
        return lines
    colour, mark = ("green", "✓") if one["met"] else ("red", "✗")
    return f"{lines}\n[{colour}]{_bound_sign(one)} {one['wanted']:g} {mark}[/]"


def _bound_sign(one: dict[str, Any]) -> str:
    return "≤" if one["at_most"] else "≥"
