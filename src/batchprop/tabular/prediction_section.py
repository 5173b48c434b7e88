"""The report's section on the test predictions: confused classes, calibration, residuals."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import confusion_matrix

from batchprop.format import format_score, format_target, label_with_unit, with_unit
from batchprop.plots.evaluation import (
    MAX_CLASSES,
    MAX_POINTS,
    axis_label,
    draw_calibration,
    draw_confusion,
    draw_predictions,
)
from batchprop.report.page import Figure, Section, Table
from batchprop.tabular.evaluation import HeldOutRows
from batchprop.tabular.target import Target

Array = npt.NDArray[Any]

_MAX_PAIRS, _NAMED_PAIRS = 20, 3
_BINARY = 2
_ROWS_A_BIN, _MAX_BINS = 20, 10


def prediction_section(target: Target, rows: HeldOutRows, classes: Array | None) -> list[Section]:
    """Return the sections on the predictions.

    Args:
        target: the predicted column.
        rows: the test rows with the model's outputs.
        classes: in the order of the probabilities, or None for numbers.
    """
    if classes is None:
        return [_regression_section(target, rows)]
    sections = [_confusion(rows, classes)]
    if len(classes) == _BINARY:
        sections.append(_calibration(rows, classes))
    return sections


def _confusion(rows: HeldOutRows, classes: Array) -> Section:
    indices = np.arange(len(classes))
    counts = confusion_matrix(np.searchsorted(classes, rows.y), rows.outputs.argmax(axis=1), labels=indices)
    right, n = int(np.trace(counts)), len(rows.y)
    pairs = _confused_pairs(counts, classes)
    text = f"Right on {right:,} of {n:,} test rows."
    if not pairs:
        text += " No row was taken for another class."
    if len(classes) > MAX_CLASSES:
        text += f" A matrix of {len(classes):,} classes is too large to read"
        text += "; these were confused most often." if pairs else "."
        caption = f"The {len(pairs)} pairs confused most often, on {n:,} test rows"
        table = Table(caption, ("true", "predicted", "rows"), tuple(pairs), right=(2,))
        return Section("Confusion", (text,), (table,) if pairs else ())
    if pairs:
        worst = "; ".join(f"{true} taken for {said} ({rows})" for true, said, rows in pairs[:_NAMED_PAIRS])
        text += f" Confused most often: {worst}."
    numbers = Table(
        f"Test rows by true class (down) and predicted class (across), {n:,} in all",
        ("true", *map(str, classes)),
        tuple(
            (str(label), *(f"{count:,}" for count in row)) for label, row in zip(classes, counts, strict=True)
        ),
        right=tuple(range(1, len(classes) + 1)),
    )
    title = f"Confusion matrix of {len(classes)} classes"
    caption = "Numbers of test rows; the shade is the share of the true class."
    picture = Figure(title, draw_confusion(counts, classes), caption, numbers)
    return Section("Confusion", (text,), (picture,))


def _confused_pairs(counts: Array, classes: Array) -> list[tuple[str, str, str]]:
    """Return (true class, predicted class, rows) of confused pairs, the most frequent first."""
    wrong = counts * ~np.eye(len(classes), dtype=bool)
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MAX_PAIRS]
    places = zip(*np.unravel_index(order, wrong.shape), strict=True)
    return [
        (str(classes[true]), str(classes[said]), f"{wrong[true, said]:,}")
        for true, said in places
        if wrong[true, said]
    ]


def _calibration(rows: HeldOutRows, classes: Array) -> Section:
    """Return the section on calibration: predicted probability against observed frequency."""
    label, n = str(classes[1]), len(rows.y)
    true = rows.y == classes[1]
    bins = min(_MAX_BINS, n // _ROWS_A_BIN)
    if bins < _BINARY or true.all() or not true.any():
        return Section("Calibration", (f"Left out: {n:,} test rows of both classes are too few to tell.",))
    text = (
        f"Of the test rows that were given a probability of {label} near 0.7, about 70% should be {label}. "
        f"The {bins} points share the {n:,} test rows evenly."
    )
    probability = rows.outputs[:, 1].astype(float)
    drawn = draw_calibration(true, np.clip(probability, 0.0, 1.0), label, bins)
    title = f"Share of {label} by its predicted probability"
    return Section("Calibration", (text,), (Figure(title, drawn),))


def _regression_section(target: Target, rows: HeldOutRows) -> Section:
    y, guess = rows.y.astype(float), rows.outputs.astype(float)
    n, spread = len(y), float(np.ptp(target.values))
    if n == 1:
        text = (
            f"The one test row holds {format_target(y[0], spread, target.unit)}; "
            f"{format_target(guess[0], spread, target.unit)} was predicted."
        )
        return Section("Residuals", (text,))
    quantiles = np.quantile(y - guess, [0.025, 0.25, 0.5, 0.75, 0.975])
    low, first, middle, third, high = (with_unit(format_score(value), target.unit) for value in quantiles)
    text = (
        f"Residuals, true minus predicted {target.name}, on {n:,} test rows: half lie between "
        f"{first} and {third}, 95% between {low} and {high}; the median is {middle}."
    )
    caption = ""
    if n > MAX_POINTS:
        drawn = np.sort(np.random.default_rng(0).permutation(n)[:MAX_POINTS])
        y, guess = y[drawn], guess[drawn]
        caption = f"{MAX_POINTS:,} of {n:,} test rows, drawn at random."
    kinds = {"actual_vs_predicted": "True beside predicted numbers", "residual_vs_predicted": "Residuals"}
    name = label_with_unit(axis_label(target.name), target.unit)
    pictures = [
        Figure(title, draw_predictions(y, guess, kind, name), caption) for kind, title in kinds.items()
    ]
    return Section("Residuals", (text,), tuple(pictures))
