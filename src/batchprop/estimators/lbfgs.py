"""L-BFGS over all rows at once: SciPy's, over the core's loss and gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import count
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, minimize
from sklearn.exceptions import ConvergenceWarning

from batchprop.batches import MICROBATCH_SIZE
from batchprop.errors import DivergedError, ParameterError, warn
from batchprop.estimators.datasets import ArrayDataset
from batchprop.estimators.early_stopping import ValidationCallback, mark_interrupted
from batchprop.estimators.engines import fit_engine
from batchprop.estimators.fit_state import initial_fit_state
from batchprop.estimators.interface import FitInterface
from batchprop.estimators.threads import limit_blas_threads
from batchprop.network import Network
from batchprop.objective import LossAndGradient, Objective
from batchprop.params import Layer, Layers
from batchprop.processes import current
from batchprop.training import EpochRecord, TrainState


def fit_lbfgs(estimator: FitInterface, net: Network, dataset: ArrayDataset) -> Network:
    """Minimise the loss over all rows; an iteration counts as an epoch.

    Args:
        estimator: its parameters are read, its history is written.
        net: the initial network, in float64.
        dataset: the training and validation rows.

    Returns:
        The network at the end.

    Raises:
        ParameterError: dropout or clipping is set, which a line search cannot follow.
        DivergedError: the result is not finite.
    """
    objective = estimator._objective(len(net.activations))
    _require_repeatable(estimator, objective)
    encoded, rows = dataset.encoded, dataset.rows
    engine = fit_engine(estimator, net, len(rows), len(rows), None)
    state = initial_fit_state(
        estimator, TrainState(net.layers, (), 0), validates=dataset.validation is not None
    )
    callback = ValidationCallback(estimator, dataset.validation, None, engine, state)
    numbers, started = count(1), perf_counter()

    def on_iteration(net: Network, loss: float) -> bool:
        nonlocal started
        seconds, started = perf_counter() - started, perf_counter()
        current().note_progress()
        state = TrainState(net.layers, (), 0)
        return callback.on_epoch_end(
            EpochRecord(next(numbers), loss, math.nan, len(rows), seconds, net, state)
        )

    try:
        with (
            limit_blas_threads(engine, net.sizes, min(len(rows), MICROBATCH_SIZE)),
            current().report_errors(),
        ):
            net, result = _minimize(
                estimator,
                net,
                lambda net: engine.value_and_gradient(net, encoded, dataset.own_rows, objective),
                on_iteration,
            )
    except KeyboardInterrupt:
        mark_interrupted(estimator)
        return callback.last.network if callback.last else net
    estimator.n_iter_, estimator.loss_ = min(result.nit, estimator.max_iter), float(result.fun)
    estimator.best_loss_, estimator.best_iteration_ = estimator.loss_, len(estimator.loss_curve_)
    if not math.isfinite(estimator.loss_) or not all(
        np.isfinite(pack((layer,))).all() for layer in net.layers
    ):
        raise DivergedError(
            f"L-BFGS ended with a loss of {estimator.loss_}, or weights that are not finite: "
            "scale the columns of X to similar ranges"
        )
    if result.status == 1:
        warn(
            f"lbfgs failed to converge after {estimator.n_iter_} iterations: raise max_iter "
            f"({estimator.max_iter}) or max_fun ({estimator.max_fun}), or scale the columns of X",
            ConvergenceWarning,
        )
    return net


def _require_repeatable(estimator: FitInterface, objective: Objective) -> None:
    for name, used in (
        ("dropout", objective.has_dropout),
        ("max_grad_norm", objective.max_grad_norm is not None),
    ):
        if used:
            raise ParameterError(
                f"{name}={getattr(estimator, name)!r} does not go with solver='lbfgs', which needs the same "
                "loss at every call: use solver='adam' or 'sgd'"
            )


def _minimize(
    estimator: FitInterface,
    net: Network,
    value_and_gradient: Callable[[Network], LossAndGradient],
    on_iteration: Callable[[Network, float], bool],
) -> tuple[Network, OptimizeResult]:
    """The final network and SciPy's result; ``on_iteration`` gets each iteration's network and loss."""
    net_at = _unpacker(net)

    def loss_and_gradient(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        loss, gradient = value_and_gradient(net_at(theta))
        return float(loss), pack(gradient)

    def callback(intermediate_result: OptimizeResult) -> None:
        if on_iteration(net_at(intermediate_result.x), float(intermediate_result.fun)):
            raise StopIteration

    # A line search may try weights so large that the loss overflows, and recover from them.
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        result = minimize(
            loss_and_gradient,
            pack(net.layers),
            method="L-BFGS-B",
            jac=True,
            callback=callback,
            options={"maxfun": estimator.max_fun, "maxiter": estimator.max_iter, "gtol": estimator.tol},
        )
    return net_at(result.x), result


def pack(layers: Layers) -> NDArray[np.float64]:
    """Return all parameters as one vector: every W, transposed, then every b, in scikit-learn's order.

    Example:
        >>> pack((Layer(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([5.0, 6.0])),))
        array([1., 3., 2., 4., 5., 6.])
    """
    return np.concatenate([*(layer.W.T.ravel() for layer in layers), *(layer.b for layer in layers)])


def _unpacker(net: Network) -> Callable[[NDArray[np.float64]], Network]:
    shapes = [(layer.W.shape[1], layer.W.shape[0]) for layer in net.layers]
    sizes = [n_in * n_out for n_in, n_out in shapes] + [n_out for _, n_out in shapes]
    ends = np.cumsum(sizes)[:-1]

    def net_at(theta: NDArray[np.float64]) -> Network:
        # SciPy keeps changing theta in place.
        parts: list[Any] = np.split(theta.copy(), ends)
        Ws, bs = parts[: len(shapes)], parts[len(shapes) :]
        return net.replace_layers(
            tuple(Layer(W.reshape(shape).T, b) for W, shape, b in zip(Ws, shapes, bs, strict=True))
        )

    return net_at
