"""Invalid arguments to a gradient's methods: clear errors, compiled or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import array_api_strict
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from batchprop.errors import InputError
from batchprop.gradient import BatchGradient
from tests.core.comparisons import close

M = 5


def gradient(asarray: Callable[[Any], Any] = np.asarray) -> BatchGradient:
    """A gradient of 5 examples, through layers of 3, 4 and 2 units."""
    rng = np.random.default_rng(0)
    dZ, H = (tuple(asarray(rng.normal(size=(n, M))) for n in widths) for widths in ((4, 2), (3, 4)))
    return BatchGradient(dZ, H)


@pytest.mark.untraced
@pytest.mark.parametrize("name", ["scaled", "collapse"])
@pytest.mark.parametrize("shape", [(1,), (M + 1,), (M, 1), (1, M), ()])
@pytest.mark.parametrize("asarray", [np.asarray, jnp.asarray, array_api_strict.asarray])
def test_wrong_number_of_factors_is_refused(name: str, shape: tuple[int, ...], asarray: Any) -> None:
    with pytest.raises(InputError, match=r"give an array of shape \(5,\), one for each example"):
        getattr(gradient(asarray), name)(asarray(np.ones(shape)))


@pytest.mark.parametrize("name", ["scaled", "collapse"])
@pytest.mark.parametrize("value", [None, 2.0, "ab", [1.0] * M])
def test_factors_that_are_not_an_array_are_refused(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=r"have no shape, as .*: give an array of shape \(5,\)"):
        getattr(gradient(), name)(value)


def test_lengths_are_validated_during_jax_tracing() -> None:
    scaled = jax.jit(lambda g, f: g.scaled(f))
    with pytest.raises(InputError, match=r"the factors have shape \(1,\): give an array of shape \(5,\)"):
        scaled(gradient(), np.ones(1))
    close(scaled(gradient(), np.ones(M)).sum(), gradient().sum(), rtol=1e-5)


@pytest.mark.parametrize("name", ["tensor", "bias_matrix"])
@pytest.mark.parametrize("k", [2, 9, -3, 1.5, None, "a"])
def test_missing_layer_is_refused(name: str, k: Any) -> None:
    with pytest.raises(InputError, match=rf"layer {k} is not there: the network has 2, numbered 0 to 1"):
        getattr(gradient(), name)(k)


def test_layer_index_may_be_any_integer_type_and_negative() -> None:
    g, numbers = gradient(), list[Any]([1, -1, np.int64(1)])
    for k in numbers:
        assert g.bias_matrix(k) is g.dZ[1]
        assert g.tensor(k).shape == (2, 4, M)


@pytest.mark.parametrize("i", [1.5, np.float64(1.0), None, "a"])
def test_example_index_must_be_an_integer(i: Any) -> None:
    with pytest.raises(InputError, match=rf"example {i} is not there: the batch has 5"):
        gradient().example(i)


@pytest.mark.parametrize("direction", [None, 3, "ab", [1.0, 2.0], [(1.0, 2.0), (3.0, 4.0)]])
def test_invalid_direction_is_refused(direction: Any) -> None:
    with pytest.raises(
        InputError, match=r"the direction is a .*: it must have the layers' own, \[\(\(4, 3\)"
    ):
        gradient().dot(direction)


@pytest.mark.parametrize("other", [3, "ab", (np.ones((2, M)),)])
def test_invalid_gradient_is_refused(other: Any) -> None:
    with pytest.raises(InputError, match=r"is no gradient: give what backprop returns of a batch"):
        gradient().gram(other)
