"""Estimators from models trained elsewhere: fitted scikit-learn estimators, or the weights of a network."""

from __future__ import annotations

import math
from copy import deepcopy
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn import neural_network
from sklearn.utils.validation import check_is_fitted

from batchprop.errors import InputError, ParameterError
from batchprop.estimators.base import BaseMLP
from batchprop.estimators.parameters import check_parameters
from batchprop.estimators.targets import BINARY, MULTICLASS, MULTILABEL, MULTIOUTPUT, TargetEncoding
from batchprop.estimators.validation import FitArgs
from batchprop.network import Network
from batchprop.params import Layers

EstimatorT = TypeVar("EstimatorT", bound=BaseMLP)

_N_BINARY = 2
"""Classes of a binary target."""


class ConvertibleClassifier(BaseMLP):
    """Constructors from classifiers trained elsewhere; a base of ``MLPClassifier``."""

    @classmethod
    def from_sklearn(cls, fitted: Any) -> Self:
        """Return an estimator that continues a fitted scikit-learn estimator.

        Args:
            fitted: a fitted ``sklearn.neural_network.MLPClassifier``.

        Returns:
            A fitted estimator with its parameters, weights and history, and ``dtype=None``: it computes in
            the precision of X, as scikit-learn does. Values that scikit-learn does not keep are nan.

        Raises:
            ParameterError: it is something else.
            NotFittedError: it is not fitted.
            InputError: it has one class only.

        Example:
            >>> import batchprop, sklearn.neural_network
            >>> theirs = sklearn.neural_network.MLPClassifier((2,), solver="lbfgs", random_state=0)
            >>> theirs = theirs.fit([[0.0], [1.0]], ["no", "yes"])
            >>> batchprop.MLPClassifier.from_sklearn(theirs).predict([[1.0]]).tolist()
            ['yes']
        """
        model = _copy_fitted(cls, fitted, neural_network.MLPClassifier)
        _set_classes(model, _copy_classes(fitted))
        return model

    @classmethod
    def from_weights(cls, weights: Any, *, classes: Any, **parameters: Any) -> Self:
        """Return an estimator with the weights of a network trained elsewhere.

        Args:
            weights: ``(W, b)`` of each layer, ``W (n_out, n_in)`` and ``b (n_out,)``, as ``torch.nn.Linear``
                has them. Two classes may have one output (a sigmoid's) or two (a softmax's).
            classes: the labels in the order of the outputs, the second one that of a single output; a list
                of these for several targets; None for labels of 0 and 1, one output each.
            parameters: of the constructor, ``activation`` above all; ``dtype`` is None unless given.

        Returns:
            An estimator that predicts, and that ``fit`` with ``warm_start=True`` trains further.

        Raises:
            ParameterError: a shape does not fit, there are more or fewer outputs than classes, or a parameter
                is not allowed.

        Example:
            >>> import batchprop
            >>> layers = [(np.eye(2), np.zeros(2)), (np.eye(2), np.zeros(2))]
            >>> clf = batchprop.MLPClassifier.from_weights(layers, classes=["left", "right"])
            >>> clf.predict([[3.0, 1.0], [1.0, 3.0]]).tolist()
            ['left', 'right']
        """
        encoding, layers = _validate_classes(classes, weights)
        model = _from_weights(cls, layers, parameters)
        _set_classes(model, encoding)
        return model


class ConvertibleRegressor(BaseMLP):
    """Constructors from regressors trained elsewhere; a base of ``MLPRegressor``."""

    @classmethod
    def from_sklearn(cls, fitted: Any) -> Self:
        """Return an estimator that continues a fitted scikit-learn estimator.

        Args:
            fitted: a fitted ``sklearn.neural_network.MLPRegressor``.

        Returns:
            A fitted estimator with its parameters, weights and history, and ``dtype=None``: it computes in
            the precision of X, as scikit-learn does. Values that scikit-learn does not keep are nan.

        Raises:
            ParameterError: it is something else.
            NotFittedError: it is not fitted.
        """
        model = _copy_fitted(cls, fitted, neural_network.MLPRegressor)
        model._fit_targets(None, FitArgs(), fresh=True)
        return model

    @classmethod
    def from_weights(cls, weights: Any, **parameters: Any) -> Self:
        """Return an estimator with the weights of a network trained elsewhere.

        Args:
            weights: ``(W, b)`` of each layer, ``W (n_out, n_in)`` and ``b (n_out,)``, as ``torch.nn.Linear``
                has them.
            parameters: of the constructor, ``activation`` and ``loss`` above all; ``dtype`` is None unless
                given.

        Returns:
            An estimator that predicts, and that ``fit`` with ``warm_start=True`` trains further.

        Raises:
            ParameterError: a shape does not fit, or a parameter is not allowed.

        Example:
            >>> import batchprop
            >>> reg = batchprop.MLPRegressor.from_weights([(np.array([[2.0, 1.0]]), np.array([0.5]))])
            >>> reg.predict([[1.0, 1.0]]).tolist()
            [3.5]
        """
        model = _from_weights(cls, weights, parameters)
        model._fit_targets(None, FitArgs(), fresh=True)
        return model


# ---- from scikit-learn


def _copy_fitted(ours: type[EstimatorT], theirs: Any, kind: Any) -> EstimatorT:
    """A batchprop estimator with the parameters and copied attributes of a fitted scikit-learn one."""
    if not isinstance(theirs, kind):
        raise ParameterError(
            f"from_sklearn takes a fitted scikit-learn {kind.__name__}, not a {type(theirs).__name__}"
        )
    check_is_fitted(theirs)
    known = set(ours._get_param_names())
    parameters = {name: value for name, value in theirs.get_params(deep=False).items() if name in known}
    # dtype=None computes in the precision of X, as scikit-learn does.
    model = ours(**deepcopy(parameters), dtype=None)
    check_parameters(model, model._parameter_constraints)
    model._init_fit_attributes(n_outputs=int(theirs.n_outputs_))
    model.coefs_ = [np.array(coef) for coef in theirs.coefs_]
    model.intercepts_ = [np.array(b) for b in theirs.intercepts_]
    _copy_inputs(model, theirs)
    _copy_history(model, theirs)
    return _set_unfitted_defaults(model)


def _copy_inputs(model: BaseMLP, theirs: Any) -> None:
    model.n_features_in_ = int(theirs.n_features_in_)
    if hasattr(theirs, "feature_names_in_"):
        model.feature_names_in_ = np.array(theirs.feature_names_in_)


def _copy_history(model: BaseMLP, theirs: Any) -> None:
    """The history that scikit-learn keeps; missing values of an epoch are nan."""
    model.loss_, model.n_iter_, model.t_ = float(theirs.loss_), int(theirs.n_iter_), int(theirs.t_)
    if model.solver == "lbfgs":
        model.loss_curve_ = [math.nan] * (model.n_iter_ - 1) + [model.loss_]
        model.best_loss_, model.best_iteration_ = model.loss_, model.n_iter_
    else:
        model.loss_curve_ = [float(loss) for loss in theirs.loss_curve_]
        model.best_loss_ = _number(theirs.best_loss_)
        model.best_validation_score_ = _number(theirs.best_validation_score_)
        scores = theirs.validation_scores_
        model.validation_scores_ = None if scores is None else [float(score) for score in scores]
        model.best_iteration_ = 1 + int(
            np.argmin(model.loss_curve_)
            if model.validation_scores_ is None
            # After a divergence, scikit-learn's scores are NaN.
            else np.argmax(np.nan_to_num(model.validation_scores_, nan=-np.inf))
        )
        model._extra_state = {"n_no_improve": int(getattr(theirs, "_no_improvement_count", 0))}
    epochs = len(model.loss_curve_)
    steady = model.solver == "adam" or (model.solver == "sgd" and model.learning_rate == "constant")
    model.learning_rate_curve_ = [float(model.learning_rate_init) if steady else math.nan] * epochs
    if model.validation_scores_ is not None:
        model.validation_loss_curve_ = [math.nan] * epochs


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


# ---- from weights


def _from_weights(ours: type[EstimatorT], weights: Any, parameters: dict[str, Any]) -> EstimatorT:
    """An estimator that predicts with given weights and has an empty history."""
    net = Network.from_weights(weights)
    if "hidden_layer_sizes" in parameters:
        raise ParameterError(
            f"hidden_layer_sizes={parameters['hidden_layer_sizes']!r} follows from the weights: leave it out"
        )
    model = ours(hidden_layer_sizes=net.sizes[1:-1], **{"dtype": None, **parameters})
    check_parameters(model, model._parameter_constraints)
    model._init_fit_attributes(n_outputs=net.sizes[-1])
    model.n_features_in_, model.loss_ = net.sizes[0], math.nan
    model._set_weights(net, model.dtype or _common_dtype(net.layers))
    model._activations(len(net.layers) - 1)
    return _set_unfitted_defaults(model)


def _common_dtype(layers: Layers) -> Any:
    dtype = np.result_type(*(np.asarray(array).dtype for layer in layers for array in layer))
    return dtype if dtype == np.float64 else np.dtype(np.float32)


def _set_unfitted_defaults(model: EstimatorT) -> EstimatorT:
    """Set the attributes of a fit that was not interrupted and used no engine."""
    model.interrupted_, model.engine_ = False, "numpy"
    return model


# ---- classes


def _set_classes(model: Any, classes: TargetEncoding) -> None:
    model._target_kind, model.classes_ = classes
    model.out_activation_ = "softmax" if classes.kind in {MULTICLASS, MULTIOUTPUT} else "logistic"
    model._class_weights = None


def _copy_classes(theirs: Any) -> TargetEncoding:
    """The classes of a fitted scikit-learn classifier."""
    labels = np.array(theirs.classes_)
    if len(labels) < _N_BINARY:
        raise InputError(f"the classifier knows one class only ({labels.tolist()}): train it on two at least")
    if theirs.out_activation_ == "softmax":
        return TargetEncoding(MULTICLASS, labels)
    return TargetEncoding(BINARY if theirs.n_outputs_ == 1 else MULTILABEL, labels)


def _validate_classes(classes: Any, weights: Any) -> tuple[TargetEncoding, list[Any]]:
    """The classes of a network's outputs, sorted, and its weights with the outputs in that order.

    Two classes may have two outputs, under a softmax: as ``softmax(z)₁ = sigmoid(z₁ − z₀)``, the last
    layer's rows become their difference.
    """
    layers = list(Network.from_weights(weights).layers)
    W, b = map(np.asarray, layers[-1])
    if classes is None:
        return TargetEncoding(MULTILABEL, np.arange(len(b))), layers
    several = np.ndim(classes[0]) > 0
    labels = [_as_labels(each) for each in (classes if several else [classes])]
    if not several and len(labels[0]) == _N_BINARY:
        if len(b) == _N_BINARY:
            W, b = W[1:] - W[:1], b[1:] - b[:1]
        _check_n_outputs(len(b), 1, classes, " or 2")
        if labels[0][0] > labels[0][1]:
            W, b, labels = -W, -b, [labels[0][::-1]]
        return TargetEncoding(BINARY, labels[0]), [*layers[:-1], (W, b)]
    _check_n_outputs(len(b), sum(map(len, labels)), classes)
    starts = np.cumsum([0, *map(len, labels)])
    order = np.concatenate([start + np.argsort(each) for start, each in zip(starts, labels, strict=False)])
    ranked = [np.sort(each) for each in labels]
    encoding = TargetEncoding(MULTIOUTPUT, ranked) if several else TargetEncoding(MULTICLASS, ranked[0])
    return encoding, [*layers[:-1], (W[order], b[order])]


def _as_labels(classes: Any) -> NDArray[Any]:
    labels = np.asarray(classes)
    if labels.ndim != 1 or len(np.unique(labels)) < max(len(labels), _N_BINARY):
        raise ParameterError(f"classes={classes!r} is not allowed: give two labels or more, each once")
    return labels


def _check_n_outputs(n_outputs: int, wanted: int, classes: Any, besides: str = "") -> None:
    if n_outputs != wanted:
        raise ParameterError(
            f"the network has {n_outputs} outputs, and classes={classes!r} ask for {wanted}{besides}: "
            "name the classes in the order of the outputs, or classes=None for labels of 0 and 1"
        )
