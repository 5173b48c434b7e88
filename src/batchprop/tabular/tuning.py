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
from batchprop.estimators.ensemble import (
    Fold,
    MLPEnsembleClassifier,
    MLPEnsembleRegressor,
    member_folds,
    merge_ensembles,
)
from batchprop.estimators.source_summary import checksum_arrays
from batchprop.tabular.estimators import PRESETS
from batchprop.tabular.evaluation import Evaluation
from batchprop.tabular.fit import (
    VALIDATION_FRACTION,
    Split,
    check_classes,
    hold_out,
    is_scaled,
    layer_sizes,
    make_network,
    network_parameters,
    scale,
    translate_errors,
    wrap_target_scaler,
)
from batchprop.tabular.history import history_callback
from batchprop.tabular.model import Data
from batchprop.tabular.observer import Observer
from batchprop.tabular.options import SOURCE_OPTIONS, TrainOptions, make_options, option_table, parse_seconds
from batchprop.tabular.result import TrainingResult
from batchprop.tabular.search_space import SPACE, as_options, distributions, preset_values
from batchprop.tabular.train import as_folder, as_source
from batchprop.tabular.training_input import TrainingInput, prepare
from batchprop.tabular.training_table import TrainingTable
from batchprop.tabular.transformers import TargetScaler, make_preprocessor
from batchprop.tabular.trials import State, Trial, TrialStore, lock_folder
from batchprop.training import EpochRecord

if TYPE_CHECKING:
    import optuna

Array = NDArray[Any]

DEFAULT_SECONDS = 600.0
"""How long a search takes if neither a time nor a number of trials is given."""

TUNE_OPTIONS = (
    *SOURCE_OPTIONS, "task", "weights", "drop", "columns", "type", "separator", "missing", "decimal",
    "test_fraction", "test", "group", "time", "memory", "on_bad_row", "max_skipped",
    "activation", "loss", "quantile", "class_weight", "epochs", "patience", "max_grad_norm",
    "seed", "engine", "device", "precision",
)  # fmt: skip
"""The options of ``train_table`` that ``tune`` takes: those of the table, and some that are not searched."""

_ROWS_PER_MEMBER = 5
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
        training: the ensemble, as a training of the table ends with it.
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
    preset: str = "balanced",
    n_members: int | None = None,
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
        preset: sets the first trial, and how many networks a trial trains: "fast", "balanced" or "best".
        n_members: the number of networks of a trial; None for the preset's.
        observer: called as the search proceeds.
        options: those of ``train_table`` that are not searched, as ``drop=["id"]``, ``test=...``, ``seed=1``.

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
    limits = _read_limits(start, time_limit, n_trials)
    source, path = as_source(data, [target] if target else []), as_folder(folder, "folder")
    check_source(source, **{name: options.get(name) for name in SOURCE_OPTIONS})
    if target is None or (source is None and options.get("sql") is None):
        raise ParameterError(
            "tune needs a table and its target: give data, and the column to predict as target"
        )
    checked = check_options(preset, n_members, target=target, **options)
    with lock_folder(path):
        return search(
            source, checked, limits, observer or Observer(), folder=path, preset=preset, n_members=n_members
        )


def check_options(preset: str, n_members: int | None, **options: Any) -> TrainOptions:
    """Return the options of every trial, all checked.

    Raises:
        ParameterError: an option is unknown, is searched, or is not allowed.
    """
    if preset not in PRESETS:
        raise unknown_option_error("preset", preset, PRESETS)
    if n_members is not None:
        check_positive_int("n_members", n_members, "give how many networks a trial trains")
    for name in options:
        if name in SPACE:
            raise ParameterError(
                f"`{name}` is searched by tune: leave it out, or train with it by train_table"
            )
        if name not in (*TUNE_OPTIONS, "target"):
            if name in option_table():
                raise ParameterError(f"`{name}` is no option of tune: leave it out")
            raise unknown_option_error("option", name, TUNE_OPTIONS)
    of_preset = {"epochs": PRESETS[preset].max_iter, "patience": PRESETS[preset].n_iter_no_change}
    given = {name: value for name, value in options.items() if value is not None}
    return make_options(**of_preset | given, schedule="cosine")


class Limits(NamedTuple):
    """When a search ends: at a time of the monotonic clock, or after so many trials."""

    start: float
    end: float
    n_trials: float

    @property
    def time_left(self) -> float:
        """Seconds until the end."""
        return self.end - monotonic()


def _read_limits(start: float, time_limit: float | str | None, n_trials: int | None) -> Limits:
    if n_trials is not None:
        check_positive_int("n_trials", n_trials, "give how many networks to try")
    if time_limit is not None:
        seconds = parse_seconds(str(time_limit))
    else:
        seconds = DEFAULT_SECONDS if n_trials is None else math.inf
    return Limits(start, start + seconds, math.inf if n_trials is None else n_trials)


class _StopSearch(Exception):  # noqa: N818 no error
    """The time is over, or Ctrl-C came: the trial does not count."""


class _Encoding(NamedTuple):
    """The features of the rows, (n, k), with the pipeline that makes them."""

    columns: Pipeline
    X: Array


class _Search:
    """What all trials share: rows, folds, targets and encodings.

    Args:
        table: the table.
        split: its rows.
        options: of every trial.
        n_members: of every trial.
    """

    def __init__(self, table: TrainingTable, split: Split, options: TrainOptions, n_members: int) -> None:
        self.table, self.options, self.n_members = table, options, n_members
        self.task = table.target.task
        self.rows: Indices = np.sort(np.concatenate([np.asarray(split.train), split.validation]))
        y, self.scaler = table.target.values[self.rows], None
        if self.task == "classification":
            y = np.searchsorted(table.classes, y)
        elif is_scaled(self.task, options):
            self.scaler = TargetScaler().fit(y[:, None])
            y = scale(self.scaler, y)
        self.y: Array = y
        self.weights = table.weights_of(self.rows)
        self.folds = _make_folds(table, self.rows, y, options, n_members)
        self._encodings: dict[int, _Encoding] = {}

    def encoding(self, bins: int) -> _Encoding:
        """Return the features with so many bins; each number of bins is encoded once."""
        if bins not in self._encodings:
            table, options = self.table, self.options
            columns = make_preprocessor(
                table.columns, len(self.rows), table.target.name, options.missing, options.decimal, bins
            )
            self._encodings[bins] = _Encoding(columns, columns.fit_transform(table.frame.iloc[self.rows]))
        return self._encodings[bins]

    def fingerprint(self, preset: str) -> dict[str, Any]:
        """Return plain data that must be the same for a search to go on."""
        options = {
            name: getattr(self.options, name)
            for name in ("target", *TUNE_OPTIONS)
            if name not in _FREE_OPTIONS
        }
        X = self.encoding(preset_values(preset, self.task)["bins"]).X
        folds = [rows for fold in self.folds for rows in fold]
        return {
            "preset": preset,
            "n_members": self.n_members,
            "options": options,
            "rows": len(self.rows),
            "data": checksum_arrays(X, self.y, self.weights, *folds),
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

    def make_ensemble(self, values: Mapping[str, Any], on_epoch: Callable[[EpochRecord], bool]) -> Any:
        """Return the ensemble of a trial, to be fitted."""
        options = replace(self.options, **as_options(values))
        fewest = min(len(fold.train) for fold in self.folds)
        parameters = network_parameters(options, self.task, fewest, on_epoch)
        sizes = layer_sizes(self.table, self.encoding(options.bins).X.shape[1], options.hidden)
        # The networks of a trial share a program.
        work = Workload(sizes, fewest, parameters["batch_size"], options.epochs * self.n_members)
        parameters["engine"] = choose_engine(
            options.engine, work, device=options.device, precision=options.precision
        )
        network = make_network(self.task, **parameters, early_stopping=True, scoring="loss", tol=0.0)
        ensemble = MLPEnsembleClassifier if self.task == "classification" else MLPEnsembleRegressor
        return ensemble(network, self.n_members)


_FREE_OPTIONS = {"memory", "test", "engine", "device", "precision"}
"""Options that may differ where a search goes on; of the test rows no trial knows."""


def _make_folds(
    table: TrainingTable, rows: Indices, y: Array, options: TrainOptions, n_members: int
) -> Sequence[Fold]:
    """Return the folds of the members, as positions in rows: of whole groups, or of the latest rows."""
    if table.groups is None and table.times is None:
        return member_folds(
            n_members, len(rows), y if table.target.task == "classification" else None, options.seed
        )
    folds = list[Fold]()
    for number in range(n_members):
        train, held_out = hold_out(table, rows, VALIDATION_FRACTION, options.seed + number)
        check_classes(table.target, Split(train, held_out, held_out[:0]), options)
        folds.append(Fold(np.searchsorted(rows, np.sort(train)), np.searchsorted(rows, held_out)))
    return folds


def search(
    source: tuple[Path, ...] | pd.DataFrame | None,
    options: TrainOptions,
    limits: Limits,
    observer: Observer,
    *,
    folder: Path | None,
    preset: str,
    n_members: int | None,
) -> TuningResult:
    """Search with checked options; see ``tune``."""
    memory = None if options.memory is None else parse_memory(options.memory)
    with prepare(source, options, memory, observer) as prepared:
        table, split, data = prepared
        if data.y is None:
            raise DataError(
                "the table is larger than the memory, and tune reads no table in parts: give more `memory`, "
                "or tune on a part of the rows"
            )
        n_rows = len(split.train) + len(split.validation)
        n_members = n_members or max(1, min(PRESETS[preset].n_members, n_rows // _ROWS_PER_MEMBER))
        shared = _Search(table, split, options, n_members)
        store = TrialStore(folder, shared.fingerprint(preset))
        with observer.watch_tuning(limits.end - limits.start, limits.n_trials):
            interrupted = _run_trials(shared, store, limits, observer, preset)
        return _make_result(shared, store, prepared, source, interrupted=interrupted)


def _run_trials(shared: _Search, store: TrialStore, limits: Limits, observer: Observer, preset: str) -> bool:
    """Run trials until a limit; return whether Ctrl-C ended them before."""
    study, space = _resume_study(store, shared, preset), distributions(preset, shared.task)
    try:
        while len(store.trials) < limits.n_trials and (limits.time_left > 0 or not store.complete):
            number = len(store.trials)
            # With a seed for each trial, a search that goes on proposes what it would have without a break.
            study.sampler = _make_sampler(shared.options.seed, number)
            if not number:
                study.enqueue_trial(preset_values(preset, shared.task))
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


def _resume_study(store: TrialStore, shared: _Search, preset: str) -> optuna.Study:
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
            distributions=distributions(preset, shared.task),
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


class _TrialRun:
    """A trial while its networks train.

    Args:
        shared: what all trials share.
        asked: Optuna's trial.
        limits: when the search ends; the first trial ends early then, all others do not count.
        observer: called after each epoch.
        is_first: whether no trial is complete yet.
    """

    def __init__(
        self, shared: _Search, asked: optuna.Trial, limits: Limits, observer: Observer, *, is_first: bool
    ) -> None:
        self.shared, self.asked, self.limits, self.is_first = shared, asked, limits, is_first
        self.start, self.epochs, self.members = monotonic(), 0, 0
        self.curve = list[float]()
        self._show = history_callback([], observer.on_epoch)
        self._X, self._held_out = shared.encoding(asked.params["bins"]).X, shared.folds[0].held_out

    def fit(self) -> Any:
        """Return the fitted ensemble.

        Raises:
            _Pruned: the trial is worse than the median.
            _StopSearch: the time was over before it ended.
            DivergedError: a loss stopped being finite.
        """

        def on_epoch(record: EpochRecord) -> bool:
            # A function, as scikit-learn's clone would copy a method with all that it belongs to.
            return self._on_epoch(record)

        ensemble = self.shared.make_ensemble(self.asked.params, on_epoch)
        if self.is_first and self.limits.end < math.inf:
            # It is the result if no other ends: its networks share the time.
            ensemble.set_params(time_limit=max(self.limits.time_left, _TINY))
        with translate_errors(self.shared.options):
            ensemble.fit(self._X, self.shared.y, self.shared.weights, folds=self.shared.folds)
        # Callbacks are functions of this process: they cannot be saved.
        for network in (ensemble.estimator, *ensemble.members_):
            network.set_params(callbacks=None)
        return ensemble.set_params(time_limit=None)

    def end(self, state: State, loss: float | None = None) -> Trial:
        """Tell Optuna how the trial ended, and return its record."""
        self.asked.study.tell(self.asked, loss, state=_study_state(state))
        seconds, values = monotonic() - self.start, dict(self.asked.params)
        return Trial(self.asked.number, state, loss, seconds, self.epochs, values, tuple(self.curve))

    def _on_epoch(self, record: EpochRecord) -> bool:
        self._show(record)
        self.members += record.number == 1
        self.epochs += 1
        if not self.is_first and self.limits.time_left <= 0:
            raise _StopSearch
        if self.members == 1:
            outputs = self.shared.outputs(record.network, self._X[self._held_out])
            self.curve.append(self.shared.loss(outputs, self._held_out))
            self.asked.report(min(self.curve), record.number)
            if self.asked.should_prune():
                raise _Pruned
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
    run = _TrialRun(shared, asked, limits, observer, is_first=not store.complete)
    try:
        ensemble = run.fit()
    except _Pruned:
        store.add(run.end("pruned"))
        return
    except DivergedError:
        if run.is_first:
            raise
        store.add(run.end("diverged"))
        return
    interrupted = any(member.interrupted_ for member in ensemble.members_)
    if not interrupted or run.is_first:
        # One that was cut short would stay the worse for it where the search goes on: it is not saved.
        whole = not interrupted and (limits.time_left > 0 or not run.is_first)
        store.add(run.end("complete", shared.loss(ensemble.out_of_fold_)), ensemble, save=whole)
    if interrupted:
        raise KeyboardInterrupt


def _study_state(state: State) -> optuna.trial.TrialState:
    from optuna.trial import TrialState

    return {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "diverged": TrialState.FAIL}[state]


class _Pruned(Exception):  # noqa: N818 no error
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
    shared: _Search,
    store: TrialStore,
    prepared: TrainingInput,
    source: tuple[Path, ...] | pd.DataFrame | None,
    *,
    interrupted: bool,
) -> TuningResult:
    best = store.complete[0]
    options = replace(shared.options, **as_options(best.values))
    # The networks of an ensemble read the same features.
    bins = {trial.values["bins"] for trial in store.complete}
    chosen, loss, n_bins = min(
        (
            (*select_trials(_outputs(store, each), shared.loss), each)
            for each in bins
        ),
        key=lambda choice: choice[1],
    )  # fmt: skip
    network = merge_ensembles([store.ensembles[number] for number in chosen])
    del network.out_of_fold_
    if shared.task == "classification":
        # It was trained on indices: scikit-learn refuses fractions as labels.
        network.relabel(shared.table.classes)
    last = network if shared.scaler is None else wrap_target_scaler(network, shared.scaler)
    pipeline = Pipeline([*shared.encoding(n_bins).columns.steps, ("network", last)])
    has_files = not isinstance(source, pd.DataFrame) and shared.options.sql is None
    files = source or () if has_files else None
    training = TrainingResult(prepared.table, prepared.split, options, files, pipeline, [])
    return TuningResult(store.table(), as_options(best.values), chosen, loss, training, interrupted)


def _outputs(store: TrialStore, bins: int) -> dict[int, Array]:
    """Return the answers of the complete trials with so many bins, for the rows that they held out."""
    return {
        trial.number: store.ensembles[trial.number].out_of_fold_
        for trial in store.complete
        if trial.values["bins"] == bins
    }
