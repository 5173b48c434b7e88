"""``MLPClassifier``: scikit-learn's, faster, and with features that scikit-learn declines to add."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_is_fitted

from batchprop.activations import Activation
from batchprop.backprop import logits
from batchprop.data.frames import to_exact
from batchprop.dynamics import LabelEncoding
from batchprop.errors import InputError, ParameterError
from batchprop.estimators.base import check_partial_fit, unless_lbfgs
from batchprop.estimators.class_weights import class_sample_weight, compute_class_weights
from batchprop.estimators.convert import ConvertibleClassifier
from batchprop.estimators.interface import Callback
from batchprop.estimators.kinds import check_kinds
from batchprop.estimators.parameters import (
    PARAMETER_CONSTRAINTS,
    Constraint,
    any_of,
    exact_value,
    interval,
    str_options,
)
from batchprop.estimators.recording import relabel_records
from batchprop.estimators.targets import BINARY, MULTICLASS, MULTILABEL, MULTIOUTPUT, TargetEncoding
from batchprop.estimators.validation import FitArgs, weighted_rows
from batchprop.heads import Head

_OUTPUT_ACTIVATIONS = {
    BINARY: "logistic",
    MULTILABEL: "logistic",
    MULTICLASS: "softmax",
    MULTIOUTPUT: "softmax",
}


class MLPClassifier(ClassifierMixin, ConvertibleClassifier):
    """A feed-forward network for classes: scikit-learn's ``MLPClassifier`` with more features.

    Two classes, several, several labels at once, or several targets of several classes. It minimises the
    cross-entropy ``−(1/Σw) Σ w_i Σ Y ⊙ log P`` plus the penalty.

    Args:
        hidden_layer_sizes: the width of each hidden layer; one integer for a single layer, ``()`` for none.
        activation: ``"relu"``, ``"logistic"`` or ``"sigmoid"``, ``"tanh"``, ``"identity"``, ``"leaky_relu"``,
            ``"elu"``, ``"selu"``, ``"gelu"``, ``"silu"``, ``"mish"``, ``"softplus"``; one for all hidden
            layers, or one each.
        solver: ``"adam"``, ``"adamw"``, ``"sgd"`` (with ``momentum``), ``"lbfgs"``.
        alpha: strength of the L2 penalty ``½ α ‖W‖² / Σw`` of each batch.
        batch_size: rows in a batch; ``"auto"`` is ``min(200, n)``, ``"full"`` all rows; ``"noise"`` begins
            with 32 and doubles while the measured noise scale shows that a larger batch pays; the learning
            rate grows with it. Every call begins with 32 again.
        learning_rate: ``"constant"``; ``"invscaling"`` and ``"adaptive"`` (for ``"sgd"``, as in
            scikit-learn); ``"cosine"``, ``"warmup_cosine"``, ``"one_cycle"`` over ``max_iter`` epochs; or a
            callable from the step, counted from 0, to the rate.
        learning_rate_init: the (highest) learning rate.
        power_t: the exponent of ``"invscaling"``.
        max_iter: the largest number of epochs (iterations with ``"lbfgs"``).
        shuffle: whether each epoch takes the rows in a new order.
        random_state: seed or ``RandomState`` of weights, split, order and dropout.
        tol: the progress that counts; the largest gradient entry that counts as zero with ``"lbfgs"``.
        verbose: whether to print a line after each epoch.
        warm_start: whether ``fit`` continues from the last fit's weights.
        momentum: of ``"sgd"``; 0 for none.
        nesterovs_momentum: whether that momentum is Nesterov's.
        early_stopping: whether to hold out rows for validation and end with the best weights (not with
            ``"lbfgs"``).
        validation_fraction: the fraction of the rows held out for it, if ``fit`` gets no ``X_val``.
        beta_1: Adam's β₁.
        beta_2: Adam's β₂.
        epsilon: Adam's ε.
        n_iter_no_change: how many epochs without progress to wait before stopping.
        max_fun: the largest number of evaluations of the loss, with ``"lbfgs"``.
        class_weight: a weight for each class, ``{class: weight}``, or ``"balanced"`` for weights inverse to
            the classes' frequencies; a list of such dicts for several labels or targets. Weights change what
            the probabilities mean: ``"balanced"`` raises those of rare classes above how often they occur.
        label_smoothing: ε; every target becomes ``(1 − ε) Y + ε/K``.
        dropout: the chance that a hidden unit is left out of a step; one for all hidden layers, or one each.
        weight_decay: AdamW's decoupled decay.
        warmup_fraction: the fraction of training in which ``"warmup_cosine"`` and ``"one_cycle"`` rise.
        max_grad_norm: the gradient's norm over all layers is clipped to this; None for no limit.
        scoring: the score for early stopping: None for accuracy, ``"loss"``, or any scikit-learn scorer.
        callbacks: callables that get each epoch's ``training.EpochRecord``; one that returns True ends
            training. ``on_fit_begin`` and ``on_fit_end`` are called too, if a callback has them.
        dtype: ``"float32"``, ``"float64"``, or None to follow X, as scikit-learn does.
        engine: ``"numpy"``; ``"jax"``, compiled; or ``"auto"``, JAX if it is installed and the shapes
            suggest that compiling pays.
        device: where JAX computes, ``"cpu"``, ``"gpu"``, ``"tpu"``; None for JAX's default.
        precision: of the matrix products in float32 on JAX: ``"float32"``, ``"tensorfloat32"``,
            ``"bfloat16"``; None for the device's own.
        max_batch_size: where ``batch_size="noise"`` stops growing.
        privacy: a ``batchprop.privacy.Privacy``: gradients are clipped row by row and noise is added, so that
            the weights reveal little about any one row; None for plain training.
        on_divergence: what happens when the loss is no longer finite: ``"error"``, unless
            ``early_stopping`` has best weights, which are then kept with a warning; or ``"rewind"``, up to 3
            times: training continues from the best epoch so far with half the learning rate, and a warning.

    Attributes:
        coefs_: weights of each layer ``(n_in, n_out)``, the transpose of W.
        intercepts_: biases of each layer ``(n_out,)``.
        loss_curve_: the loss of each epoch; ``loss_`` its last, ``best_loss_`` its best (None with early
            stopping).
        validation_loss_curve_: the loss on the validation rows, weighted as in training and without the
            penalty; None if there are none.
        validation_scores_: with early stopping the validation score of each epoch, else None;
            ``best_validation_score_`` is the best.
        learning_rate_curve_: the last learning rate of each epoch.
        best_iteration_: the epoch, counted from 1, that was best.
        n_iter_: epochs of the last fit.
        t_: rows seen, over all fits.
        n_features_in_: the number of columns of X; ``feature_names_in_`` their names, if all are strings.
        n_layers_: the number of layers, input and output included.
        n_outputs_: the number of outputs.
        out_activation_: the output activation's name.
        interrupted_: whether Ctrl-C ended the last fit.
        engine_: the engine of the last fit, ``"numpy"`` or ``"jax"``.
        privacy_spent_: the ``batchprop.privacy.PrivacySpent`` of all fits so far; None without privacy.
        monitor_: what ``fit(..., monitor=...)`` recorded, a list of numbers by name, one for each epoch.
        examples_: after ``fit(..., record_examples=True)`` a DataFrame with training statistics of each row.
        weight_snapshots_: after such a fit the weights at some epochs (see ``at_snapshot``).
        classes_: the classes; a list of arrays for several targets.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> from sklearn.model_selection import train_test_split
        >>> X, y = load_digits(return_X_y=True)
        >>> X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
        >>> clf = MLPClassifier(tol=0.01, random_state=0).fit(X_train, y_train)
        >>> bool(clf.score(X_test, y_test) > 0.9)
        True
        >>> clf.backprop(X_test[:5], y_test[:5]).gradient.squared_norms().shape
        (5,)
    """

    _parameter_constraints: ClassVar[dict[str, Constraint]] = {
        **PARAMETER_CONSTRAINTS,
        "class_weight": any_of(
            exact_value(None),
            str_options("balanced"),
            Constraint("a dict {class: weight}", lambda value: isinstance(value, Mapping)),
            Constraint(
                "a list of dicts, one for each label or target", lambda value: isinstance(value, list)
            ),
        ),
        "label_smoothing": interval(0, 1, below=True),
    }

    class_weight: Any
    label_smoothing: float

    _class_weights: list[NDArray[np.floating]] | None
    classes_: Any

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str | Activation | Sequence[str | Activation] = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str | Callable[[int], float] = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        class_weight: str | Mapping[Any, float] | list[Mapping[Any, float]] | None = None,
        label_smoothing: float = 0.0,
        dropout: float | Sequence[float] = 0.0,
        weight_decay: float = 0.01,
        warmup_fraction: float = 0.1,
        max_grad_norm: float | None = None,
        scoring: str | Callable[..., float] | None = None,
        callbacks: Sequence[Callback] | None = None,
        dtype: Any = "float32",
        engine: str = "auto",
        device: str | None = None,
        precision: str | None = None,
        max_batch_size: int = 4096,
        privacy: Any = None,
        on_divergence: str = "error",
    ) -> None:
        self._set_parameters(locals())

    @unless_lbfgs
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Train for one epoch on a part of the data, continuing from the last call.

        Args:
            X: inputs ``(n, n_0)``.
            y: their labels.
            sample_weight: ``(n,)`` or None, as for ``fit``.
            classes: on the first call, all classes that may occur: an array; for several targets a list of
                arrays; not needed for an indicator matrix.

        Returns:
            The estimator.

        Raises:
            ValueError: as ``fit``; a label is not among the classes; ``early_stopping`` or
                ``class_weight="balanced"`` is set, which a part cannot serve.
        """
        check_partial_fit(self)
        if isinstance(self.class_weight, str):
            raise ParameterError(
                f"class_weight={self.class_weight!r} cannot be computed from a piece of the data: give "
                "partial_fit a dict {class: weight}, as compute_class_weight makes it from all labels"
            )
        return self._fit(X, y, FitArgs(sample_weight, classes=classes, partial=True))

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most likely labels, in the shape of the training y.

        Args:
            X: inputs ``(n, n_0)``.

        Returns:
            ``(n,)``, or ``(n, K)`` for several labels or targets.

        Raises:
            RowError: the network's outputs for a row overflow; so do the other methods that predict.
        """
        return self._decode_targets(self._predict_outputs(X))

    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each class, in the order of ``classes_``.

        Args:
            X: inputs ``(n, n_0)``.

        Returns:
            ``(n, K)``; for several targets a list of such matrices.
        """
        return self._classes().probabilities(self._predict_outputs(X))

    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithm of ``predict_proba``; finite even where a probability rounds to 0.

        Args:
            X: inputs ``(n, n_0)``.

        Returns:
            As ``predict_proba``.
        """
        classes = self._classes()
        P = classes.probabilities(self._predict_outputs(X))
        blocks: list[NDArray[np.floating]] = P if isinstance(P, list) else [P]
        with np.errstate(divide="ignore", under="ignore"):
            logs = [np.log(block) for block in blocks]
        if not all(block.all() for block in blocks):
            # Where a probability rounds to 0, only the logits still hold its size.
            with np.errstate(under="ignore"):
                exact = classes.log_probabilities(self._map_rows(logits, X))
            pairs = zip(blocks, logs, exact if isinstance(P, list) else [exact], strict=True)
            logs = [np.where(block > 0, log, value) for block, log, value in pairs]
        return logs if isinstance(P, list) else logs[0]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the fraction of the rows whose labels are all correct.

        Args:
            X: inputs ``(n, n_0)``.
            y: their labels.
            sample_weight: ``(n,)`` or None; a row of weight 0 is left out, whatever its label.

        Returns:
            From 0 to 1.
        """
        predicted = self.predict(X)
        rows, weights = weighted_rows(sample_weight, len(predicted))
        if rows is not None:
            y, predicted = _safe_indexing(y, rows), predicted[rows]
        check_kinds(y, "y")
        return self._accuracy(to_exact(y), predicted, weights)

    def relabel(self, labels: Any) -> Self:
        """Give the classes other labels, in the same order, of any type.

        ``fit`` takes the labels that scikit-learn's classifiers take. A network for others, such as
        fractions, is fitted to their indices and then relabelled.

        Args:
            labels: ``(K,)``, different from each other and in ascending order.

        Returns:
            The estimator.

        Raises:
            InputError: there are not as many labels as classes, they are not sorted, or there are several
                targets.

        Example:
            >>> clf = MLPClassifier((), max_iter=20, tol=1.0).fit([[0.0], [1.0]], [0, 1])
            >>> clf.relabel([0.25, 0.5]).classes_.tolist()
            [0.25, 0.5]
        """
        before, labels = self._classes(), np.asarray(labels)
        if before.kind not in {BINARY, MULTICLASS} or labels.shape != before.labels.shape:
            raise InputError(
                f"labels has shape {labels.shape}, and the {before.kind} network has the classes "
                f"{before.labels}: give one label for each class"
            )
        if not (labels[:-1] < labels[1:]).all():
            raise InputError(f"labels={labels} are not in ascending order: sort them, each once")
        self.classes_ = labels
        if (records := self._records()) is not None:
            relabel_records(records, before.labels, labels)
        return self

    # ---- hooks of BaseMLP

    def _classes(self) -> TargetEncoding:
        check_is_fitted(self, "classes_")
        return TargetEncoding(self._target_kind, self.classes_)

    def _head(self) -> Head:
        return self._classes().head(self.label_smoothing)

    def _fit_targets(self, y: Any, call: FitArgs, *, fresh: bool) -> None:
        classes = self._copy_classes(y, call, fresh=fresh)
        self._target_kind, self.classes_ = classes
        self.out_activation_ = _OUTPUT_ACTIVATIONS[classes.kind]
        weigh = self.class_weight is not None
        # A row of weight 0 counts as absent.
        counted = y if call.sample_weight is None else y[call.sample_weight > 0]
        self._class_weights = (
            compute_class_weights(self.class_weight, counted, classes, call.counts) if weigh else None
        )

    def _copy_classes(self, y: Any, call: FitArgs, *, fresh: bool) -> TargetEncoding:
        """The classes: those of y, or those declared; once there is a network, they are fixed."""
        if fresh:
            return TargetEncoding.from_classes(call.classes, y) if call.partial else TargetEncoding.fit(y)
        known = self._classes()
        if not call.partial and not known.equals(current := TargetEncoding.fit(y)):
            raise InputError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {known.labels}, `y` has {current.labels}: give y of the same classes, or "
                "fit with warm_start=False"
            )
        if call.classes is not None and not known.equals(known._replace(labels=call.classes)):
            raise InputError(
                f"`classes={call.classes!r}` is not the same as on last call to partial_fit, was: "
                f"{known.labels!r}; give the same, or None, or begin with a new estimator"
            )
        return known

    def _encode_targets(self, y: Any, dtype: Any) -> NDArray[np.floating]:
        return self._classes().encode(y, dtype)

    def _decode_targets(self, P: NDArray[np.floating]) -> NDArray[Any]:
        return self._classes().decode(P)

    def _label_encoding(self) -> LabelEncoding:
        classes = self._classes()
        return LabelEncoding(() if classes.kind in {BINARY, MULTILABEL} else tuple(classes.sizes))

    def _apply_class_weight(
        self, y: Any, weights: NDArray[np.floating] | None
    ) -> NDArray[np.floating] | None:
        if self._class_weights is None:
            return weights
        by_class = class_sample_weight(self._class_weights, y, self._classes())
        return by_class if weights is None else weights * by_class

    def _weights_name(self, sample_weight: str = "sample_weight") -> str:
        return sample_weight if self._class_weights is None else f"{sample_weight} times class_weight"

    def _stratify_labels(self, y: Any) -> Any | None:
        # scikit-learn stratifies two classes only; the same rows must be held out here.
        return y if self._target_kind == BINARY else None

    def _default_score(self, y: Any, P: NDArray[np.floating], weights: NDArray[np.floating] | None) -> float:
        if not np.isfinite(P).all():
            return float("nan")
        return self._accuracy(y, self._classes().decode(P), weights)

    def _accuracy(self, y: Any, predicted: NDArray[Any], weights: Any) -> float:
        if self._target_kind == MULTIOUTPUT:
            return float(np.average(np.all(np.asarray(y) == predicted, axis=1), weights=weights))
        if predicted.dtype.kind == "f":
            # Of `relabel`: scikit-learn refuses fractions as labels.
            return float(np.average(np.asarray(y) == predicted, weights=weights))
        return float(accuracy_score(y, predicted, sample_weight=weights))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
