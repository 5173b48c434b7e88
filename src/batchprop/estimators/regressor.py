"""``MLPRegressor``: scikit-learn's, faster, and with features that scikit-learn declines to add."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.metrics import d2_pinball_score, r2_score
from sklearn.utils import _safe_indexing

from batchprop import heads
from batchprop.activations import Activation
from batchprop.errors import InputError
from batchprop.estimators.base import check_partial_fit, unless_lbfgs
from batchprop.estimators.convert import ConvertibleRegressor
from batchprop.estimators.datasets import ArrayDataset
from batchprop.estimators.interface import Callback
from batchprop.estimators.kinds import check_kinds
from batchprop.estimators.parameters import (
    LEVELS,
    PARAMETER_CONSTRAINTS,
    QUANTILE,
    Constraint,
    interval,
    str_options,
)
from batchprop.estimators.validation import (
    FitArgs,
    blank_weightless,
    check_numeric_target,
    warn_unscaled_target,
    weighted_rows,
)
from batchprop.heads import Head


class MLPRegressor(RegressorMixin, ConvertibleRegressor):
    """A feed-forward network for numbers: scikit-learn's ``MLPRegressor`` with more features.

    Args:
        loss: ``"squared_error"``, ``"poisson"`` (counts), ``"absolute_error"`` (the median), ``"huber"``,
            ``"quantile"``.
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
        huber_delta: where ``"huber"`` turns from squared to absolute, in the units of y.
        quantile: which quantile ``"quantile"`` predicts, in (0, 1); or several, ascending, as
            ``[0.05, 0.5, 0.95]``, for one target: ``predict`` then has a column for each, and they never
            cross.
        dropout: the chance that a hidden unit is left out of a step; one for all hidden layers, or one each.
        weight_decay: AdamW's decoupled decay.
        warmup_fraction: the fraction of training in which ``"warmup_cosine"`` and ``"one_cycle"`` rise.
        max_grad_norm: the gradient's norm over all layers is clipped to this; None for no limit.
        scoring: the score for early stopping: None for ``score``'s, ``"loss"``, or any scikit-learn scorer.
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

    Example:
        >>> from sklearn.datasets import load_diabetes
        >>> from sklearn.preprocessing import scale
        >>> X, y = load_diabetes(return_X_y=True)
        >>> reg = MLPRegressor(learning_rate_init=0.01, max_iter=500, random_state=0).fit(
        ...     scale(X), scale(y)
        ... )
        >>> bool(reg.score(scale(X), scale(y)) > 0.5)
        True
    """

    _parameter_constraints: ClassVar[dict[str, Constraint]] = {
        **PARAMETER_CONSTRAINTS,
        "loss": str_options("squared_error", "poisson", "absolute_error", "huber", "quantile"),
        "huber_delta": interval(0, above=True),
        "quantile": QUANTILE,
    }
    _y_options: ClassVar[dict[str, Any]] = {"y_numeric": True}

    loss: str
    huber_delta: float
    quantile: float | Sequence[float]

    def __init__(
        self,
        loss: str = "squared_error",
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
        huber_delta: float = 1.0,
        quantile: float | Sequence[float] = 0.5,
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
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one epoch on a part of the data, continuing from the last call.

        Args:
            X: inputs ``(n, n_0)``.
            y: their targets.
            sample_weight: ``(n,)`` or None, as for ``fit``.

        Returns:
            The estimator.

        Raises:
            ValueError: as ``fit``; ``early_stopping`` is set, which a part cannot serve.
        """
        check_partial_fit(self)
        return self._fit(X, y, FitArgs(sample_weight, partial=True))

    def predict(self, X: Any) -> NDArray[np.floating]:
        """Return the predicted numbers, in the shape of the training y.

        Args:
            X: inputs ``(n, n_0)``.

        Returns:
            ``(n,)``, or ``(n, K)`` for several targets or several quantiles.

        Raises:
            RowError: the network's outputs for a row overflow.
        """
        return self._decode_targets(self._predict_outputs(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return R², the fraction of the variance of y that the predictions explain.

        Args:
            X: inputs ``(n, n_0)``.
            y: their targets.
            sample_weight: ``(n,)`` or None; a row of weight 0 is left out, whatever its target.

        Returns:
            At most 1; averaged over several targets. With several quantiles it is the mean D², the fraction
            that they take off the pinball loss of constant ones.
        """
        predicted = self.predict(X)
        rows, weights = weighted_rows(sample_weight, len(predicted))
        if rows is not None:
            y, predicted = _safe_indexing(y, rows), predicted[rows]
        check_kinds(y, "y")
        return self._mean_score(y, predicted, weights)

    # ---- hooks of BaseMLP

    def _head(self) -> Head:
        if self.loss == "huber":
            return heads.huber(self.huber_delta)
        if self.loss == "quantile":
            levels = self.quantile_levels
            return heads.quantiles(levels) if levels else heads.quantile(cast("float", self.quantile))
        return heads.get_head(self.loss)

    @property
    def quantile_levels(self) -> tuple[float, ...]:
        """The levels of several quantiles; nothing for one."""
        several = self.loss == "quantile" and LEVELS.is_valid(self.quantile)
        return tuple(map(float, np.ravel(self.quantile))) if several else ()

    @property
    def _loss_scale(self) -> float:
        # scikit-learn reports the squared error averaged over the outputs, but uses the gradient of its sum.
        return 1.0 / self.n_outputs_ if self.loss == "squared_error" else 1.0

    def _validate_data(
        self, X: Any, y: Any, *, reset: bool, weights: NDArray[np.floating] | None = None
    ) -> tuple[Any, Any]:
        y = blank_weightless(y, weights)
        check_numeric_target(y)
        return super()._validate_data(X, y, reset=reset)

    def _read_arrays(self, X: Any, y: Any, call: FitArgs, *, fresh: bool) -> tuple[ArrayDataset, Any]:
        dataset, dtype = super()._read_arrays(X, y, call, fresh=fresh)
        # Counts stay as they are, a piece of the data tells little of the whole, and the mean of private rows
        # is not to be told.
        if fresh and not call.partial and self.loss != "poisson" and self.privacy is None:
            # Several quantiles have the same target in each column.
            Y = dataset.labelled.Y[:, :1] if self.quantile_levels else dataset.labelled.Y
            warn_unscaled_target(Y, dataset.labelled.weights)
        return dataset, dtype

    def _fit_targets(self, y: Any, call: FitArgs, *, fresh: bool) -> None:
        several = "quantiles" if self.quantile_levels else "identity"
        self.out_activation_ = "exp" if self.loss == "poisson" else several

    def _encode_targets(self, y: Any, dtype: Any) -> NDArray[np.floating]:
        if self.loss == "poisson" and np.min(y) < 0:
            raise InputError(f"y holds {np.min(y):g}: loss='poisson' counts, from 0 up; use another loss")
        with np.errstate(over="ignore"):
            Y = np.asarray(y, dtype=dtype).reshape(len(y), -1)
        if not np.isfinite(Y).all():
            raise InputError(f"y holds a value too large for {Y.dtype}: rescale y, or use dtype='float64'")
        if self.quantile_levels and Y.shape[1] > 1:
            raise InputError(
                f"y has {Y.shape[1]} columns: quantile={list(self.quantile_levels)} is of one target; fit a "
                "regressor for each column"
            )
        return np.tile(Y, max(len(self.quantile_levels), 1))

    def _decode_targets(self, P: NDArray[np.floating]) -> NDArray[Any]:
        return P[:, 0] if P.shape[1] == 1 else P

    def _default_score(self, y: Any, P: NDArray[np.floating], weights: NDArray[np.floating] | None) -> float:
        if not np.isfinite(P).all():
            return float("nan")
        return self._mean_score(y, P, weights)

    def _mean_score(self, y: Any, P: NDArray[Any], weights: NDArray[np.floating] | None) -> float:
        if not self.quantile_levels:
            return float(r2_score(y, P, sample_weight=weights))
        columns = zip(P.reshape(len(P), -1).T, self.quantile_levels, strict=True)
        return float(
            np.mean([d2_pinball_score(y, p, sample_weight=weights, alpha=level) for p, level in columns])
        )
