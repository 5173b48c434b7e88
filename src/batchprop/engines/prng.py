"""Random numbers inside a compiled program, determined by the step and the microbatch.

The bits are Threefry's (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), those of
``jax.random`` for the same key. The rounds are written out: as a loop, which is how JAX compiles them for a
processor, they take several times as long.
"""

import math
from collections.abc import Callable
from itertools import count
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from batchprop.arrays import Array
from batchprop.objective import RandomSource

OF_THE_BATCH = 2**31 - 1
"""Replaces the microbatch number if a batch draws as a whole; no batch has so many microbatches."""

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)
_BLOCK = 1024
"""The counter's length is a multiple of it: XLA splits such a size into vectors and threads, others not."""


class Key(NamedTuple):
    """The two words of a key, scalar arrays of uint32."""

    hi: Array
    lo: Array

    @classmethod
    def of(cls, key: Array) -> Self:
        """Return the words of a key of JAX, or of an array of the two."""
        words: Any = key if key.dtype == jnp.uint32 else jax.random.key_data(key)
        return cls(words[0], words[1])

    def fold_in(self, number: Array | int) -> Self:
        """Return another key for every number, as ``jax.random.fold_in`` does."""
        # For one pair of words the rounds stay a loop: written out they took seconds, and 60 MB, to compile.
        return type(self).of(jax.random.fold_in(self.for_jax(), number))

    def for_jax(self) -> Array:
        """Return the key as a JAX key."""
        return jax.random.wrap_key_data(jnp.stack(self), impl="threefry2x32")


def random_source(key: Array | None, step: Array, microbatch: Array | int) -> RandomSource | None:
    """Return samplers for a step's microbatch, or for ``OF_THE_BATCH``; None without a key."""
    if key is None:
        return None
    # The key, the step and the draw's index determine the numbers, so that a step can be repeated.
    index = count()
    folded = Key.of(key).fold_in(step).fold_in(microbatch)

    def sampler(draw: Callable[..., Array]) -> Callable[[tuple[int, ...], Any], Array]:
        return lambda shape, dtype: draw(folded.fold_in(next(index)), shape, dtype)

    return RandomSource(sampler(uniform), sampler(normal))


def uniform(key: Key, shape: tuple[int, ...], dtype: Any) -> Array:
    """Return ``jax.random.uniform(key, shape, dtype)``; for float32 faster."""
    if dtype != jnp.float32:
        return jax.random.uniform(key.for_jax(), shape, dtype)
    return _to_unit_interval(bits(key, shape))


def normal(key: Key, shape: tuple[int, ...], dtype: Any) -> Array:
    """Return ``jax.random.normal(key, shape, dtype)``, ``√2 erf⁻¹(u)``; for float32 faster."""
    if dtype != jnp.float32:
        return jax.random.normal(key.for_jax(), shape, dtype)
    low = np.nextafter(np.float32(-1.0), np.float32(0.0))  # erf⁻¹(−1) is infinite
    u = jnp.maximum(low, _to_unit_interval(bits(key, shape)) * (np.float32(1.0) - low) + low)
    return np.float32(np.sqrt(2.0)) * lax.erf_inv(u)


def bits(key: Key, shape: tuple[int, ...]) -> Array:
    """Return ``jax.random.bits(key, shape)``: 32 random bits for each entry, for fewer than 2³² entries."""
    n = math.prod(shape)
    hi, lo = _threefry(key, lax.iota(jnp.uint32, -(-n // _BLOCK) * _BLOCK))
    return (hi ^ lo)[:n].reshape(shape)


def _threefry(key: Key, counter: Array) -> tuple[Array, Array]:
    keys = (*key, key.hi ^ key.lo ^ _PARITY)
    x, y = jnp.broadcast_to(key.hi, counter.shape), counter + key.lo
    for group in range(5):
        for distance in _ROTATIONS[group % 2]:
            x = x + y
            y = x ^ ((y << distance) | (y >> (32 - distance)))
        x = x + keys[(group + 1) % 3]
        y = y + keys[(group + 2) % 3] + np.uint32(group + 1)
    return x, y


def _to_unit_interval(random_bits: Array) -> Array:
    """Return floats in [0, 1)."""
    # 23 bits become the mantissa of a float in [1, 2), which takes no division.
    mantissa = (random_bits >> np.uint32(9)) | np.float32(1.0).view(np.uint32)
    return lax.bitcast_convert_type(mantissa, jnp.float32) - np.float32(1.0)
