"""The test problems: every activation × every head × a few shapes, each drawn from its own seed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from batchprop import heads
from batchprop.activations import ACTIVATIONS
from batchprop.heads import Head
from batchprop.network import Network

Matrix = NDArray[np.float64]


class Shape(NamedTuple):
    """The widths of a network, including input and output, and the number of columns of its batch."""

    sizes: tuple[int, ...]
    m: int


class Problem(NamedTuple):
    """A network, its activation and head names, a matching batch, and weights, all in float64."""

    net: Network
    sigma: tuple[str, ...]
    head: str
    B: Matrix
    Y: Matrix
    weights: Matrix


SHAPES = (
    Shape((3, 5), 7),
    Shape((3, 4, 5), 7),
    Shape((4, 3, 4, 5), 1),
    Shape((3, 4, 1, 3, 5), 7),
    Shape((1, 1, 1), 7),
    Shape((3, 1), 1),
)

PER_LAYER = ("tanh", "gelu", "leaky_relu")
ACTIVATION_NAMES = (*sorted({record.name for record in ACTIVATIONS.values()}), "one per layer")


def group_sizes(n_out: int) -> list[int]:
    """Return two blocks of unequal size, or one block if only one fits."""
    return [2, n_out - 2] if n_out > 2 else [n_out]


def levels(n_out: int) -> list[float]:
    """Return ascending levels of quantiles."""
    return [(2 * j + 1) / (2 * n_out + 1) for j in range(n_out)]


HEAD_MAKERS: dict[str, Callable[[int], Head]] = {
    "softmax": lambda _: heads.HEADS["softmax"],
    "softmax, smoothed": lambda _: heads.softmax(label_smoothing=0.2),
    "softmax, in groups": lambda n_out: heads.softmax_groups(group_sizes(n_out)),
    "sigmoid": lambda _: heads.HEADS["sigmoid"],
    "sigmoid, smoothed": lambda _: heads.sigmoid_cross_entropy(label_smoothing=0.2),
    "squared_error": lambda _: heads.HEADS["squared_error"],
    "absolute_error": lambda _: heads.HEADS["absolute_error"],
    "huber": lambda _: heads.HEADS["huber"],
    "huber, 0.3": lambda _: heads.huber(delta=0.3),
    "quantile": lambda _: heads.HEADS["quantile"],
    "quantile, 0.9": lambda _: heads.quantile(level=0.9),
    "quantiles": lambda n_out: heads.quantiles(levels(n_out)),
    "poisson": lambda _: heads.HEADS["poisson"],
}


def one_hot(rng: np.random.Generator, n_out: int, m: int) -> Matrix:
    """One one-hot column per example."""
    return np.eye(n_out)[:, rng.integers(n_out, size=m)]


def targets(head: str, rng: np.random.Generator, n_out: int, m: int) -> Matrix:
    """Draw targets ``(K, m)`` suitable for the head."""
    if head == "softmax, smoothed":  # a target may also be a distribution
        return np.asarray(rng.dirichlet(np.ones(n_out), size=m).T)
    if head == "softmax, in groups":
        return np.concatenate([one_hot(rng, size, m) for size in group_sizes(n_out)])
    if head == "softmax":
        return one_hot(rng, n_out, m)
    if head.startswith("sigmoid"):
        return rng.integers(2, size=(n_out, m)).astype(float)
    if head == "poisson":
        return rng.poisson(1.5, size=(n_out, m)).astype(float)
    return rng.normal(size=(n_out, m))


def activation_names(activation: str, n_hidden: int) -> tuple[str, ...]:
    """The activation name of each hidden layer."""
    return PER_LAYER[:n_hidden] if activation == "one per layer" else (activation,) * n_hidden


@cache
def problem(activation: str, head: str, shape: Shape) -> Problem:
    """Return the problem for an activation, a head and a shape."""
    rng = np.random.default_rng(crc32(repr((activation, head, shape)).encode()))
    sizes, m = shape
    sigma = activation_names(activation, len(sizes) - 2)
    net = Network.create(
        sizes,
        activation=sigma,
        head=HEAD_MAKERS[head](sizes[-1]),
        random_state=int(rng.integers(2**31)),
        dtype="float64",
    )
    return Problem(
        net,
        sigma,
        head,
        B=rng.normal(size=(sizes[0], m)),
        Y=targets(head, rng, sizes[-1], m),
        weights=rng.uniform(0.5, 2.0, size=m),
    )


def problems_of_every_head(activation: str) -> list[Problem]:
    """One problem for each head and shape; a test for each activation takes less time than for each pair."""
    return [case for head in HEAD_MAKERS for case in problems(activation, head)]


EVERY_PAIR = [(activation, head) for activation in ACTIVATION_NAMES for head in HEAD_MAKERS]


def sample_pairs(n_more: int = 3) -> list[tuple[str, str]]:
    """Return every activation with some head, every head with some activation, and more by a fixed seed.

    An activation knows nothing of the head, so tests that compile need not see all the pairs; the NumPy
    oracles do.
    """
    rng = np.random.default_rng(0)
    activations = np.resize(rng.permutation(ACTIVATION_NAMES), len(HEAD_MAKERS))
    once = list(zip(activations, rng.permutation(list(HEAD_MAKERS)), strict=True))
    others = [pair for pair in EVERY_PAIR if pair not in once]
    more = [others[i] for i in rng.choice(len(others), n_more, replace=False)]
    return [(str(activation), str(head)) for activation, head in [*once, *more]]


SOME_PAIRS = sample_pairs()


def sampled_problems(activation: str, head: str) -> list[tuple[Problem, Shape]]:
    """Return a problem for each sampled pair, sometimes two."""
    shapes = shapes_in_turn(SOME_PAIRS.index((activation, head)))
    return [(problem(activation, head, shape), shape) for shape in shapes]


def shapes_in_turn(turn: int) -> list[Shape]:
    """Return a shape with hidden layers, where an activation shows, and in two turns of all one without."""
    turn %= len(SOME_PAIRS)
    with_hidden = [shape for shape in SHAPES if len(shape.sizes) > 2]
    without = [shape for shape in SHAPES if len(shape.sizes) == 2]
    return [with_hidden[turn % len(with_hidden)], *without[turn : turn + 1]]


def problems(activation: str, head: str) -> list[Problem]:
    """One problem for each shape."""
    return [problem(activation, head, shape) for shape in SHAPES]
