"""The gradient check: the gradient against finite differences of its loss."""

import numpy as np

from batchprop.arrays import Array
from batchprop.backprop import backprop
from batchprop.errors import GradientCheckError, ParameterError
from batchprop.format import format_number
from batchprop.network import Network, RandomState, check_random_state
from batchprop.params import Layer, Layers


def check_gradient(
    net: Network,
    B: Array,
    Y: Array,
    weights: Array | None = None,
    *,
    directions: int = 8,
    step: float = 1e-5,
    tolerance: float = 1e-6,
    random_state: RandomState = 0,
) -> float:
    """Compare the mean gradient with central differences of the loss along random directions.

    Along a direction V of norm 1, ``⟨∇loss, V⟩`` is compared with ``(loss(θ + εV) − loss(θ − εV)) / 2ε``, all
    in float64. Where a direction crosses a kink (relu at 0), the two differ without an error in the gradient.

    Args:
        net: the network; any activation and any head, your own too.
        B: the batch ``(n_0, m)``.
        Y: the targets ``(K, m)``.
        weights: ``(m,)`` or None.
        directions: the number of random directions.
        step: ε.
        tolerance: the largest difference allowed, relative to the larger of the two and of 1.
        random_state: draws the directions.

    Returns:
        The largest difference found.

    Raises:
        GradientCheckError: the difference is larger than the tolerance.
        ParameterError: ``directions`` is below 1.

    Example:
        >>> net = Network.create([3, 4, 2], activation="tanh", random_state=0)
        >>> check_gradient(net, np.ones((3, 5)), np.eye(2)[:, [0, 1, 0, 1, 1]]) < 1e-8
        True
    """
    if directions < 1:
        raise ParameterError(f"directions={directions!r} is not allowed: give at least 1")
    rng = check_random_state(random_state)
    B, Y = np.asarray(B, "float64"), np.asarray(Y, "float64")
    weights = None if weights is None else np.asarray(weights, "float64")
    layers = tuple(Layer(np.asarray(W, "float64"), np.asarray(b, "float64")) for W, b in net.layers)
    gradient = backprop(net.replace_layers(layers), B, Y, weights).gradient.mean()

    def loss(layers: Layers) -> float:
        return float(backprop(net.replace_layers(layers), B, Y, weights).loss)

    errors = []
    for _ in range(directions):
        V = _random_direction(layers, rng)
        slope = sum(
            float(np.sum(g * v)) for G, D in zip(gradient, V, strict=True) for g, v in zip(G, D, strict=True)
        )
        differences = (loss(_perturb(layers, V, step)) - loss(_perturb(layers, V, -step))) / (2 * step)
        errors.append(abs(slope - differences) / max(1.0, abs(slope), abs(differences)))
    # Python's max may skip a NaN; NumPy's returns it, and NaN passes no comparison.
    worst = float(np.max(errors))
    if not worst <= tolerance:
        raise GradientCheckError(
            f"the gradient differs from finite differences by {format_number(worst, 3)}, more than "
            f"the {format_number(tolerance)} allowed: check σ' of the activation and dZ of the head"
        )
    return worst


def _random_direction(layers: Layers, rng: np.random.RandomState) -> Layers:
    # Normal entries: their direction is uniform over the sphere.
    V = tuple(Layer(rng.standard_normal(W.shape), rng.standard_normal(b.shape)) for W, b in layers)
    norm = np.sqrt(sum(float(np.sum(theta**2)) for layer in V for theta in layer))
    return tuple(Layer(W / norm, b / norm) for W, b in V)


def _perturb(layers: Layers, V: Layers, step: float) -> Layers:
    return tuple(Layer(W + step * D.W, b + step * D.b) for (W, b), D in zip(layers, V, strict=True))
