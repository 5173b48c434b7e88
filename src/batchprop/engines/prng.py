"""Random numbers inside a compiled program, by the step and the microbatch that they are for.

The bits are Threefry's (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), those of
``jax.random`` for the same key, with the rounds written out: as a loop, which is how JAX compiles them for a
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
"""Where the number of a microbatch stands for what is drawn, the batch's own draws; no batch has so many."""

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)
_TOGETHER = 1024


class Key(NamedTuple):
    """Both words of a key, scalar arrays of uint32."""

    left: Array
    right: Array

    @classmethod
    def of(cls, key: Array) -> Self:
        """Take a key of JAX's apart."""
        words: Any = jax.random.key_data(key)
        return cls(words[0], words[1])

    def fold_in(self, number: Array | int) -> Self:
        """Return another key for every number, as ``jax.random.fold_in``."""
        # For one pair of words the rounds stay a loop: written out they took seconds, and 60 MB, to compile.
        return type(self).of(jax.random.fold_in(self.for_jax(), number))

    def for_jax(self) -> Array:
        """Return JAX's key."""
        return jax.random.wrap_key_data(jnp.stack(self), impl="threefry2x32")


def random_source(key: Array | None, step: Array, part: Array | int) -> RandomSource | None:
    """Return random numbers that depend on the step and on nothing before it, so that it can be redone.

    Args:
        key: of the engine; None where nothing is drawn.
        step: the number of the step.
        part: the number of the microbatch, or ``OF_THE_BATCH``.

    Returns:
        Uniform and normal numbers, other ones at each call; None without a key.
    """
    if key is None:
        return None
    number = count()
    of_part = Key.of(key).fold_in(step).fold_in(part)

    def drawn(random: Callable[..., Array]) -> Callable[[tuple[int, ...], Any], Array]:
        return lambda shape, dtype: random(of_part.fold_in(next(number)), shape, dtype)

    return RandomSource(drawn(uniform), drawn(normal))


def uniform(key: Key, shape: tuple[int, ...], dtype: Any) -> Array:
    """Return ``jax.random.uniform(key, shape, dtype)``; for float32 faster."""
    if dtype != jnp.float32:
        return jax.random.uniform(key.for_jax(), shape, dtype)
    return _in_unit_interval(bits(key, shape))


def normal(key: Key, shape: tuple[int, ...], dtype: Any) -> Array:
    """Return ``jax.random.normal(key, shape, dtype)``, ``√2 erf⁻¹(u)``; for float32 faster."""
    if dtype != jnp.float32:
        return jax.random.normal(key.for_jax(), shape, dtype)
    low = np.nextafter(np.float32(-1.0), np.float32(0.0))  # erf⁻¹(−1) is infinite
    u = jnp.maximum(low, _in_unit_interval(bits(key, shape)) * (np.float32(1.0) - low) + low)
    return np.float32(np.sqrt(2.0)) * lax.erf_inv(u)


def bits(key: Key, shape: tuple[int, ...]) -> Array:
    """Return ``jax.random.bits(key, shape)``: 32 random bits for each place, below 2³² of them."""
    n = math.prod(shape)
    # Sizes with small factors only are cut into vectors and threads; others go number by number.
    left, right = _threefry(key, lax.iota(jnp.uint32, -(-n // _TOGETHER) * _TOGETHER))
    return (left ^ right)[:n].reshape(shape)


def _threefry(key: Key, counter: Array) -> tuple[Array, Array]:
    keys = (*key, key.left ^ key.right ^ _PARITY)
    x, y = jnp.broadcast_to(key.left, counter.shape), counter + key.right
    for group in range(5):
        for distance in _ROTATIONS[group % 2]:
            x = x + y
            y = x ^ ((y << distance) | (y >> (32 - distance)))
        x = x + keys[(group + 1) % 3]
        y = y + keys[(group + 2) % 3] + np.uint32(group + 1)
    return x, y


def _in_unit_interval(random_bits: Array) -> Array:
    """Floating point numbers from 0 to below 1, by 23 bits of a mantissa."""
    mantissa = (random_bits >> np.uint32(9)) | np.float32(1.0).view(np.uint32)
    return lax.bitcast_convert_type(mantissa, jnp.float32) - np.float32(1.0)
