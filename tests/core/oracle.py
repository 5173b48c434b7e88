"""The slow loop: textbook backpropagation, one example at a time.

Only the numbers in W and b come from batchprop. Each formula is written in another form than the
library's where one is known, regardless of overflow or speed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from scipy.special import xlogy

from batchprop.params import Layers
from tests.core.problems import group_sizes, levels

Vector: TypeAlias = Any
Matrix: TypeAlias = Any

SELU_LAMBDA = 1.0507009873554804934193349852946
SELU_ALPHA = 1.6732632423543772848170429916717


def gelu_gate(z: Vector) -> Vector:
    """``½ (1 + tanh u)`` is the logistic function of 2u."""
    return 1 / (1 + np.exp(-2 * np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))


def gelu_slope(z: Vector) -> Vector:
    s = gelu_gate(z)
    return s + z * s * (1 - s) * 2 * np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * z**2)


def mish_slope(z: Vector) -> Vector:
    """The closed form from the paper."""
    omega = 4 * (z + 1) + 4 * np.exp(2 * z) + np.exp(3 * z) + np.exp(z) * (4 * z + 6)
    delta = 2 * np.exp(z) + np.exp(2 * z) + 2
    return np.exp(z) * omega / delta**2


Function = Callable[[Vector], Vector]

# For each activation σ and σ'.
SIGMA: dict[str, tuple[Function, Function]] = {
    "identity": (lambda z: 1 * z, lambda z: 0 * z + 1),
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda z: 1 / (np.exp(z) + 2 + np.exp(-z))),
    "tanh": (lambda z: np.sinh(z) / np.cosh(z), lambda z: 1 / np.cosh(z) ** 2),
    "relu": (lambda z: (z > 0) * z, lambda z: (z > 0) * 1.0),
    "leaky_relu": (lambda z: np.where(z > 0, z, z / 100), lambda z: np.where(z > 0, 1, 1 / 100)),
    "elu": (lambda z: np.where(z > 0, z, np.exp(z) - 1), lambda z: np.where(z > 0, 1, np.exp(z))),
    "selu": (
        lambda z: SELU_LAMBDA * np.where(z > 0, z, SELU_ALPHA * (np.exp(z) - 1)),
        lambda z: SELU_LAMBDA * np.where(z > 0, 1, SELU_ALPHA * np.exp(z)),
    ),
    "gelu": (lambda z: z * gelu_gate(z), gelu_slope),
    "silu": (
        lambda z: z / (1 + np.exp(-z)),
        lambda z: (1 + np.exp(-z) + z * np.exp(-z)) / (1 + np.exp(-z)) ** 2,
    ),
    "mish": (lambda z: z * (1 - 2 / ((1 + np.exp(z)) ** 2 + 1)), mish_slope),
    "softplus": (lambda z: np.log(1 + np.exp(z)), lambda z: 1 / (1 + np.exp(-z))),
}
SIGMA["logistic"] = SIGMA["sigmoid"]


class Answer(NamedTuple):
    """A head's result for one example: the loss and its derivative with respect to z."""

    loss: float
    dz: Vector


def softmax(z: Vector, y: Vector, smoothing: float = 0.0) -> Answer:
    y = (1 - smoothing) * y + smoothing / len(y)
    p = np.exp(z) / np.sum(np.exp(z))
    return Answer(-np.sum(y * np.log(p)), p - y)


def softmax_in_groups(z: Vector, y: Vector) -> Answer:
    cuts = np.cumsum(group_sizes(len(z)))[:-1]
    answers = [softmax(*part) for part in zip(np.split(z, cuts), np.split(y, cuts), strict=True)]
    return Answer(sum(a.loss for a in answers), np.concatenate([a.dz for a in answers]))


def sigmoid(z: Vector, y: Vector, smoothing: float = 0.0) -> Answer:
    y = (1 - smoothing) * y + smoothing / 2
    p = 1 / (1 + np.exp(-z))
    return Answer(-np.sum(y * np.log(p) + (1 - y) * np.log(1 - p)), p - y)


def huber(z: Vector, y: Vector, delta: float = 1.0) -> Answer:
    r = z - y
    small = np.abs(r) <= delta
    loss = np.where(small, r**2 / 2, delta * (np.abs(r) - delta / 2))
    return Answer(np.sum(loss), np.where(small, r, delta * np.sign(r)))


def quantile(z: Vector, y: Vector, q: float = 0.5) -> Answer:
    short = z < y
    return Answer(np.sum(np.where(short, q * (y - z), (1 - q) * (z - y))), np.where(short, -q, 1 - q))


def quantiles(z: Vector, y: Vector) -> Answer:
    """By the matrix T, lower triangular of ones: ``p = T v`` and ``dz = v'(z) ⊙ (Tᵀ g)``."""
    T, q = np.tri(len(z)), np.array(levels(len(z)))
    p = T @ np.concatenate([z[:1], np.log(1 + np.exp(z[1:]))])
    g = np.where(p < y, -q, 1 - q) / len(z)
    slope = np.concatenate([np.ones(1), 1 / (1 + np.exp(-z[1:]))])
    loss = np.sum(np.where(p < y, q * (y - p), (1 - q) * (p - y))) / len(z)
    return Answer(loss, slope * (T.T @ g))


HEADS: dict[str, Callable[[Vector, Vector], Answer]] = {
    "softmax": softmax,
    "softmax, smoothed": lambda z, y: softmax(z, y, smoothing=0.2),
    "softmax, in groups": softmax_in_groups,
    "sigmoid": sigmoid,
    "sigmoid, smoothed": lambda z, y: sigmoid(z, y, smoothing=0.2),
    "squared_error": lambda z, y: Answer(np.sum((z - y) ** 2) / 2, z - y),
    "absolute_error": lambda z, y: Answer(np.sum(np.abs(z - y)), np.sign(z - y)),
    "huber": huber,
    "huber, 0.3": lambda z, y: huber(z, y, delta=0.3),
    "quantile": quantile,
    "quantile, 0.9": lambda z, y: quantile(z, y, q=0.9),
    "quantiles": quantiles,
    "poisson": lambda z, y: Answer(np.sum(np.exp(z) - y * z + xlogy(y, y) - y), np.exp(z) - y),
}


class Looped(NamedTuple):
    """Each example's loss; for each layer the tensor ``(n_l, n_{l-1}, m)`` and the matrix ``(n_l, m)``."""

    losses: Vector
    tensors: list[Matrix]
    bias_matrices: list[Matrix]


def one_example(
    layers: Layers, sigma: Sequence[str], head: str, x: Vector, y: Vector
) -> tuple[float, list[Matrix], list[Vector]]:
    """Return the loss of one example, and its dW and db in every layer."""
    h, z = [x], []
    for (W, b), name in zip(layers, sigma, strict=False):
        z.append(W @ h[-1] + b)
        h.append(SIGMA[name][0](z[-1]))
    loss, dz = HEADS[head](layers[-1].W @ h[-1] + layers[-1].b, y)
    dW, db = [np.outer(dz, h[-1])], [dz]
    for layer in reversed(range(len(sigma))):
        dh = layers[layer + 1].W.T @ dz
        dz = dh * SIGMA[sigma[layer]][1](z[layer])
        dW.insert(0, np.outer(dz, h[layer]))
        db.insert(0, dz)
    return loss, dW, db


def loop(layers: Layers, sigma: Sequence[str], head: str, B: Matrix, Y: Matrix) -> Looped:
    """Process the batch one example at a time, and stack the results."""
    examples = [one_example(layers, sigma, head, x, y) for x, y in zip(B.T, Y.T, strict=True)]
    losses, dW, db = zip(*examples, strict=True)
    return Looped(
        np.array(losses),
        [np.stack(of_layer, axis=-1) for of_layer in zip(*dW, strict=True)],
        [np.stack(of_layer, axis=-1) for of_layer in zip(*db, strict=True)],
    )
