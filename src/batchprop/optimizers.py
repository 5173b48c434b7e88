"""The optimisers: each a record of its numbers, with two pure functions over the layers.

``init(layers)`` returns the state; ``update(layers, gradient, state, learning_rate)`` returns the new layers
and the new state. θ is any W or b, g its gradient, α the learning rate of the step. The records hold numbers
and nothing else, so that a compiled program takes them as arguments. The functions in lower case check the
numbers and make the records.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias

from batchprop.arrays import Array, namespace
from batchprop.errors import ParameterError
from batchprop.params import Layer, Layers, tree_map, tree_map_unzip, zeros_like

State: TypeAlias = Any
Number: TypeAlias = float | Array


class Optimizer(Protocol):
    """The interface of an optimiser; one of your own is a named tuple of its numbers."""

    def init(self, layers: Layers) -> State:
        """Return the state before the first step."""

    def update(
        self, layers: Layers, gradient: Layers, state: State, learning_rate: Number
    ) -> tuple[Layers, State]:
        """Return the layers and the state after a step."""


class SGD(NamedTuple):
    """Plain gradient descent; made by ``sgd``."""

    def init(self, layers: Layers) -> State:
        """Return the empty state."""
        return ()

    def update(
        self, layers: Layers, gradient: Layers, state: State, learning_rate: Number
    ) -> tuple[Layers, State]:
        """``θ ← θ − α g``."""
        return tree_map(lambda theta, g: theta - learning_rate * g, layers, gradient), state


class Momentum(NamedTuple):
    """Gradient descent with momentum; made by ``momentum``."""

    beta: Number

    def init(self, layers: Layers) -> Layers:
        """``v = 0``."""
        return zeros_like(layers)

    def update(
        self, layers: Layers, gradient: Layers, velocity: Layers, learning_rate: Number
    ) -> tuple[Layers, Layers]:
        """``v ← β v − α g``, ``θ ← θ + v``."""

        def update(theta: Array, g: Array, v: Array) -> tuple[Array, Array]:
            v = self.beta * v - learning_rate * g
            return theta + v, v

        layers, velocity = tree_map_unzip(update, layers, gradient, velocity)
        return layers, velocity


class Nesterov(NamedTuple):
    """Gradient descent with Nesterov's momentum; made by ``nesterov``."""

    beta: Number

    def init(self, layers: Layers) -> Layers:
        """``v = 0``."""
        return zeros_like(layers)

    def update(
        self, layers: Layers, gradient: Layers, velocity: Layers, learning_rate: Number
    ) -> tuple[Layers, Layers]:
        """``v ← β v − α g``, ``θ ← θ + β v − α g``."""

        def update(theta: Array, g: Array, v: Array) -> tuple[Array, Array]:
            # Sutskever's form, with the gradient taken at θ and not at θ + β v, as scikit-learn has it.
            step = learning_rate * g
            v = self.beta * v - step
            return theta + (self.beta * v - step), v

        layers, velocity = tree_map_unzip(update, layers, gradient, velocity)
        return layers, velocity


class AdamState(NamedTuple):
    """Adam's state: the moving averages of g and of g², and the number of steps taken."""

    mu: Layers
    nu: Layers
    steps: int | Array


class Adam(NamedTuple):
    """Adam; made by ``adam``."""

    beta_1: Number
    beta_2: Number
    epsilon: Number

    def init(self, layers: Layers) -> AdamState:
        """``m = v = 0``, ``t = 0``."""
        return AdamState(zeros_like(layers), zeros_like(layers), 0)

    def update(
        self, layers: Layers, gradient: Layers, state: AdamState, learning_rate: Number
    ) -> tuple[Layers, AdamState]:
        """``m ← β₁ m + (1−β₁) g``, ``v ← β₂ v + (1−β₂) g²``, ``θ ← θ − αₜ m / (√v + ε)``, αₜ corrected."""
        beta_1, beta_2, epsilon = self
        steps = state.steps + 1
        # Both bias corrections are folded into the rate, so that they cost two numbers and not two arrays.
        rate = learning_rate * (1.0 - beta_2**steps) ** 0.5 / (1.0 - beta_1**steps)

        def update(theta: Array, g: Array, m: Array, v: Array) -> tuple[Array, Array, Array]:
            m = beta_1 * m + (1.0 - beta_1) * g
            v = beta_2 * v + (1.0 - beta_2) * (g * g)
            return theta - rate * m / (namespace(v).sqrt(v) + epsilon), m, v

        layers, mu, nu = tree_map_unzip(update, layers, gradient, state.mu, state.nu)
        return layers, AdamState(mu, nu, steps)


class AdamW(NamedTuple):
    """Adam with decoupled weight decay; made by ``adamw``."""

    adam: Adam
    weight_decay: Number

    def init(self, layers: Layers) -> AdamState:
        """Adam's."""
        return self.adam.init(layers)

    def update(
        self, layers: Layers, gradient: Layers, state: AdamState, learning_rate: Number
    ) -> tuple[Layers, AdamState]:
        """``W ← (1 − α λ) W``, then Adam's step; biases do not decay."""
        # Decoupled: a penalty in the gradient would be divided by √v, and large gradients would decay less.
        factor = 1.0 - learning_rate * self.weight_decay
        decayed = tuple(Layer(factor * layer.W, layer.b) for layer in layers)
        return self.adam.update(decayed, gradient, state, learning_rate)


def sgd() -> SGD:
    """Plain gradient descent: ``θ ← θ − α g``.

    Example:
        >>> import numpy as np
        >>> layers, gradient = ((Layer(np.ones((1, 1)), np.ones(1)),) for _ in range(2))
        >>> sgd().update(layers, gradient, (), 0.25)[0]
        (Layer(W=array([[0.75]]), b=array([0.75])),)
    """
    return SGD()


def momentum(beta: float = 0.9) -> Momentum:
    """Gradient descent with momentum: ``v ← β v − α g``, ``θ ← θ + v`` (Polyak 1964).

    Args:
        beta: β in [0, 1], how much of the last step is kept.

    Returns:
        The optimiser; its state is v.

    Raises:
        ParameterError: β is out of range.
    """
    _check_fraction("momentum", beta, closed=True)
    return Momentum(float(beta))


def nesterov(beta: float = 0.9) -> Nesterov:
    """Gradient descent with Nesterov's momentum: ``v ← β v − α g``, ``θ ← θ + β v − α g``.

    Args:
        beta: β in [0, 1], how much of the last step is kept.

    Returns:
        The optimiser; its state is v.

    Raises:
        ParameterError: β is out of range.

    Source:
        Sutskever, Martens, Dahl and Hinton 2013.
    """
    _check_fraction("momentum", beta, closed=True)
    return Nesterov(float(beta))


def adam(beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8) -> Adam:
    """Adam: ``m ← β₁ m + (1−β₁) g``, ``v ← β₂ v + (1−β₂) g²``, ``θ ← θ − α √(1−β₂ᵗ)/(1−β₁ᵗ) · m / (√v + ε)``.

    Args:
        beta_1: β₁ in [0, 1).
        beta_2: β₂ in [0, 1).
        epsilon: ε > 0, added outside the root and not corrected for the start, as scikit-learn does.

    Returns:
        The optimiser; its state is ``AdamState``.

    Raises:
        ParameterError: a number is out of range.

    Source:
        Kingma and Ba, arXiv 1412.6980, the form at the end of its section 2.
    """
    _check_fraction("beta_1", beta_1)
    _check_fraction("beta_2", beta_2)
    if not epsilon > 0:
        raise ParameterError(f"epsilon={epsilon!r} is not allowed: give a small positive number, as 1e-8")
    return Adam(float(beta_1), float(beta_2), float(epsilon))


def adamw(
    beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8, weight_decay: float = 0.01
) -> AdamW:
    """Adam with decoupled weight decay: ``W ← (1 − α λ) W``, then Adam's step; biases do not decay.

    Args:
        beta_1: as in ``adam``.
        beta_2: as in ``adam``.
        epsilon: as in ``adam``.
        weight_decay: λ ≥ 0.

    Returns:
        The optimiser; its state is ``AdamState``.

    Raises:
        ParameterError: a number is out of range.

    Source:
        Loshchilov and Hutter, arXiv 1711.05101.
    """
    if not weight_decay >= 0:
        raise ParameterError(
            f"weight_decay={weight_decay!r} is not allowed: give 0 or a positive number, as 0.01"
        )
    return AdamW(adam(beta_1, beta_2, epsilon), float(weight_decay))


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "adam": adam,
    "adamw": adamw,
}
"""The function that makes each optimiser, by name."""


def _check_fraction(name: str, value: float, *, closed: bool = False) -> None:
    if not (0 <= value < 1 or (closed and value == 1)):
        top = "1" if closed else "below 1"
        raise ParameterError(f"{name}={value!r} is not allowed: give a number from 0 to {top}, as 0.9")
