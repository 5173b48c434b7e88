"""``tune``: a search for the network of a table by Optuna, which ends with an ensemble of the best trials.

Index legend: n rows to train and validate, K classes, k features.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from batchprop import heads
from batchprop.backprop import predict
from batchprop.batches import Indices
from batchprop.data.memory import parse_memory
from batchprop.data.tables import check_source
from batchprop.engines.auto import Workload, choose_engine
from batchprop.errors import (
    DataError,
    DivergedError,
    ParameterError,
    check_positive_int,
    require_extra,
    unknown_option_error,
)
from batchprop.estimators.ensemble import Fold, make_ensemble, merge_ensembles
from batchprop.estimators.source_summary import checksum_arrays
from batchprop.format import pluralize
from batchprop.processes import current
from batchprop.tabular.evaluation import Evaluation
from batchprop.tabular.fit import (
    EARLY_STOPPING,
    Split,
    TrainingData,
    divide,
    encode,
    layer_sizes,
    make_network,
    members_of,
    network_parameters,
    translate_errors,
    wrap_target_scaler,
)
from batchprop.tabular.history import HistoryCallback, append_last_epoch
from batchprop.tabular.model import Data, FreshRecord, TrainedModel
from batchprop.tabular.observer import Observer
from batchprop.tabular.options import SOURCE_OPTIONS, TrainOptions, make_options, option_table
from batchprop.tabular.result import TrainingResult
from batchprop.tabular.search_space import SPACE, as_options, distributions, is_in_space, values_of
from batchprop.tabular.soundness import validate_ensemble
from batchprop.tabular.train import as_folder, as_sources
from batchprop.tabular.training_input import prepare
from batchprop.tabular.training_table import TrainingTable
from batchprop.tabular.trial_store import TrialStore, lock_folder
from batchprop.tabular.trials import State, Trial
from batchprop.training import EpochRecord

if TYPE_CHECKING:
    import optuna

Array = NDArray[Any]

DEFAULT_SECONDS = 600.0
"""How long a search takes if neither a time nor a number of trials is given."""

TUNE_OPTIONS = (
    *SOURCE_OPTIONS, "target", "task", "weights", "drop", "columns", "type", "separator", "missing",
    "decimal", "test_fraction", "test", "group", "time", "memory", "on_bad_row", "max_skipped",
    "preset", "members", "activation", "loss", "quantile", "epochs", "patience", "max_grad_norm",
    "class_weight", "seed", "engine", "device", "precision", "time_limit",
)  # fmt: skip
"""The options of ``train_table`` that ``tune`` takes: those of the table, and some that are not searched."""

_FREE_OPTIONS = ("test", "memory", "engine", "device", "precision", "time_limit")
"""Those that may differ where a search goes on; of the test rows no trial knows."""

_STARTUP_TRIALS = 4
"""Trials that are not pruned, as there is no median yet."""
_RANDOM_TRIALS = 8
"""Trials at random, before Optuna's sampler learns from them."""
_WARMUP_EPOCHS = 10
"""Epochs after which the first pruning may come: before, the ranks of trials say little."""
_TINY = 1e-15
"""Where a probability is cut before its logarithm is taken, as scikit-learn does it."""


@dataclass(frozen=True)
class TuningResult:
    """The result of a search.

    Attributes:
        trials: a row for each trial: number, loss, state, seconds, epochs and the searched options. The loss
            is the mean over the rows that the trial's networks held out.
        best_parameters: the searched options of the best trial, as ``train_table`` takes them.
        chosen: the numbers of the trials whose networks are the ensemble.
        loss: of the ensemble, on the same rows.
        training: the ensemble, as the result of a training.
        interrupted: whether Ctrl-C ended the search.
    """

    trials: pd.DataFrame
    best_parameters: dict[str, Any]
    chosen: tuple[int, ...]
    loss: float
    training: TrainingResult
    interrupted: bool

    @property
    def estimator(self) -> Pipeline:
        """The ensemble as a fitted scikit-learn pipeline, which takes data frames."""
        return self.training.pipeline

    @property
    def model(self) -> TrainedModel:
        """The ensemble as ``train_table`` returns a model: to predict for files, and to save."""
        return TrainedModel(self.training.pipeline, FreshRecord(self.training))

    @property
    def evaluation(self) -> Evaluation:
        """The scores of the ensemble on the test rows, which no trial has seen."""
        return self.training.evaluation

    def plot(self, *, ax: Any = None) -> Any:
        """Draw all trials as lines over the searched options.

        Args:
            ax: matplotlib axes to draw on; None creates a figure.

        Returns:
            The ``TrialsDisplay``, drawn.
        """
        from batchprop.plots import TrialsDisplay

        return TrialsDisplay(trials=self.trials, options=tuple(SPACE)).plot(ax=ax)


def tune(
    data: Data | None = None,
    *,
    target: str | None = None,
    time_limit: float | str | None = None,
    n_trials: int | None = None,
    folder: str | PathLike[str] | None = None,
    observer: Observer | None = None,
    **options: Any,
) -> TuningResult:
    """Search for the best network of a table, and return an ensemble of the best.

    A trial trains the networks of a preset with other options: hidden layers, bins, learning rate, dropout,
    L2 penalty, batch size and, for classes, label smoothing. Its loss is the mean over the rows that its
    networks held out, which are the same in every trial. The first trial has the preset's own values, so on
    these rows no result is worse than the preset. Then Optuna's TPE sampler proposes values. Its median
    pruner ends a trial whose first network is worse than the median of the earlier ones, each at its best
    epoch so far. At the end the best trial is joined by others, one at a time, as long as that lowers the
    loss of their mean answer.

    Args:
        data: as for ``train_table``; it must fit in memory.
        target: the column to predict.
        time_limit: seconds, or a time as "10min", for the whole call; the trial that it interrupts does not
            count. None for no limit, or for 10 minutes without ``n_trials``.
        n_trials: the number of trials, with those of earlier calls in ``folder``; None for no limit.
        folder: keeps the trials, and a further call with the same table and options goes on from them.
        observer: called as the search proceeds.
        options: those of ``train_table`` that are not searched, as ``preset="fast"``, ``drop=["id"]``,
            ``test=...``, ``seed=1``. The preset sets the first trial, and how many networks a trial trains.

    Returns:
        The trials, and the ensemble.

    Raises:
        BatchpropError: Optuna is not installed.
        ParameterError: an option is unknown, is searched, or is not allowed.
        DataError: the table cannot be trained on, or is larger than the memory.
        CheckpointError: the folder holds trials of another table or of other options.

    Source:
        Akiba et al., Optuna, arXiv 1907.10902. Caruana et al., Ensemble selection from libraries of models,
        ICML 2004.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> flowers = load_iris(as_frame=True).frame
        >>> result = tune(flowers, target="target", n_trials=2, preset="fast", epochs=5)
        >>> result.trials["state"].tolist(), bool(result.loss <= result.trials["loss"].min())
        (['complete', 'complete'], True)
    """
    start = monotonic()
    with require_extra("tune", "tune"):
        import optuna  # noqa: F401 before the table is read
    if current().count > 1:
        raise ParameterError(
            "tune does not go with several processes, whose clocks would end other trials: call it in one, "
            "and train with its options in several"
        )
    source, options = as_sources(data, target, options)
    path = as_folder(folder, "folder")
    check_source(source, **{name: options.get(name) for name in SOURCE_OPTIONS})
    if target is None or (source is None and options.get("sql") is None):
        raise ParameterError(
            "tune needs a table and its target: give data, and the column to predict as target"
        )
    checked = _check_options(target=target, time_limit=time_limit, **options)
    limits = _make_limits(start, checked.time_limit, n_trials)
    with lock_folder(path):
        return _search(source, checked, limits, observer or Observer(), path)


def _check_options(**options: Any) -> TrainOptions:
    for name in options:
        if name in SPACE:
            raise ParameterError(
                f"`{name}` is searched by tune: leave it out, or train with it by train_table"
            )
        if name not in TUNE_OPTIONS:
            if name in option_table():
                raise ParameterError(f"`{name}` is no option of tune: leave it out")
            raise unknown_option_error("option", name, TUNE_OPTIONS)
    return make_options(**options)


class Limits(NamedTuple):
    """When a search ends: at a time of the monotonic clock, or after so many trials."""

    start: float
    end: float
    n_trials: float

    @property
    def time_left(self) -> float:
        """Seconds until the end."""
        return self.end - monotonic()


def _make_limits(start: float, seconds: float | None, n_trials: int | None) -> Limits:
    if n_trials is not None:
        check_positive_int("n_trials", n_trials, "give how many networks to try")
    if seconds is None:
        seconds = DEFAULT_SECONDS if n_trials is None else math.inf
    return Limits(start, start + seconds, math.inf if n_trials is None else n_trials)


class _StopSearch(Exception):  # noqa: N818 no error
    """The time is over, or Ctrl-C came: the trial does not count."""


class _Search:
    """What all trials share: rows, folds, targets and encodings.

    Args:
        table: the table.
        split: its rows.
        options: of the first trial.
    """

    def __init__(self, table: TrainingTable, split: Split, options: TrainOptions) -> None:
        self.table, self.split, self.options = table, split, options
        self.task = table.target.task
        self.first = values_of(options, self.task)
        self._data: dict[int, TrainingData] = {}
        data = self.data(options.bins)
        self.y: Array = data.y
        self.weights, self.scaler = data.weights, data.scaler
        self.folds: Sequence[Fold] = data.folds or ()

    def data(self, bins: int) -> TrainingData:
        """Return the rows with so many bins, and their folds; each number of bins is encoded once."""
        if bins not in self._data:
            options = replace(self.options, bins=bins)
            data = encode(self.table, self.split, options)
            # One network has a fold, too.
            self._data[bins] = divide(data, self.table, self.split, options) if data.folds is None else data
        return self._data[bins]

    def fingerprint(self) -> dict[str, Any]:
        """Return plain data that must be the same for a search to go on."""
        folds = [rows for fold in self.folds for rows in fold]
        return {
            "options": {
                name: getattr(self.options, name) for name in TUNE_OPTIONS if name not in _FREE_OPTIONS
            },
            "first trial": self.first,
            "rows": len(self.y),
            "data": checksum_arrays(self.data(self.options.bins).X, self.y, self.weights, *folds),
        }

    def loss(self, outputs: Array, rows: Indices | None = None) -> float:
        """Return the mean loss of outputs, (n, K) or (n,), for rows that have one; NaN elsewhere."""
        rows = np.arange(len(self.y)) if rows is None else rows
        known = ~np.isnan(outputs if outputs.ndim == 1 else outputs[:, 0])
        outputs, rows = np.asarray(outputs[known], float), rows[known]
        y, weights = self.y[rows], None if self.weights is None else self.weights[rows]
        if self.task == "classification":
            losses = -np.log(np.clip(outputs[np.arange(len(y)), y], _TINY, 1.0))
        else:
            losses = self._losses_of_numbers(outputs, y)
        return float(np.average(losses, weights=weights))

    def _losses_of_numbers(self, outputs: Array, y: Array) -> Array:
        name, level = self.options.loss_and_quantile
        head = heads.quantile(level) if name == "quantile" else heads.get_head(name)
        # The rates of the Poisson head are exponentials of its logits, all others are the logits.
        Z = np.log(np.maximum(outputs, np.finfo(float).tiny)) if name == "poisson" else outputs
        losses: Array = head.losses(Z[None, :], y[None, :])
        return losses

    def outputs(self, network: Any, X: Array) -> Array:
        """Return the outputs of a network for rows, (n, K) or (n,)."""
        P: Array = np.asarray(predict(network, X.T))
        if self.task == "regression":
            numbers: Array = P[0]
            return numbers
        outputs: Array = np.concatenate([1 - P, P]).T if len(P) == 1 else P.T
        return outputs

    def make_ensemble(self, number: int, values: Mapping[str, Any], callback: HistoryCallback) -> Any:
        """Return the ensemble of a trial, to be fitted."""
        # Networks of the same first weights would be too much alike to gain by their mean.
        seed = (self.options.seed + number * self.options.n_members) % 2**32
        options = replace(self.options, **as_options(values), seed=seed)
        data = self.data(options.bins)
        parameters = network_parameters(options, self.task, data.rows, callback)
        sizes = layer_sizes(self.table, data.X.shape[1], options.hidden)
        # The networks of a trial share a program.
        work = Workload(sizes, data.rows, parameters["batch_size"], options.epochs * options.n_members)
        parameters["engine"] = choose_engine(
            options.engine, work, device=options.device, precision=options.precision
        )
        return make_ensemble(make_network(self.task, **parameters, **EARLY_STOPPING), options.n_members)


def _search(
    source: tuple[Path, ...] | pd.DataFrame | None,
    options: TrainOptions,
    limits: Limits,
    observer: Observer,
    folder: Path | None,
) -> TuningResult:
    memory = None if options.memory is None else parse_memory(options.memory)
    with prepare(source, options, memory, observer) as (table, split, data, resolved):
        if data.y is None:
            raise DataError(
                "the table is larger than the memory, and tune reads no table in parts: give more `memory`, "
                "or tune on a part of the rows"
            )
        shared = _Search(table, split, resolved)
        store = TrialStore(folder, shared.fingerprint())
        _check_trials(store, shared)
        if store.trials:
            observer.on_note(f"Going on after {pluralize(len(store.trials), 'trial')}, from {folder}")
        with observer.watch_tuning(limits.end - limits.start, limits.n_trials):
            interrupted = _run_trials(shared, store, limits, observer)
        has_files = not isinstance(source, pd.DataFrame) and options.sql is None
        return _make_result(shared, store, source or () if has_files else None, interrupted=interrupted)


def _check_trials(store: TrialStore, shared: _Search) -> None:
    """Check that the trials so far are of this search: their files may hold anything.

    Raises:
        CheckpointError: one is not.
    """
    n_classes = None if shared.task == "regression" else len(shared.table.classes)
    for trial in store.trials:
        with store.damage_errors(trial.number):
            if not is_in_space(trial.values, shared.first):
                raise ValueError("its values are not those of this search")
            if trial.state == "complete":
                ensemble, X = store.ensembles[trial.number], shared.data(trial.values["bins"]).X
                validate_ensemble(ensemble, shared.options.n_members, X, n_classes)
                # Another machine may round the sum otherwise.
                if not math.isclose(shared.loss(ensemble.out_of_fold_), trial.loss or 0.0, rel_tol=1e-6):
                    raise ValueError("its loss is not that of its answers")


def _run_trials(shared: _Search, store: TrialStore, limits: Limits, observer: Observer) -> bool:
    """Run trials until a limit; return whether Ctrl-C ended them before."""
    study, space = _resume_study(store, shared), distributions(shared.first)
    try:
        while len(store.trials) < limits.n_trials and (limits.time_left > 0 or not store.complete):
            number = len(store.trials)
            # With a seed for each trial, a search that goes on proposes what it would have without a break.
            study.sampler = _make_sampler(shared.options.seed, number)
            if not number:
                study.enqueue_trial(shared.first)
            _run_trial(shared, store, study.ask(space), limits, observer)
            observer.on_trial(store.trials)
    except _StopSearch:
        return False
    except KeyboardInterrupt:
        if not store.complete:
            raise
        return True
    return False


def _make_sampler(seed: int, number: int) -> optuna.samplers.BaseSampler:
    from optuna.samplers import TPESampler

    state = np.random.SeedSequence((seed, number)).generate_state(1)
    return TPESampler(n_startup_trials=_RANDOM_TRIALS, seed=int(state[0]))


def _resume_study(store: TrialStore, shared: _Search) -> optuna.Study:
    """Return a study in memory with the trials so far."""
    import optuna

    pruner = optuna.pruners.MedianPruner(n_startup_trials=_STARTUP_TRIALS, n_warmup_steps=_WARMUP_EPOCHS)
    with _quiet_optuna():
        study = optuna.create_study(pruner=pruner)
    for trial in store.trials:
        past = optuna.trial.create_trial(
            state=_study_state(trial.state),
            value=trial.loss,
            params=trial.values,
            distributions=distributions(shared.first),
            intermediate_values=dict(enumerate(np.minimum.accumulate(trial.curve).tolist(), start=1)),
        )
        study.add_trial(past)
    return study


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Keep Optuna from logging that it made a study."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


class _TrialCallback(HistoryCallback):
    """A callback that prunes a trial, or ends it where the time is over.

    Args:
        shared: what all trials share.
        asked: Optuna's trial.
        limits: when the search ends.
        observer: called after each epoch.
    """

    def __init__(self, shared: _Search, asked: optuna.Trial, limits: Limits, observer: Observer) -> None:
        super().__init__([], observer.on_epoch)
        self.shared, self.asked, self.limits = shared, asked, limits
        self.curve = list[float]()
        self._held_out = shared.folds[0].held_out
        self._X_val = shared.data(asked.params["bins"]).X[self._held_out]

    def __call__(self, record: EpochRecord) -> bool:
        """Note the loss.

        Raises:
            _PruneSignal: the trial is worse than the median.
            _StopSearch: the time is over, and this is not the first trial.
        """
        super().__call__(record)
        if self.asked.number and self.limits.time_left <= 0:
            raise _StopSearch
        if self.member == 1:
            outputs = self.shared.outputs(record.network, self._X_val)
            self.curve.append(self.shared.loss(outputs, self._held_out))
            self.asked.report(min(self.curve), record.number)
            if self.asked.should_prune():
                raise _PruneSignal
        return False


def _run_trial(
    shared: _Search, store: TrialStore, asked: optuna.Trial, limits: Limits, observer: Observer
) -> None:
    """Train the networks of a trial, and add it to the trials.

    Raises:
        _StopSearch: the time was over before it ended.
        KeyboardInterrupt: Ctrl-C came; of the first trial the networks so far are kept.
        DivergedError: the first trial diverged.
    """
    start, is_first = monotonic(), not asked.number
    callback = _TrialCallback(shared, asked, limits, observer)

    def end(state: State, loss: float | None = None) -> Trial:
        asked.study.tell(asked, loss, state=_study_state(state))
        seconds, history = monotonic() - start, callback.history
        return Trial(asked.number, state, loss, seconds, dict(asked.params), history, tuple(callback.curve))

    try:
        ensemble = _fit(shared, callback, limits.time_left if is_first else math.inf)
    except _PruneSignal:
        store.add(end("pruned"))
        return
    except DivergedError:
        if is_first:
            raise
        store.add(end("diverged"))
        return
    if ensemble.interrupted_ and not (is_first and callback.history):
        raise KeyboardInterrupt
    # One that was cut short would stay the worse for it where the search goes on: it is not saved.
    whole = not ensemble.interrupted_ and (limits.time_left > 0 or not is_first)
    store.add(end("complete", shared.loss(ensemble.out_of_fold_)), ensemble, save=whole)
    if ensemble.interrupted_:
        raise KeyboardInterrupt


def _fit(shared: _Search, callback: _TrialCallback, seconds: float) -> Any:
    """Return the fitted ensemble of a trial; its networks share the seconds, if they are finite."""
    number, values = callback.asked.number, callback.asked.params
    ensemble, data = shared.make_ensemble(number, values, callback), shared.data(values["bins"])
    if seconds < math.inf:
        ensemble.set_params(time_limit=max(seconds, _TINY))
    with translate_errors(shared.options):
        ensemble.fit(data.X, shared.y, shared.weights, folds=shared.folds)
    members = members_of(ensemble)
    # Ctrl-C may come between the epochs of a network and its end.
    callback.history[:] = [epoch for epoch in callback.history if epoch.member <= len(members)]
    append_last_epoch(callback.history, members[-1])
    # Callbacks belong to this process: they cannot be saved.
    return ensemble.set_params(estimator__callbacks=None, time_limit=None)


def _study_state(state: State) -> optuna.trial.TrialState:
    from optuna.trial import TrialState

    return {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "diverged": TrialState.FAIL}[state]


class _PruneSignal(Exception):  # noqa: N818 no error
    """The trial is worse than the median."""


def select_trials(
    outputs: Mapping[int, Array], loss: Callable[[Array], float]
) -> tuple[tuple[int, ...], float]:
    """Choose trials whose mean answer has the smallest loss, greedily.

    The best trial comes first. Then the trial is added with which the mean is best, as long as that is better
    than without it.

    Args:
        outputs: of each trial, for the rows that its networks held out.
        loss: of outputs.

    Returns:
        The chosen trials in order, and the loss of their mean answer.

    Source:
        Caruana, Niculescu-Mizil, Crew and Ksikes, ICML 2004; here without replacement.

    Example:
        >>> answers = {0: np.array([2.0, 0.0]), 1: np.array([0.0, 2.1]), 2: np.array([9.0, 9.0])}
        >>> select_trials(answers, lambda mean: float(np.mean((mean - 1) ** 2)))[0]
        (0, 1)
    """
    chosen, total, best = list[int](), np.zeros(()), math.inf
    while left := [number for number in outputs if number not in chosen]:
        losses = [loss((total + outputs[number]) / (len(chosen) + 1)) for number in left]
        if not min(losses) < best:
            break
        best = min(losses)
        chosen.append(left[int(np.argmin(losses))])
        total = total + outputs[chosen[-1]]
    return tuple(chosen), best


def _make_result(
    shared: _Search, store: TrialStore, files: tuple[Path, ...] | None, *, interrupted: bool
) -> TuningResult:
    best = store.complete[0]
    # The networks of an ensemble read the same features.
    choices = {
        bins: select_trials(_outputs(store, bins), shared.loss)
        for bins in dict.fromkeys(trial.values["bins"] for trial in store.complete)
    }
    bins = min(choices, key=lambda each: choices[each][1])
    chosen, loss = choices[bins]
    network = merge_ensembles([store.ensembles[number] for number in chosen])
    del network.out_of_fold_
    members = network.members_
    if shared.task == "classification":
        # They were trained on indices: scikit-learn refuses fractions as labels.
        for member in members:
            member.relabel(shared.table.classes)
        network.classes_ = members[0].classes_
    if len(members) == 1:
        network = members[0]
    network.interrupted_ = interrupted
    last = network if shared.scaler is None else wrap_target_scaler(network, shared.scaler)
    pipeline = Pipeline([*shared.data(bins).columns.steps, ("network", last)])
    options = replace(shared.options, **as_options(store.trials[chosen[0]].values), members=len(members))
    history = [
        replace(epoch, member=epoch.member + i * shared.options.n_members)
        for i, number in enumerate(chosen)
        for epoch in store.trials[number].history
    ]
    training = TrainingResult(shared.table, shared.split, options, files, pipeline, history)
    return TuningResult(store.table(), as_options(best.values), chosen, loss, training, interrupted)


def _outputs(store: TrialStore, bins: int) -> dict[int, Array]:
    """Return the answers of the complete trials with so many bins, for the rows that they held out."""
    return {
        trial.number: store.ensembles[trial.number].out_of_fold_
        for trial in store.complete
        if trial.values["bins"] == bins
    }
