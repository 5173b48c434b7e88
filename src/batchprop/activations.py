"""The activations: one record each, with its name, the function σ and its derivative σ'.

Both act elementwise on a matrix ``Z (n_l, m)``, and both are finite for every entry from −1e4 to 1e4.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from batchprop.arrays import Array, namespace
from batchprop.errors import unknown_option_error

LEAKY_RELU_SLOPE = 0.01
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805
GELU_CUBIC = 0.044715
GELU_SLOPE = math.sqrt(2 / math.pi)


class Activation(NamedTuple):
    """One activation: ``H = function(Z)`` and ``derivative(Z) = σ'(Z)``, both of the shape of Z.

    Example:
        >>> import numpy as np
        >>> ACTIVATIONS["relu"].function(np.array([-1.0, 2.0]))
        array([0., 2.])
    """

    name: str
    function: Callable[[Array], Array]
    derivative: Callable[[Array], Array]


def identity(Z: Array) -> Array:
    """``σ(z) = z``."""
    return Z


def identity_derivative(Z: Array) -> Array:
    """``σ'(z) = 1``."""
    return namespace(Z).ones_like(Z)


def sigmoid(Z: Array) -> Array:
    """``σ(z) = 1 / (1 + exp(−z))``."""
    xp = namespace(Z)
    # exp(−|z|) never overflows, unlike exp(−z) from z = −89 on in float32.
    E = xp.exp(-xp.abs(Z))
    return xp.where(Z >= 0, 1.0, E) / (1.0 + E)


def sigmoid_derivative(Z: Array) -> Array:
    """``σ'(z) = σ(z) (1 − σ(z))``."""
    S = sigmoid(Z)
    return S * (1.0 - S)


def tanh(Z: Array) -> Array:
    """``σ(z) = tanh z``."""
    return namespace(Z).tanh(Z)


def tanh_derivative(Z: Array) -> Array:
    """``σ'(z) = 1 − tanh² z``."""
    T = tanh(Z)
    return 1.0 - T * T


def relu(Z: Array) -> Array:
    """``σ(z) = max(z, 0)``."""
    return namespace(Z).maximum(Z, 0.0)


def relu_derivative(Z: Array) -> Array:
    """``σ'(z) = 1`` where ``z > 0``, else 0."""
    xp = namespace(Z)
    return xp.astype(Z > 0, Z.dtype)


def leaky_relu(Z: Array) -> Array:
    """``σ(z) = z`` where ``z > 0``, else ``0.01 z`` (Maas et al. 2013)."""
    # The larger of the two, as the slope is below 1: one pass, and no branch.
    return namespace(Z).maximum(Z, LEAKY_RELU_SLOPE * Z)


def leaky_relu_derivative(Z: Array) -> Array:
    """``σ'(z) = 1`` where ``z > 0``, else 0.01."""
    return (1.0 - LEAKY_RELU_SLOPE) * relu_derivative(Z) + LEAKY_RELU_SLOPE


def elu(Z: Array) -> Array:
    """``σ(z) = z`` where ``z > 0``, else ``exp(z) − 1`` (arXiv 1511.07289)."""
    xp = namespace(Z)
    # Clamped first: where computes both branches, and exp of a large z overflows. expm1 keeps digits near 0.
    return xp.maximum(Z, 0.0) + xp.expm1(xp.minimum(Z, 0.0))


def elu_derivative(Z: Array) -> Array:
    """``σ'(z) = exp(min(z, 0))``."""
    xp = namespace(Z)
    return xp.exp(xp.minimum(Z, 0.0))


def selu(Z: Array) -> Array:
    """``σ(z) = λ z`` where ``z > 0``, else ``λ α (exp(z) − 1)`` (arXiv 1706.02515)."""
    xp = namespace(Z)
    return SELU_SCALE * xp.maximum(Z, 0.0) + SELU_SCALE * SELU_ALPHA * xp.expm1(xp.minimum(Z, 0.0))


def selu_derivative(Z: Array) -> Array:
    """``σ'(z) = λ`` where ``z > 0``, else ``λ α exp(z)``."""
    xp = namespace(Z)
    return SELU_SCALE * xp.where(Z > 0, 1.0, SELU_ALPHA * elu_derivative(Z))


def _gelu_tanh(Z: Array) -> Array:
    return namespace(Z).tanh(GELU_SLOPE * (Z + GELU_CUBIC * Z * Z * Z))


def gelu(Z: Array) -> Array:
    """``σ(z) = ½ z (1 + tanh(√(2/π) (z + 0.044715 z³)))``, the form of arXiv 1606.08415 without erf."""
    # The array API standard has no erf; this form differs from z Φ(z) by less than 5e-4.
    return 0.5 * Z * (1.0 + _gelu_tanh(Z))


def gelu_derivative(Z: Array) -> Array:
    """``σ'(z) = ½ (1 + t) + ½ z (1 − t²) √(2/π) (1 + 3·0.044715 z²)``, t the tanh in σ."""
    T = _gelu_tanh(Z)
    inner = GELU_SLOPE * (1.0 + 3.0 * GELU_CUBIC * Z * Z)
    return 0.5 * (1.0 + T) + 0.5 * Z * (1.0 - T * T) * inner


def silu(Z: Array) -> Array:
    """``σ(z) = z · sigmoid(z)`` (arXiv 1702.03118)."""
    return Z * sigmoid(Z)


def silu_derivative(Z: Array) -> Array:
    """``σ'(z) = s (1 + z (1 − s))``, s the sigmoid of z."""
    S = sigmoid(Z)
    return S * (1.0 + Z * (1.0 - S))


def softplus(Z: Array) -> Array:
    """``σ(z) = log(1 + exp z)``."""
    xp = namespace(Z)
    # log1p(exp(−|z|)) neither overflows nor loses the digits of a small exp.
    return xp.maximum(Z, 0.0) + xp.log1p(xp.exp(-xp.abs(Z)))


def mish(Z: Array) -> Array:
    """``σ(z) = z · tanh(softplus(z))`` (arXiv 1908.08681)."""
    return Z * tanh(softplus(Z))


def mish_derivative(Z: Array) -> Array:
    """``σ'(z) = t + z (1 − t²) sigmoid(z)``, ``t = tanh(softplus(z))``."""
    T = tanh(softplus(Z))
    return T + Z * (1.0 - T * T) * sigmoid(Z)


_SIGMOID = Activation("sigmoid", sigmoid, sigmoid_derivative)

ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation("identity", identity, identity_derivative),
    "sigmoid": _SIGMOID,
    "logistic": _SIGMOID,
    "tanh": Activation("tanh", tanh, tanh_derivative),
    "relu": Activation("relu", relu, relu_derivative),
    "leaky_relu": Activation("leaky_relu", leaky_relu, leaky_relu_derivative),
    "elu": Activation("elu", elu, elu_derivative),
    "selu": Activation("selu", selu, selu_derivative),
    "gelu": Activation("gelu", gelu, gelu_derivative),
    "silu": Activation("silu", silu, silu_derivative),
    "mish": Activation("mish", mish, mish_derivative),
    "softplus": Activation("softplus", softplus, sigmoid),
}
"""Every activation by name; ``logistic`` is scikit-learn's name for the sigmoid."""


def get_activation(name: str | Activation) -> Activation:
    """Return the record of an activation.

    Args:
        name: a key of ``ACTIVATIONS``, or a record of your own, which is returned unchanged.

    Returns:
        The record.

    Raises:
        ParameterError: no activation has this name.

    Example:
        >>> get_activation("logistic").name
        'sigmoid'
    """
    if isinstance(name, Activation):
        return name
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise unknown_option_error("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]
