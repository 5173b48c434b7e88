"""The estimator's interface to the training loops: its parameters, its fitted attributes, and its hooks.

``base`` and the two public classes implement the hooks; the loops import this module alone, so that no
import is circular.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from batchprop.activations import Activation
from batchprop.dynamics import LabelEncoding
from batchprop.estimators.parameters import Constraint
from batchprop.estimators.validation import FitArgs, LabelledRows
from batchprop.heads import Head
from batchprop.network import Network
from batchprop.objective import Objective
from batchprop.training import Engine, EpochRecord

Callback = Callable[[EpochRecord], bool | None]


class FitInterface(BaseEstimator, ABC):
    """The parameters, the fitted attributes and the hooks of both estimators; no behaviour."""

    _parameter_constraints: ClassVar[dict[str, Constraint]]
    _y_options: ClassVar[dict[str, Any]] = {}

    # The parameters, assigned by the constructors of the two classes.
    hidden_layer_sizes: int | Sequence[int]
    activation: str | Activation | Sequence[str | Activation]
    solver: str
    alpha: float
    batch_size: int | str
    learning_rate: str | Callable[[int], float]
    learning_rate_init: float
    power_t: float
    max_iter: int
    shuffle: bool
    random_state: int | np.random.RandomState | None
    tol: float
    verbose: bool | int
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: int | float
    max_fun: int
    dropout: float | Sequence[float]
    weight_decay: float
    warmup_fraction: float
    max_grad_norm: float | None
    scoring: str | Callable[..., float] | None
    callbacks: Sequence[Callback] | None
    dtype: Any
    engine: str
    device: str | None
    precision: str | None
    max_batch_size: int
    privacy: Any
    on_divergence: str

    # Set by a fit.
    coefs_: list[NDArray[np.floating]]
    intercepts_: list[NDArray[np.floating]]
    loss_: float
    loss_curve_: list[float]
    best_loss_: float | None
    best_iteration_: int
    learning_rate_curve_: list[float]
    validation_loss_curve_: list[float] | None
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    n_features_in_: int
    n_iter_: int
    n_layers_: int
    n_outputs_: int
    out_activation_: str
    t_: int
    interrupted_: bool
    engine_: str
    monitor_: dict[str, list[float]]
    privacy_spent_: Any
    _extra_state: dict[str, Any]  # see fit_state.get_extra_state

    # ---- hooks of the public classes

    @property
    def _loss_scale(self) -> float:
        return 1.0

    @abstractmethod
    def _head(self) -> Head:
        """The head for the loss or the fitted classes."""

    @abstractmethod
    def _fit_targets(self, y: Any, call: FitArgs, *, fresh: bool) -> None:
        """Learn the form of predictions from a target."""

    @abstractmethod
    def _encode_targets(self, y: Any, dtype: Any) -> NDArray[np.floating]:
        """Y ``(n, K)`` for a target."""

    @abstractmethod
    def _default_score(self, y: Any, P: NDArray[np.floating], weights: NDArray[np.floating] | None) -> float:
        """The estimator's ``score`` of outputs P ``(n, K)``."""

    def _apply_class_weight(
        self, y: Any, weights: NDArray[np.floating] | None
    ) -> NDArray[np.floating] | None:
        """The rows' weights in training, class weights included."""
        return weights

    def _weights_name(self, sample_weight: str = "sample_weight") -> str:
        """What the rows' weights are made of, in errors."""
        return sample_weight

    @abstractmethod
    def _decode_targets(self, P: NDArray[np.floating]) -> NDArray[Any]:
        """Predictions in the shape of the training y, for outputs P ``(n, K)``."""

    def _label_encoding(self) -> LabelEncoding | None:
        """How Y encodes labels, or None if it holds numbers."""
        return None

    def _stratify_labels(self, y: Any) -> Any | None:
        """The labels that stratify a validation split."""
        return None

    # ---- hooks for the training loops

    @abstractmethod
    def _validate_data(
        self, X: Any, y: Any, *, reset: bool, weights: NDArray[np.floating] | None = None
    ) -> tuple[Any, Any]:
        """X and y as arrays; with ``reset`` X sets the number of columns; weights say which rows count."""

    @abstractmethod
    def _objective(self, n_hidden: int) -> Objective:
        """The objective, for a network with this number of hidden layers."""

    @abstractmethod
    def _evaluate(
        self, engine: Engine, net: Network, valid: LabelledRows
    ) -> tuple[NDArray[np.floating], float]:
        """The outputs P ``(n, K)`` and the weighted mean loss on validation rows, without the penalty."""

    @abstractmethod
    def _set_weights(self, net: Network, dtype: Any) -> None:
        """Store a network's weights as ``coefs_`` and ``intercepts_``."""
