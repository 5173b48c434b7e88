"""The one seam between the equations and whichever library holds the arrays."""

from typing import Any, TypeAlias

from array_api_compat import array_namespace, is_jax_array

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


def transposed(W: Array) -> Array:
    """Return Wᵀ, in the form that a product with it is fastest.

    That is a view; but XLA's products on a processor take up to four times as long with a view on their left
    as with an array of its own, and a barrier is what makes it one.

    Args:
        W: a matrix.

    Returns:
        Its transpose.

    Example:
        >>> import numpy as np
        >>> transposed(np.array([[1.0, 2.0]])).shape
        (2, 1)
    """
    if not is_jax_array(W):
        return W.T
    from jax import lax

    return lax.platform_dependent(W, cpu=lambda W: lax.optimization_barrier(W.T), default=lambda W: W.T)
