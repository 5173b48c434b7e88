"""Compare and draw sets of layers, and compare engine results."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.testing import assert_allclose

from batchprop.params import Layer, Layers, tree_map
from batchprop.training import EpochResult


def close(actual: Layers, expected: Any, rtol: float = 1e-12, atol: float = 1e-14) -> None:
    """Assert that two sets of layers are close, W with W and b with b."""
    for ours, theirs in zip(actual, expected, strict=True):
        for name, theta, reference in zip("Wb", ours, theirs, strict=True):
            assert_allclose(theta, reference, rtol=rtol, atol=atol, err_msg=name)


def random_like(layers: Layers, rng: np.random.Generator) -> Layers:
    """Draw layers of the same shapes from a normal distribution."""
    return tree_map(lambda theta: rng.normal(size=theta.shape), layers)


def move(layers: Layers, direction: Layers, far: float) -> Layers:
    """Move the parameters along a direction."""
    return tree_map(lambda theta, v: theta + far * v, layers, direction)


def dot(a: Layers, b: Layers) -> float:
    """The inner product over all layers."""
    return sum(float(np.vdot(x.W, y.W) + np.vdot(x.b, y.b)) for x, y in zip(a, b, strict=True))


def copy_layers(layers: Layers) -> Layers:
    """Copy the layers."""
    return tuple(Layer(W.copy(), b.copy()) for W, b in layers)


def leaves(state: Any) -> list[Any]:
    """Every array and number of nested tuples, in order."""
    return [leaf for part in state for leaf in leaves(part)] if isinstance(state, tuple) else [state]


def in_dtype(layers: Layers, dtype: str) -> Layers:
    """Cast the layers to another dtype."""
    return tree_map(lambda theta: theta.astype(dtype), layers)


def same_run(ours: EpochResult, theirs: EpochResult, within: float = 1e-10) -> None:
    """Assert that two engines give the same losses, parameters and optimiser state."""
    assert_allclose(ours.losses, theirs.losses, rtol=within, atol=within, err_msg="losses")
    assert ours.finite == theirs.finite
    assert ours.state.steps == theirs.state.steps
    for leaf, reference in zip(leaves(ours.state), leaves(theirs.state), strict=True):
        assert_allclose(np.asarray(leaf), reference, rtol=within, atol=within)
