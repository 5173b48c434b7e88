"""The verdict of a report: one sentence on how good a model is beside the simplest guess."""

from collections.abc import Callable

from batchprop.format import format_count, format_percent, format_score, pluralize, with_unit
from batchprop.tabular.diagnostics import headline_metric
from batchprop.tabular.metrics import MAE, R2, RMSE, unit_of
from batchprop.tabular.result import TrainingResult


def write_verdict(result: TrainingResult) -> str:
    """Return how good the model is on the test rows, the 95% interval, and how good the simplest guess is."""
    if result.table.target.task == "classification":
        return _classification_verdict(result)
    return _regression_verdict(result)


def is_clearly_better(result: TrainingResult) -> bool:
    """Whether the interval of the verdict's score ends before the simplest guess, or there is no interval."""
    gains = _gains(result)
    return gains is None or gains[0] > 0


def _score_name(result: TrainingResult) -> str:
    """Return the score of the verdict."""
    if result.table.target.task == "classification":
        return "accuracy"
    metric = headline_metric(result.table, result.options)
    # In the units of the data, and as plain as a number of the target, where the loss allows it.
    return MAE if metric == RMSE else metric


def _gains(result: TrainingResult) -> list[float] | None:
    """Return the ends of the interval of what is gained over the simplest guess."""
    name = _score_name(result)
    if name not in result.intervals:
        return None
    baseline = result.evaluation.baseline[name]
    if name == "accuracy":
        return [end - baseline for end in result.intervals[name]]
    return [baseline - end for end in reversed(result.intervals[name])]


def _classification_verdict(result: TrainingResult) -> str:
    accuracy, baseline = (
        scores["accuracy"] for scores in (result.evaluation.scores, result.evaluation.baseline)
    )
    n = len(result.test_rows.y)
    if result.options.weights is None:
        # Counted, as a share may round to 100% where a row is wrong.
        right = (
            f"{format_count(round(accuracy * n))} of {pluralize(n, 'test row')}, {format_percent(accuracy)}"
        )
    else:
        right = f"{format_percent(accuracy)} of {pluralize(n, 'test row')}, each counted by its weight"
    guess = _compare(_gains(result), "always answering the most frequent class")
    about = f"{right}{_interval(result.intervals.get('accuracy'), format_percent)}"
    return f"The model is right on {about}{guess} is right on {format_percent(baseline)}."


def _regression_verdict(result: TrainingResult) -> str:
    scores, target = result.evaluation.scores, result.table.target
    name = _score_name(result)
    baseline = result.evaluation.baseline[name]

    def written(value: float) -> str:
        return with_unit(format_score(value), unit_of(name, target.unit))

    guess = _compare(_gains(result), f"always answering {result.baseline_name.removeprefix('always ')}")
    rows = pluralize(len(result.test_rows.y), "test row")
    about = f"{rows}{_interval(result.intervals.get(name), written)}"
    if name != MAE:
        return f"The model has a {name} of {written(scores[name])} on {about}{guess} has {written(baseline)}."
    r2 = f", with R² {format_score(scores[R2])}" if R2 in scores else ""
    return (
        f"The model misses {target.name} by {written(scores[name])} on average on {about}{r2}"
        f"{guess} misses it by {written(baseline)}."
    )


def _interval(ends: tuple[float, float] | None, written: Callable[[float], str]) -> str:
    return "" if ends is None else f" (95% interval {' to '.join(map(written, ends))})"


def _compare(gains: list[float] | None, guess: str) -> str:
    """Return the link to a guess, by the ends of the interval of what is gained over it."""
    if gains is None or gains[0] > 0:
        return f", where {guess}"
    verdict = "worse" if gains[1] < 0 else "not clearly better"
    return f"; that is {verdict} than {guess}, which"
