"""The results as tables."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from benchmarks.contestants import CONTESTANTS, OURS


def times_table(figures: list[dict[str, Any]], missing: list[str]) -> Table:
    """Microseconds per step: one row per case and solver, one column per contestant."""
    shown = _table("Microseconds a step, medians")
    for contestant in CONTESTANTS:
        shown.add_column(_heading(contestant.name), justify="right")
    for row in figures:
        cells = [
            _time(row["contestants"].get(contestant.name), contestant.name in missing)
            for contestant in CONTESTANTS
        ]
        shown.add_row(_heading(f"{row['case']}, {row['solver']}"), *cells)
    return shown


def ratios_table(figures: list[dict[str, Any]]) -> Table:
    """Each peer's time relative to ours, round by round, and the targets."""
    shown = _table(f"Times as long as {OURS.name}: median, lowest to highest round, what is wanted")
    peers = [contestant for contestant in CONTESTANTS if contestant is not OURS]
    for peer in peers:
        shown.add_column(_heading(peer.name), justify="right")
    for row in figures:
        cells = [_ratio(row["contestants"].get(peer.name)) for peer in peers]
        shown.add_row(_heading(f"{row['case']}, {row['solver']}"), *cells)
    return shown


def format_verdict(figures: list[dict[str, Any]]) -> str:
    """Format how many targets are met, and which are not."""
    asked = [
        (f"{row['case']}, {row['solver']}: {name} {one['ratio']:.2f}, wanted {one['wanted']:g}", one["met"])
        for row in figures
        for name, one in row["contestants"].items()
        if one["wanted"] is not None
    ]
    return "\n".join(met_and_missed(asked))


def met_and_missed(asked: list[tuple[str, bool]]) -> list[str]:
    """Format how many targets are met, and which are not, from pairs of description and result."""
    missed = [text for text, met in asked if not met]
    return [
        f"{len(asked) - len(missed)} of {len(asked)} targets met",
        *(f"  missed: {text}" for text in missed),
    ]


def format_microseconds(one: dict[str, Any]) -> str:
    """Format a contestant's time per step, as in the tables."""
    return f"{one['us_a_step']:,.1f}" if one["us_a_step"] < 1000 else f"{one['us_a_step']:,.0f}"


def format_whole_fit(results: dict[str, Any]) -> str:
    """Format the fit of the digits, one result per line."""
    ours, peer = results["runs"]["ours"], results["runs"]["peer"]
    seconds, accuracy = results["seconds"], results["accuracy"]
    engines = ", ".join(sorted({run["engine"] for run in ours}))
    return (
        f"Whole fit on the digits, {len(peer)} seeds, fresh processes, compile included; engine: {engines}\n"
        f"  batchprop {seconds['ours']:.2f} s, scikit-learn {seconds['peer']:.2f} s: "
        f"ratio {results['ratio']:.2f} ({results['ratio_lowest']:.2f}–{results['ratio_highest']:.2f}), "
        f"wanted ≥ {results['wanted']:g}: {_verdict_word(results['met'])}\n"
        f"  with the import of JAX {results['seconds_with_import_of_jax']:.2f} s: "
        f"ratio {results['ratio_with_import']:.2f}\n"
        f"  test accuracy {100 * accuracy['ours']:.2f}% and {100 * accuracy['peer']:.2f}%: "
        f"{results['points_apart']:+.2f} points, wanted within {results['points_wanted']}: "
        f"{_verdict_word(results['same_accuracy'])}"
    )


def format_growth(time: dict[str, Any], memory: dict[str, Any]) -> str:
    """Format time and memory by rows, one result per line."""
    lines = [f"Growth, within {100 * time['wanted_within']:.0f}%: {_verdict_word(time['met'])}"]
    peaks = {str(run["rows"]): run for run in memory["runs"]}
    for rows, ns in time["ns_a_row"].items():
        lines.append(f"  {int(rows):>12,} rows: {ns:6.0f} ns a row, {time['growth'][rows]:.2f} of the first")
        if rows in peaks:
            run = peaks[rows]
            added = (run["peak_bytes"] - run["peak_table_bytes"]) / 1e6
            lines[-1] += f"; peak {run['peak_bytes'] / 1e6:,.0f} MB, of it training {added:,.0f} MB"
    lines.append(f"  training adds {memory['bytes_a_row_added']:.0f} bytes a row; the table has 128")
    lines += [
        f"  a table of {run['table_bytes'] / 1e9:.1f} GB, {run['who']}: training adds "
        f"{(run['peak_bytes'] - run['peak_table_bytes']) / 1e6:,.0f} MB, {run['over_the_table']:.2f} of the "
        f"table; two epochs in {run['seconds']:.0f} s"
        for run in memory["large_table"]
    ]
    return "\n".join(lines)


def _table(title: str) -> Table:
    shown = Table(title=title, show_lines=True)
    shown.add_column("network,\nbatch, solver", no_wrap=True)
    return shown


def _time(one: dict[str, Any] | None, missing: bool) -> str:
    if one is None:
        return "not installed" if missing else "–"
    return format_microseconds(one)


def _ratio(one: dict[str, Any] | None) -> str:
    if one is None:
        return "–"
    lines = f"{one['ratio']:.2f}\n{one['ratio_lowest']:.2f}–{one['ratio_highest']:.2f}"
    if one["wanted"] is None:
        return lines
    colour, sign = ("green", "✓") if one["met"] else ("red", "✗")
    return f"{lines}\n[{colour}]≥ {one['wanted']:g} {sign}[/]"


def _verdict_word(met: bool) -> str:
    return "met" if met else "missed"


def _heading(name: str) -> str:
    return name.replace(", ", ",\n", 1)
