"""Split the rows, encode the columns, train the network, and join columns and network in one pipeline."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline

from batchprop.batches import Indices
from batchprop.errors import BatchpropError, DataError, DivergedError, InputError, TargetScaleWarning
from batchprop.estimators import Checkpoints, MLPClassifier, MLPRegressor
from batchprop.estimators.ensemble import (
    Fold,
    StopAt,
    make_ensemble,
    member_folds,
)
from batchprop.estimators.sharing import check_same, own_rows
from batchprop.estimators.source_summary import checksum_arrays
from batchprop.estimators.validation import NON_FINITE
from batchprop.processes import current
from batchprop.tabular.history import History, HistoryCallback, append_last_epoch
from batchprop.tabular.jax_errors import format_jax_error, jax_errors
from batchprop.tabular.level_means import NO_MEANS
from batchprop.tabular.mean_columns import choose_mean_columns
from batchprop.tabular.observer import Observer
from batchprop.tabular.options import TrainOptions, to_dict
from batchprop.tabular.split import check_known_classes, group_split, latest_split, stratified_split
from batchprop.tabular.target import Target, Task
from batchprop.tabular.training_table import TrainingTable
from batchprop.tabular.transformers import TargetScaler, make_preprocessor
from batchprop.training import EpochRecord

VALIDATION_FRACTION = 0.1

EARLY_STOPPING: dict[str, Any] = {"early_stopping": True, "scoring": "loss", "tol": 0.0}
"""Any decrease of the loss counts as better (tol=0): patience alone decides when to stop."""

_BINARY = 2

_LEAST_SECONDS = 1e-3

_ENGINE_OF_ANY_MACHINE = {"engine": "auto", "device": None, "precision": None}

OnEpoch = Callable[[EpochRecord], bool]


class Split(NamedTuple):
    """The training, validation and test rows.

    Positions in the frame; for a table larger than memory, the frame holds only the last two parts. Without
    validation rows, each of several networks holds out its own of the training rows.
    """

    train: Indices | range
    validation: Indices
    test: Indices

    @property
    def description(self) -> str:
        """The number of rows of each part, in words."""
        if not len(self.validation):
            return f"{len(self.train):,} to train and validate, {len(self.test):,} to test"
        return (
            f"{len(self.train):,} to train, {len(self.validation):,} to validate, {len(self.test):,} to test"
        )


class TrainingData(NamedTuple):
    """The features and targets that a network trains on.

    Attributes:
        columns: the fitted transformer.
        X: training features (n, k), or a source of them with their targets.
        y: targets (n,), for classes their indices; None with a source.
        weights: how much each row counts (n,), or None.
        X_val: validation features (v, k).
        y_val: their targets (v,).
        weights_val: how much each of them counts (v,), or None.
        rows: n, the fewest of any network.
        scaler: standardised the targets of a regression; None if they are as in the table.
        folds: the rows of X of each of several networks; there are no other validation rows then. None for
            one network.
    """

    columns: Pipeline
    X: Any
    y: Any
    weights: Any
    X_val: Any
    y_val: Any
    weights_val: Any
    rows: int
    scaler: TargetScaler | None = None
    folds: Sequence[Fold] | None = None

    @property
    def features(self) -> int:
        """The number of features k."""
        return int((self.X if self.folds else self.X_val).shape[1])


def split_rows(table: TrainingTable, options: TrainOptions) -> Split:
    """Split the rows into training, validation and test rows.

    Raises:
        DataError: there are too few groups or times, or a class is left without training rows.
    """
    rows: Indices = np.arange(len(table.target.values) - table.n_test)
    test: Indices
    if options.test_share is None:
        rest, test = rows, len(rows) + np.arange(table.n_test)
    else:
        rest, test = hold_out(table, rows, options.test_share, options.seed)
    return split_training_rows(table, rest, test, options)


def split_training_rows(table: TrainingTable, rest: Indices, test: Indices, options: TrainOptions) -> Split:
    """Split the rows that do not test into training and validation rows.

    Raises:
        DataError: a class is left without training rows.
    """
    if options.n_members > 1 and table.times is None:
        train, validation = rest, rest[:0]
    else:
        # The latest rows validate every network.
        train, validation = hold_out(table, rest, VALIDATION_FRACTION, options.seed)
    split = Split(train, validation, test)
    check_classes(table.target, split, options)
    return split


def hold_out(
    table: TrainingTable, rows: Indices, fraction: float, random_state: int
) -> tuple[Indices, Indices]:
    """Return the rows that stay, and a fraction that is held out: by group, by time, or at random."""
    if table.groups is not None:
        return group_split(table.target, table.groups, rows, fraction, random_state)
    if table.times is not None:
        return latest_split(table.times, rows, fraction)
    return stratified_split(table.target, rows, fraction, random_state)


def check_classes(target: Target, split: Split, options: TrainOptions) -> None:
    """Refuse a class that has validation or test rows, and no training rows.

    Raises:
        DataError: there is such a class.
    """
    if target.task == "classification":
        held_out = target.values[np.concatenate([split.validation, split.test])]
        check_known_classes(
            target.name, held_out, np.unique(target.values[np.asarray(split.train)]), other_rows(options)
        )


def other_rows(options: TrainOptions) -> str:
    """Suggest how to have other training rows."""
    if options.test is not None:
        return "correct it in `test`"
    if options.time is not None:
        return "split the rows by another `time`, or at random"
    return "draw other rows by another `seed`"


def encode(table: TrainingTable, split: Split, options: TrainOptions) -> TrainingData:
    """Fit the preprocessing to the training rows, encode all rows, and standardise a regression's target.

    Raises:
        DataError: a column holds a value that its kind does not allow, or no column is left; there are too
            few groups for several networks.
    """
    # Fitted to training rows only: the validation and test rows must not leak into the features.
    train = np.asarray(split.train)
    frame, validation = table.frame.iloc[train], table.frame.iloc[split.validation]
    y, y_val = table.target.values[train], table.target.values[split.validation]
    scaler, n_classes = None, None
    if table.target.task == "classification":
        n_classes = len(table.classes)
        y, y_val = np.searchsorted(table.classes, y), np.searchsorted(table.classes, y_val)
    elif is_scaled(table.target.task, options):
        scaler = TargetScaler().fit(y[:, None])
        y, y_val = scaler.transform(y), scaler.transform(y_val)
    columns = make_columns(table, frame, y, options, n_classes)
    X = columns.fit_transform(frame, y)
    X_val = columns.transform(validation) if len(validation) else X[:0]
    check_test_rows(columns, table, split)
    weights, weights_val = table.weights_of(train), table.weights_of(split.validation)
    data = TrainingData(columns, X, y, weights, X_val, y_val, weights_val, len(train), scaler)
    return data if options.n_members == 1 else divide(data, table, split, options)


def make_columns(
    table: TrainingTable, frame: pd.DataFrame, y: Any, options: TrainOptions, n_classes: int | None
) -> Pipeline:
    """Return the transformer of a table's columns, to be fitted to some of its rows and their targets.

    Args:
        table: the table.
        frame: the rows to fit it to (n).
        y: their targets (n,), classes as indices.
        options: how text is read, and how many bins a number has.
        n_classes: the number of classes; None for a target of numbers.

    Raises:
        DataError: no column is left.
    """
    means = NO_MEANS
    if table.groups is None:  # of rows of one group, some would have the means of the others
        rules = options.text_rules
        means = choose_mean_columns(table.columns, frame, y, n_classes, options.column_types, rules)
    return make_preprocessor(
        table.columns,
        len(frame),
        table.target.name,
        options.missing,
        options.decimal,
        options.bins,
        means,
        n_classes,
    )


def check_test_rows(columns: Pipeline, table: TrainingTable, split: Split) -> None:
    """Refuse test rows with a value that the kind of its column does not allow, before the training.

    Raises:
        DataError: there is such a value.
    """
    if len(split.test):
        columns["columns"].cast(table.frame.iloc[split.test])


def divide(data: TrainingData, table: TrainingTable, split: Split, options: TrainOptions) -> TrainingData:
    """Return the data of several networks, each with its own fold of the rows.

    Raises:
        DataError: the groups are too few.
    """
    rows = np.concatenate([split.train, split.validation])
    if len(split.validation):
        cut = np.arange(len(rows)) < len(split.train)
        folds = [Fold(np.flatnonzero(cut), np.flatnonzero(~cut))] * options.n_members
    else:
        labels = data.y if table.target.task == "classification" else None
        groups = None if table.groups is None else table.groups[rows]
        try:
            folds = member_folds(options.n_members, len(rows), labels, options.seed, groups)
        except InputError as error:
            raise DataError(f"members={options.n_members}: {error}, or add members=1") from error
    return data._replace(
        X=np.concatenate([data.X, data.X_val]),
        y=np.concatenate([data.y, data.y_val]),
        weights=None if data.weights is None else np.concatenate([data.weights, data.weights_val]),
        X_val=None,
        y_val=None,
        weights_val=None,
        rows=min(len(fold.train) for fold in folds),
        folds=folds,
    )


def is_scaled(task: Task, options: TrainOptions) -> bool:
    """Whether the target is standardised."""
    # The Poisson head predicts counts: standardised, half of them would be negative.
    return task == "regression" and options.loss != "poisson"


def layer_sizes(table: TrainingTable, features: int, hidden: Sequence[int]) -> list[int]:
    """Return the network's widths; two classes, like a number, take one output."""
    classes = len(table.classes) if table.target.task == "classification" else 1
    return [features, *hidden, classes if classes > _BINARY else 1]


def fit(
    table: TrainingTable,
    data: TrainingData,
    options: TrainOptions,
    history: History,
    observer: Observer,
    *,
    checkpoints: Path | None = None,
) -> Pipeline:
    """Train the networks, and append them to the preprocessing in one pipeline.

    Args:
        table: the table.
        data: the training data.
        options: of the training.
        history: of earlier epochs if training resumes; epochs are added to it.
        observer: called after each epoch.
        checkpoints: the folder in which the training is saved as it proceeds.

    Raises:
        DivergedError: the loss stopped being finite.
        BatchpropError: JAX failed, for example for lack of memory; a checkpoint cannot be written.
    """
    task = table.target.task
    callback = HistoryCallback(history, observer.on_epoch)
    network = make_network(task, **network_parameters(options, task, data.rows, callback), **EARLY_STOPPING)
    kwargs: dict[str, Any] = {}
    if checkpoints is not None and options.checkpoint_every is not None:
        saver = Checkpoints(checkpoints, options.checkpoint_every)
        kwargs = {"checkpoint": saver, "resume": options.resume}
    with translate_errors(options):
        train = _fit_network if data.folds is None else _fit_members
        network = train(network, data, options, _seconds_left(options, history), kwargs)
        members = members_of(network)
        # Ctrl-C may come between the epochs of a network and its end.
        history[:] = [epoch for epoch in history if epoch.member <= len(members)]
        append_last_epoch(history, members[-1])
        if task == "classification":
            # It was trained on indices: scikit-learn refuses fractions as labels.
            network.relabel(table.classes)
        last = network if data.scaler is None else wrap_target_scaler(network, data.scaler)
    return Pipeline([*data.columns.steps, ("network", last)])


def _seconds_left(options: TrainOptions, history: History) -> float | None:
    """Return how long training may take, less the epochs of the run that is resumed; None for no limit."""
    if options.time_limit is None:
        return None
    return max(options.time_limit - sum(epoch.seconds for epoch in history), _LEAST_SECONDS)


def _fit_network(
    network: Any, data: TrainingData, options: TrainOptions, seconds: float | None, kwargs: dict[str, Any]
) -> Any:
    if seconds is not None:
        network.set_params(callbacks=(*network.callbacks, StopAt(monotonic() + seconds)))
    # A source deals out its own rows.
    own = own_rows if data.y is not None else lambda rows: rows
    network.fit(
        own(data.X),
        own(data.y),
        own(data.weights),
        X_val=own_rows(data.X_val),
        y_val=own_rows(data.y_val),
        sample_weight_val=own_rows(data.weights_val),
        record_examples=options.record,
        **kwargs,
    )
    # A callback is a function of this process: it cannot be saved with the model.
    return network.set_params(callbacks=None)


def check_same_table(data: TrainingData, options: TrainOptions) -> None:
    """Refuse to train with processes that have another table or other options.

    Raises:
        InputError: they differ.
    """
    if current().count == 1:
        return
    in_memory = data.y is not None
    of_rows = (data.X, data.y, data.weights) if in_memory else ()
    check_same(
        {
            **{name: value for name, value in to_dict(options).items() if name != "resume"},
            "table": checksum_arrays(*of_rows, data.X_val, data.y_val, data.weights_val),
            "number of rows": [data.rows] if in_memory else [*data.X.partitions],
        }
    )


def _fit_members(
    network: Any, data: TrainingData, options: TrainOptions, seconds: float | None, kwargs: dict[str, Any]
) -> Any:
    ensemble = make_ensemble(network, options.n_members, seconds)
    ensemble.fit(data.X, data.y, data.weights, folds=data.folds, **kwargs)
    # A model is as large as its networks, not as its table.
    del ensemble.out_of_fold_
    return ensemble.set_params(estimator__callbacks=None, time_limit=options.time_limit)


def make_network(task: Task, **parameters: Any) -> Any:
    """Make the estimator for a task."""
    return (MLPClassifier if task == "classification" else MLPRegressor)(**parameters)


def network_parameters(options: TrainOptions, task: Task, rows: int, on_epoch: OnEpoch) -> dict[str, Any]:
    """Return the parameters of the estimator for a task.

    Args:
        options: of the training.
        task: "classification" or "regression".
        rows: the number of training rows.
        on_epoch: called after each epoch.
    """
    parameters = options.estimator_parameters(task)
    if isinstance(size := parameters["batch_size"], int):
        parameters["batch_size"] = min(size, rows)
    return {**parameters, "callbacks": (on_epoch,)}


def wrap_target_scaler(network: Any, scaler: TargetScaler) -> TransformedTargetRegressor:
    """Wrap a network trained on standardised targets, so that it predicts in their original unit."""
    whole = TransformedTargetRegressor(DummyRegressor(), transformer=clone(scaler))
    # scikit-learn has no way to set a fitted regressor: a fit on two dummy rows creates every fitted
    # attribute, and the two important ones are replaced.
    whole.fit(np.zeros((2, network.n_features_in_)), np.array([0.0, 1.0]))
    whole.set_params(regressor=clone(network))
    whole.regressor_, whole.transformer_ = network, scaler
    return whole


def network_of(pipeline: Pipeline) -> Any:
    """Return the fitted network at a pipeline's end: an MLPClassifier or MLPRegressor, or several in one."""
    last = pipeline[-1]
    return getattr(last, "regressor_", last)


def members_of(network: Any) -> list[Any]:
    """Return the networks of several in one; else the one."""
    return getattr(network, "members_", [network])


def reset_engine(pipeline: Pipeline) -> Pipeline:
    """Set the engine to "auto": the machine that predicts may have no JAX and another device."""
    network, last = network_of(pipeline), pipeline[-1]
    templates = [network.estimator] if hasattr(network, "members_") else []
    if network is not last:
        templates += [getattr(last.regressor, "estimator", last.regressor)]
    for each in (*members_of(network), *templates):
        each.set_params(**_ENGINE_OF_ANY_MACHINE)
    return pipeline


@contextmanager
def translate_errors(options: TrainOptions, *, clips: bool = True) -> Iterator[None]:
    """Hide warnings that the report repeats, and name the parameters of `train_table` in errors.

    Args:
        options: of the training.
        clips: whether the caller lets the gradient be clipped.

    Raises:
        DivergedError: the loss stopped being finite.
        BatchpropError: JAX failed, for example for lack of memory.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", TargetScaleWarning)  # it is scaled here
        warnings.filterwarnings("ignore", "Training interrupted by user", UserWarning)
        try:
            yield
        except DivergedError as error:
            # Whoever names a table has no solver to think of.
            what = str(error).removeprefix(f"{NON_FINITE}: ").partition(": ")[0]
            raise DivergedError(f"{what}: {_remedy(options, clips=clips)}") from error
        except jax_errors() as error:
            plainer = ", or precision=None" if options.precision else ""
            raise BatchpropError(f"{format_jax_error(error)}: try engine='numpy'{plainer}") from error


def _remedy(options: TrainOptions, *, clips: bool) -> str:
    """Suggest what to do about a divergence, in the parameters of `train_table`."""
    if options.solver == "lbfgs":
        return "try another `solver`, or a larger `alpha`"
    clip = ", or max_grad_norm=1" if clips and not options.max_grad_norm else ""
    return f"try a `learning_rate` below {options.learning_rate:g}{clip}"
