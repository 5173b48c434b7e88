"""One training: rows set aside, columns encoded, the network fitted, its scores taken."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

import batchprop
from batchprop.cli.epoch_catch_up import append_last_epoch
from batchprop.cli.extras import format_jax_error, jax_errors
from batchprop.cli.progress import EpochSummary, History, ProgressDisplay, history_callback
from batchprop.cli.settings import TrainOptions
from batchprop.cli.training_table import TrainingTable
from batchprop.errors import BatchpropError, DivergedError
from batchprop.tabular.metrics import (
    Scores,
    classification_scores,
    dummy_classification_scores,
    dummy_regression_scores,
    regression_scores,
)
from batchprop.tabular.split import Rows, stratified_split
from batchprop.tabular.target import Target
from batchprop.tabular.transformers import make_preprocessor
from batchprop.training import EpochRecord

VALIDATION_FRACTION = 0.1

_TWO = 2

_ANY_MACHINE = {"engine": "auto", "device": None, "precision": None}

OnEpoch = Callable[[EpochRecord], bool]


class Split(NamedTuple):
    """Which rows train, which tell when to stop, and which are kept for the test.

    Places in the frame; of a table that is larger than memory, the frame holds those of the last two.
    """

    train: Rows | range
    validation: Rows
    test: Rows

    @property
    def told(self) -> str:
        """How many rows each part has, in words."""
        return (
            f"{len(self.train):,} to train, {len(self.validation):,} to validate, {len(self.test):,} to test"
        )


class TrainingData(NamedTuple):
    """What a network is given to learn from.

    Attributes:
        columns: the fitted transformer.
        X: features to train on (n, k), or a source of them with their targets.
        y: targets (n,); None with a source.
        weights: how much each row counts (n,), or None.
        X_val: features to validate on (v, k).
        y_val: their targets (v,).
        rows: n.
        scaler: what targets were divided by, where that happened: `network` learns them so.
    """

    columns: Pipeline
    X: Any
    y: Any
    weights: Any
    X_val: Any
    y_val: Any
    rows: int
    scaler: StandardScaler | None = None

    @property
    def features(self) -> int:
        """How many features there are, k."""
        return int(self.X_val.shape[1])


class Evaluation(NamedTuple):
    """What a model is worth.

    Attributes:
        X: the test rows as features (n, k).
        y: their targets (n,).
        answers: the model's: a probability for each class (n, classes), or numbers (n,).
        scores: of the answers.
        baseline: the scores of the simplest guess.
    """

    X: Any
    y: Any
    answers: Any
    scores: Scores
    baseline: Scores


@dataclass(frozen=True)
class TrainedModel:
    """A trained pipeline and how it got there."""

    model: Pipeline
    history: History

    @property
    def network(self) -> Any:
        """The fitted MLPClassifier or MLPRegressor at the pipeline's end."""
        last = self.model[-1]
        return getattr(last, "regressor_", last)

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the training."""
        return bool(self.network.interrupted_)

    @property
    def engine(self) -> str:
        """What trained the network, "numpy" or "jax"."""
        return str(self.network.engine_)

    @property
    def device(self) -> str | None:
        """Where JAX trained it, as "gpu (NVIDIA A100)"; None for NumPy."""
        if self.engine == "numpy":
            return None
        from batchprop.engines.devices import get_device

        device = get_device(self.network.device)
        here = device.platform == device.device_kind
        return str(device.platform) if here else f"{device.platform} ({device.device_kind})"

    @property
    def best(self) -> EpochSummary:
        """The epoch whose weights were kept."""
        best: EpochSummary = self.history[self.network.best_iteration_ - 1]
        return best


def split_rows(target: Target, settings: TrainOptions) -> Split:
    """Split the rows into those for the test, for validation, and to train on."""
    rows = np.arange(len(target.values))
    rest, test = stratified_split(target, rows, settings.test_fraction, settings.seed)
    train, validation = stratified_split(target, rest, VALIDATION_FRACTION, settings.seed)
    return Split(train, validation, test)


def encode(data: TrainingTable, parts: Split, settings: TrainOptions) -> TrainingData:
    """Turn the columns into features, by what the training rows tell, and numbers into their distance.

    Raises:
        DataError: a column holds what its kind does not allow, or none is left.
    """
    train = np.asarray(parts.train)
    columns = make_preprocessor(data.columns, len(train), data.target.name)
    X = columns.fit_transform(data.frame.iloc[train])
    X_val = columns.transform(data.frame.iloc[parts.validation])
    y, y_val = data.target.values[train], data.target.values[parts.validation]
    weights = None if data.weights is None else data.weights[train]
    given = TrainingData(columns, X, y, weights, X_val, y_val, len(train))
    if not is_scaled(data.target.task, settings):
        return given
    scaler = StandardScaler().fit(y[:, None])
    return given._replace(y=scaled(scaler, y), y_val=scaled(scaler, y_val), scaler=scaler)


def is_scaled(task: str, settings: TrainOptions) -> bool:
    """Whether a target is learned as its distance from the mean; counts keep their scale."""
    # The head's exponential is of counts, not of their distance to the mean.
    return task == "numbers" and loss_and_quantile(settings)[0] != "poisson"


def scaled(scaler: StandardScaler, y: Any) -> Any:
    """Return numbers as their distance from the mean, in standard deviations."""
    return scaler.transform(y[:, None])[:, 0]


def sizes(data: TrainingTable, features: int, hidden: Sequence[int]) -> list[int]:
    """Return the network's widths; two classes, like a number, take one output."""
    classes = len(data.classes) if data.target.task == "classes" else 1
    return [features, *hidden, classes if classes > _TWO else 1]


def fit(
    data: TrainingTable, given: TrainingData, settings: TrainOptions, history: History, show: ProgressDisplay
) -> TrainedModel:
    """Train the network, and put it behind the columns in one pipeline.

    Args:
        data: the table.
        given: what to learn from.
        settings: the options.
        history: of earlier epochs, where training goes on; epochs are added to it.
        show: called after each epoch.

    Raises:
        DivergedError: the loss stopped being finite.
        BatchpropError: JAX gave up, as for want of memory; a checkpoint cannot be written.
    """
    on_epoch = history_callback(history, show)
    made = _for_classes if data.target.task == "classes" else _for_numbers
    network = made(settings, options(settings, given.rows, on_epoch) | _stopping(settings))
    how: dict[str, Any] = {"X_val": given.X_val, "y_val": given.y_val, "record_examples": settings.record}
    if settings.checkpoint_every is not None:
        kept = batchprop.Checkpoints(settings.checkpoints, settings.checkpoint_every)
        how |= {"checkpoint": kept, "resume": settings.resume}
    with translate_errors(settings):
        network.fit(given.X, given.y, given.weights, **how)
        append_last_epoch(history, network)
        network.set_params(callbacks=None)
        last = network if given.scaler is None else _wrap_target_scaler(network, given.scaler)
    return TrainedModel(Pipeline([*given.columns.steps, ("network", last)]), history)


def _wrap_target_scaler(network: Any, scaler: StandardScaler) -> TransformedTargetRegressor:
    """A network that learned scaled numbers, made to answer in theirs."""
    whole = TransformedTargetRegressor(DummyRegressor(), transformer=clone(scaler))
    whole.fit(np.zeros((2, network.n_features_in_)), np.array([0.0, 1.0]))  # then with those that count
    whole.set_params(regressor=clone(network))
    whole.regressor_, whole.transformer_ = network, scaler
    return whole


@contextmanager
def translate_errors(settings: TrainOptions, *, clips: bool = True) -> Iterator[None]:
    """Keep quiet what the report says with the numbers, and say what failed in options.

    Args:
        settings: the options.
        clips: whether the command has --max-grad-norm.

    Raises:
        DivergedError: the loss stopped being finite.
        BatchpropError: JAX gave up, as for want of memory.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "Ctrl-C ended training", UserWarning)
        try:
            yield
        except DivergedError as error:
            raise DivergedError(
                f"{str(error).partition(': ')[0]}: {_remedy(settings, clips=clips)}"
            ) from error
        except jax_errors() as error:
            plainer = ", or no --precision" if settings.precision else ""
            raise BatchpropError(f"{format_jax_error(error)}: try --engine numpy{plainer}") from error


def _remedy(settings: TrainOptions, *, clips: bool) -> str:
    """What to do about a divergence, in options: the core speaks of its parameters."""
    if settings.solver == "lbfgs":
        return "try another --solver, or a larger --alpha"
    clip = ", or --max-grad-norm 1" if clips and not settings.max_grad_norm else ""
    return f"try a --learning-rate below {settings.learning_rate:g}{clip}"


def options(settings: TrainOptions, rows: int, on_epoch: OnEpoch) -> dict[str, Any]:
    """Return what both estimators take, all but when to stop.

    Args:
        settings: the options of the command.
        rows: how many there are to train on.
        on_epoch: called after each epoch.
    """
    size = settings.batch_size
    return {
        "hidden_layer_sizes": settings.hidden,
        "activation": settings.activation,
        "solver": settings.solver,
        "alpha": settings.alpha,
        "batch_size": min(size, rows) if isinstance(size, int) else size,
        "learning_rate": settings.schedule,
        "learning_rate_init": settings.learning_rate,
        "max_iter": settings.epochs,
        "dropout": settings.dropout,
        "max_grad_norm": settings.max_grad_norm,
        "random_state": settings.seed,
        "engine": settings.engine,
        "device": settings.device,
        "precision": settings.precision,
        "on_divergence": settings.on_divergence,
        "callbacks": (on_epoch,),
    }


def _stopping(settings: TrainOptions) -> dict[str, Any]:
    # With tol = 0 any better loss is better: patience is what decides.
    return {
        "early_stopping": True,
        "scoring": "loss",
        "n_iter_no_change": settings.patience,
        "tol": 0.0,
    }


def _for_classes(settings: TrainOptions, how: dict[str, Any]) -> Any:
    weight, smoothing = settings.class_weight, settings.label_smoothing
    return batchprop.MLPClassifier(class_weight=weight, label_smoothing=smoothing, **how)


def _for_numbers(settings: TrainOptions, how: dict[str, Any]) -> Any:
    loss, quantile = loss_and_quantile(settings)
    return batchprop.MLPRegressor(loss=loss, quantile=quantile, **how)


def reset_engine(model: Pipeline) -> Pipeline:
    """Let a model choose its engine where it predicts: neither JAX nor the device need be there."""
    last = model[-1]
    if not hasattr(last, "regressor_"):
        last.set_params(**_ANY_MACHINE)
        return model
    last.regressor_.set_params(**_ANY_MACHINE)
    last.set_params(**{f"regressor__{name}": value for name, value in _ANY_MACHINE.items()})
    return model


def loss_and_quantile(settings: TrainOptions) -> tuple[str, float]:
    """Return the loss for numbers, and its quantile."""
    return settings.loss or "squared_error", 0.5 if settings.quantile is None else settings.quantile


def baseline_name(task: str, settings: TrainOptions) -> str:
    """Name what the baseline always answers."""
    if task == "classes":
        return "always the majority"
    loss, quantile = loss_and_quantile(settings)
    return f"always quantile {quantile:g}" if loss == "quantile" else "always the mean"


def evaluate(data: TrainingTable, parts: Split, settings: TrainOptions, model: Pipeline) -> Evaluation:
    """See what the model answers on the test rows, and score that beside the simplest guess."""
    X, y = model[:-1].transform(data.frame.iloc[parts.test]), data.target.values
    y_test = y[parts.test]
    y_train, counts = _known(data, parts, settings)
    if data.target.task == "classes":
        P = model[-1].predict_proba(X)
        scores = classification_scores(y_test, P, model.classes_)
        return Evaluation(X, y_test, P, scores, dummy_classification_scores(y_train, y_test, counts))
    loss = loss_and_quantile(settings)
    guess = model[-1].predict(X)
    scores = regression_scores(y_test, guess, *loss)
    return Evaluation(X, y_test, guess, scores, dummy_regression_scores(y_train, y_test, *loss))


def _known(data: TrainingTable, parts: Split, settings: TrainOptions) -> tuple[Any, Any]:
    """What a guess may go by: targets, and how often each was, or None for once."""
    told = data.target_stats
    if told is None:
        return data.target.values[np.concatenate([parts.train, parts.validation])], None
    if told.task == "classes":
        return told.classes, told.counts
    loss, quantile = loss_and_quantile(settings)
    return np.array([told.quantile(quantile) if loss == "quantile" else told.mean]), None
