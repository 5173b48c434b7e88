"""The report of a training, section by section."""

from pathlib import Path

import pandas as pd

from batchprop.errors import join_truncated
from batchprop.format import (
    format_number,
    format_score,
    format_target,
    pluralize,
    with_unit,
)
from batchprop.plots.evaluation import draw_importances, draw_scores
from batchprop.report.page import Figure, Report, Section, Table
from batchprop.tabular.cross_validation import CrossValidation
from batchprop.tabular.diagnostics import Diagnostics
from batchprop.tabular.importance import PermutationImportance
from batchprop.tabular.intervals import Intervals, resamples
from batchprop.tabular.learning_curve import curve_figure
from batchprop.tabular.metrics import Scores, label_score, unit_of
from batchprop.tabular.prediction_section import prediction_section
from batchprop.tabular.result import TrainingResult
from batchprop.tabular.summary import data_summary, end_reason, files_section, settings_section
from batchprop.tabular.verdict import write_verdict

MAX_ROWS = 20
"""The number of suspicious rows to list."""

_MAX_COLUMNS = 30
_UNBOUNDED_SCORE = "log loss"


def build_report(result: TrainingResult, diagnostics: Diagnostics, folder: Path | None) -> Report:
    """Return the report of a training; it lists the files of the folder, if there is one."""
    classes = getattr(result.pipeline, "classes_", None)
    sections = [
        _scores(result),
        *_folds(result.cross_validation, result.table.target.unit),
        _curve(result),
        *prediction_section(result.table.target, result.test_rows, classes),
        _importances(result, diagnostics),
        *_suspicious_section(result, diagnostics.suspicious),
        data_summary(result.table, result.split, result.pooling),
        *settings_section(result.options, result.versions),
    ]
    if folder is not None:
        sections.append(files_section(folder, result))
    return Report(result.title, write_verdict(result), _about(result), tuple(sections))


def _about(result: TrainingResult) -> str:
    n_members = len(result.members)
    networks = "Network" if n_members == 1 else f"{n_members} networks"
    return f"{networks} {', '.join(result.shapes)}. {' '.join(end_reason(result))}"


def _format_interval(intervals: Intervals, name: str, between: str) -> str:
    if name not in intervals:
        return "none"
    return between.join(format_score(end) for end in intervals[name])


def _scores(result: TrainingResult) -> Section:
    evaluation, n = result.evaluation, len(result.test_rows.y)
    said = f"On {pluralize(n, 'test row')}, which no network saw"
    if result.options.weights is not None:
        said += "; each counts by its weight"
    notes = [result.one_class_note, result.class_weight_note]
    note = "".join(f" Note: {one}." for one in notes if one is not None)
    note += "".join(f" Note: {unseen}." for unseen in result.unseen_notes)
    plural = "" if len(result.members) == 1 else "s"
    table = Table(
        f"Scores on {pluralize(n, 'test row')}",
        ("score", f"network{plural}", "95% interval", result.baseline_name),
        tuple(
            (
                label_score(name, result.table.target.unit),
                format_score(value),
                _format_interval(result.intervals, name, " to "),
                _format_baseline(evaluation.baseline, name),
            )
            for name, value in evaluation.scores.items()
        ),
        right=(1, 2, 3),
    )
    # R² has no lower bound, errors no upper one: only shares fit on one axis.
    shares = {name: value for name, value in evaluation.scores.items() if name != _UNBOUNDED_SCORE}
    parts: tuple[Table | Figure, ...] = (table,)
    if result.table.target.task == "classification":
        figure = draw_scores(shares, evaluation.baseline, result.intervals)
        caption = f"Dot: the network{plural}, with the 95% interval. Diamond: the simplest guess."
        parts = (table, Figure("Scores from 0 to 1, with their intervals", figure, caption))
    return Section("The test", (f"{said}. {_interval_note(n)}{note}",), parts)


def _folds(scores: CrossValidation | None, unit: str) -> list[Section]:
    if scores is None:
        return []
    n_folds = len(scores.folds)
    table = Table(
        f"Scores on {n_folds} folds",
        ("score", "mean", "standard deviation", *(f"fold {k + 1}" for k in range(n_folds))),
        tuple(
            (
                label_score(name, unit),
                *map(format_score, (mean, scores.std[name], *(fold[name] for fold in scores.folds))),
            )
            for name, mean in scores.mean.items()
        ),
        right=tuple(range(1, n_folds + 3)),
    )
    text = (
        f"{n_folds} trainings, each without one fold of the rows and tested on it. The standard "
        "deviation shows how much a score depends on the rows."
    )
    return [Section("Cross-validation", (text,), (table,))]


def _interval_note(n: int) -> str:
    if n == 1:
        return "One row is too few for intervals."
    return (
        f"Each interval holds the middle 95% of the scores of {resamples(n):,} resamples: {n:,} rows drawn "
        "from these with replacement. It shows how much the score depends on which rows are in the test, "
        "not how much another training would differ."
    )


def _format_baseline(scores: Scores, name: str) -> str:
    return format_score(scores[name]) if name in scores else ""


def _curve(result: TrainingResult) -> Section:
    split, best = result.split, [epoch.epoch for epoch in result.best_epochs]
    step = "iteration" if result.options.solver == "lbfgs" else "epoch"
    figure = curve_figure(result.history, best, size=(7, 3.6), step=step)
    rows = pluralize(len(split.train), "training row")
    if len(split.validation):
        rows += f" and {pluralize(len(split.validation), 'validation row')}"
    if len(best) == 1:
        text = f"Loss on {rows}; the weights of the best {step} were kept, number {best[0]}."
        title = f"Training and validation loss over {len(result.history):,} {step}s"
    else:
        own = "; each holds out its own to validate" if not len(split.validation) else ""
        text = (
            f"Loss of {len(best)} networks on {rows}{own}. Of each the weights of its best {step} were kept, "
            f"number {join_truncated(list(map(str, best)), len(best))}; their answers are averaged."
        )
        title = f"Training and validation loss of {len(best)} networks"
    return Section("Learning curve", (text,), (Figure(title, figure),))


def _importances(result: TrainingResult, diagnostics: Diagnostics) -> Section:
    metric, n, unit = diagnostics.metric, len(result.test_rows.y), result.table.target.unit
    shuffled = diagnostics.importances
    title = "Which columns matter"
    if n == 1:
        return Section(title, ("One test row leaves nothing to shuffle.",))
    if shuffled is None:
        columns = len(result.pipeline["columns"].kinds)
        return Section(
            title, (f"Left out: with {columns:,} columns, shuffling each of them would take minutes.",)
        )
    value = with_unit(format_score(result.evaluation.scores[metric]), unit_of(metric, unit))
    some = "" if shuffled.rows == n else f"{shuffled.rows:,} of "
    often = "once" if shuffled.repeats == 1 else f"{shuffled.repeats} times"
    text = (
        f"Permutation importance: the values of one column were shuffled among {some}the "
        f"{pluralize(n, 'test row')}, {often}, and the bar says by how much the {metric} rose, which was "
        f"{value} on all of them. A column matters little if "
        "others carry the same information."
    )
    return Section(title, (text,), (_importance_bars(shuffled, label_score(metric, unit)),))


def _importance_bars(importance: PermutationImportance, metric: str) -> Figure:
    shown = slice(_MAX_COLUMNS)
    figure = draw_importances(
        importance.columns[shown], importance.mean[shown], importance.std[shown], metric
    )
    whiskers = "" if importance.repeats == 1 else " Whiskers: one standard deviation over the repeats."
    total = len(importance.columns)
    which = (
        "All columns" if total <= _MAX_COLUMNS else f"The {_MAX_COLUMNS} most important of {total:,} columns"
    )
    numbers = Table(
        f"Rise of {metric}",
        ("column", "mean", "standard deviation"),
        tuple(
            (name, format_number(mean), format_number(std, 2))
            for name, mean, std in zip(importance.columns, importance.mean, importance.std, strict=True)
        ),
        right=(1, 2),
    )
    return Figure(
        f"Permutation importance by {metric}", figure, f"{which} that the model uses.{whiskers}", numbers
    )


def _suspicious_section(result: TrainingResult, examples: pd.DataFrame | None) -> list[Section]:
    if examples is None:
        return []
    classes = result.table.target.task == "classification"
    locator, most = examples.columns[0], examples.head(MAX_ROWS)
    low, high = (0.0, 0.0) if classes else result.table.target_range
    written = str if classes else lambda value: format_target(value, high - low, result.table.target.unit)
    predicted = "predicted" if classes else "expected"
    columns = (most[name].to_numpy() for name in (locator, "given_label", "predicted_label", "why"))
    rows = zip(*columns, strict=True)
    table = Table(
        f"The {len(most)} most suspicious of {pluralize(len(examples), 'training row')}",
        (str(locator), "given", predicted, "why"),
        tuple((str(where), written(given), written(other), why) for where, given, other, why in rows),
        right=() if classes else (1, 2),
    )
    where = "the file" if result.files else "the table"
    text = (
        f"The training dynamics of {pluralize(len(examples), 'training row')} over "
        f"{pluralize(len(result.history), 'epoch')}. The most suspicious rows come first; "
        f"{locator} numbers count from 1 in {where}. "
    )
    if classes:
        other = int((examples["given_label"] != examples["predicted_label"]).sum())
        text += (
            "The probability is that of the given label, averaged over the epochs. "
            f"Another label than the given one is predicted for {pluralize(other, 'row')}."
        )
    return [Section("The most suspicious rows", (text,), (table,))]
