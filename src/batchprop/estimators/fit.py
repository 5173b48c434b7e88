"""Fitting by batches: epoch after epoch, until something ends it; and the memory kept between fits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from batchprop.batches import (
    BatchSampler,
    EpochIterator,
    GrowingBatchSampler,
)
from batchprop.engines.auto import Workload, estimate_numpy_seconds
from batchprop.errors import DivergedError
from batchprop.estimators.datasets import ArrayDataset, TrainingRows
from batchprop.estimators.early_stopping import (
    ValidationCallback,
    make_early_stopping,
    mark_interrupted,
    warn,
)
from batchprop.estimators.engines import fit_engine, overhead_in_rows
from batchprop.estimators.interface import FitInterface
from batchprop.estimators.keeping.keeper import Keeper
from batchprop.estimators.keeping.restoring import check_same, of_a_fit, standings_from
from batchprop.estimators.keeping.saving import Beginning, Start, kind_of
from batchprop.estimators.monitors import active_monitors, metric_fns_for, record_monitors
from batchprop.estimators.parameters import AUTO_BATCH, FIRST_BATCH
from batchprop.estimators.privacy import PrivacyEngine, batch_rng, redact_epochs, start_private_fit
from batchprop.estimators.recording import DynamicsRecorder, recording_result
from batchprop.estimators.solvers import make_optimizer, make_schedule, scale_for_batch_growth
from batchprop.estimators.threads import limit_blas_threads
from batchprop.estimators.validation import FitArgs
from batchprop.network import Network
from batchprop.params import Layer, tree_flatten, tree_unflatten
from batchprop.schedules import ReduceOnPlateau, Schedule
from batchprop.training import (
    Engine,
    EpochRecord,
    TrainConfig,
    TrainProgress,
    TrainState,
    init_state,
    run_epochs,
)

CHUNK_SECONDS = 0.5
"""About how long a piece of an epoch takes in NumPy, where a fit is saved in between."""


class FitPlan(NamedTuple):
    """A fit, set up.

    Attributes:
        recipe: what stays the same.
        dataset: the rows to train and to validate on.
        batch_size: the first one.
        schedule: of the learning rate.
        engine: runs the steps.
        private: what keeps a promise about the rows, or None.
        monitors: what is recorded of the gradients.
        recorder: what is recorded of the rows, or None.
        rng: shuffles the rows.
    """

    recipe: TrainConfig
    dataset: TrainingRows
    batch_size: int
    schedule: Schedule
    engine: Engine
    private: PrivacyEngine | None
    monitors: frozenset[str]
    recorder: DynamicsRecorder | None
    rng: np.random.RandomState


def fit_minibatch(
    estimator: FitInterface,
    net: Network,
    dataset: TrainingRows,
    start: Start,
    call: FitArgs,
) -> Network:
    """Train by batches until patience, a callback or ``max_iter`` ends it.

    Args:
        estimator: its parameters are read, its history is written.
        net: where to begin.
        dataset: the rows to train and to validate on.
        start: how the fit starts: anew, or from a checkpoint.
        call: what ``fit`` was given; with ``partial`` one epoch only, going on with the optimiser's memory of
            the last call.

    Returns:
        The network at the end, or the best one with ``early_stopping``.
    """
    fit, state = _set_up(estimator, net, dataset, start, call)
    watch = make_early_stopping(estimator, dataset.validation, fit.schedule, fit.engine)
    with start.alone():
        keeper = _make_checkpointer(estimator, fit, watch, TrainProgress(state), start)
        with limit_blas_threads(fit.engine, net.sizes, fit.batch_size):
            n_epochs = 1 if call.partial else estimator.max_iter
            stopped = _run(estimator, fit, watch, keeper, TrainProgress(state), n_epochs)
        if keeper is not None:
            keeper.end(stopped=stopped)
            state = keeper.place.state
    if fit.private is None and not stopped and not call.partial:
        warn(
            f"the loss was still falling after max_iter={estimator.max_iter} epochs: raise max_iter, "
            "or let early_stopping=True decide",
            ConvergenceWarning,
        )
    _store_optimizer_state(estimator, watch, state)
    if fit.recorder is not None and isinstance(dataset, ArrayDataset):
        estimator._records = recording_result(estimator, fit.recorder, dataset.rows, dataset.labelled.y)
    return _final_network(estimator, net, watch, state)


def _set_up(
    estimator: FitInterface, net: Network, dataset: TrainingRows, start: Start, call: FitArgs
) -> tuple[FitPlan, TrainState]:
    monitors = active_monitors(estimator, call)
    batch_size = first_batch_size(estimator, dataset.n_rows)
    steps_per_epoch = math.ceil(dataset.n_rows / batch_size)
    private = start_private_fit(estimator, dataset.n_rows, batch_size, steps_per_epoch, call)
    objective = estimator._objective(len(net.activations))
    if private is not None:
        objective = objective._replace(mechanism=private.mechanism)
    recorder = None
    if call.record_examples and isinstance(dataset, ArrayDataset):
        recorder = DynamicsRecorder(net, dataset.rows, dataset.table.Y, estimator._label_encoding())
    watched = metric_fns_for(monitors, recording=recorder is not None)
    recipe = TrainConfig(net, make_optimizer(estimator), objective, watched)
    state, resumed = _initial_state(estimator, recipe, partial=call.partial)
    schedule = make_schedule(estimator, steps_per_epoch, dataset.n_rows, resumed=resumed)
    entropy = _rng_seed(estimator, recipe, start.rng)
    engine = fit_engine(estimator, net, dataset.n_rows, batch_size, entropy)
    rng = batch_rng(estimator, start.rng)
    return FitPlan(recipe, dataset, batch_size, schedule, engine, private, monitors, recorder, rng), state


def _make_checkpointer(
    estimator: FitInterface, fit: FitPlan, watch: ValidationCallback, place: TrainProgress, start: Start
) -> Keeper | None:
    """What keeps the fit, where somebody asked for that; it stands where a checkpoint stood."""
    if start.checkpoints is None and estimator.on_divergence != "rewind":
        return None
    kind: dict[str, Any] = {}
    if start.checkpoints is not None:  # only these compare it, and it takes a look at every row
        kind = kind_of(estimator, fit.recipe.network, fit.engine.name, fit.dataset.fingerprint())
    beginning = Beginning(start.random, estimator.t_, kind)
    keeper = Keeper(estimator, watch, fit.engine, place, beginning, start.checkpoints)
    if start.saved is not None:
        check_same(start.saved, kind)
        with of_a_fit():
            keeper.go_on_from(standings_from(start.saved, fit.recipe.network, place.state.optimizer))
    return keeper


def _run(
    estimator: FitInterface,
    fit: FitPlan,
    watch: ValidationCallback,
    keeper: Keeper | None,
    place: TrainProgress,
    n_epochs: int,
) -> bool:
    """Take in epoch after epoch; return whether something else ended them than their number."""
    if keeper is not None and keeper.standing.ended:
        warn(f"this fit ended after {keeper.place.epochs} epochs: begin anew in another folder to train on")
        return True
    order = fit.rng.get_state()
    while True:
        place = place if keeper is None else keeper.place
        epochs = islice(_epochs(estimator, fit, keeper, place), max(n_epochs - place.epochs, 0))
        try:
            with redact_epochs(estimator, fit.private, epochs) as shown:
                return _run_callbacks(estimator, shown, watch)
        except DivergedError as error:
            if keeper is None:
                raise
            keeper.rewind(error)
            fit.rng.set_state(order)  # the same orders once more


def _epochs(
    estimator: FitInterface, fit: FitPlan, keeper: Keeper | None, place: TrainProgress
) -> Iterator[EpochRecord]:
    sampler = _special_sampler(estimator, fit)
    chunks = fit.dataset.chunks(
        fit.batch_size,
        fit.rng if estimator.shuffle else None,
        sampler,
        None if keeper is None else _batches_per_chunk(fit),
    )
    epochs = _run_epochs(fit, keeper, place, chunks, scale_for_batch_growth(estimator, fit.schedule, sampler))
    epochs = record_monitors(estimator, fit.monitors, epochs, fit.dataset.weights, sampler)
    return epochs if fit.recorder is None else fit.recorder.record(epochs)


def _run_epochs(
    fit: FitPlan, keeper: Keeper | None, place: TrainProgress, course: EpochIterator, schedule: Schedule
) -> Iterator[EpochRecord]:
    if keeper is None:
        return run_epochs(fit.recipe, place, course, schedule, fit.engine)
    schedule = keeper.slowed(schedule)
    return keeper.kept(run_epochs(fit.recipe, place, course, schedule, fit.engine, keeper.reached))


def _batches_per_chunk(fit: FitPlan) -> int:
    work = Workload(fit.recipe.network.sizes, fit.batch_size, fit.batch_size, 1)
    return max(int(CHUNK_SECONDS / estimate_numpy_seconds(work)), 1)


def _final_network(
    estimator: FitInterface, net: Network, watch: ValidationCallback, state: TrainState
) -> Network:
    if estimator.early_stopping:
        return watch.best or net
    if watch.last is not None:
        return watch.last.network
    return net.replace_layers(tuple(Layer(*map(np.asarray, layer)) for layer in state.layers))


def first_batch_size(estimator: FitInterface, n_rows: int) -> int:
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


def _special_sampler(estimator: FitInterface, fit: FitPlan) -> BatchSampler | None:
    """The batches that are not simply so many rows each: those drawn by chance, or growing ones."""
    if fit.private is not None:
        return fit.private.plan(math.ceil(fit.dataset.n_rows / fit.batch_size), fit.rng)
    if estimator.batch_size == "noise" and isinstance(fit.dataset, ArrayDataset):
        order, overhead = fit.rng if estimator.shuffle else None, overhead_in_rows(fit.engine)
        return GrowingBatchSampler(
            fit.dataset.rows, fit.batch_size, estimator.max_batch_size, overhead, order
        )
    return None


def _run_callbacks(estimator: FitInterface, epochs: Iterator[EpochRecord], watch: ValidationCallback) -> bool:
    """Take in epoch after epoch; return whether something else ended them than their number."""
    try:
        for epoch in epochs:
            estimator.t_ += epoch.rows
            if watch.on_epoch_end(epoch):
                return True
    except KeyboardInterrupt:
        mark_interrupted(estimator)
        return True
    return False


def _initial_state(estimator: FitInterface, recipe: TrainConfig, *, partial: bool) -> tuple[TrainState, bool]:
    state, memory = init_state(recipe), estimator._memory
    if not partial or memory is None:
        return state, False
    template = tree_flatten(state.optimizer)
    if [np.shape(leaf) for leaf in template] != [np.shape(leaf) for leaf in memory["optimizer"]]:
        return state, False
    values = (_cast_like(old, new) for old, new in zip(memory["optimizer"], template, strict=True))
    return TrainState(state.layers, tree_unflatten(state.optimizer, values), memory["steps"]), True


def _cast_like(value: Any, template: Any) -> Any:
    # One piece of the data may be trained in float64 and the next, larger one in float32.
    return value.astype(template.dtype) if isinstance(template, np.ndarray) else value


def _store_optimizer_state(estimator: FitInterface, watch: ValidationCallback, state: TrainState) -> None:
    if watch.last is not None:
        state = watch.last.state
    if not state.steps:
        return
    rate = watch.schedule.learning_rate if isinstance(watch.schedule, ReduceOnPlateau) else None
    remembered = [
        np.asarray(leaf) if hasattr(leaf, "shape") else leaf for leaf in tree_flatten(state.optimizer)
    ]
    estimator._memory = {"optimizer": remembered, "steps": state.steps, "plateau_rate": rate}
    if watch.patience is None:
        return
    estimator._stale_epochs = watch.patience.stale
    if estimator.early_stopping:
        estimator.best_validation_score_ = watch.patience.best
    else:
        estimator.best_loss_ = -watch.patience.best


def _rng_seed(estimator: FitInterface, recipe: TrainConfig, rng: np.random.RandomState) -> list[int] | None:
    if not recipe.objective.needs_rng:
        return None
    if estimator.privacy is not None and estimator.random_state is None:
        # Noise that hides something must not come from a generator that anybody may have seeded.
        return [int(word) for word in np.random.SeedSequence().generate_state(8)]
    # The rows seen so far are part of the seed, lest each call of partial_fit drops the same units.
    return [rng.randint(2**31 - 1), estimator.t_]


@contextmanager
def fit_callbacks(estimator: FitInterface, *, resumed: bool) -> Iterator[None]:
    """Tell the callbacks that have ``on_fit_begin`` or ``on_fit_end`` of the fit in the block.

    Args:
        estimator: is handed to them.
        resumed: whether the fit goes on from the last one.

    Example:
        >>> from types import SimpleNamespace
        >>> class Attentive:
        ...     def on_fit_begin(self, estimator, *, resumed):
        ...         print("begins anew" if not resumed else "goes on")
        ...
        ...     def on_fit_end(self, estimator, error):
        ...         print("ended well" if error is None else f"ended by {error!r}")
        >>> with fit_callbacks(SimpleNamespace(callbacks=[print, Attentive()]), resumed=False):
        ...     pass
        begins anew
        ended well
    """
    callbacks = list(estimator.callbacks or ())
    ended: BaseException | None = None
    try:
        for begin in _callback_methods(callbacks, "on_fit_begin"):
            begin(estimator, resumed=resumed)
        yield
    except BaseException as error:
        ended = error
        raise
    finally:
        for end in _callback_methods(callbacks, "on_fit_end"):
            end(estimator, ended)


def _callback_methods(callbacks: list[Any], name: str) -> list[Any]:
    return [getattr(callback, name) for callback in callbacks if hasattr(callback, name)]
