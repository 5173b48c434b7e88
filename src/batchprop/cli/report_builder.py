"""The report of a training: which sections it has, and what each says."""

import pandas as pd

from batchprop.cli import console as report
from batchprop.cli.curve import curve_figure
from batchprop.cli.diagnostics import Diagnostics, TrainingResult
from batchprop.cli.model import TrainedModel
from batchprop.cli.prediction_section import prediction_section
from batchprop.cli.summary import data_summary, files_section, settings_section
from batchprop.cli.training_table import TrainingTable
from batchprop.plots.evaluation import draw_importances, draw_scores
from batchprop.report.page import Figure, Report, Section, Table
from batchprop.tabular.importance import PermutationImportance
from batchprop.tabular.intervals import resamples
from batchprop.tabular.metrics import Scores

MAX_ROWS = 20
"""So many suspicious rows are listed."""

_MAX_COLUMNS = 30
_UNBOUNDED = "log loss"


def build_report(training: TrainingResult, found: Diagnostics) -> Report:
    """Return the report of a training, and of what was found out."""
    data, judged = training.data, training.judged
    sections = [
        _scores(training, found),
        _curve(training),
        *prediction_section(data.target, judged, getattr(training.fitted.model, "classes_", None)),
        _importances(training, found),
        *_suspicious_section(found.suspicious, data, training.fitted),
        data_summary(data, training.parts),
        *settings_section(training.settings, training.facts["versions"]),
        files_section(training.settings, skipped=bool(data.skipped)),
    ]
    return Report(
        f"{data.name}: predicting {data.target.name}",
        _headline(training, found),
        _about(training),
        tuple(sections),
    )


def _headline(training: TrainingResult, found: Diagnostics) -> str:
    """The one score that says most, as accuracy or R², with its interval and what the simplest guess gets."""
    judged = training.judged
    name = next(iter(judged.scores))
    if name == "R²" and found.metric != "root mean squared error":
        name = found.metric
    interval = f" (95% {_ends(found, name, ' to ')})" if name in found.intervals else ""
    rows = _rows(len(judged.y), "test row")
    return (
        f"{name[0].upper()}{name[1:]} {_figure(judged.scores[name])}{interval} on {rows}; "
        f"{training.guess}: {_figure(judged.baseline[name])}"
    )


def _figure(value: float) -> str:
    return report.format_number(report.format_score(value))


def _number(value: float) -> str:
    return report.format_number(f"{value:.6g}")


def _rows(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def _about(training: TrainingResult) -> str:
    network = training.facts["network"]
    why, kept = report.end_reason(training.fitted, training.settings)
    return f"Network {'-'.join(map(str, network['sizes']))}. {why} {kept}"


def _ends(found: Diagnostics, name: str, between: str) -> str:
    if name not in found.intervals:
        return "none"
    return between.join(_figure(end) for end in found.intervals[name])


def _scores(training: TrainingResult, found: Diagnostics) -> Section:
    judged, n = training.judged, len(training.judged.y)
    said = f"On {_rows(n, 'test row')}, which the network never saw"
    if training.settings.weights is not None:
        said += "; each counts once, whatever its weight"
    table = Table(
        f"Scores on {_rows(n, 'test row')}",
        ("score", "network", "95% interval", training.guess),
        tuple(
            (name, _figure(value), _ends(found, name, " to "), _of(judged.baseline, name))
            for name, value in judged.scores.items()
        ),
        right=(1, 2, 3),
    )
    # R² has no lower end, errors no upper: only shares go together on one axis.
    shares = {name: value for name, value in judged.scores.items() if name != _UNBOUNDED}
    parts: tuple[Table | Figure, ...] = (table,)
    if training.data.target.task == "classes":
        figure = draw_scores(shares, judged.baseline, found.intervals)
        caption = "Dot: the network, with its 95% interval. Diamond: the simplest guess."
        parts = (table, Figure("Scores from 0 to 1, with their intervals", figure, caption))
    return Section("The test", (f"{said}. {_interval_note(n)}",), parts)


def _interval_note(n: int) -> str:
    if n == 1:
        return "One row is too few for intervals, and for much else."
    return (
        f"Each interval holds the middle 95% of the scores of {resamples(n):,} resamples: {n:,} rows drawn "
        "from these with replacement. It tells how much hangs on which rows were kept for the test, not how "
        "much another training would differ."
    )


def _of(scores: Scores, name: str) -> str:
    return _figure(scores[name]) if name in scores else ""


def _curve(training: TrainingResult) -> Section:
    fitted, parts = training.fitted, training.parts
    step = "iteration" if training.settings.solver == "lbfgs" else "epoch"
    figure = curve_figure(fitted.history, fitted.best.epoch, size=(7, 3.6), step=step)
    text = (
        f"Loss on {_rows(len(parts.train), 'training row')} and "
        f"{_rows(len(parts.validation), 'validation row')}; the weights of the best {step} were kept, "
        f"number {fitted.best.epoch}."
    )
    title = f"Training and validation loss over {len(fitted.history):,} {step}s"
    return Section("Learning curve", (text,), (Figure(title, figure),))


def _importances(training: TrainingResult, found: Diagnostics) -> Section:
    metric, n = found.metric, len(training.judged.y)
    shuffled = found.importances
    title = "Which columns matter"
    if n == 1:
        return Section(title, ("One test row leaves nothing to shuffle.",))
    if shuffled is None:
        columns = len(training.fitted.model["columns"].kinds)
        return Section(
            title, (f"Left out: with {columns:,} columns, shuffling each in turn would take minutes.",)
        )
    some = "" if shuffled.rows == n else f"{shuffled.rows:,} of "
    often = "once" if shuffled.repeats == 1 else f"{shuffled.repeats} times"
    text = (
        f"Permutation importance: the values of one column were shuffled among {some}the "
        f"{_rows(n, 'test row')}, {often}, and the bar says by how much the {metric} rose, which was "
        f"{_figure(training.judged.scores[metric])} on all of them. A column matters little where "
        "others tell the network the same."
    )
    return Section(title, (text,), (_importance_bars(shuffled, metric),))


def _importance_bars(found: PermutationImportance, metric: str) -> Figure:
    shown = slice(_MAX_COLUMNS)
    figure = draw_importances(found.columns[shown], found.mean[shown], found.std[shown], metric)
    whiskers = "" if found.repeats == 1 else " Whiskers: one standard deviation over the repeats."
    total = len(found.columns)
    which = (
        "All columns" if total <= _MAX_COLUMNS else f"The {_MAX_COLUMNS} most important of {total:,} columns"
    )
    numbers = Table(
        f"Rise of {metric}",
        ("column", "mean", "standard deviation"),
        tuple(
            (name, report.format_number(f"{mean:.4g}"), f"{std:.2g}")
            for name, mean, std in zip(found.columns, found.mean, found.std, strict=True)
        ),
        right=(1, 2),
    )
    return Figure(
        f"Permutation importance by {metric}", figure, f"{which} that the model uses.{whiskers}", numbers
    )


def _suspicious_section(
    found: pd.DataFrame | None, data: TrainingTable, fitted: TrainedModel
) -> list[Section]:
    if found is None:
        return []
    classes = data.target.task == "classes"
    place, most = found.columns[0], found.head(MAX_ROWS)
    written = str if classes else _number
    predicted = "predicted" if classes else "expected"
    rows = zip(*(most[name] for name in (place, "given_label", "predicted_label", "why")), strict=True)
    table = Table(
        f"The {len(most)} most suspicious of {_rows(len(found), 'training row')}",
        (str(place), "given", predicted, "why"),
        tuple((str(where), written(given), written(other), why) for where, given, other, why in rows),
        right=() if classes else (1, 2),
    )
    where = "the file" if data.path is not None else "scikit-learn's table"
    text = (
        f"How the network fared with {_rows(len(found), 'training row')} over "
        f"{report.count_epochs(len(fitted.history))}, "
        f"the rows whose target looks most wrong first; a {place} is "
        f"counted from 1 in {where}. "
    )
    if classes:
        other = int((found["given_label"] != found["predicted_label"]).sum())
        text += (
            "A label is held at its mean probability over them; "
            f"another than the one given is predicted for {_rows(other, 'row')}."
        )
    return [Section("The most suspicious rows", (text,), (table,))]
