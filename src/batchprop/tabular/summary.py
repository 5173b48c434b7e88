"""A training in words and tables: its data, how it ended, settings, versions, files."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from batchprop.data.standard_input import STDIN
from batchprop.errors import join_truncated
from batchprop.format import (
    format_count,
    format_duration,
    format_number,
    format_percent,
    format_range,
    format_target,
    join_command,
    label_with_unit,
    pluralize,
)
from batchprop.report.page import Section, Table
from batchprop.tabular.fit import Split
from batchprop.tabular.history import epochs_of
from batchprop.tabular.options import TrainOptions, source_words, to_dict
from batchprop.tabular.persistence import MODEL
from batchprop.tabular.result import TrainingResult
from batchprop.tabular.schema import ColumnSchema
from batchprop.tabular.target import Target
from batchprop.tabular.training_table import TrainingTable

FILES = {
    MODEL: "the model: a scikit-learn Pipeline that loads without running code",
    "history.csv": "loss and learning rate of each epoch",
    "settings.json": "settings, data, scores and versions, to be read by programs",
    "test-predictions.csv": "the number, target and answer of each test row",
    "learning-curve.png": "the learning curve",
    "report.html": "this page",
}
"""The files of a model's folder, and their content."""

SKIPPED = "skipped.csv"
"""The additional file if rows were left out."""

_ENCODINGS = {
    "number": "centred, scaled, smoothly clipped; gaps marked",
    "category": "one-hot; rare, unknown and missing have a place",
    "boolean": "one-hot",
    "date": "year, month, day, weekday, hour, days elapsed",
}
LEFT_OUT = "left out"

_PLURAL = {"number": "numbers", "category": "categories", "boolean": "booleans", "date": "dates"}

_MAX_CLASSES, _MAX_COLUMNS, _MAX_NAMED = 30, 20, 10


def _parts(parts: Split) -> dict[str, Any]:
    """Return the rows of each part by their purpose, without the validation rows where there are none."""
    if len(parts.validation):
        return {"to train": parts.train, "to validate": parts.validation, "to test": parts.test}
    return {"to train and validate": parts.train, "to test": parts.test}


def data_summary(data: TrainingTable, parts: Split, pooling: Mapping[str, str] | None = None) -> Section:
    """Describe the table and the split of its rows."""
    target = data.target
    text = f"Predicting {target.name} is {target.task}: {target.reason}."
    tables = [
        Table(
            "Columns",
            ("columns", "hold", "named", "become"),
            tuple(summarize_columns(data.columns)),
            right=(0,),
        ),
        (_classes if target.task == "classification" else _spread)(data, parts),
    ]
    if data.left_out:
        text += f" {data.left_out:,} more rows {data.why_left_out[1]}."
    readings = [(target.name, f"{_read_as(target)}, {target.reading}")] if target.reading else []
    read = [column for column in data.columns if column.reading and column.kind != LEFT_OUT]
    readings += [(column.name, f"{_PLURAL[column.kind]}, {column.reading}") for column in read]
    if readings:
        tables.append(_list_columns("Columns read from text", "read as", readings))
    if pooling:
        tables.append(_list_columns("Pooled words and codes", "values", list(pooling.items())))
    gaps = [column for column in data.columns if column.missing]
    if gaps:
        gaps.sort(key=lambda column: -column.missing)
        rows = len(data.frame) if data.target_stats is None else data.target_stats.rows
        tables.append(
            Table(
                f"Columns with missing values, of {rows:,} rows"
                + (f"; the {_MAX_COLUMNS} with most of {len(gaps):,}" if len(gaps) > _MAX_COLUMNS else ""),
                ("column", "missing", "share"),
                tuple(
                    (gap.name, f"{gap.missing:,}", format_percent(gap.missing / rows))
                    for gap in gaps[:_MAX_COLUMNS]
                ),
                right=(1, 2),
            )
        )
    else:
        text += " No value is missing."
    return Section("The data", (text,), tuple(tables))


def _list_columns(caption: str, heading: str, rows: list[tuple[str, str]]) -> Table:
    """Return a table of the first columns and what is to say of each."""
    if len(rows) > _MAX_COLUMNS:
        caption += f"; the first {_MAX_COLUMNS} of {len(rows):,}"
    return Table(caption, ("column", heading), tuple(rows[:_MAX_COLUMNS]))


def _classes(data: TrainingTable, parts: Split) -> Table:
    """Return the rows of each class in each part of the split."""
    classes = data.classes
    purposes = _parts(parts)
    counts = np.column_stack([_counts(data, rows, classes) for rows in purposes.values()])
    order = np.arange(len(classes))
    caption = f"Rows of {len(classes):,} classes"
    if len(classes) > _MAX_CLASSES:
        order = np.argsort(-counts.sum(axis=1), kind="stable")[:_MAX_CLASSES]
        caption += f", the {_MAX_CLASSES} most frequent"
    rows = [(str(classes[k]), *(f"{count:,}" for count in counts[k])) for k in order]
    total = ("all", *(f"{len(rows):,}" for rows in purposes.values()))
    return Table(caption, ("class", *purposes), (*rows, total), right=(1, 2, 3))


def _counts(data: TrainingTable, rows: Any, classes: Any) -> Any:
    """Count the rows of each class."""
    # The training rows of a table larger than memory are known only by their statistics.
    if data.target_stats is not None and isinstance(rows, range):
        return data.target_stats.counts
    return np.bincount(np.searchsorted(classes, data.target.values[rows]), minlength=len(classes))


def _spread(data: TrainingTable, parts: Split) -> Table:
    """Return the target's range in each part of the split."""
    rows = list[tuple[str, ...]]()
    low, high = data.target_range
    for purpose, part in _parts(parts).items():
        values = [format_target(value, high - low) for value in _range(data, part)]
        rows.append((purpose, format_count(len(part)), *values))
    headings = ("rows", "number", "least", "median", "mean", "most")
    return Table(
        label_with_unit("The target", data.target.unit), headings, tuple(rows), right=(1, 2, 3, 4, 5)
    )


def _range(data: TrainingTable, rows: Any) -> tuple[float, float, float, float]:
    if data.target_stats is not None and isinstance(rows, range):
        return (
            data.target_stats.low,
            data.target_stats.quantile(0.5),
            data.target_stats.mean,
            data.target_stats.high,
        )
    y = data.target.values[rows].astype(float)
    return float(y.min()), float(np.median(y)), float(y.mean()), float(y.max())


def settings_section(options: TrainOptions, versions: Mapping[str, str]) -> list[Section]:
    """List the options and the versions."""
    values = {name.replace("_", "-"): value for name, value in to_dict(options).items()}
    given = tuple((name, _as_text(value)) for name, value in values.items() if value is not None)
    others = ", ".join(name for name, value in values.items() if value is None)
    rows = (*given, ("not given", others)) if others else given
    table = Table("Options of the training", ("option", "value"), rows)
    libraries = Table("Versions", ("of", "is"), tuple(versions.items()))
    return [Section("Settings", (), (table, libraries))]


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ",".join(map(str, value)) or "none"
    return str(value)


def files_section(folder: Path, result: TrainingResult) -> Section:
    """List the files, and the command that predicts."""
    next_steps = {}
    # Without a file, of a query, standard input or a table in memory, there are no rows to look at.
    if result.files is not None and STDIN not in result.files:
        next_steps["Every matrix of one batch"] = ["batchprop", "look", str(folder)]
    if words := predict_words(folder, result):
        next_steps["Predictions"] = words
    files = FILES | ({SKIPPED: "the rows that were left out, and why"} if result.table.skipped else {})
    commands = tuple((what, join_command(words)) for what, words in next_steps.items())
    tables = (
        Table(f"In the folder {folder}", ("file", "what it is"), tuple(files.items())),
        Table("Next steps", ("for", "run"), commands),
    )
    return Section("Files", (), tables)


def predict_words(folder: Path, result: TrainingResult) -> list[str]:
    """Return the command that predicts for the same table; for its first file, if it has many.

    The digits, and a table in memory, have none.
    """
    files, source = result.files or (), source_words(result.options)
    if not files and result.options.sql is None:
        return []
    tables = files if len(files) <= _MAX_NAMED else files[:1]
    return ["batchprop", "predict", str(folder), *map(str, tables), *source]


def summarize_columns(columns: Sequence[ColumnSchema]) -> list[tuple[str, str, str, str]]:
    """Return for each kind of column their number, content, names and encoding."""
    summary = []
    for kind, plural in _PLURAL.items():
        names = [column.name for column in columns if column.kind == kind]
        if names:
            summary.append((f"{len(names):,}", plural, join_truncated(names, 5), _ENCODINGS[kind]))
    for note, names in left_out_columns(columns).items():
        summary.append((f"{len(names):,}", note, join_truncated(names, 5), LEFT_OUT))
    return summary


def describe_reading(column: ColumnSchema) -> str:
    """Describe how the text of a column was read, for people.

    >>> price = ColumnSchema(
    ...     "price", "number", "1 to 9", 4, "", "point", "',' between thousands"
    ... )
    >>> describe_reading(price)
    "price is read as numbers, ',' between thousands; 4 are missing"
    """
    missing = f"; {column.missing:,} are missing" if column.missing else ""
    return f"{column.name} is read as {_PLURAL[column.kind]}, {column.reading}{missing}"


def describe_target_reading(target: Target) -> str:
    """Describe how the text of a target was read, for people.

    >>> describe_target_reading(
    ...     Target("y", "regression", "", np.ones(1), "',' between thousands")
    ... )
    "y is read as numbers, ',' between thousands"
    """
    return f"{target.name} is read as {_read_as(target)}, {target.reading}"


def _read_as(target: Target) -> str:
    return "numbers" if target.task == "regression" else "classes"


def describe_target(data: TrainingTable) -> str:
    """Describe the target: the range of its numbers, or its classes with their rows."""
    stats, values = data.target_stats, data.target.values
    if data.target.task == "regression":
        low, high = data.target_range
        return format_range(low, high, data.target.unit)
    classes: Any = data.classes
    counts: Any = np.unique(values, return_counts=True)[1] if stats is None else stats.counts
    named = [f"{label!s} ({count:,})" for label, count in zip(classes, counts, strict=True)]
    return f"{len(classes)} classes, {join_truncated(named, 6)}"


def left_out_columns(columns: Sequence[ColumnSchema]) -> dict[str, list[str]]:
    """Return for each reason to leave columns out their names."""
    notes: dict[str, list[str]] = {}
    for column in columns:
        if column.kind == LEFT_OUT:
            notes.setdefault(column.note, []).append(column.name)
    return notes


def end_reason(result: TrainingResult) -> tuple[str, str]:
    """Describe why training ended, its engine, and which weights were kept."""
    seconds = format_duration(sum(epoch.seconds for epoch in result.history))
    engine = "NumPy" if result.device is None else f"JAX on {result.device}"
    ended = f", {seconds} with {engine}."
    if len(result.members) == 1 and result.options.n_members == 1:
        return f"{_why_ended(result)}{ended}", _describe_kept(result)
    networks = epochs_of(result.history)
    counts = [len(epochs) for epochs in networks]
    fewest = "" if min(counts) == max(counts) else f"{min(counts)} to "
    lengths = f"{fewest}{pluralize(max(counts), 'epoch')}"
    of = f" of {result.options.n_members}" if len(networks) < result.options.n_members else ""
    start = "Interrupted: trained" if result.interrupted else "Trained"
    return f"{start} {len(networks)}{of} networks for {lengths}{ended}", _describe_kept(result)


def _describe_kept(result: TrainingResult) -> str:
    """Describe which weights of each network were kept."""
    best = result.best_epochs
    losses = [epoch.validation_loss for epoch in best if epoch.validation_loss is not None]
    shown = [format_number(of(losses)) for of in (min, max)][: len(best)] if losses else []
    numbers = join_truncated([str(epoch.epoch) for epoch in best], len(best))
    loss = f", validation loss {' to '.join(shown)}" if shown else ""
    return f"Kept the weights of {'epoch' if len(best) == 1 else 'epochs'} {numbers}{loss}."


def _why_ended(result: TrainingResult) -> str:
    """Describe why the training of one network ended."""
    options, last, best = result.options, result.history[-1], result.best_epochs[0]
    if result.interrupted:
        return f"Interrupted after epoch {last.epoch}"
    if math.isnan(result.network.loss_curve_[-1]):
        return f"Stopped in epoch {last.epoch + 1}, where the loss was no longer finite"
    if last.epoch == options.epochs:
        return f"Stopped after {pluralize(last.epoch, 'epoch')}, the most allowed (epochs={options.epochs})"
    if options.solver == "lbfgs":
        return f"Stopped after {pluralize(last.epoch, 'epoch')}, where no step lowers the loss further"
    no_better = last.epoch - best.epoch
    if no_better <= options.patience and options.time_limit is not None:
        return f"Stopped after {pluralize(last.epoch, 'epoch')} (time_limit={options.time_limit:g})"
    return f"Stopped after {pluralize(last.epoch, 'epoch')}, the last {no_better} without a better loss"
