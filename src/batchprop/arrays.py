"""Where the equations meet the library that holds the arrays: NumPy, JAX, or another of the standard."""

from collections.abc import Callable
from functools import cache, singledispatch
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from array_api_compat import array_namespace

Array: TypeAlias = Any
"""An array of any library that follows the Python array API standard (it has no shared base class)."""

_NAMESPACES: dict[type, Any] = {}


def namespace(x: Array) -> Any:
    """Return the array API namespace of ``x``, the module that holds its ``exp``, ``sum``, ...."""
    array_type = type(x)
    if array_type not in _NAMESPACES:
        # The lookup costs as much as a small product, and its result depends on the type alone.
        _NAMESPACES[array_type] = array_namespace(x)
    return _NAMESPACES[array_type]


class FloatLimits(NamedTuple):
    """The limits of a floating point type.

    Attributes:
        max: the largest number.
        tiny: the smallest normal number; compiled programs of JAX take anything below it for 0.
        eps: the distance from 1 to the next number.
    """

    max: float
    tiny: float
    eps: float


def float_limits(x: Array) -> FloatLimits:
    """Return the limits of an array's type."""
    return _float_limits(namespace(x), x.dtype)


@cache  # the standard's finfo takes longer than a sum over a batch
def _float_limits(xp: Any, dtype: Any) -> FloatLimits:
    info = xp.finfo(dtype)
    return FloatLimits(float(info.max), float(info.smallest_normal), float(info.eps))


def squared_norm(theta: Array) -> Array:
    """Return the sum of the squares of all entries, a scalar array."""
    # As an inner product: sum(theta**2) would write an array of squares first.
    flat = namespace(theta).reshape(theta, (-1,))
    return flat @ flat


@singledispatch
def columnwise_dot(A: Array, B: Array) -> Array:
    """Return ``Σ_k A[k, i] B[k, i] (m,)``; an engine may register a faster way for its arrays."""
    return namespace(A).vecdot(A, B, axis=-2)


@columnwise_dot.register(np.ndarray)
def _numpy_columnwise_dot(A: Array, B: Array) -> Array:
    # NumPy's vecdot strides through memory along a column: 2 to 15 times slower.
    return np.einsum("ki,ki->i", A, B)


@singledispatch
def matmul_transposed(W: Array, dZ: Array) -> Array:
    """Return ``Wᵀ dZ``; an engine may register a faster way for its arrays."""
    return W.T @ dZ


@singledispatch
def shortcut_if(
    valid: Array, shortcut: Callable[..., Any], general: Callable[..., Any], *operands: Any
) -> Any:
    """Return ``shortcut(*operands)`` where a scalar is True, else ``general(*operands)``.

    An engine may register how its compiled programs branch. ``general`` is right in either case: it runs
    where JAX traces a scalar that has no value yet, and no engine has registered.
    """
    try:
        is_valid = bool(valid)
    except TypeError:  # what JAX raises then is one
        is_valid = False
    return (shortcut if is_valid else general)(*operands)
