"""The evaluation of a model: its scores on the test rows, beside those of the simplest guess."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from sklearn.pipeline import Pipeline

from batchprop.tabular.fit import Split
from batchprop.tabular.metrics import (
    Scores,
    classification_scores,
    dummy_classification_scores,
    dummy_regression_scores,
    regression_scores,
)
from batchprop.tabular.options import TrainOptions
from batchprop.tabular.target import Task
from batchprop.tabular.training_table import TrainingTable


@dataclass(frozen=True)
class Evaluation:
    """The scores of a model.

    Attributes:
        scores: on the test rows, by name.
        baseline: those of the simplest guess: the majority, the mean, or a quantile of the training targets.
    """

    scores: Scores
    baseline: Scores


class HeldOutRows(NamedTuple):
    """The test rows: features, targets and the model's outputs.

    Attributes:
        X: features (n, k).
        y: targets (n,).
        outputs: of the model: a probability for each class (n, classes), or numbers (n,).
        weights: how much each row counts in the scores (n,), or None.
    """

    X: Any
    y: Any
    outputs: Any
    weights: Any = None


def baseline_name(task: Task, options: TrainOptions) -> str:
    """Name the prediction of the baseline."""
    if task == "classification":
        return "always the majority"
    loss, quantile = options.loss_and_quantile
    return f"always quantile {quantile:g}" if loss == "quantile" else "always the mean"


def predict_test_rows(table: TrainingTable, split: Split, pipeline: Pipeline) -> HeldOutRows:
    """Return the test rows with the model's outputs."""
    X = pipeline[:-1].transform(table.frame.iloc[split.test])
    network = pipeline[-1]
    outputs = network.predict_proba(X) if table.target.task == "classification" else network.predict(X)
    return HeldOutRows(X, table.target.values[split.test], outputs, table.weights_of(split.test))


def evaluate(
    table: TrainingTable, split: Split, options: TrainOptions, pipeline: Pipeline, rows: HeldOutRows
) -> Evaluation:
    """Score the outputs on the test rows, by their weights, and the simplest guess on the same rows."""
    y_train, counts = _known_targets(table, split, options)
    weights = rows.weights
    if table.target.task == "classification":
        scores = classification_scores(rows.y, rows.outputs, pipeline.classes_, weights)
        return Evaluation(scores, dummy_classification_scores(y_train, rows.y, counts, weights))
    loss = options.loss_and_quantile
    scores = regression_scores(rows.y, rows.outputs, *loss, weights=weights)
    return Evaluation(scores, dummy_regression_scores(y_train, rows.y, *loss, counts=counts, weights=weights))


def _known_targets(table: TrainingTable, split: Split, options: TrainOptions) -> tuple[Any, Any]:
    """Return the targets that the baseline may use, and how much each counts, or None for once."""
    stats = table.target_stats
    if stats is None:
        # The network used both parts, to train and to stop; the baseline may use them too.
        used = np.concatenate([split.train, split.validation])
        return table.target.values[used], table.weights_of(used)
    if stats.task == "classification":
        return stats.classes, stats.class_weights
    loss, quantile = options.loss_and_quantile
    # The training rows are not in memory: one value replaces them; its mean and quantiles are itself.
    return np.array([stats.quantile(quantile) if loss == "quantile" else stats.weighted_mean]), None
