"""`batchprop examine`, from the table to the list of suspicious rows."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console
from sklearn.metrics import PredictionErrorDisplay
from sklearn.preprocessing import StandardScaler

import batchprop
from batchprop.cli import console as report
from batchprop.cli.model import options, sizes, translate_errors
from batchprop.cli.progress import History, format_duration, history_callback, progress
from batchprop.cli.settings import TrainOptions
from batchprop.cli.signals import exit_code
from batchprop.cli.training_table import TrainingTable, load
from batchprop.plots import DataMapDisplay
from batchprop.plots.style import set_title
from batchprop.tabular.persistence import atomic_file, write_errors
from batchprop.tabular.predictions import write
from batchprop.tabular.target import Task
from batchprop.tabular.transformers import make_preprocessor

IMAGE_SUFFIXES = (".png", ".svg", ".pdf")

_MIN_COUNT, _MAX_COUNT = 16, 200


@dataclass(frozen=True)
class ExamineResult:
    """What the training showed of each row.

    Attributes:
        network: the fitted MLPClassifier or MLPRegressor.
        history: its epochs.
        rows: a line for each row, the most suspicious first.
    """

    network: Any
    history: History
    rows: pd.DataFrame


def run(settings: TrainOptions, *, top: int, data_map: Path | None, a_tenth: bool) -> int:
    """Train as the settings say, print the most suspicious rows, write all of them.

    Args:
        settings: the options; `out` is a file.
        top: how many rows to print.
        data_map: the picture to draw, or None.
        a_tenth: whether a batch is a tenth of the rows, from 16 to 200.

    Returns:
        The exit code: 0, or 130 if Ctrl-C ended the training early, 143 if SIGTERM did.

    Raises:
        BatchpropError: whatever stops it; nothing is written then.
    """
    console = report.console()
    with ExitStack() as files:
        fresh = partial(atomic_file, force=settings.force, tables=settings.tables)
        out = files.enter_context(fresh(settings.out))
        picture = data_map and files.enter_context(fresh(data_map, option="--map"))
        data = load(settings.data, settings.target, settings.task)
        if a_tenth:
            settings = replace(settings, batch_size=min(max(len(data.frame) // 10, _MIN_COUNT), _MAX_COUNT))
        report.show_data(console, data, f"{len(data.frame):,} to examine")
        examined = examine(console, data, settings)
        _show_end(console, examined)
        _show_rows(console, examined.rows, data.target.task, top)
        with write_errors(settings.out):
            write(examined.rows, out)
        if data_map is not None and picture is not None:
            with write_errors(data_map):
                _draw_map(examined.rows, data.target.task, f"{data.name}: {data.target.name}", picture)
    console.print(f"All {len(data.frame):,} rows, with their figures: {settings.out}", soft_wrap=True)
    if data_map is not None:
        console.print(f"Map: {data_map}", soft_wrap=True)
    return exit_code() if examined.network.interrupted_ else 0


def examine(console: Console, data: TrainingTable, settings: TrainOptions) -> ExamineResult:
    """Train a network on all rows, and tell how it fared with each."""
    X = make_preprocessor(data.columns, len(data.frame), data.target.name).fit_transform(data.frame)
    report.show_network(console, sizes(data, X.shape[1], settings.hidden), settings)
    history: History = []
    fit = _examples_of_classes if data.target.task == "classes" else _examples_of_numbers
    with progress(console, settings.epochs) as show, translate_errors(settings, clips=False):
        how = options(settings, len(X), history_callback(history, show))
        network, found = fit(X, data.target.values, how)
    if not history:
        # Ctrl-C came before the first epoch ended: nothing was seen.
        raise KeyboardInterrupt
    found.insert(0, *data.row_numbers)
    return ExamineResult(network, history, found.sort_values("mislabel_rank", kind="stable"))


def _examples_of_classes(X: Any, y: Any, how: dict[str, Any]) -> tuple[Any, pd.DataFrame]:
    network = batchprop.MLPClassifier(**how).fit(X, y, record_examples=True)
    found = network.examples_
    found.insert(2, "why", explain_label(found))
    return network, found


def _examples_of_numbers(X: Any, y: Any, how: dict[str, Any]) -> tuple[Any, pd.DataFrame]:
    scaler = StandardScaler()
    scaled = scaler.fit_transform(y[:, None])[:, 0]
    network = batchprop.MLPRegressor(**how).fit(X, scaled, record_examples=True)
    found = network.examples_
    found["given_label"] = y
    found["predicted_label"] = scaler.inverse_transform(found[["predicted_label"]].to_numpy())
    found.insert(2, "why", explain_number(found))
    return network, found


def explain_label(found: pd.DataFrame) -> list[str]:
    """Say what speaks against each row's label."""
    return [
        f"held at {confidence:.0%}, " + (f"right in {right:.0%} of epochs" if right else "never right")
        for confidence, right in zip(found["confidence"], found["correctness"], strict=True)
    ]


def explain_number(found: pd.DataFrame) -> list[str]:
    """Say how far each row's number is from what was expected."""
    off = found["given_label"] - found["predicted_label"]
    usual = off.abs().median()
    return [
        f"{abs(distance):.4g} too {'high' if distance > 0 else 'low'}"
        + (f", {abs(distance) / usual:.1f}× the usual distance" if usual else "")
        for distance in off
    ]


def _draw_map(found: pd.DataFrame, task: Task, title: str, path: Path) -> None:
    figure = Figure(figsize=(8, 5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    if task == "classes":
        DataMapDisplay.from_examples(found, ax=ax)
    else:
        PredictionErrorDisplay.from_predictions(
            found["given_label"], found["predicted_label"], kind="actual_vs_predicted", subsample=None, ax=ax,
            scatter_kwargs={"s": 12, "alpha": 0.6}
        )  # fmt: skip
        ax.set(xlabel="expected: mean of the network's answers", ylabel="given")
    set_title(ax, title)
    figure.savefig(path)


def _show_end(out: Console, examined: ExamineResult) -> None:
    """Print how long the network learned."""
    seconds = format_duration(sum(moment.seconds for moment in examined.history))
    engine = {"numpy": "NumPy", "jax": "JAX"}[examined.network.engine_]
    cut = "Interrupted" if examined.network.interrupted_ else "Learned"
    out.print(
        "",
        f"{cut} after {report.count_epochs(len(examined.history))}, {seconds} with {engine}.",
        "",
        sep="\n",
        soft_wrap=True,
    )


def _show_rows(out: Console, found: pd.DataFrame, task: Task, top: int) -> None:
    """Print the most suspicious rows."""
    place = found.columns[0]
    predicted = "predicted" if task == "classes" else "expected"
    if task == "classes":
        other = int((found["given_label"] != found["predicted_label"]).sum())
        out.print(
            f"{other:,} of {len(found):,} rows are predicted to have another label than the one given.",
            "A label is held at its mean probability over the epochs.",
            "",
            sep="\n",
        )
    if not top:
        return
    table = report.make_table("", place, "given", predicted, "why", right=[0, 1])
    written = str if task == "classes" else "{:.6g}".format
    most = found.head(top)
    columns = (most[name] for name in (place, "given_label", "predicted_label", "why"))
    for number, (where, given, other, why) in enumerate(zip(*columns, strict=True), start=1):
        table.add_row(str(number), str(where), written(given), written(other), why)
    out.print(table, "")
