"""The one seam between the equations and whichever library holds the arrays."""

from functools import singledispatch
from typing import Any, TypeAlias

import numpy as np
from array_api_compat import array_namespace

Array: TypeAlias = Any
"""An array of any library that follows the Python array API standard (it has no shared base class)."""

_NAMESPACES: dict[type, Any] = {}


def namespace(x: Array) -> Any:
    """Return the array API namespace that ``x`` belongs to.

    Args:
        x: an array of NumPy, JAX, array-api-strict, or another library that follows the standard.

    Returns:
        The module that holds its functions (``exp``, ``sum``, ...).

    Raises:
        TypeError: ``x`` is no array of a known library.

    Example:
        >>> import numpy as np
        >>> float(namespace(np.ones(3)).sum(np.ones(3)))
        3.0
    """
    kind = type(x)
    if kind not in _NAMESPACES:
        # The lookup costs as much as a small product, and its answer depends on the type alone.
        _NAMESPACES[kind] = array_namespace(x)
    return _NAMESPACES[kind]


def squared_norm(theta: Array) -> Array:
    """Return the sum of the squares of all entries, a scalar array; one product, with no array between.

    Example:
        >>> import numpy as np
        >>> float(squared_norm(np.array([[3.0], [4.0]])))
        25.0
    """
    flat = namespace(theta).reshape(theta, (-1,))
    return flat @ flat


@singledispatch
def columnwise_dot(A: Array, B: Array) -> Array:
    """Return the inner product of each column of A with that of B: ``Σ_k A[k, i] B[k, i]``.

    Args:
        A: ``(n, m)``; an engine may register a faster way for its arrays.
        B: ``(n, m)``.

    Returns:
        ``(m,)``.

    Example:
        >>> import numpy as np
        >>> columnwise_dot(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 1.0], [0.0, 1.0]]))
        array([1., 6.])
    """
    return namespace(A).vecdot(A, B, axis=-2)


@columnwise_dot.register(np.ndarray)
def _column_dots(A: Array, B: Array) -> Array:
    # Along columns NumPy's vecdot leaps through memory: 2 to 15 times slower.
    return np.einsum("ki,ki->i", A, B)


@singledispatch
def matmul_transposed(W: Array, dZ: Array) -> Array:
    """Return ``Wᵀ dZ``; an engine may register a faster way for its arrays.

    Args:
        W: ``(n, k)``.
        dZ: ``(n, m)``.

    Returns:
        ``(k, m)``.

    Example:
        >>> import numpy as np
        >>> matmul_transposed(np.array([[1.0, 2.0]]), np.array([[3.0]]))
        array([[3.],
               [6.]])
    """
    return W.T @ dZ
