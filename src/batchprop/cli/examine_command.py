"""`batchprop examine`, from the table to the list of suspicious rows."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console

from batchprop.cli.console import make_console, make_table, say, show_data, show_network
from batchprop.cli.progress import progress
from batchprop.cli.signals import exit_code
from batchprop.estimators.ensemble import make_ensemble
from batchprop.files import create_file
from batchprop.format import format_duration, format_target, label_with_unit, pluralize
from batchprop.plots import DataMapDisplay
from batchprop.plots.evaluation import plot_predictions
from batchprop.plots.style import set_title
from batchprop.tabular.diagnostics import explain_label, explain_number
from batchprop.tabular.fit import (
    EARLY_STOPPING,
    layer_sizes,
    make_columns,
    make_network,
    network_parameters,
    translate_errors,
)
from batchprop.tabular.history import History, HistoryCallback
from batchprop.tabular.options import TrainOptions
from batchprop.tabular.persistence import atomic_file, write_errors
from batchprop.tabular.pooling import pooling_notes
from batchprop.tabular.predictions import write
from batchprop.tabular.target import Target, Task
from batchprop.tabular.training_table import TrainingTable, load
from batchprop.tabular.transformers import TargetScaler

IMAGE_SUFFIXES = (".png", ".svg", ".pdf")

_MIN_COUNT, _MAX_COUNT = 16, 200


@dataclass(frozen=True)
class ExamineResult:
    """The fitted network, its history, and the table of rows.

    Attributes:
        network: the fitted MLPClassifier or MLPRegressor, or an ensemble of them.
        history: its epochs.
        rows: a line for each row, the most suspicious first.
    """

    network: Any
    history: History
    rows: pd.DataFrame


class ExamineFiles(NamedTuple):
    """The table (None: the digits), the file of all rows, the map or None, and how to write them.

    Attributes:
        table: None for the digits.
        out: the file of all rows.
        data_map: or None.
        safe_csv: whether CSV is written such that no spreadsheet runs its text.
        force: whether to replace existing files.
    """

    table: Path | None
    out: Path
    data_map: Path | None
    safe_csv: bool
    force: bool


def examine_command(
    options: TrainOptions, files: ExamineFiles, *, n_members: int, top: int, tenth: bool
) -> int:
    """Train, print the most suspicious rows, and write all rows.

    Args:
        options: of the training, checked.
        files: to read and to write.
        n_members: how many networks; of several, those that held a row out rank it.
        top: how many rows to print.
        tenth: whether a batch is a tenth of the rows, from 16 to 200.

    Returns:
        The exit code: 0, or 128 and the signal's number if one ended the training early: 130 for Ctrl-C.

    Raises:
        BatchpropError: for any failure; nothing is written then.
    """
    console, out, data_map = make_console(), files.out, files.data_map
    with ExitStack() as stack:
        tables = () if files.table is None else (files.table,)
        fresh = partial(atomic_file, force=files.force, tables=tables)
        part = stack.enter_context(fresh(out, parameter="out"))
        picture = data_map and stack.enter_context(fresh(data_map, parameter="map"))
        table = load(files.table, options)
        if tenth:
            options = replace(options, batch_size=min(max(len(table.frame) // 10, _MIN_COUNT), _MAX_COUNT))
        show_data(console, table, f"{len(table.frame):,} to examine")
        result = examine(console, table, options, n_members)
        _show_end(console, result)
        _show_rows(console, result.rows, table.target, top)
        with write_errors(out):
            write(result.rows, part, safe_csv=files.safe_csv)
        if data_map is not None and picture is not None:
            with write_errors(data_map):
                _draw_map(result.rows, table.target, _map_title(table), picture)
    say(console, f"All {len(table.frame):,} rows, with their scores: {out}")
    if data_map is not None:
        say(console, f"Map: {data_map}")
    return exit_code() if result.network.interrupted_ else 0


def examine(
    console: Console, table: TrainingTable, options: TrainOptions, n_members: int = 1
) -> ExamineResult:
    """Train a network on all rows and record its dynamics on each, or several that each hold out some."""
    fit = _examine_classes if table.target.task == "classification" else _examine_numbers
    history: History = []
    network, examples = fit(console, table, options, n_members, history)
    if not history:
        # Ctrl-C came before the end of the first epoch: nothing was recorded.
        raise KeyboardInterrupt
    examples.insert(0, *table.row_numbers)
    return ExamineResult(network, history, examples.sort_values("mislabel_rank", kind="stable"))


def _examine_classes(
    console: Console, table: TrainingTable, options: TrainOptions, n_members: int, history: History
) -> tuple[Any, pd.DataFrame]:
    indices = np.searchsorted(table.classes, table.target.values)
    network = _record(console, table, indices, options, n_members, history)
    examples = network.relabel(table.classes).examples_
    examples.insert(2, "why", explain_label(examples))
    return network, examples


def _examine_numbers(
    console: Console, table: TrainingTable, options: TrainOptions, n_members: int, history: History
) -> tuple[Any, pd.DataFrame]:
    y, scaler = table.target.values, TargetScaler()
    scaled = scaler.fit_transform(y[:, None])[:, 0]
    network = _record(console, table, scaled, options, n_members, history)
    examples = network.examples_
    examples["given_label"] = y
    examples["predicted_label"] = scaler.inverse_transform(examples[["predicted_label"]].to_numpy())
    examples.insert(2, "why", explain_number(examples))
    return network, examples


def _record(
    console: Console, table: TrainingTable, y: Any, options: TrainOptions, n_members: int, history: History
) -> Any:
    """Return a network, or several, fitted to all rows and these targets (n,), with what it recorded."""
    task = table.target.task
    n_classes = len(table.classes) if task == "classification" else None
    columns = make_columns(table, table.frame, y, options, n_classes)
    X = columns.fit_transform(table.frame, y)
    for note in pooling_notes(columns, table.columns):
        say(console, f"Note: {note}", "")
    show_network(console, layer_sizes(table, X.shape[1], options.hidden), options)
    with progress(console, options.epochs) as show, translate_errors(options, clips=False):
        # All rows are training rows: the network's dynamics on each of them count, not a test.
        parameters = network_parameters(options, task, len(X), HistoryCallback(history, show))
        return _make_estimator(task, parameters, n_members).fit(X, y, record_examples=True)


def _make_estimator(task: Task, parameters: dict[str, Any], n_members: int) -> Any:
    if n_members == 1:
        return make_network(task, **parameters)
    return make_ensemble(make_network(task, **parameters, **EARLY_STOPPING), n_members)


def _map_title(table: TrainingTable) -> str:
    name = table.target.name
    if table.target.task == "classification":
        return f"{table.name}: how the network takes each {name} that is given"
    return f"{table.name}: {name} as given and as expected"


def _draw_map(examples: pd.DataFrame, target: Target, title: str, path: Path) -> None:
    figure = Figure(figsize=(8, 5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    if target.task == "classification":
        DataMapDisplay.from_examples(examples, ax=ax)
    else:
        given, expected = (examples[name].to_numpy(float) for name in ("given_label", "predicted_label"))
        known = np.isfinite(expected)
        plot_predictions(ax, given[known], expected[known], "actual_vs_predicted")
        ax.set(
            xlabel=label_with_unit("expected: mean of the network's predictions", target.unit),
            ylabel=label_with_unit("given", target.unit),
        )
    set_title(ax, title)
    with create_file(path) as file:
        figure.savefig(file, format=path.suffix.lower().removeprefix("."))


def _show_end(out: Console, result: ExamineResult) -> None:
    """Print the number of epochs and the time."""
    seconds = format_duration(sum(epoch.seconds for epoch in result.history))
    engine = {"numpy": "NumPy", "jax": "JAX"}[result.network.engine_]
    cut = "Interrupted" if result.network.interrupted_ else "Learned"
    members = len(getattr(result.network, "members_", ()))
    say(
        out,
        "",
        f"{cut} after {pluralize(len(result.history), 'epoch')}"
        f"{f' of {members} networks' if members else ''}, {seconds} with {engine}.",
        "",
    )


def _show_rows(out: Console, examples: pd.DataFrame, target: Target, top: int) -> None:
    """Print the most suspicious rows."""
    locator = examples.columns[0]
    task = target.task
    predicted = "predicted" if task == "classification" else "expected"
    if task == "classification":
        predicted_rows = examples["predicted_label"].notna()
        other = int((examples["given_label"] != examples["predicted_label"])[predicted_rows].sum())
        say(
            out,
            f"{other:,} of {len(examples):,} rows {'is' if other == 1 else 'are'} predicted to have another "
            "label than the one given.",
            "The probability is that of the given label, "
            + ("averaged over the epochs." if "variability" in examples else "by networks without the row."),
            "",
        )
    if not top:
        return
    right = [0, 1] if task == "classification" else [0, 1, 2, 3]
    table = make_table(
        "",
        locator,
        *(label_with_unit(name, target.unit) for name in ("given", predicted)),
        "why",
        right=right,
    )
    spread = 0.0 if task == "classification" else float(np.ptp(examples["given_label"]))
    written = str if task == "classification" else partial(format_target, spread=spread)
    most = examples.head(top)
    columns = (most[name].to_numpy() for name in (locator, "given_label", "predicted_label", "why"))
    for number, (row, label, prediction, why) in enumerate(zip(*columns, strict=True), start=1):
        table.add_row(str(number), str(row), written(label), written(prediction), why)
    out.print(table, "")
