"""The bits match JAX's for the same key and any shape, and differ at every position."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from batchprop.engines.prng import OF_THE_BATCH, Key, bits, normal, random_source, uniform

SHAPES = [(1,), (5,), (3, 7), (10, 128), (1024,), (1025,), (2, 3, 500)]


@pytest.fixture
def key():
    return jax.random.wrap_key_data(jnp.array([3, 2**32 - 5], jnp.uint32), impl="threefry2x32")


@pytest.mark.parametrize("shape", SHAPES)
def test_bits_match_jax(key, shape):
    assert np.array_equal(bits(Key.of(key), shape), jax.random.bits(key, shape))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
# The bits, which have all shapes above, are what the numbers are made of.
@pytest.mark.parametrize("shape", [(3, 7), (2, 3, 500)])
def test_numbers_match_jax(key, shape, dtype):
    with jax.enable_x64(True):
        for ours, theirs in ((uniform, jax.random.uniform), (normal, jax.random.normal)):
            result = ours(Key.of(key), shape, np.dtype(dtype))
            assert result.dtype == dtype
            np.testing.assert_allclose(result, theirs(key, shape, dtype), rtol=1e-6)


@pytest.mark.parametrize("number", [0, 1, 77, 2**31 - 1])
def test_fold_in_matches_jax(key, number):
    there = jax.random.key_data(jax.random.fold_in(key, number))
    assert np.array_equal(jax.random.key_data(Key.of(key).fold_in(number).for_jax()), there)


def test_all_draws_differ(key):
    seen = {}
    for step in range(3):
        for part in (0, 1, OF_THE_BATCH):
            draws = random_source(key, np.int32(step), part)
            for name in ("uniform", "normal"):
                for call in range(2):
                    result = getattr(draws, name)((64,), np.float32)
                    seen[step, part, name, call] = np.asarray(result).tobytes()
    assert len(set(seen.values())) == len(seen) == 36
    again = random_source(key, np.int32(1), 1)
    assert again is not None
    assert np.asarray(again.uniform((64,), np.float32)).tobytes() == seen[1, 1, "uniform", 0]


def test_without_a_key_nothing_is_drawn():
    assert random_source(None, np.int32(0), 0) is None
