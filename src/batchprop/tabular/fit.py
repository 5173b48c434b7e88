"""Split the rows, encode the columns, train the network, and join columns and network in one pipeline."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline

from batchprop.batches import Indices
from batchprop.errors import BatchpropError, DivergedError, TargetScaleWarning
from batchprop.estimators import Checkpoints, MLPClassifier, MLPRegressor
from batchprop.estimators.validation import NON_FINITE
from batchprop.tabular.history import History, append_last_epoch, history_callback
from batchprop.tabular.jax_errors import format_jax_error, jax_errors
from batchprop.tabular.observer import Observer
from batchprop.tabular.options import TrainOptions
from batchprop.tabular.split import check_known_classes, group_split, latest_split, stratified_split
from batchprop.tabular.target import Target, Task
from batchprop.tabular.training_table import TrainingTable
from batchprop.tabular.transformers import TargetScaler, make_preprocessor
from batchprop.training import EpochRecord

VALIDATION_FRACTION = 0.1

_BINARY = 2

_ENGINE_OF_ANY_MACHINE = {"engine": "auto", "device": None, "precision": None}

OnEpoch = Callable[[EpochRecord], bool]


class Split(NamedTuple):
    """The training, validation and test rows.

    Positions in the frame; for a table larger than memory, the frame holds only the last two parts.
    """

    train: Indices | range
    validation: Indices
    test: Indices

    @property
    def description(self) -> str:
        """The number of rows of each part, in words."""
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
        rows: n.
        scaler: standardised the targets of a regression; None if they are as in the table.
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

    @property
    def features(self) -> int:
        """The number of features k."""
        return int(self.X_val.shape[1])


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
    if options.time is not None:
        return "split the rows by another `time`, or at random"
    return "draw other rows by another `seed`"


def encode(table: TrainingTable, split: Split, options: TrainOptions) -> TrainingData:
    """Fit the preprocessing to the training rows, encode all rows, and standardise a regression's target.

    Raises:
        DataError: a column holds a value that its kind does not allow, or no column is left.
    """
    # Fitted to training rows only: the validation and test rows must not leak into the features.
    train = np.asarray(split.train)
    columns = make_preprocessor(
        table.columns, len(train), table.target.name, options.missing, options.decimal, options.bins
    )
    X = columns.fit_transform(table.frame.iloc[train])
    X_val = columns.transform(table.frame.iloc[split.validation])
    y, y_val = table.target.values[train], table.target.values[split.validation]
    weights, weights_val = table.weights_of(train), table.weights_of(split.validation)
    data = TrainingData(columns, X, y, weights, X_val, y_val, weights_val, len(train))
    if table.target.task == "classification":
        classes = table.classes
        return data._replace(y=np.searchsorted(classes, y), y_val=np.searchsorted(classes, y_val))
    if not is_scaled(table.target.task, options):
        return data
    scaler = TargetScaler().fit(y[:, None])
    return data._replace(y=scale(scaler, y), y_val=scale(scaler, y_val), scaler=scaler)


def is_scaled(task: Task, options: TrainOptions) -> bool:
    """Whether the target is standardised."""
    # The Poisson head predicts counts: standardised, half of them would be negative.
    return task == "regression" and options.loss != "poisson"


def scale(scaler: TargetScaler, y: Any) -> Any:
    """Standardise numbers (n,) with a fitted scaler."""
    return scaler.transform(y[:, None])[:, 0]


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
    """Train the network, and append it to the preprocessing in one pipeline.

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
    # Any decrease of the loss counts as better (tol=0): patience alone decides when to stop.
    stopping = {"early_stopping": True, "scoring": "loss", "tol": 0.0}
    parameters = network_parameters(options, task, data.rows, history_callback(history, observer.on_epoch))
    network = make_network(task, **parameters, **stopping)
    kwargs: dict[str, Any] = {
        "X_val": data.X_val,
        "y_val": data.y_val,
        "sample_weight_val": data.weights_val,
        "record_examples": options.record,
    }
    if checkpoints is not None and options.checkpoint_every is not None:
        saver = Checkpoints(checkpoints, options.checkpoint_every)
        kwargs |= {"checkpoint": saver, "resume": options.resume}
    with translate_errors(options):
        network.fit(data.X, data.y, data.weights, **kwargs)
        append_last_epoch(history, network)
        # A callback is a function of this process: it cannot be saved with the model.
        network.set_params(callbacks=None)
        if task == "classification":
            # It was trained on indices: scikit-learn refuses fractions as labels.
            network.relabel(table.classes)
        last = network if data.scaler is None else _wrap_target_scaler(network, data.scaler)
    return Pipeline([*data.columns.steps, ("network", last)])


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


def _wrap_target_scaler(network: Any, scaler: TargetScaler) -> TransformedTargetRegressor:
    """Wrap a network trained on standardised targets, so that it predicts in their original unit."""
    whole = TransformedTargetRegressor(DummyRegressor(), transformer=clone(scaler))
    # scikit-learn has no way to set a fitted regressor: a fit on two dummy rows creates every fitted
    # attribute, and the two important ones are replaced.
    whole.fit(np.zeros((2, network.n_features_in_)), np.array([0.0, 1.0]))
    whole.set_params(regressor=clone(network))
    whole.regressor_, whole.transformer_ = network, scaler
    return whole


def network_of(pipeline: Pipeline) -> Any:
    """Return the fitted MLPClassifier or MLPRegressor at a pipeline's end."""
    last = pipeline[-1]
    return getattr(last, "regressor_", last)


def reset_engine(pipeline: Pipeline) -> Pipeline:
    """Set the engine to "auto": the machine that predicts may have no JAX and another device."""
    last = pipeline[-1]
    if not hasattr(last, "regressor_"):
        last.set_params(**_ENGINE_OF_ANY_MACHINE)
        return pipeline
    last.regressor_.set_params(**_ENGINE_OF_ANY_MACHINE)
    last.set_params(**{f"regressor__{name}": value for name, value in _ENGINE_OF_ANY_MACHINE.items()})
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
