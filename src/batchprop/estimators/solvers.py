"""What the estimators' parameters stand for: an optimiser, a schedule; and SciPy's L-BFGS over the core."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, minimize

from batchprop import optimizers, schedules
from batchprop.batches import Rows, Table
from batchprop.engines.numpy import value_and_gradient
from batchprop.network import Layer, Layers, Network
from batchprop.optimizers import Optimizer
from batchprop.schedules import Plateau, Schedule
from batchprop.training import Objective

if TYPE_CHECKING:
    from batchprop.estimators.base import BaseMLP

_PLANNED: dict[str, Callable[[float, int, float], Schedule]] = {
    "cosine": lambda rate, total_steps, _: schedules.cosine(rate, total_steps),
    "warmup_cosine": schedules.warmup_cosine,
    "one_cycle": schedules.one_cycle,
}


def optimizer_of(estimator: BaseMLP) -> Optimizer:
    """Return the optimiser that the parameters ``solver``, ``momentum``, ``beta_1``, ... describe."""
    if estimator.solver == "adam":
        return optimizers.adam(estimator.beta_1, estimator.beta_2, estimator.epsilon)
    if estimator.solver == "adamw":
        return optimizers.adamw(estimator.beta_1, estimator.beta_2, estimator.epsilon, estimator.weight_decay)
    if estimator.momentum == 0:
        return optimizers.sgd()
    return (optimizers.nesterov if estimator.nesterovs_momentum else optimizers.momentum)(estimator.momentum)


def schedule_of(estimator: BaseMLP, steps_per_epoch: int, rows: int, *, resumed: bool) -> Schedule:
    """Return the schedule that ``learning_rate`` describes.

    As in scikit-learn, ``"invscaling"`` and ``"adaptive"`` act on ``solver="sgd"`` alone.

    Args:
        estimator: its ``learning_rate``, ``learning_rate_init``, ``power_t``, ``max_iter``, ``t_``.
        steps_per_epoch: the number of batches.
        rows: the number of rows trained on in an epoch.
        resumed: whether the optimiser goes on from an earlier call, as in ``partial_fit``.

    Returns:
        The schedule.
    """
    rate, total = float(estimator.learning_rate_init), int(estimator.max_iter) * steps_per_epoch
    kind, memory = estimator.learning_rate, estimator._memory
    resumed_rate = memory["plateau_rate"] if resumed and memory is not None else None
    if callable(kind):
        return kind
    if kind in _PLANNED:
        return _PLANNED[kind](rate, total, estimator.warmup_fraction)
    if kind == "adaptive" and estimator.solver == "sgd":
        return Plateau(resumed_rate or rate)
    if kind == "invscaling" and estimator.solver == "sgd":
        return _invscaling(estimator, rate, steps_per_epoch, rows, resumed=resumed)
    return schedules.constant(rate)


def _invscaling(
    estimator: BaseMLP, rate: float, steps_per_epoch: int, rows: int, *, resumed: bool
) -> Schedule:
    if resumed:
        # A piece of the data is one epoch, and a rate lasts for an epoch.
        return schedules.constant(rate / (estimator.t_ + 1) ** estimator.power_t)
    scaled = schedules.invscaling(
        rate,
        estimator.power_t,
        steps_per_epoch=steps_per_epoch,
        rows_per_epoch=rows,
        rows_before=estimator.t_,
    )
    # A warm start begins with the initial rate and only then remembers the rows of earlier fits, as in
    # scikit-learn.
    return lambda step: rate if step < steps_per_epoch else scaled(step)


def lbfgs(
    net: Network,
    table: Table,
    rows: Rows,
    objective: Objective,
    *,
    max_iter: int,
    max_fun: int,
    tol: float,
    after: Callable[[Network, float], bool],
) -> tuple[Network, OptimizeResult]:
    """Minimise the loss over all rows with SciPy's L-BFGS-B.

    Args:
        net: where to begin, in float64.
        table: the examples.
        rows: those to train on.
        objective: what is minimised.
        max_iter: iterations at most.
        max_fun: evaluations at most.
        tol: the largest entry of the gradient that counts as zero.
        after: called after each iteration with the network and its loss; True stops.

    Returns:
        The network at the end and SciPy's result.
    """
    net_at = _unpacker(net)

    def loss_and_gradient(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        loss, gradient = value_and_gradient(net_at(theta), table, rows, objective)
        return float(loss), pack(gradient)

    def callback(intermediate_result: OptimizeResult) -> None:
        if after(net_at(intermediate_result.x), float(intermediate_result.fun)):
            raise StopIteration

    result = minimize(
        loss_and_gradient,
        pack(net.layers),
        method="L-BFGS-B",
        jac=True,
        callback=callback,
        options={"maxfun": max_fun, "maxiter": max_iter, "gtol": tol},
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
        # SciPy goes on to change theta in place.
        parts: list[Any] = np.split(theta.copy(), ends)
        Ws, bs = parts[: len(shapes)], parts[len(shapes) :]
        return net.with_layers(
            tuple(Layer(W.reshape(shape).T, b) for W, shape, b in zip(Ws, shapes, bs, strict=True))
        )

    return net_at
