"""Where the equations meet the library that holds the arrays: NumPy, JAX, or another of the standard."""

from functools import singledispatch
from typing import Any, TypeAlias

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
