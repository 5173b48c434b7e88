"""What a report tells beyond the scores: intervals, the columns that matter, the rows that look wrong."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from batchprop.cli.data import Data
from batchprop.cli.examination import why_label, why_number
from batchprop.cli.fitting import Fitted, Judged, Parts, simplest_guess, sought
from batchprop.cli.settings import Settings
from batchprop.tabular.importance import PermutationImportance, permutation_importance
from batchprop.tabular.intervals import Intervals, bootstrap_classification, bootstrap_regression
from batchprop.tabular.metrics import regression_scores

_BY_LOSS = {"squared_error": "root mean squared error", "poisson": "mean Poisson deviance"}

_LONG_TEST, _LONG_TABLE = 20_000, 100


@dataclass(frozen=True)
class Training:
    """All that a training left.

    Attributes:
        data: the table.
        parts: its rows, set aside.
        settings: the options.
        fitted: the model and its history.
        judged: its answers on the test rows.
        facts: what settings.json tells.
    """

    data: Data
    parts: Parts
    settings: Settings
    fitted: Fitted
    judged: Judged
    facts: dict[str, Any]

    @property
    def guess(self) -> str:
        """What the baseline always answers."""
        return simplest_guess(self.data.target.task, self.settings)


@dataclass(frozen=True)
class Findings:
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


def metric_of(data: Data, settings: Settings) -> str:
    """Name the score on the test rows that is nearest to what was minimised; lower is better."""
    if data.target.task == "classes":
        return "log loss"
    loss, quantile = sought(settings)
    pinball = f"pinball loss of quantile {quantile:g}"
    return pinball if loss == "quantile" else _BY_LOSS.get(loss, "mean absolute error")


def find(training: Training) -> Findings:
    """Look into a fitted model."""
    data, settings = training.data, training.settings
    fitted, judged = training.fitted, training.judged
    if data.target.task == "classes":
        intervals = bootstrap_classification(
            judged.y, judged.answers, fitted.model.classes_, random_state=settings.seed
        )
    else:
        intervals = bootstrap_regression(
            judged.y, judged.answers, *sought(settings), random_state=settings.seed
        )
    metric = metric_of(data, settings)
    score = _minus(metric, data, settings, fitted)
    found = permutation_importance(fitted.model, judged.X, judged.y, score, random_state=settings.seed)
    suspicious = _suspicious(data, training.parts, fitted) if settings.record else None
    return Findings(intervals, metric, found, suspicious)


def takes_long(training: Training) -> bool:
    """Whether finding out may take more than a second or two."""
    return len(training.parts.test) > _LONG_TEST or len(training.data.columns) > _LONG_TABLE


def _minus(metric: str, data: Data, settings: Settings, fitted: Fitted) -> Callable[[Any, Any], float]:
    """Minus the metric, of features and targets: higher is better."""
    network = fitted.model[-1]
    if data.target.task == "numbers":
        return lambda X, y: -regression_scores(y, network.predict(X), *sought(settings))[metric]

    def likelihood(X: Any, y: Any) -> float:
        P = network.predict_proba(X)[y[:, None] == fitted.model.classes_]
        return float(np.log(np.maximum(P, np.finfo(P.dtype).eps)).mean())

    return likelihood


def _suspicious(data: Data, parts: Parts, fitted: Fitted) -> pd.DataFrame:
    found = fitted.network.examples_
    if data.target.task == "classes":
        why = why_label(found)
    else:
        last = fitted.model[-1]
        found["given"] = data.target.values[parts.train]
        if hasattr(last, "transformer_"):
            scaled = found[["suggested"]].to_numpy()
            found["suggested"] = last.transformer_.inverse_transform(scaled)
        why = why_number(found)
    found.insert(2, "why", why)
    name, where = data.places
    found.insert(0, name, where[parts.train])
    ranked: pd.DataFrame = found.sort_values("suspicion", kind="stable")
    return ranked
