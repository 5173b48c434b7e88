"""The two ways to fit: epochs of batches, or L-BFGS over all rows at once."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Iterator
from itertools import count, islice
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from batchprop.batches import Rows, Table, mini
from batchprop.engines.numpy import NumpyEngine
from batchprop.errors import DivergedError, ParameterError
from batchprop.estimators.examples import Held
from batchprop.estimators.solvers import lbfgs, optimizer_of, schedule_of
from batchprop.estimators.watching import Patience, Watch
from batchprop.network import Network
from batchprop.schedules import Plateau, Schedule
from batchprop.training import Epoch, Recipe, State, begin, train

if TYPE_CHECKING:
    from batchprop.estimators.base import BaseMLP


def fit_stochastic(
    estimator: BaseMLP,
    net: Network,
    table: Table,
    rows: Rows,
    held: Held | None,
    rng: np.random.RandomState,
    *,
    partial: bool,
) -> Network:
    """Train by batches until patience, a callback or ``max_iter`` ends it.

    Args:
        estimator: its parameters are read, its history is written.
        net: where to begin.
        table: all rows.
        rows: those to train on.
        held: those to validate on.
        rng: shuffles, and seeds dropout.
        partial: one epoch only, going on with the optimiser's memory of the last call.

    Returns:
        The network at the end, or the best one with ``early_stopping``.
    """
    recipe = Recipe(net, optimizer_of(estimator), estimator._objective(len(net.activations)))
    state, resumed = _first_state(estimator, recipe, partial=partial)
    batch_size = batch_size_of(estimator, len(rows))
    steps_per_epoch = math.ceil(len(rows) / batch_size)
    schedule = schedule_of(estimator, steps_per_epoch, len(rows), resumed=resumed)
    plan = mini(rows, batch_size, rng if estimator.shuffle else None)
    engine = NumpyEngine(_dropout_bits(estimator, recipe, rng))
    watch = _watch(estimator, held, schedule)
    epochs = train(recipe, state, table, plan, schedule, engine)
    _consume(estimator, islice(epochs, 1 if partial else estimator.max_iter), watch, warn=not partial)
    _remember(estimator, watch)
    if estimator.early_stopping:
        return watch.best or net
    return watch.last.network if watch.last else net


def fit_lbfgs(estimator: BaseMLP, net: Network, table: Table, rows: Rows, held: Held | None) -> Network:
    """Minimise the loss over all rows with L-BFGS.

    Args:
        estimator: its parameters are read, its history is written.
        net: where to begin, in float64.
        table: all rows.
        rows: those to train on.
        held: those to validate on.

    Returns:
        The network at the end.

    Raises:
        ParameterError: dropout or clipping is asked for, which a line search cannot follow.
        DivergedError: the end is not finite.
    """
    objective = estimator._objective(len(net.activations))
    if any(objective.dropout) or objective.max_grad_norm is not None:
        name = "dropout" if any(objective.dropout) else "max_grad_norm"
        raise ParameterError(
            f"{name}={getattr(estimator, name)!r} does not go with solver='lbfgs', which needs the same "
            "loss at every call: use solver='adam' or 'sgd'"
        )
    watch = _watch(estimator, held, None)
    numbers, started = count(1), perf_counter()

    def after(net: Network, loss: float) -> bool:
        state = State(net.layers, (), 0)
        return watch.after(
            Epoch(next(numbers), loss, math.nan, len(rows), perf_counter() - started, net, state)
        )

    try:
        net, result = lbfgs(
            net,
            table,
            rows,
            objective,
            max_iter=estimator.max_iter,
            max_fun=estimator.max_fun,
            tol=estimator.tol,
            after=after,
        )
    except KeyboardInterrupt:
        _interrupted(estimator)
        net = watch.last.network if watch.last else net
    else:
        estimator.n_iter_, estimator.loss_ = min(result.nit, estimator.max_iter), float(result.fun)
        estimator.best_loss_ = estimator.loss_
        if result.status == 1:
            _warn(
                f"lbfgs failed to converge after {estimator.n_iter_} iterations: raise max_iter "
                f"({estimator.max_iter}) or max_fun ({estimator.max_fun}), or scale the columns of X",
                ConvergenceWarning,
            )
    if not all(np.isfinite(theta).all() for layer in net.layers for theta in layer):
        raise DivergedError(
            "L-BFGS ended in weights that are not finite: scale the columns of X to similar ranges"
        )
    return net


def batch_size_of(estimator: BaseMLP, n_rows: int) -> int:
    """Return the batch size as a number: ``"auto"`` is ``min(200, n)``, ``"full"`` is n.

    Args:
        estimator: its ``batch_size``.
        n_rows: n, the rows trained on.

    Returns:
        From 1 to n; a larger one is cut with a warning, as in scikit-learn.
    """
    if isinstance(estimator.batch_size, str):
        return n_rows if estimator.batch_size == "full" else min(200, n_rows)
    if estimator.batch_size > n_rows:
        _warn(
            f"batch_size={estimator.batch_size} is larger than the {n_rows} rows to train on: "
            f"it is cut to {n_rows}"
        )
    return min(estimator.batch_size, n_rows)


def _watch(estimator: BaseMLP, held: Held | None, schedule: Schedule | None) -> Watch:
    stochastic = estimator.solver != "lbfgs"
    watches_score = estimator.early_stopping and stochastic
    best = estimator.best_validation_score_ if watches_score else estimator.best_loss_
    patience = Patience(
        estimator.tol,
        estimator.n_iter_no_change,
        best=-math.inf if best is None else best if watches_score else -best,
        stale=estimator._stale_epochs,
    )
    if held is not None and estimator.validation_loss_curve_ is None:
        estimator.validation_loss_curve_ = []
    if watches_score and estimator.validation_scores_ is None:
        estimator.validation_scores_ = []
    estimator.n_iter_, estimator.interrupted_ = 0, False
    return Watch(estimator, held, schedule, patience if stochastic else None)


def _consume(estimator: BaseMLP, epochs: Iterator[Epoch], watch: Watch, *, warn: bool) -> None:
    try:
        for epoch in epochs:
            estimator.t_ += epoch.rows
            if watch.after(epoch):
                return
    except KeyboardInterrupt:
        _interrupted(estimator)
        return
    if warn:
        _warn(
            f"Stochastic Optimizer: Maximum iterations ({estimator.max_iter}) reached and the optimization "
            "hasn't converged yet: raise max_iter, or stop early with early_stopping=True",
            ConvergenceWarning,
        )


def _first_state(estimator: BaseMLP, recipe: Recipe, *, partial: bool) -> tuple[State, bool]:
    state, memory = begin(recipe), estimator._memory
    if not partial or memory is None:
        return state, False
    template = leaves(state.optimizer)
    if [np.shape(leaf) for leaf in template] != [np.shape(leaf) for leaf in memory["optimizer"]]:
        return state, False
    values = (_like(old, new) for old, new in zip(memory["optimizer"], template, strict=True))
    return State(state.layers, rebuilt(state.optimizer, values), memory["steps"]), True


def _like(value: Any, template: Any) -> Any:
    # One piece of the data may be trained in float64 and the next, larger one in float32.
    return value.astype(template.dtype) if isinstance(template, np.ndarray) else value


def _remember(estimator: BaseMLP, watch: Watch) -> None:
    if watch.last is None or watch.patience is None:
        return
    rate = watch.schedule.learning_rate if isinstance(watch.schedule, Plateau) else None
    state = watch.last.state
    estimator._memory = {"optimizer": leaves(state.optimizer), "steps": state.steps, "plateau_rate": rate}
    estimator._stale_epochs = watch.patience.stale
    if estimator.early_stopping:
        estimator.best_validation_score_ = watch.patience.best
    else:
        estimator.best_loss_ = -watch.patience.best


def leaves(memory: Any) -> list[Any]:
    """Return what an optimiser remembers as a plain list, which any file format can hold.

    Example:
        >>> from batchprop.network import Layer
        >>> leaves((Layer("W", "b"), 3))
        ['W', 'b', 3]
    """
    if not isinstance(memory, tuple):
        return [memory]
    return [leaf for part in memory for leaf in leaves(part)]


def rebuilt(template: Any, values: Iterator[Any]) -> Any:
    """Return ``values``, a list from ``leaves``, in the shape of a template.

    Example:
        >>> from batchprop.network import Layer
        >>> rebuilt((Layer(0, 0), 0), iter(["W", "b", 3]))
        (Layer(W='W', b='b'), 3)
    """
    if not isinstance(template, tuple):
        return next(values)
    parts = [rebuilt(part, values) for part in template]
    return template._make(parts) if hasattr(template, "_make") else tuple(parts)


def _dropout_bits(
    estimator: BaseMLP, recipe: Recipe, rng: np.random.RandomState
) -> np.random.Generator | None:
    if not any(recipe.objective.dropout):
        return None
    # The rows seen so far are part of the seed, lest each call of partial_fit drops the same units.
    return np.random.default_rng([rng.randint(2**31 - 1), estimator.t_])


def _interrupted(estimator: BaseMLP) -> None:
    estimator.interrupted_ = True
    _warn(f"Training interrupted by user after {estimator.n_iter_} epochs: the weights so far are kept")


def _warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn about the line that called batchprop, however deep we are."""
    level, frame = 1, inspect.currentframe()
    while frame is not None and frame.f_globals["__name__"].startswith("batchprop."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
