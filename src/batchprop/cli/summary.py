"""What went into a training and what came out of it: data, settings, versions, files."""

import shlex
from collections.abc import Mapping
from typing import Any

import numpy as np

from batchprop.cli.console import format_number, format_score, summarize_columns
from batchprop.cli.model import Split
from batchprop.cli.settings import TrainOptions
from batchprop.cli.training_table import TrainingTable
from batchprop.report.page import Section, Table
from batchprop.tabular.persistence import MODEL

FILES = {
    MODEL: "the model: a scikit-learn Pipeline that loads without running code",
    "history.csv": "loss and learning rate of each epoch",
    "settings.json": "settings, data, scores and versions, to be read by programs",
    "learning-curve.png": "the learning curve",
    "report.html": "this page",
}
"""What `batchprop train` writes, and what is in it."""

SKIPPED = "skipped.csv"
"""What it writes besides where rows were left out."""

_MAX_CLASSES, _MAX_GAPS = 30, 20
_PURPOSES = {"train": "to train", "validation": "to validate", "test": "to test"}


def data_summary(data: TrainingTable, parts: Split) -> Section:
    """Say what the table held, and which rows were for what."""
    target = data.target
    text = f"{target.name} was taken for {target.task}: {target.reason}."
    tables = [
        Table(
            "Columns",
            ("columns", "hold", "named", "become"),
            tuple(summarize_columns(data.columns)),
            right=(0,),
        ),
        (_classes if target.task == "classes" else _spread)(data, parts),
    ]
    if data.left_out:
        text += f" {data.left_out:,} more rows {data.why_left_out[1]}."
    gaps = [column for column in data.columns if column.missing]
    if gaps:
        gaps.sort(key=lambda column: -column.missing)
        rows = len(data.frame) if data.target_stats is None else data.target_stats.rows
        tables.append(
            Table(
                f"Columns with missing values, of {rows:,} rows"
                + (f"; the {_MAX_GAPS} with most of {len(gaps):,}" if len(gaps) > _MAX_GAPS else ""),
                ("column", "missing", "share"),
                tuple(
                    (gap.name, f"{gap.missing:,}", f"{gap.missing / rows:.1%}") for gap in gaps[:_MAX_GAPS]
                ),
                right=(1, 2),
            )
        )
    else:
        text += " No value is missing."
    return Section("The data", (text,), tuple(tables))


def _classes(data: TrainingTable, parts: Split) -> Table:
    """How many rows of each class are for what."""
    classes = data.classes
    counts = np.column_stack([_counts(data, rows, classes) for rows in parts])
    order = np.arange(len(classes))
    caption = f"Rows of {len(classes):,} classes"
    if len(classes) > _MAX_CLASSES:
        order = np.argsort(-counts.sum(axis=1), kind="stable")[:_MAX_CLASSES]
        caption += f", the {_MAX_CLASSES} most frequent"
    rows = [(str(classes[k]), *(f"{count:,}" for count in counts[k])) for k in order]
    total = ("all", *(f"{len(rows):,}" for rows in parts))
    return Table(caption, ("class", *_PURPOSES.values()), (*rows, total), right=(1, 2, 3))


def _counts(data: TrainingTable, rows: Any, classes: Any) -> Any:
    """How many of some rows are of each class."""
    if data.target_stats is not None and isinstance(rows, range):
        return data.target_stats.counts
    return np.bincount(np.searchsorted(classes, data.target.values[rows]), minlength=len(classes))


def _spread(data: TrainingTable, parts: Split) -> Table:
    """The target's range in each part of the rows."""
    rows = []
    for purpose, part in zip(_PURPOSES.values(), parts, strict=True):
        least, median, mean, most = _range(data, part)
        told = [f"{least:.6g}", format_score(median), format_score(mean), f"{most:.6g}"]
        rows.append((purpose, f"{len(part):,}", *map(format_number, told)))
    headings = ("rows", "number", "least", "median", "mean", "most")
    return Table("The target", headings, tuple(rows), right=(1, 2, 3, 4, 5))


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


def settings_section(settings: TrainOptions, versions: Mapping[str, str]) -> list[Section]:
    """Say what was asked for, and what it ran with."""
    told = tuple((name.replace("_", "-"), _word(value)) for name, value in settings.to_dict().items())
    options = Table("Options of batchprop train", ("option", "value"), told)
    libraries = Table("Versions", ("of", "is"), tuple(versions.items()))
    return [Section("Settings", (), (options, libraries))]


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ",".join(map(str, value)) or "none"
    return "not given" if value is None else str(value)


def files_section(settings: TrainOptions, *, skipped: bool) -> Section:
    """Say where the files are, and how to go on."""
    going_on = {"Every matrix of one batch": ["batchprop", "look", str(settings.out)]}
    if settings.data is not None:
        going_on["Predictions"] = settings.to_predict
    files = FILES | ({SKIPPED: "the rows that were left out, and why"} if skipped else {})
    tables = (
        Table(f"In the folder {settings.out}", ("file", "what it is"), tuple(files.items())),
        Table(
            "To go on", ("for", "run"), tuple((what, shlex.join(words)) for what, words in going_on.items())
        ),
    )
    return Section("Files", (), tables)
