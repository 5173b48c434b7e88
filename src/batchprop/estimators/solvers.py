"""The optimiser and the learning-rate schedule that the estimators' parameters describe."""

from __future__ import annotations

from collections.abc import Callable

from batchprop import optimizers, schedules
from batchprop.batches import BatchSampler, GrowingBatchSampler
from batchprop.estimators.interface import FitInterface
from batchprop.optimizers import Optimizer
from batchprop.schedules import ReduceOnPlateau, Schedule

HORIZON_SCHEDULES: dict[str, Callable[[float, int, float], Schedule]] = {
    "cosine": lambda rate, total_steps, _: schedules.cosine(rate, total_steps),
    "warmup_cosine": schedules.warmup_cosine,
    "one_cycle": schedules.one_cycle,
}
"""Schedules that plan all epochs, so that ``max_iter`` may not differ when a fit resumes."""


def make_optimizer(estimator: FitInterface) -> Optimizer:
    """Return the optimiser that the parameters ``solver``, ``momentum``, ``beta_1``, ... describe."""
    if estimator.solver == "adam":
        return optimizers.adam(estimator.beta_1, estimator.beta_2, estimator.epsilon)
    if estimator.solver == "adamw":
        return optimizers.adamw(estimator.beta_1, estimator.beta_2, estimator.epsilon, estimator.weight_decay)
    if estimator.momentum == 0:
        return optimizers.sgd()
    return (optimizers.nesterov if estimator.nesterovs_momentum else optimizers.momentum)(estimator.momentum)


def make_schedule(
    estimator: FitInterface,
    steps_per_epoch: int,
    rows: int,
    *,
    resumed: bool,
    plateau_rate: float | None = None,
) -> Schedule:
    """Return the schedule that ``learning_rate`` describes.

    As in scikit-learn, ``"invscaling"`` and ``"adaptive"`` act on ``solver="sgd"`` alone.

    Args:
        estimator: its ``learning_rate``, ``learning_rate_init``, ``power_t``, ``max_iter``, ``t_``.
        steps_per_epoch: the number of batches.
        rows: the number of rows trained on in an epoch.
        resumed: whether the optimiser continues from an earlier call, as in ``partial_fit``.
        plateau_rate: the learning rate of ``"adaptive"`` at the end of that call.

    Returns:
        The schedule.
    """
    rate, total = float(estimator.learning_rate_init), int(estimator.max_iter) * steps_per_epoch
    kind = estimator.learning_rate
    if callable(kind):
        return kind
    if kind in HORIZON_SCHEDULES:
        return HORIZON_SCHEDULES[kind](rate, total, estimator.warmup_fraction)
    if kind == "adaptive" and estimator.solver == "sgd":
        return ReduceOnPlateau(plateau_rate or rate)
    if kind == "invscaling" and estimator.solver == "sgd":
        return _invscaling(estimator, rate, steps_per_epoch, rows, resumed=resumed)
    return schedules.constant(rate)


def scale_for_batch_growth(
    estimator: FitInterface, schedule: Schedule, sampler: BatchSampler | None
) -> Schedule:
    """Return the schedule for growing batches: a more efficient step gets a larger learning rate.

    Args:
        estimator: its ``solver``; SGD's rate grows as the progress of a step does, Adam's, which divides by
            the gradient's own length, as the square root.
        schedule: of the rate.
        sampler: of the batches; only a ``GrowingBatchSampler`` changes the schedule.

    Returns:
        The schedule.

    Source:
        McCandlish et al., arXiv 1812.06162.
    """
    if not isinstance(sampler, GrowingBatchSampler):
        return schedule
    power = 1.0 if estimator.solver == "sgd" else 0.5
    return lambda step: schedule(step) * sampler.step_efficiency**power


def _invscaling(
    estimator: FitInterface, rate: float, steps_per_epoch: int, rows: int, *, resumed: bool
) -> Schedule:
    if resumed:
        # A call of partial_fit is one epoch, and the rate changes between epochs.
        return schedules.constant(rate / (estimator.t_ + 1) ** estimator.power_t)
    scaled = schedules.invscaling(
        rate,
        estimator.power_t,
        steps_per_epoch=steps_per_epoch,
        rows_per_epoch=rows,
        rows_before=estimator.t_,
    )
    # A warm start begins with the initial rate and only then remembers the rows of earlier fits, as in
    # scikit-learn.
    return lambda step: rate if step < steps_per_epoch else scaled(step)
