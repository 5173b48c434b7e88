"""What a report tells beyond the scores: intervals, the columns that matter, the rows that look wrong."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from batchprop.cli.examine_command import explain_label, explain_number
from batchprop.cli.model import Evaluation, Split, TrainedModel, baseline_name, loss_and_quantile
from batchprop.cli.settings import TrainOptions
from batchprop.cli.training_table import TrainingTable
from batchprop.tabular.importance import PermutationImportance, permutation_importance
from batchprop.tabular.intervals import Intervals, bootstrap_classification, bootstrap_regression
from batchprop.tabular.metrics import regression_scores

_BY_LOSS = {"squared_error": "root mean squared error", "poisson": "mean Poisson deviance"}

_LONG_TEST, _LONG_TABLE = 20_000, 100


@dataclass(frozen=True)
class TrainingResult:
    """All that a training left.

    Attributes:
        data: the table.
        parts: its rows, set aside.
        settings: the options.
        fitted: the model and its history.
        judged: its answers on the test rows.
        facts: what settings.json tells.
    """

    data: TrainingTable
    parts: Split
    settings: TrainOptions
    fitted: TrainedModel
    judged: Evaluation
    facts: dict[str, Any]

    @property
    def guess(self) -> str:
        """What the baseline always answers."""
        return baseline_name(self.data.target.task, self.settings)


@dataclass(frozen=True)
class Diagnostics:
    """What was found out of a fitted model.

    Attributes:
        intervals: of its scores.
        metric: the score that matters most for its loss, lower is better.
        importances: of the table's columns, by that score; None where that would take too long.
        suspicious: the rows trained on, the most suspicious first; None where nothing was recorded.
    """

    intervals: Intervals
    metric: str
    importances: PermutationImportance | None
    suspicious: pd.DataFrame | None


def headline_metric(data: TrainingTable, settings: TrainOptions) -> str:
    """Name the score on the test rows that is nearest to what was minimised; lower is better."""
    if data.target.task == "classes":
        return "log loss"
    loss, quantile = loss_and_quantile(settings)
    pinball = f"pinball loss of quantile {quantile:g}"
    return pinball if loss == "quantile" else _BY_LOSS.get(loss, "mean absolute error")


def diagnose(training: TrainingResult) -> Diagnostics:
    """Look into a fitted model."""
    data, settings = training.data, training.settings
    fitted, judged = training.fitted, training.judged
    if data.target.task == "classes":
        intervals = bootstrap_classification(
            judged.y, judged.answers, fitted.model.classes_, random_state=settings.seed
        )
    else:
        intervals = bootstrap_regression(
            judged.y, judged.answers, *loss_and_quantile(settings), random_state=settings.seed
        )
    metric = headline_metric(data, settings)
    score = _negated(metric, data, settings, fitted)
    found = permutation_importance(fitted.model, judged.X, judged.y, score, random_state=settings.seed)
    suspicious = _suspicious(data, training.parts, fitted) if settings.record else None
    return Diagnostics(intervals, metric, found, suspicious)


def is_slow(training: TrainingResult) -> bool:
    """Whether finding out may take more than a second or two."""
    return len(training.parts.test) > _LONG_TEST or len(training.data.columns) > _LONG_TABLE


def _negated(
    metric: str, data: TrainingTable, settings: TrainOptions, fitted: TrainedModel
) -> Callable[[Any, Any], float]:
    """Minus the metric, of features and targets: higher is better."""
    network = fitted.model[-1]
    if data.target.task == "numbers":
        return lambda X, y: -regression_scores(y, network.predict(X), *loss_and_quantile(settings))[metric]

    def likelihood(X: Any, y: Any) -> float:
        P = network.predict_proba(X)[y[:, None] == fitted.model.classes_]
        return float(np.log(np.maximum(P, np.finfo(P.dtype).eps)).mean())

    return likelihood


def _suspicious(data: TrainingTable, parts: Split, fitted: TrainedModel) -> pd.DataFrame:
    found = fitted.network.examples_
    if data.target.task == "classes":
        why = explain_label(found)
    else:
        last = fitted.model[-1]
        found["given_label"] = data.target.values[parts.train]
        if hasattr(last, "transformer_"):
            scaled = found[["predicted_label"]].to_numpy()
            found["predicted_label"] = last.transformer_.inverse_transform(scaled)
        why = explain_number(found)
    found.insert(2, "why", why)
    name, where = data.row_numbers
    found.insert(0, name, where[parts.train])
    ranked: pd.DataFrame = found.sort_values("mislabel_rank", kind="stable")
    return ranked
