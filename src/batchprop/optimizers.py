"""The optimisers: each a pair ``(init, update)`` of pure functions over the layers.

``init(layers)`` gives the state; ``update(layers, gradient, state, learning_rate)`` gives the new layers and
the new state. θ is any W or b, g its gradient, α the learning rate of the step.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from batchprop.arrays import Array, namespace
from batchprop.errors import ParameterError
from batchprop.network import Layer, Layers

State: TypeAlias = Any


class Optimizer(NamedTuple):
    """One optimiser.

    Attributes:
        init: ``layers -> state``.
        update: ``(layers, gradient, state, learning_rate) -> (layers, state)``.
    """

    init: Callable[[Layers], State]
    update: Callable[[Layers, Layers, State, float | Array], tuple[Layers, State]]


class AdamState(NamedTuple):
    """Adam's memory: running means of g and of g², and the number of steps taken."""

    first: Layers
    second: Layers
    steps: int | Array


def sgd() -> Optimizer:
    """Plain gradient descent: ``θ ← θ − α g``.

    Example:
        >>> import numpy as np
        >>> layers, gradient = ((Layer(np.ones((1, 1)), np.ones(1)),) for _ in range(2))
        >>> sgd().update(layers, gradient, (), 0.25)[0]
        (Layer(W=array([[0.75]]), b=array([0.75])),)
    """

    def update(
        layers: Layers, gradient: Layers, state: State, learning_rate: float | Array
    ) -> tuple[Layers, State]:
        return each(lambda theta, g: theta - learning_rate * g, layers, gradient), state

    return Optimizer(lambda _: (), update)


def momentum(beta: float = 0.9) -> Optimizer:
    """Gradient descent with momentum: ``v ← β v − α g``, ``θ ← θ + v`` (Polyak 1964).

    Args:
        beta: β in [0, 1], how much of the last step is kept.

    Returns:
        The optimiser; its state is v.
    """
    _check_fraction("momentum", beta, closed=True)

    def update(
        layers: Layers, gradient: Layers, velocity: Layers, learning_rate: float | Array
    ) -> tuple[Layers, Layers]:
        def one(theta: Array, g: Array, v: Array) -> tuple[Array, Array]:
            v = beta * v - learning_rate * g
            return theta + v, v

        layers, velocity = together(one, layers, gradient, velocity)
        return layers, velocity

    return Optimizer(zeros_like, update)


def nesterov(beta: float = 0.9) -> Optimizer:
    """Gradient descent with Nesterov's momentum: ``v ← β v − α g``, ``θ ← θ + β v − α g``.

    Args:
        beta: β in [0, 1], how much of the last step is kept.

    Returns:
        The optimiser; its state is v.

    Source:
        Sutskever, Martens, Dahl and Hinton 2013.
    """
    _check_fraction("momentum", beta, closed=True)

    def update(
        layers: Layers, gradient: Layers, velocity: Layers, learning_rate: float | Array
    ) -> tuple[Layers, Layers]:
        def one(theta: Array, g: Array, v: Array) -> tuple[Array, Array]:
            step = learning_rate * g
            v = beta * v - step
            return theta + (beta * v - step), v

        layers, velocity = together(one, layers, gradient, velocity)
        return layers, velocity

    return Optimizer(zeros_like, update)


def adam(beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8) -> Optimizer:
    """Adam: ``m ← β₁ m + (1−β₁) g``, ``v ← β₂ v + (1−β₂) g²``, ``θ ← θ − α √(1−β₂ᵗ)/(1−β₁ᵗ) · m / (√v + ε)``.

    Args:
        beta_1: β₁ in [0, 1).
        beta_2: β₂ in [0, 1).
        epsilon: ε > 0, added outside the root and not corrected for the start, as scikit-learn does.

    Returns:
        The optimiser; its state is ``AdamState``.

    Source:
        Kingma and Ba, arXiv 1412.6980, the form at the end of its section 2.
    """
    _check_fraction("beta_1", beta_1)
    _check_fraction("beta_2", beta_2)
    if not epsilon > 0:
        raise ParameterError(f"epsilon={epsilon!r} is not allowed: give a small positive number, as 1e-8")

    def init(layers: Layers) -> AdamState:
        return AdamState(zeros_like(layers), zeros_like(layers), 0)

    def update(
        layers: Layers, gradient: Layers, state: AdamState, learning_rate: float | Array
    ) -> tuple[Layers, AdamState]:
        steps = state.steps + 1
        rate = learning_rate * (1.0 - beta_2**steps) ** 0.5 / (1.0 - beta_1**steps)

        def one(theta: Array, g: Array, m: Array, v: Array) -> tuple[Array, Array, Array]:
            m = beta_1 * m + (1.0 - beta_1) * g
            v = beta_2 * v + (1.0 - beta_2) * (g * g)
            return theta - rate * m / (namespace(v).sqrt(v) + epsilon), m, v

        layers, first, second = together(one, layers, gradient, state.first, state.second)
        return layers, AdamState(first, second, steps)

    return Optimizer(init, update)


def adamw(
    beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8, weight_decay: float = 0.01
) -> Optimizer:
    """Adam with decoupled weight decay: ``W ← (1 − α λ) W``, then Adam's step; biases do not decay.

    Args:
        beta_1: as in ``adam``.
        beta_2: as in ``adam``.
        epsilon: as in ``adam``.
        weight_decay: λ ≥ 0.

    Returns:
        The optimiser; its state is ``AdamState``.

    Source:
        Loshchilov and Hutter, arXiv 1711.05101.
    """
    if not weight_decay >= 0:
        raise ParameterError(
            f"weight_decay={weight_decay!r} is not allowed: give 0 or a positive number, as 0.01"
        )
    inner = adam(beta_1, beta_2, epsilon)

    def update(
        layers: Layers, gradient: Layers, state: AdamState, learning_rate: float | Array
    ) -> tuple[Layers, AdamState]:
        kept = 1.0 - learning_rate * weight_decay
        decayed = tuple(Layer(kept * layer.W, layer.b) for layer in layers)
        return inner.update(decayed, gradient, state, learning_rate)

    return Optimizer(inner.init, update)


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "adam": adam,
    "adamw": adamw,
}
"""Every optimiser's maker by name."""


def each(function: Callable[..., Array], *layers: Layers) -> Layers:
    """Apply a function to every W and every b of one or more sets of layers of the same shapes.

    Args:
        function: takes one array of each set, returns one array.
        layers: the sets.

    Returns:
        The layers of the results.
    """
    return tuple(
        Layer(function(*(layer.W for layer in same)), function(*(layer.b for layer in same)))
        for same in zip(*layers, strict=True)
    )


def together(function: Callable[..., tuple[Array, ...]], *layers: Layers) -> tuple[Layers, ...]:
    """Apply a function with several results to every W and every b; one pass over the layers.

    Args:
        function: takes one array of each set, returns a tuple of arrays.
        layers: the sets.

    Returns:
        As many sets of layers as the function has results.

    Example:
        >>> together(lambda x: (x + 1, 2 * x), (Layer(3, 5),))
        ((Layer(W=4, b=6),), (Layer(W=6, b=10),))
    """
    by_layer = (
        map(Layer, function(*(layer.W for layer in same)), function(*(layer.b for layer in same)))
        for same in zip(*layers, strict=True)
    )
    return tuple(zip(*by_layer, strict=True))


def zeros_like(layers: Layers) -> Layers:
    """Return layers of zeros, of the same shapes and types."""
    return each(lambda theta: namespace(theta).zeros_like(theta), layers)


def _check_fraction(name: str, value: float, *, closed: bool = False) -> None:
    if not (0 <= value < 1 or (closed and value == 1)):
        top = "1" if closed else "below 1"
        raise ParameterError(f"{name}={value!r} is not allowed: give a number from 0 to {top}, as 0.9")
