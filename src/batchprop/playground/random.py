"""Random numbers that are a function of a seed, a path and a position, as the page draws them.

The page trains with them, in TypeScript; here they let the library repeat that training, number by number.
"""

from enum import IntEnum
from functools import reduce

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint32]

_GOLDEN = 0x9E3779B9
_WORD = 2**32


class Stream(IntEnum):
    """What random numbers are for: the first part of a path."""

    DATA = 0
    SPLIT = 1
    WEIGHTS = 2
    BATCHES = 3
    DROPOUT = 4


def uniforms(n: int, seed: int, *path: int) -> NDArray[np.float64]:
    """Return n numbers in [0, 1).

    Example:
        >>> uniforms(2, 0, Stream.DATA).round(3).tolist() == uniforms(3, 0, Stream.DATA)[:2].round(
        ...     3
        ... ).tolist()
        True
    """
    numbers: NDArray[np.float64] = _words(n, seed, path) / _WORD
    return numbers


def normals(n: int, seed: int, *path: int) -> NDArray[np.float64]:
    """Return n standard normal numbers (Box and Muller 1958)."""
    u = uniforms(2 * n, seed, *path)
    numbers: NDArray[np.float64] = np.sqrt(-2 * np.log(1 - u[:n])) * np.cos(2 * np.pi * u[n:])
    return numbers


def permutation(n: int, seed: int, *path: int) -> NDArray[np.intp]:
    """Return the numbers from 0 to n − 1 in random order.

    Example:
        >>> sorted(permutation(4, 0).tolist())
        [0, 1, 2, 3]
    """
    return np.argsort(_words(n, seed, path), kind="stable")


def _words(n: int, seed: int, path: tuple[int, ...]) -> Keys:
    key = reduce(lambda key, part: _hash_one(key + part + _GOLDEN), path, _hash_one(seed))
    return _hash(_hash(np.arange(n, dtype=np.uint32)) + np.uint32(key))


def _hash_one(value: int) -> int:
    return int(_hash(np.array([value % _WORD], dtype=np.uint32))[0])


def _hash(x: Keys) -> Keys:
    """Mix the bits of each number: a bijection of 32 bits (Chris Wellons' lowbias32)."""
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))
