"""``TabularClassifier`` and ``TabularRegressor``: strong networks on any table, as scikit-learn estimators.

A table is encoded as ``train_table`` does it; several networks are then trained, each with its own validation
rows, and their answers averaged.

Index legend: n rows, c columns, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, get_args
from zlib import crc32

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone, is_classifier
from sklearn.metrics import mean_absolute_error, mean_pinball_loss, root_mean_squared_error
from sklearn.pipeline import Pipeline
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.validation import _num_samples, check_consistent_length, check_is_fitted, validate_data

from batchprop.data.frames import read_frame, to_exact, to_python
from batchprop.data.names import normalize_columns
from batchprop.errors import InputError, ParameterError, check_positive_int
from batchprop.estimators import MLPClassifier, MLPRegressor
from batchprop.estimators.checkpoints import Checkpoints
from batchprop.estimators.ensemble import Fold, make_ensemble, member_folds
from batchprop.estimators.fit import only_fit
from batchprop.estimators.kinds import check_kinds, check_unmasked
from batchprop.estimators.parameters import (
    LEVEL,
    LEVELS,
    any_of,
    check_parameters,
    exact_value,
    integer,
    interval,
    str_options,
)
from batchprop.estimators.recording import check_record_examples, label_records, number_records, to_frame
from batchprop.estimators.targets import check_labels
from batchprop.estimators.validation import (
    blank_weightless,
    check_numeric_target,
    check_sample_weight,
    clear_errors,
)
from batchprop.format import format_number
from batchprop.tabular.fit import EARLY_STOPPING, wrap_target_scaler
from batchprop.tabular.frames import as_pandas
from batchprop.tabular.importance import mean_importances, permutation_importance
from batchprop.tabular.mean_columns import choose_mean_columns
from batchprop.tabular.options import read_types
from batchprop.tabular.predictions import encode_frame, warn_unseen
from batchprop.tabular.presets import DEFAULT_PRESET, Preset, PresetName, choose_preset
from batchprop.tabular.schema import infer_schema
from batchprop.tabular.transformers import TargetScaler, make_preprocessor
from batchprop.tabular.unseen import UnseenCounter

_NOT_OF_NETWORKS = ("n_members", "n_bins")
_CONSTRAINTS = {
    "preset": str_options(*get_args(PresetName)),
    "n_members": any_of(exact_value(None), integer(1)),
    "batch_size": any_of(exact_value(None), integer(1)),
    "time_limit": any_of(exact_value(None), interval(0, above=True)),
    "random_state": any_of(exact_value(None), integer(0)),
}
"""Of what is no parameter of the networks, which check their own."""


class _TabularEstimator(BaseEstimator):
    """What both estimators share."""

    preset: PresetName
    n_members: int | None
    time_limit: float | None
    hidden_layer_sizes: Sequence[int] | None
    activation: str
    learning_rate_init: float | None
    batch_size: int | None
    max_iter: int | None
    n_iter_no_change: int | None
    dropout: float | None
    alpha: float
    types: Mapping[str, str] | None
    random_state: int | None
    engine: str

    preprocessor_: Pipeline
    network_: Any
    _records: dict[str, Any] | None = None
    n_features_in_: int
    feature_names_in_: NDArray[np.object_]

    def __new__(cls, *_: Any, **parameters: Any) -> Self:
        # Whoever asks for privacy is to learn why there is none, and where there is.
        if "privacy" in parameters:
            raise ParameterError(
                f"privacy is no parameter of {cls.__name__}: the encoding of the columns reads all rows, and "
                "each network would spend the whole budget again; encode the columns by rules that do not "
                "depend on the rows, and train MLPClassifier(privacy=...) or MLPRegressor(privacy=...)"
            )
        created: Self = super().__new__(cls)
        return created

    def _set_parameters(self, parameters: Mapping[str, Any]) -> None:
        # As BaseMLP does: the constructor's signature is the only list of names.
        for name in self._get_param_names():
            setattr(self, name, parameters[name])

    def _fit(
        self,
        X: Any,
        y: NDArray[Any],
        weights: NDArray[np.float64] | None,
        network: type,
        *,
        checkpoint: str | Path | Checkpoints | None,
        resume: bool,
    ) -> NDArray[np.float64]:
        """Fit preprocessing and networks; return the answer for each row by those that held it out.

        The targets are as the networks take them.
        """
        check_parameters(self, _CONSTRAINTS)
        self._records = None
        frame = self._read(X, reset=True)
        check_consistent_length(frame, y)
        preset = choose_preset(
            self.preset, len(frame), "classification" if is_classifier(self) else "regression"
        )
        if len(frame) < 2:  # noqa: PLR2004 one to learn from, and one to hold out
            raise InputError(f"n_samples = {len(frame)}: give at least 2 rows")
        kept = np.ones(len(frame), bool) if weights is None else weights > 0
        frame, y = frame[kept], y[kept]
        weights = None if weights is None else weights[kept]
        types = read_types(self.types) if self.types else ()
        typed = dict(each.rpartition("=")[::2] for each in types)
        self.schema_ = infer_schema(frame, typed)
        n_classes = len(self.classes_) if is_classifier(self) else None
        means = choose_mean_columns(self.schema_, frame, y, n_classes, typed)
        self.preprocessor_ = make_preprocessor(
            self.schema_,
            len(frame),
            n_bins=preset.n_bins,
            means=means,
            n_classes=n_classes,
        )
        encoded = self.preprocessor_.fit_transform(frame, y)
        n_members = self.n_members or preset.count_members(len(frame))
        seed = self.random_state or 0
        self._trained_on = crc32(y.tobytes())
        folds = self._member_folds(n_members, y)
        fewest = min(len(fold.train) for fold in folds)
        member = network(random_state=seed, **self._network_parameters(preset, fewest))
        self.network_ = make_ensemble(member, n_members, self.time_limit).fit(
            encoded, y, weights, folds=folds, checkpoint=Checkpoints.of(checkpoint), resume=resume
        )
        held_out = np.full((len(kept), *self.network_.out_of_fold_.shape[1:]), np.nan)
        held_out[kept] = self.network_.out_of_fold_
        del self.network_.out_of_fold_  # here it is, for all rows
        return held_out

    def _member_folds(self, n_members: int, y: NDArray[Any]) -> list[Fold]:
        return member_folds(n_members, len(y), y if is_classifier(self) else None, self.random_state or 0)

    def feature_importances(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        n_repeats: int = 5,
        random_state: int | None = None,
    ) -> pd.DataFrame:
        """Return how much the loss rises when the values of a column are shuffled.

        No row counts with a network that was trained on it: each network answers the rows that it held out,
        up to 1000 of them. The loss is the log loss for classes; for numbers the root mean squared error or
        the mean absolute error, in their unit, or the mean pinball loss of the quantiles.

        Args:
            X: the table that it was trained on.
            y: its target, as for ``fit``.
            sample_weight: as for ``fit``.
            n_repeats: how often each column is shuffled.
            random_state: the seed of the shuffles; None for 0.

        Returns:
            For each column ``mean`` and ``std``, over networks and shuffles, the most important first; 0 for
            a column that is not used.

        Raises:
            InputError: y is not the target of the training; for other rows,
                ``sklearn.inspection.permutation_importance`` does it.

        Source:
            Breiman, Random Forests, 2001, section 10; Fisher, Rudin and Dominici, arXiv 1801.01489.
        """
        check_is_fitted(self, "network_")
        check_positive_int("n_repeats", n_repeats, "how often to shuffle each column, as 5")
        weights = check_sample_weight(sample_weight, _num_samples(y))
        frame, y = self._read(X, reset=False), self._encode_targets(y, weights)
        check_consistent_length(frame, y)
        if weights is not None:
            kept = weights > 0
            frame, y, weights = frame[kept], y[kept], weights[kept]
        if crc32(y.tobytes()) != self._trained_on:
            raise InputError(
                "X, y and sample_weight are not those of the training, whose rows the networks held out in "
                "turn: give these, or use sklearn.inspection.permutation_importance for other rows"
            )
        # As they were for the training: the means of a level that `transform` gives know their targets.
        encoded = clone(self.preprocessor_).fit_transform(frame, y).astype(np.float64)
        parts = []
        folds = self._member_folds(self.network_.n_members, y)
        for fold, member in zip(folds, self.network_.members_, strict=False):  # of a time_limit fewer members
            rows = fold.held_out
            parts.append(
                permutation_importance(
                    self.preprocessor_,
                    encoded[rows],
                    y[rows],
                    lambda *args, member=member: -self._loss_of(member, *args),
                    random_state or 0,
                    None if weights is None else weights[rows],
                    n_repeats,
                )
            )
        if not (several := [part for part in parts if part is not None]):
            raise InputError(f"n_samples = {len(y)}: no network held out two rows to shuffle; add rows")
        unused = [column.name for column in self.schema_ if column.kind == "left out"]
        importances = mean_importances(several)
        return importances.reindex([*importances.index, *unused], fill_value=0.0)

    def _network_parameters(self, preset: Preset, n_rows: int) -> dict[str, Any]:
        chosen = {name: value for name, value in preset._asdict().items() if name not in _NOT_OF_NETWORKS}
        chosen |= {name: given for name in chosen if (given := getattr(self, name, None)) is not None}
        own = {name: getattr(self, name) for name in ("activation", "alpha", "engine")}
        return {
            **chosen,
            **own,
            "batch_size": min(chosen["batch_size"], n_rows),
            **EARLY_STOPPING,
        }

    def _read(self, X: Any, *, reset: bool) -> pd.DataFrame:
        """Return X as a data frame of pandas; the columns of an array are x0, x1, ..."""
        if read_frame(X) is not None:
            # Names are compared in one Unicode form.
            frame = normalize_columns(as_pandas(X))
            validate_data(self, frame, reset=reset, skip_check_array=True)
            if not len(frame):
                raise InputError(
                    f"Found array with 0 sample(s) (shape={frame.shape}) while a minimum of 1 is required by "
                    f"{type(self).__name__}: X has no rows, give at least one"
                )
            return frame
        check_unmasked(X, "X")
        X = check_array(X, dtype=None, ensure_all_finite=False)
        validate_data(self, X, reset=reset, skip_check_array=True)
        names = getattr(self, "feature_names_in_", [f"x{i}" for i in range(X.shape[1])])
        return pd.DataFrame(X, columns=names).infer_objects()

    def _encode(self, X: Any) -> NDArray[np.float64]:
        """Return the features of rows, and warn of values that the training had not."""
        check_is_fitted(self, "network_")
        unseen = UnseenCounter(self.preprocessor_)
        encoded = encode_frame(self.preprocessor_, self._read(X, reset=False), unseen)
        warn_unseen(unseen)
        # In float32 the seventh digit of an answer would depend on the rows beside it.
        return encoded.astype(np.float64)

    def to_pipeline(self) -> Pipeline:
        """Return the fitted estimator as a pipeline of a data frame, as ``batchprop train`` saves it.

        Its steps are those of ``preprocessor_`` and ``network``.
        """
        check_is_fitted(self, "network_")
        return Pipeline([*self.preprocessor_.steps, ("network", self._make_network_step())])

    def _make_network_step(self) -> Any:
        """Return the networks, which answer in the labels or the unit of the target."""
        raise NotImplementedError

    @property
    def examples_(self) -> Any:
        """What the networks that held a row out say of it: a pandas DataFrame (see ``docs/examples.md``).

        Raises:
            AttributeError: the fit ran without ``record_examples=True``.
        """
        return to_frame(self._records)

    @property
    def n_iter_(self) -> int:
        """The most epochs of a network."""
        check_is_fitted(self, "network_")
        return int(self.network_.n_iter_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags


def _check_numbers(y: Any) -> NDArray[np.float64]:
    """Return a target (n,) of finite numbers, or raise an InputError that says what it holds."""
    check_numeric_target(y, "Tabular")
    check_kinds(y, "y")
    column = column_or_1d(y, warn=True)
    with clear_errors(y=column):
        numbers: NDArray[np.float64] = check_array(
            column, ensure_2d=False, dtype=np.float64, ensure_all_finite=True, input_name="y"
        )
    return numbers


class TabularClassifier(ClassifierMixin, _TabularEstimator):
    """Predict classes from any table: numbers, words, dates and gaps, without preparing them.

    Columns are encoded as ``train_table`` does it, several networks are trained, each with its own validation
    rows, and their probabilities are averaged. One temperature, fitted to the rows that they held out,
    calibrates these.

    Args:
        preset: how much work: ``"fast"`` trains 1 network, ``"balanced"`` 4, ``"best"`` 16.
        n_members: the number of networks; None for the preset's, and fewer for less than 5 rows each.
        time_limit: seconds; training ends with the epoch that ends nearest to them. None for no limit.
        hidden_layer_sizes: the widths of the hidden layers; None for the preset's.
        activation: of the hidden layers, as for ``MLPClassifier``.
        learning_rate_init: the first learning rate, which falls to 0 along half a cosine; None for the
            preset's.
        batch_size: rows in a batch; None for the preset's.
        max_iter: the largest number of epochs; None for the preset's.
        n_iter_no_change: how many epochs without a better validation loss to wait; None for the preset's.
        dropout: the share of hidden units left out of a step; None for the preset's.
        alpha: the strength of the L2 penalty.
        label_smoothing: ε; every label becomes ``(1 − ε) Y + ε/K``.
        class_weight: as for ``MLPClassifier``; ``"balanced"`` raises the probabilities of rare classes
            above how often they occur.
        types: column name → what it holds, whatever it looks like, as ``{"zip": "text"}``; see
            ``batchprop.tabular.train_table``.
        random_state: the seed of folds, weights and order; None for 0.
        engine: as for ``MLPClassifier``.

    Attributes:
        classes_: the classes (K,).
        schema_: what each column holds.
        preprocessor_: the fitted pipeline from a table to features.
        network_: the networks, ``network_.members_``.
        out_of_fold_: the probabilities of each row (n, K) by the networks that held it out; NaN if none did.
        n_features_in_: c; ``feature_names_in_`` the names of the columns.

    Source:
        Piecewise-linear features: arXiv 2203.05556. Robust scaling and smooth clipping: arXiv 2407.04491.
        Temperature: arXiv 1706.04599. Mean targets of words: Micci-Barreca, SIGKDD Explorations 3, 2001.

    Example:
        >>> table = pd.DataFrame(
        ...     {"petals": [4, 4, 5, 5] * 10, "colour": ["red", "red", None, "blue"] * 10}
        ... )
        >>> clf = TabularClassifier(preset="fast", max_iter=20).fit(
        ...     table, ["poppy", "poppy", "rose", "rose"] * 10
        ... )
        >>> clf.predict(pd.DataFrame({"petals": [5], "colour": ["blue"]})).tolist()
        ['rose']
    """

    label_smoothing: float
    class_weight: Any
    classes_: NDArray[Any]

    def __init__(
        self,
        preset: PresetName = DEFAULT_PRESET,
        *,
        n_members: int | None = None,
        time_limit: float | None = None,
        hidden_layer_sizes: Sequence[int] | None = None,
        activation: str = "relu",
        learning_rate_init: float | None = None,
        batch_size: int | None = None,
        max_iter: int | None = None,
        n_iter_no_change: int | None = None,
        dropout: float | None = None,
        alpha: float = 1e-4,
        label_smoothing: float = 0.0,
        class_weight: Any = None,
        types: Mapping[str, str] | None = None,
        random_state: int | None = None,
        engine: str = "auto",
    ) -> None:
        self._set_parameters(locals())

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        record_examples: bool = False,
        checkpoint: str | Path | Checkpoints | None = None,
        resume: bool = False,
    ) -> Self:
        """Train the networks.

        Args:
            X: the table (n, c): a data frame of pandas, polars or another library, or an array.
            y: the label of each row (n,).
            sample_weight: how much each row counts (n,), or None; a row of 0 is as if absent.
            record_examples: whether to keep what the networks that held a row out say of it, as
                ``examples_``.
            checkpoint: a folder, or ``batchprop.Checkpoints(folder, every=...)``: each network keeps its
                state in ``member-1``, ``member-2``, ... there. ``time_limit`` counts from each call.
            resume: whether to keep the networks that are done there, and resume the one that is not.

        Returns:
            The estimator.

        Raises:
            InputError: rows and labels differ in number, or a label or weight cannot be used.
            DataError: no column is left to predict from.
            ParameterError: a parameter is not allowed.
            CheckpointError: a checkpoint cannot be written or read, or is of another fit.
        """
        check_record_examples(record_examples)
        with only_fit(self):
            check_kinds(y, "y")
            y = column_or_1d(to_exact(y), warn=True)
            with clear_errors(y=y), np.errstate(invalid="ignore"):  # it casts NaN before it refuses it
                check_labels(y)
            weights = check_sample_weight(sample_weight, len(y))
            self.classes_ = np.unique(y if weights is None else y[weights > 0])
            if len(self.classes_) == 1:
                raise InputError(
                    f"y holds one class only ({self.classes_.tolist()[0]!r}): give rows of at least two "
                    "classes"
                )
            codes = self._encode_targets(y)
            self.out_of_fold_ = self._fit(
                X, codes, weights, MLPClassifier, checkpoint=checkpoint, resume=resume
            )
            self.network_.relabel(self.classes_)
            if record_examples:
                self._records = label_records(y, self.classes_, self.out_of_fold_)
        return self

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy of the answers.

        Args:
            X: a data frame of any library, as for ``fit``.
            y: their labels (n,).
            sample_weight: (n,) or None.

        Returns:
            From 0 to 1.
        """
        return float(super().score(X, to_exact(y), sample_weight))

    def _encode_targets(self, y: Any, _: Any = None) -> NDArray[Any]:
        # Rows of weight 0 may have other labels; they are left out before any network sees them.
        codes: NDArray[Any] = np.searchsorted(self.classes_, column_or_1d(to_exact(y)))
        return codes.clip(max=len(self.classes_) - 1)

    def _loss_of(self, member: Any, X: Any, codes: NDArray[Any], weights: Any) -> float:
        logs = log_softmax(member.predict_log_proba(X) / self.network_.temperature_, axis=1)
        return float(-np.average(logs[np.arange(len(codes)), codes], weights=weights))

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probability of each class (n, K), in the order of ``classes_``.

        Args:
            X: rows with the columns of the training.

        Raises:
            DataError: a column holds a value that is not of its kind.

        Warns:
            UnseenValueWarning: rows hold values that the training had not.
        """
        encoded = self._encode(X)
        P: NDArray[np.float64] = self.network_.predict_proba(encoded)
        return P

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most likely label of each row (n,); see ``predict_proba``."""
        codes = self.predict_proba(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[codes]
        return labels

    def _make_network_step(self) -> Any:
        return self.network_

    def _network_parameters(self, preset: Preset, n_rows: int) -> dict[str, Any]:
        weight = self.class_weight
        if isinstance(weight, Mapping):
            classes = self.classes_.tolist()
            unknown = [to_python(label) for label in weight if label not in classes]
            if unknown:
                raise ParameterError(
                    f"class_weight holds {unknown[0]!r}, which is no class of y: give weights of {classes}"
                )
            weight = {classes.index(label): value for label, value in weight.items()}
        own = {"label_smoothing": self.label_smoothing, "class_weight": weight}
        return super()._network_parameters(preset, n_rows) | own


class TabularRegressor(RegressorMixin, _TabularEstimator):
    """Predict numbers from any table: numbers, words, dates and gaps, without preparing them.

    As ``TabularClassifier``, but the mean of the networks' answers. The target is standardised for the
    networks, and the answers are in its own unit and digits.

    Args:
        preset: how much work: ``"fast"`` trains 2 networks, ``"balanced"`` 8, ``"best"`` 16.
        n_members: the number of networks; None for the preset's, and fewer for less than 5 rows each.
        time_limit: seconds; training ends with the epoch that ends nearest to them. None for no limit.
        hidden_layer_sizes: the widths of the hidden layers; None for the preset's.
        activation: of the hidden layers, as for ``MLPRegressor``.
        learning_rate_init: the first learning rate, which falls to 0 along half a cosine; None for the
            preset's.
        batch_size: rows in a batch; None for the preset's.
        max_iter: the largest number of epochs; None for the preset's.
        n_iter_no_change: how many epochs without a better validation loss to wait; None for the preset's.
        dropout: the share of hidden units left out of a step; None for the preset's.
        alpha: the strength of the L2 penalty.
        loss: ``"squared_error"``, ``"absolute_error"`` or ``"huber"``, of the standardised target.
        quantiles: levels in place of a loss, ascending and with 0.5 among them, as ``[0.05, 0.5, 0.95]``:
            ``predict_quantiles`` returns them, and ``predict`` the median.
        types: column name → what it holds, whatever it looks like; see ``batchprop.tabular.train_table``.
        random_state: the seed of folds, weights and order; None for 0.
        engine: as for ``MLPRegressor``.

    Attributes:
        schema_: what each column holds.
        preprocessor_: the fitted pipeline from a table to features.
        network_: the networks, ``network_.members_``; they answer in standard deviations from the mean.
        target_scaler_: the fitted ``TargetScaler``.
        out_of_fold_: the answer for each row (n,) by the networks that held it out, its q quantiles (n, q) if
            there are such; NaN where none did.
        held_out_errors_: the truth minus these, of the rows that have them.
        n_features_in_: c; ``feature_names_in_`` the names of the columns.

    Example:
        >>> table = pd.DataFrame({"rooms": [1, 2, 3, 4] * 10, "city": ["Rome", "Bonn"] * 20})
        >>> reg = TabularRegressor(preset="fast", max_iter=30).fit(table, table["rooms"] * 100.0)
        >>> bool(reg.score(table, table["rooms"] * 100.0) > 0.8)
        True
    """

    loss: str
    quantiles: Sequence[float] | None

    def __init__(
        self,
        preset: PresetName = DEFAULT_PRESET,
        *,
        n_members: int | None = None,
        time_limit: float | None = None,
        hidden_layer_sizes: Sequence[int] | None = None,
        activation: str = "relu",
        learning_rate_init: float | None = None,
        batch_size: int | None = None,
        max_iter: int | None = None,
        n_iter_no_change: int | None = None,
        dropout: float | None = None,
        alpha: float = 1e-4,
        loss: str = "squared_error",
        quantiles: Sequence[float] | None = None,
        types: Mapping[str, str] | None = None,
        random_state: int | None = None,
        engine: str = "auto",
    ) -> None:
        self._set_parameters(locals())

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        record_examples: bool = False,
        checkpoint: str | Path | Checkpoints | None = None,
        resume: bool = False,
    ) -> Self:
        """Train the networks.

        Args:
            X: the table (n, c): a data frame of pandas, polars or another library, or an array.
            y: the number of each row (n,).
            sample_weight: how much each row counts (n,), or None; a row of 0 is as if absent.
            record_examples: whether to keep what the networks that held a row out say of it, as
                ``examples_``.
            checkpoint: a folder, or ``batchprop.Checkpoints(folder, every=...)``: each network keeps its
                state in ``member-1``, ``member-2``, ... there. ``time_limit`` counts from each call.
            resume: whether to keep the networks that are done there, and resume the one that is not.

        Returns:
            The estimator.

        Raises:
            InputError: rows and numbers differ in number, or one is not finite.
            DataError: no column is left to predict from.
            ParameterError: a parameter is not allowed.
            CheckpointError: a checkpoint cannot be written or read, or is of another fit.
        """
        check_record_examples(record_examples)
        with only_fit(self):
            if y is None:
                raise InputError(
                    "requires y to be passed, but the target y is None: give a number for each row"
                )
            self._check_quantiles()
            weights = check_sample_weight(sample_weight, _num_samples(y))
            y = _check_numbers(blank_weightless(y, weights))
            counted = y if weights is None else y[weights > 0]
            if len(counted) > 1 and not np.ptp(counted):
                raise InputError(
                    f"y holds one number only, {format_number(counted[0], 6)}: give rows of others, or "
                    "predict that number"
                )
            self.target_scaler_ = TargetScaler().fit(counted[:, None])
            scaled = self.target_scaler_.transform(y)
            held_out = self._fit(X, scaled, weights, MLPRegressor, checkpoint=checkpoint, resume=resume)
            self.out_of_fold_ = self.target_scaler_.inverse_transform(held_out)
            if record_examples:
                losses = self.network_.losses(scaled, held_out)
                self._records = number_records(y, self.out_of_fold_, losses)
            errors = (y - self.out_of_fold_.T).T
            self.held_out_errors_ = errors[~np.isnan(errors).reshape(len(y), -1).any(axis=1)]
        return self

    def _check_quantiles(self) -> None:
        check_parameters(self, {"quantiles": any_of(exact_value(None), LEVELS)})
        if self.quantiles is None:
            return
        if self.loss != "squared_error":
            raise ParameterError(
                f"loss={self.loss!r} does not go with quantiles, which have their own: leave one of them out"
            )
        if 0.5 not in self.quantiles:  # noqa: PLR2004 the median
            shown = list(map(float, self.quantiles))
            raise ParameterError(f"quantiles={shown} lacks 0.5, the median, which `predict` returns: add it")

    def _encode_targets(self, y: Any, weights: Any) -> NDArray[np.float64]:
        return self.target_scaler_.transform(_check_numbers(blank_weightless(y, weights)))

    def _loss_of(self, member: Any, X: Any, y: NDArray[Any], weights: Any) -> float:
        answers, given = member.predict(X), {"sample_weight": weights}
        if self.quantiles is not None:
            columns = zip(answers.reshape(len(y), -1).T, self.quantiles, strict=True)
            loss = np.mean([mean_pinball_loss(y, each, alpha=level, **given) for each, level in columns])
        else:
            measure = root_mean_squared_error if self.loss == "squared_error" else mean_absolute_error
            loss = measure(y, answers, **given)
        return float(loss * self.target_scaler_.scale_)

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Return the number of each row (n,), in the unit of the training's.

        Args:
            X: rows with the columns of the training.

        Raises:
            DataError: a column holds a value that is not of its kind.

        Warns:
            UnseenValueWarning: rows hold values that the training had not.
        """
        answers = self._answers(X)
        return answers[:, 0 if self.quantiles is None else list(self.quantiles).index(0.5)]

    def predict_quantiles(self, X: Any) -> NDArray[np.float64]:
        """Return the quantiles of each row (n, q), ascending, in the unit of the training's numbers.

        Args:
            X: rows with the columns of the training.

        Returns:
            A column for each level of ``quantiles``.

        Raises:
            ParameterError: it was made without ``quantiles``.
            DataError: a column holds a value that is not of its kind.

        Source:
            Koenker and Bassett 1978; ``heads.quantiles`` says why they never cross.
        """
        if self.quantiles is None:
            raise ParameterError(
                "quantiles=None: train with levels, as TabularRegressor(quantiles=[0.05, 0.5, 0.95])"
            )
        return self._answers(X)

    def predict_interval(self, X: Any, coverage: float = 0.9) -> NDArray[np.float64]:
        """Return an interval for each row (n, 2) that holds the true number with a given probability.

        The answer ± the quantile of the absolute errors on the rows that the networks held out. With
        ``quantiles`` it is the two of these that are nearest to ``(1 ± coverage) / 2``, each moved by the
        quantile of how far the held-out rows lie outside of theirs: wide where the numbers scatter.

        Args:
            X: rows with the columns of the training.
            coverage: the probability, between 0 and 1.

        Returns:
            The lower and the upper end.

        Raises:
            ParameterError: coverage is not between 0 and 1, or there are too few held-out rows for it.

        Source:
            Vovk, Cross-conformal predictors, arXiv 1208.0806. Romano, Patterson and Candès, Conformalized
            quantile regression, arXiv 1905.03222.
        """
        check_is_fitted(self, "network_")
        if not LEVEL.is_valid(coverage):
            raise ParameterError(
                f"coverage={coverage!r} is not allowed: give a number between 0 and 1, as 0.9"
            )
        ends = [self._column_near((1 + sign * coverage) / 2) for sign in (-1, 1)]
        # How far a row lies below the lower end, or above the upper: less than 0 between them.
        below, above = self.held_out_errors_.reshape(len(self.held_out_errors_), -1)[:, ends].T
        errors = np.sort(np.maximum(-below, above))
        rank = math.ceil(coverage * (len(errors) + 1))
        if rank > len(errors):
            raise ParameterError(
                f"coverage={coverage!r} needs more than the {len(errors)} held-out rows: give at most "
                f"{len(errors) / (len(errors) + 1):.3f}, or train on more rows"
            )
        ends_of_rows = self._answers(X)[:, ends] + errors[rank - 1] * np.array([-1, 1])
        return np.sort(ends_of_rows, axis=1)  # both moved inwards may have met

    def _column_near(self, level: float) -> int:
        """Return the column of the answers whose level is nearest; without quantiles there is one."""
        return 0 if self.quantiles is None else int(np.abs(np.array(self.quantiles) - level).argmin())

    def _answers(self, X: Any) -> NDArray[np.float64]:
        """Return the answer of each row, or its quantiles, as a matrix (n, q) in their own unit."""
        encoded = self._encode(X)
        scaled = self.network_.predict(encoded)
        return self.target_scaler_.inverse_transform(scaled.reshape(len(scaled), -1))

    def _make_network_step(self) -> Any:
        return wrap_target_scaler(self.network_, self.target_scaler_)

    def _network_parameters(self, preset: Preset, n_rows: int) -> dict[str, Any]:
        given = (
            {"loss": self.loss}
            if self.quantiles is None
            else {"loss": "quantile", "quantile": self.quantiles}
        )
        return super()._network_parameters(preset, n_rows) | given
