"""Fitting by batches: epoch after epoch, until something ends it; and the memory kept between fits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from batchprop.batches import Growing, Plan, Rows, Table, mini
from batchprop.estimators.attributes import Estimator
from batchprop.estimators.engines import engine_to_fit, overhead_in_rows
from batchprop.estimators.examples import Call, Examples
from batchprop.estimators.monitoring import monitored, monitors_of, watched_for
from batchprop.estimators.parameters import AUTO_BATCH, FIRST_BATCH
from batchprop.estimators.private import PrivateFit, begin_private, random_state_of_batches, withheld
from batchprop.estimators.recording import Recorder
from batchprop.estimators.solvers import growing_rate, optimizer_of, schedule_of
from batchprop.estimators.threads import suitable_threads
from batchprop.estimators.watching import Watch, begin_watching, interrupted, warn
from batchprop.network import Network
from batchprop.schedules import Plateau
from batchprop.training import Engine, Epoch, Recipe, State, begin, train


def fit_stochastic(
    estimator: Estimator,
    net: Network,
    table: Table,
    rows: Rows,
    held: Examples | None,
    rng: np.random.RandomState,
    call: Call,
) -> tuple[Network, Recorder | None]:
    """Train by batches until patience, a callback or ``max_iter`` ends it.

    Args:
        estimator: its parameters are read, its history is written.
        net: where to begin.
        table: all rows.
        rows: those to train on.
        held: those to validate on.
        rng: shuffles, and seeds dropout.
        call: what ``fit`` was given; with ``partial`` one epoch only, going on with the optimiser's memory of
            the last call.

    Returns:
        The network at the end, or the best one with ``early_stopping``; and what was recorded
        of the rows to train on, where the call asks for it.
    """
    monitors = monitors_of(estimator, call)
    batch_size = batch_size_of(estimator, len(rows))
    steps_per_epoch = math.ceil(len(rows) / batch_size)
    private = begin_private(estimator, len(rows), batch_size, steps_per_epoch, call)
    objective = estimator._objective(len(net.activations))
    if private is not None:
        objective = objective._replace(mechanism=private.mechanism)
    recorder = Recorder(net, rows, table.Y, estimator._labels()) if call.record_examples else None
    watched = watched_for(monitors, recording=recorder is not None)
    recipe = Recipe(net, optimizer_of(estimator), objective, watched)
    state, resumed = _first_state(estimator, recipe, partial=call.partial)
    schedule = schedule_of(estimator, steps_per_epoch, len(rows), resumed=resumed)
    engine = engine_to_fit(estimator, net, len(rows), batch_size, _entropy(estimator, recipe, rng))
    plan = _plan(estimator, private, rows, batch_size, rng, engine)
    watch = begin_watching(estimator, held, schedule, engine)
    epochs = train(recipe, state, table, plan, growing_rate(estimator, schedule, plan), engine)
    epochs = monitored(estimator, monitors, epochs, table.weights, plan)
    if recorder is not None:
        epochs = recorder.recorded(epochs)
    with (
        withheld(estimator, private, epochs) as shown,
        suitable_threads(engine, net.sizes, batch_size),
    ):
        stopped = _consume(estimator, islice(shown, 1 if call.partial else estimator.max_iter), watch)
    if private is None and not stopped and not call.partial:
        warn(
            f"the loss was still falling after max_iter={estimator.max_iter} epochs: raise max_iter, "
            "or let early_stopping=True decide",
            ConvergenceWarning,
        )
    _remember(estimator, watch)
    return _trained(estimator, net, watch), recorder


def _trained(estimator: Estimator, net: Network, watch: Watch) -> Network:
    if estimator.early_stopping:
        return watch.best or net
    return watch.last.network if watch.last else net


def batch_size_of(estimator: Estimator, n_rows: int) -> int:
    """Return the (first) batch size as a number.

    ``"auto"`` is ``min(200, n)``, ``"full"`` is n, ``"noise"`` begins with ``min(32, n)``.

    Args:
        estimator: its ``batch_size``.
        n_rows: n, the rows trained on.

    Returns:
        From 1 to n; a larger one is cut with a warning, as in scikit-learn.
    """
    if isinstance(estimator.batch_size, str):
        largest = {"auto": AUTO_BATCH, "full": n_rows, "noise": min(FIRST_BATCH, estimator.max_batch_size)}
        return min(largest[estimator.batch_size], n_rows)
    if estimator.batch_size > n_rows:
        warn(
            f"batch_size={estimator.batch_size} is larger than the {n_rows} rows to train on: "
            f"it is cut to {n_rows}"
        )
    return min(estimator.batch_size, n_rows)


def _plan(
    estimator: Estimator,
    private: PrivateFit | None,
    rows: Rows,
    batch_size: int,
    rng: np.random.RandomState,
    engine: Engine,
) -> Plan:
    if private is not None:
        return private.plan(math.ceil(len(rows) / batch_size), random_state_of_batches(estimator, rng))
    order = rng if estimator.shuffle else None
    if estimator.batch_size == "noise":
        return Growing(rows, batch_size, estimator.max_batch_size, overhead_in_rows(engine), order)
    return mini(rows, batch_size, order)


def _consume(estimator: Estimator, epochs: Iterator[Epoch], watch: Watch) -> bool:
    """Take in epoch after epoch; return whether something else ended them than their number."""
    try:
        for epoch in epochs:
            estimator.t_ += epoch.rows
            if watch.after(epoch):
                return True
    except KeyboardInterrupt:
        interrupted(estimator)
        return True
    return False


def _first_state(estimator: Estimator, recipe: Recipe, *, partial: bool) -> tuple[State, bool]:
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


def _remember(estimator: Estimator, watch: Watch) -> None:
    if watch.last is None:
        return
    rate = watch.schedule.learning_rate if isinstance(watch.schedule, Plateau) else None
    state = watch.last.state
    remembered = [np.asarray(leaf) if hasattr(leaf, "shape") else leaf for leaf in leaves(state.optimizer)]
    estimator._memory = {"optimizer": remembered, "steps": state.steps, "plateau_rate": rate}
    if watch.patience is None:
        return
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


def _entropy(estimator: Estimator, recipe: Recipe, rng: np.random.RandomState) -> list[int] | None:
    if not recipe.objective.draws:
        return None
    if estimator.privacy is not None and estimator.random_state is None:
        # Noise that hides something must not come from a generator that anybody may have seeded.
        return [int(word) for word in np.random.SeedSequence().generate_state(8)]
    # The rows seen so far are part of the seed, lest each call of partial_fit drops the same units.
    return [rng.randint(2**31 - 1), estimator.t_]
