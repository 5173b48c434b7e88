"""Comparing and drawing sets of layers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.testing import assert_allclose

from batchprop.network import Layer, Layers
from batchprop.optimizers import each


def close(actual: Layers, expected: Any, rtol: float = 1e-12, atol: float = 1e-14) -> None:
    """Compare two sets of layers, W with W and b with b."""
    for ours, theirs in zip(actual, expected, strict=True):
        for name, theta, reference in zip("Wb", ours, theirs, strict=True):
            assert_allclose(theta, reference, rtol=rtol, atol=atol, err_msg=name)


def random_like(layers: Layers, rng: np.random.Generator) -> Layers:
    """Layers of the same shapes, drawn from a normal distribution."""
    return each(lambda theta: rng.normal(size=theta.shape), layers)


def moved(layers: Layers, direction: Layers, far: float) -> Layers:
    """The parameters, moved along a direction."""
    return each(lambda theta, v: theta + far * v, layers, direction)


def dot(a: Layers, b: Layers) -> float:
    """The inner product over all layers."""
    return sum(float(np.vdot(x.W, y.W) + np.vdot(x.b, y.b)) for x, y in zip(a, b, strict=True))


def copied(layers: Layers) -> Layers:
    """The same numbers in memory of their own."""
    return tuple(Layer(W.copy(), b.copy()) for W, b in layers)
