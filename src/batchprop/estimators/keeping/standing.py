"""Where a fit stands: all that it needs to go on, or to go back, as if nothing had happened."""

from __future__ import annotations

from typing import Any, NamedTuple

from batchprop.estimators.early_stopping import ValidationCallback
from batchprop.estimators.interface import FitInterface
from batchprop.network import Network
from batchprop.schedules import ReduceOnPlateau
from batchprop.training import TrainProgress

PLAIN = ("random_bits", "curves", "numbers", "epochs", "rewinds", "ended")
"""What a standing has in plain data."""

CURVES = ("loss_curve_", "learning_rate_curve_", "validation_loss_curve_", "validation_scores_")


class Standing(NamedTuple):
    """Where a fit stands.

    Attributes:
        place: of the training.
        random_bits: of the engine.
        curves: those of the estimator, by name, up to the last epoch done.
        numbers: plain numbers by name, as of the last epoch done.
        epochs: for each epoch of this fit its rows and seconds.
        rewinds: how often it went back.
        best: the best network so far, where one was watched for.
        ended: whether training came to its end, other than by the number of epochs.
    """

    place: TrainProgress
    random_bits: dict[str, Any] | None
    curves: dict[str, list[float] | None]
    numbers: dict[str, float]
    epochs: list[tuple[int, float]]
    rewinds: int
    best: Network | None
    ended: bool = False


def standing_of(
    estimator: FitInterface,
    watch: ValidationCallback,
    place: TrainProgress,
    random_bits: dict[str, Any] | None,
    epochs: list[tuple[int, float]],
    rewinds: int,
) -> Standing:
    """Return where a fit stands after an epoch, or before the first.

    Args:
        estimator: its history.
        watch: what is watched.
        place: of the training.
        random_bits: of the engine.
        epochs: rows and seconds of each.
        rewinds: how often the fit went back.

    Returns:
        The standing, a copy that later epochs do not change.
    """
    curves = {name: None if (curve := getattr(estimator, name)) is None else list(curve) for name in CURVES}
    numbers: dict[str, float] = {"rows_seen": estimator.t_, "best_iteration": estimator.best_iteration_}
    if watch.patience is not None:
        numbers |= {"best": watch.patience.best, "stale": watch.patience.stale}
    if isinstance(watch.schedule, ReduceOnPlateau):
        numbers["plateau_rate"] = watch.schedule.learning_rate
    return Standing(place, random_bits, curves, numbers, list(epochs), rewinds, watch.best)


def go_back(estimator: FitInterface, watch: ValidationCallback, standing: Standing) -> None:
    """Let a fit stand where it stood.

    Args:
        estimator: whose history becomes what it was.
        watch: likewise.
        standing: where it stood.
    """
    for name, curve in standing.curves.items():
        setattr(estimator, name, None if curve is None else list(curve))
    numbers = standing.numbers
    estimator.t_, estimator.best_iteration_ = int(numbers["rows_seen"]), int(numbers["best_iteration"])
    estimator.n_iter_ = standing.place.epochs
    if estimator.loss_curve_:
        estimator.loss_ = estimator.loss_curve_[-1]
    if watch.patience is not None:
        watch.patience.best, watch.patience.stale = numbers["best"], int(numbers["stale"])
    if isinstance(watch.schedule, ReduceOnPlateau):
        watch.schedule.learning_rate = numbers["plateau_rate"]
    watch.best, watch.last = standing.best, None
