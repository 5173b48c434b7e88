"""Fitting by batches, chunk by chunk: checkpoints, monitors, recording, early stopping, rewinding."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from threading import get_ident
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from batchprop.batches import BatchSampler, GrowingBatchSampler
from batchprop.engines.auto import Workload, estimate_numpy_seconds
from batchprop.errors import BatchpropError, DivergedError, short_repr, warn
from batchprop.estimators.checkpoint_manager import CheckpointManager, FitStart
from batchprop.estimators.datasets import ArrayDataset, TrainingRows
from batchprop.estimators.early_stopping import ValidationCallback, mark_interrupted
from batchprop.estimators.engines import fit_engine, overhead_in_rows
from batchprop.estimators.fingerprint import fingerprint
from batchprop.estimators.fit_state import get_extra_state, initial_fit_state
from batchprop.estimators.interface import FitInterface
from batchprop.estimators.monitors import active_monitors, metric_fns_for, record_monitors
from batchprop.estimators.parameters import AUTO_BATCH, FIRST_BATCH
from batchprop.estimators.privacy import PrivacyPlanLike, batch_rng, redact_epochs, start_private_fit
from batchprop.estimators.recording import DynamicsRecorder, recording_result
from batchprop.estimators.solvers import make_optimizer, make_schedule, scale_for_batch_growth
from batchprop.estimators.threads import count_blas_threads, limit_blas_threads
from batchprop.estimators.validation import FitArgs
from batchprop.format import pluralize
from batchprop.network import Network
from batchprop.params import tree_flatten, tree_map, tree_unflatten
from batchprop.processes import current
from batchprop.schedules import Schedule
from batchprop.training import Engine, EpochRecord, TrainConfig, TrainState, init_state, run_epochs

CHUNK_SECONDS = 0.5
"""The approximate time of a chunk in NumPy if a fit is saved within an epoch."""


class FitPlan(NamedTuple):
    """The settings of a fit, which do not change while it runs.

    Attributes:
        config: the network's structure, the optimiser, the objective.
        dataset: the training and validation rows.
        batch_size: the first batch size.
        schedule: of the learning rate.
        engine: runs the steps.
        private: keeps the privacy guarantee, or None.
        monitors: the gradient statistics to record.
        recorder: records statistics of the rows, or None.
        rng: shuffles the rows.
    """

    config: TrainConfig
    dataset: TrainingRows
    batch_size: int
    schedule: Schedule
    engine: Engine
    private: PrivacyPlanLike | None
    monitors: frozenset[str]
    recorder: DynamicsRecorder | None
    rng: np.random.RandomState


def fit(
    estimator: FitInterface, net: Network, dataset: TrainingRows, start: FitStart, call: FitArgs
) -> Network:
    """Train by batches until early stopping, a callback or ``max_iter`` ends it.

    Args:
        estimator: its parameters are read, its history is written.
        net: the initial network.
        dataset: the training and validation rows.
        start: how the fit starts: from scratch, or from a checkpoint.
        call: the arguments of ``fit``; with ``partial`` one epoch only, continuing with the last call's
            optimiser state.

    Returns:
        The network at the end, or the best one with ``early_stopping``.
    """
    plan, train_state = _plan(estimator, net, dataset, start, call)
    state = initial_fit_state(estimator, train_state, validates=dataset.validation is not None)
    callback = ValidationCallback(estimator, dataset.validation, plan.schedule, plan.engine, state)
    with ExitStack() as stack:
        with current().guard():
            stack.enter_context(start.lock())
        stack.enter_context(current().report_errors())
        threads = count_blas_threads(plan.engine, net.sizes, plan.batch_size)
        known = _fingerprint(estimator, plan, start, call)
        manager = CheckpointManager(callback, plan.engine, start, known, threads)
        with limit_blas_threads(plan.engine, net.sizes, plan.batch_size):
            stopped = _run(estimator, plan, manager, 1 if call.partial else estimator.max_iter)
        state = manager.end(stopped=stopped)
    if plan.private is None and not stopped and not call.partial:
        warn(
            f"Stochastic Optimizer: Maximum iterations ({estimator.max_iter}) reached and the optimization "
            f"hasn't converged yet: the loss was still falling after {pluralize(estimator.max_iter, 'epoch')}"
            "; raise max_iter, or let early_stopping=True decide",
            ConvergenceWarning,
        )
    records = None
    if plan.recorder is not None and isinstance(dataset, ArrayDataset):
        records = recording_result(estimator, plan.recorder, dataset.rows, dataset.labelled.y)
    layers = state.progress.state.layers
    if state.progress.state.steps:
        estimator._extra_state = get_extra_state(state, records)
    if estimator.early_stopping:
        layers = net.layers if state.best_layers is None else state.best_layers
    return net.replace_layers(tree_map(np.asarray, layers))


def _plan(
    estimator: FitInterface, net: Network, dataset: TrainingRows, start: FitStart, call: FitArgs
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
        recorder = DynamicsRecorder(net, dataset.rows, dataset.labelled.Y, estimator._label_encoding())
    metric_fns = metric_fns_for(monitors, recording=recorder is not None)
    config = TrainConfig(net, make_optimizer(estimator), objective, metric_fns)
    state, resumed = _initial_train_state(estimator, config, partial=call.partial)
    # A warm start begins with the initial rate, as in scikit-learn.
    rate = estimator._extra_state.get("plateau_rate") if resumed else None
    schedule = make_schedule(estimator, steps_per_epoch, dataset.n_rows, resumed=resumed, plateau_rate=rate)
    seed = _rng_seed(estimator, config, start.rng)
    engine = fit_engine(estimator, net, dataset.n_rows, batch_size, seed, dataset.batch_share(batch_size))
    rng = batch_rng(estimator, start.rng)
    plan = FitPlan(config, dataset, batch_size, schedule, engine, private, monitors, recorder, rng)
    return plan, state


def _fingerprint(estimator: FitInterface, plan: FitPlan, start: FitStart, call: FitArgs) -> dict[str, Any]:
    # Only checkpoints compare it, and it reads every row.
    if start.checkpoints is None:
        return {}
    total_steps = estimator.max_iter * math.ceil(plan.dataset.n_rows / plan.batch_size)
    rows, engine = plan.dataset.fingerprint(), plan.engine.name
    return fingerprint(estimator, plan.config.network, engine, rows, plan.batch_size, total_steps, call)


def _run(estimator: FitInterface, plan: FitPlan, manager: CheckpointManager, n_epochs: int) -> bool:
    """Train up to a number of epochs; return whether something else ended them."""
    if manager.state.ended:
        done = pluralize(manager.state.progress.epochs, "epoch")
        warn(f"this fit ended after {done}: start over in another folder to train longer")
        return True
    order = plan.rng.get_state()
    while True:
        n_left = min(max(n_epochs - manager.state.progress.epochs, 0), sys.maxsize)
        epochs = islice(_epochs(estimator, plan, manager), n_left)
        try:
            with redact_epochs(estimator, plan.private, epochs) as shown:
                return _run_callbacks(estimator, shown, manager.callback)
        except DivergedError as error:
            # Whether the first rows of an epoch make a private fit diverge is not accounted for.
            if plan.private is None and manager.end_with_best(error):
                return True
            manager.rewind(error)
            # The epochs done are skipped, but their orders must be drawn again.
            plan.rng.set_state(order)


def _epochs(estimator: FitInterface, plan: FitPlan, manager: CheckpointManager) -> Iterator[EpochRecord]:
    """Train without end from the current state."""
    sampler = _special_sampler(estimator, plan)
    chunks = plan.dataset.chunks(
        plan.batch_size,
        plan.rng if estimator.shuffle else None,
        sampler,
        _batches_per_chunk(plan) if manager.needs_chunks or _may_interrupt(plan) else None,
    )
    schedule = manager.scale_schedule(scale_for_batch_growth(estimator, plan.schedule, sampler))
    epochs = run_epochs(
        plan.config, manager.state.progress, chunks, schedule, plan.engine, manager.on_progress
    )
    if plan.monitors:
        epochs = record_monitors(estimator, plan.monitors, epochs, plan.dataset.weights, sampler)
    return epochs if plan.recorder is None else plan.recorder.record(epochs)


def _may_interrupt(plan: FitPlan) -> bool:
    """Whether several processes agree on signals within an epoch, whose metrics nobody needs as a whole."""
    return current().count > 1 and not plan.monitors and plan.recorder is None and plan.private is None


def _batches_per_chunk(plan: FitPlan) -> int:
    work = Workload(plan.config.network.sizes, plan.batch_size, plan.batch_size, 1)
    return max(int(CHUNK_SECONDS / estimate_numpy_seconds(work)), 1)


def _special_sampler(estimator: FitInterface, plan: FitPlan) -> BatchSampler | None:
    """The sampler if batches do not have a fixed size: Poisson-sampled or growing batches."""
    if plan.private is not None:
        return plan.private.make_sampler(math.ceil(plan.dataset.n_rows / plan.batch_size), plan.rng)
    if estimator.batch_size == "noise" and isinstance(plan.dataset, ArrayDataset):
        order, overhead = plan.rng if estimator.shuffle else None, overhead_in_rows(plan.engine)
        return GrowingBatchSampler(
            plan.dataset.rows, plan.batch_size, estimator.max_batch_size, overhead, order
        )
    return None


def _run_callbacks(
    estimator: FitInterface, epochs: Iterator[EpochRecord], callback: ValidationCallback
) -> bool:
    """Run the callbacks after each epoch; return whether training ended before the last epoch."""
    try:
        return any(map(callback.on_epoch_end, epochs))
    except KeyboardInterrupt:
        mark_interrupted(estimator)
        return True


def first_batch_size(estimator: FitInterface, n_rows: int) -> int:
    """Return the (first) batch size as a number.

    ``"auto"`` is ``min(200, n)``, ``"full"`` is n, ``"noise"`` begins with ``min(32, n)``.

    Args:
        estimator: its ``batch_size``.
        n_rows: n, the rows trained on.

    Returns:
        From 1 to n; a larger one is reduced with a warning, as in scikit-learn.
    """
    if isinstance(estimator.batch_size, str):
        largest = {"auto": AUTO_BATCH, "full": n_rows, "noise": min(FIRST_BATCH, estimator.max_batch_size)}
        return min(largest[estimator.batch_size], n_rows)
    if estimator.batch_size > n_rows:
        warn(
            "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped: "
            f"batch_size={short_repr(estimator.batch_size)} is larger than the {pluralize(n_rows, 'row')} to "
            f"train on, and is cut to {n_rows}"
        )
    return min(estimator.batch_size, n_rows)


def _initial_train_state(
    estimator: FitInterface, config: TrainConfig, *, partial: bool
) -> tuple[TrainState, bool]:
    """The training state, with a new or the last call's optimiser state, and whether it is the latter."""
    state, last = init_state(config), estimator._extra_state
    if not partial or "optimizer" not in last:
        return state, False
    template = tree_flatten(state.optimizer)
    # The solver, and so its state, may differ from the last call's.
    if [np.shape(leaf) for leaf in template] != [np.shape(leaf) for leaf in last["optimizer"]]:
        return state, False
    leaves = (_cast_like(old, new) for old, new in zip(last["optimizer"], template, strict=True))
    return TrainState(state.layers, tree_unflatten(state.optimizer, leaves), last["steps"]), True


def _cast_like(value: Any, template: Any) -> Any:
    # One part of the data may be trained in float64 and the next, larger one in float32.
    return value.astype(template.dtype) if isinstance(template, np.ndarray) else value


def _rng_seed(estimator: FitInterface, config: TrainConfig, rng: np.random.RandomState) -> list[int] | None:
    if not config.objective.needs_rng:
        return None
    if estimator.privacy is not None and estimator.random_state is None:
        # Noise for privacy must not come from a generator that anybody may have seeded.
        own = [int(word) for word in np.random.SeedSequence().generate_state(8)]
        seed: list[int] = current().broadcast(own)
        return seed
    # The rows seen so far are part of the seed, so that each call of partial_fit drops other units.
    return [rng.randint(2**31 - 1), estimator.t_]


_FITS: dict[int, tuple[int, object]] = {}
"""The fits in progress: the thread of each, and a token, by the ``id`` of the estimator."""


@contextmanager
def only_fit(estimator: object) -> Iterator[None]:
    """Refuse, in the block, to fit an estimator that another thread is fitting: their results would mix.

    Raises:
        BatchpropError: another thread is fitting it.
    """
    # One step for the interpreter, so that no lock is needed, which a fork might copy while it is held.
    this = (get_ident(), object())
    first = _FITS.setdefault(id(estimator), this)
    if first[0] != this[0]:
        raise BatchpropError(
            f"this {type(estimator).__name__} is being fitted in another thread: fit a clone of it "
            "(sklearn.base.clone) in each thread, or one after the other"
        )
    try:
        yield
    finally:
        # A callback may fit again in the same thread, within the first fit.
        if first is this:
            del _FITS[id(estimator)]


@contextmanager
def fit_callbacks(estimator: FitInterface, *, resumed: bool) -> Iterator[None]:
    """Call ``on_fit_begin`` and ``on_fit_end`` of the callbacks that have them, around the fit in the block.

    Args:
        estimator: passed to them.
        resumed: whether the fit continues the last one.

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
