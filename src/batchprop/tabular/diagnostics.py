"""The diagnostics of a report besides the scores: important columns, suspicious rows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from batchprop.format import format_number, format_percent
from batchprop.tabular.importance import PermutationImportance, permutation_importance
from batchprop.tabular.metrics import DEVIANCE, MAE, RMSE, regression_scores
from batchprop.tabular.options import TrainOptions
from batchprop.tabular.result import TrainingResult
from batchprop.tabular.training_table import TrainingTable

_METRIC_NAMES = {"squared_error": RMSE, "poisson": DEVIANCE}

_NOT_HELD_OUT = "held out by no network"

_LONG_TEST, _LONG_TABLE = 20_000, 100


@dataclass(frozen=True)
class Diagnostics:
    """Importances and suspicious rows of a fitted model.

    Attributes:
        metric: the score closest to its loss, lower is better.
        importances: of the table's columns, by that score; None if that would take too long.
        suspicious: the training rows, the most suspicious first; None if nothing was recorded.
    """

    metric: str
    importances: PermutationImportance | None
    suspicious: pd.DataFrame | None


def headline_metric(table: TrainingTable, options: TrainOptions) -> str:
    """Name the score closest to the minimised loss; lower is better."""
    if table.target.task == "classification":
        return "log loss"
    loss, quantile = options.loss_and_quantile
    pinball = f"pinball loss of quantile {quantile:g}"
    return pinball if loss == "quantile" else _METRIC_NAMES.get(loss, MAE)


def diagnose(result: TrainingResult) -> Diagnostics:
    """Compute the diagnostics of a fitted model."""
    options, rows, seed = result.options, result.test_rows, result.options.seed
    metric = headline_metric(result.table, options)
    importances = permutation_importance(
        result.pipeline,
        rows.X,
        rows.y,
        _make_score_function(metric, result),
        random_state=seed,
        weights=rows.weights,
    )
    return Diagnostics(metric, importances, _suspicious_rows(result) if options.record else None)


def is_slow(result: TrainingResult) -> bool:
    """Whether the diagnostics may take more than a second or two."""
    return len(result.split.test) > _LONG_TEST or len(result.table.columns) > _LONG_TABLE


def _make_score_function(metric: str, result: TrainingResult) -> Callable[[Any, Any, Any], float]:
    """Return minus the metric as a function of features, targets and weights: higher is better."""
    network = result.pipeline[-1]
    if result.table.target.task == "regression":
        loss = result.options.loss_and_quantile
        return lambda X, y, weights: -regression_scores(y, network.predict(X), *loss, weights=weights)[metric]

    def log_likelihood(X: Any, y: Any, weights: Any) -> float:
        # Called for every shuffle: only this one score is computed.
        P = network.predict_proba(X)[y[:, None] == result.pipeline.classes_]
        return float(np.average(np.log(np.maximum(P, np.finfo(P.dtype).eps)), weights=weights))

    return log_likelihood


def _suspicious_rows(result: TrainingResult) -> pd.DataFrame:
    examples = result.network.examples_
    if result.table.target.task == "classification":
        reasons = explain_label(examples)
    else:
        last = result.pipeline[-1]
        # The recorded targets are standardised too: use those of the table.
        examples["given_label"] = result.table.target.values[result.split.train]
        if hasattr(last, "transformer_"):
            # The network recorded predictions of the standardised target.
            scaled = examples[["predicted_label"]].to_numpy()
            examples["predicted_label"] = last.transformer_.inverse_transform(scaled)
        reasons = explain_number(examples)
    examples.insert(2, "why", reasons)
    name, numbers = result.table.row_numbers
    examples.insert(0, name, numbers[result.split.train])
    by_rank: pd.DataFrame = examples.sort_values("mislabel_rank", kind="stable")
    return by_rank


def explain_label(examples: pd.DataFrame) -> list[str]:
    """Describe how probable each row's given label is, and how often the prediction was right."""
    if "correctness" not in examples:
        return [
            _NOT_HELD_OUT if np.isnan(p) else f"probability {format_percent(p, 2)}"
            for p in examples["confidence"]
        ]
    return [
        f"probability {format_percent(confidence, 2)}, "
        + (f"right in {format_percent(right, 2)} of epochs" if right else "never right")
        for confidence, right in zip(examples["confidence"], examples["correctness"], strict=True)
    ]


def explain_number(examples: pd.DataFrame) -> list[str]:
    """Describe how far each row's number is from the expected one."""
    off = examples["given_label"] - examples["predicted_label"]
    usual = off.abs().median()
    return [
        _NOT_HELD_OUT
        if np.isnan(distance)
        else f"{format_number(abs(distance))} too {'high' if distance > 0 else 'low'}"
        + (f", {format_number(abs(distance) / usual, 2)}× the usual" if usual else "")
        for distance in off
    ]
