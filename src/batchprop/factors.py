"""Factors: the gradient of every example of a batch, in factors, and its sums.

The weight gradient of example i in layer k is the outer product ``dz_i h_iᵀ``; the pair ``(dZ, H)`` holds all
of them. Index legend: ``n_l`` units in a layer, ``n_{l-1}`` in the one below, ``m`` examples, ``k`` a layer
from 0.
"""

from typing import NamedTuple, Self, TypeAlias

import numpy as np

from batchprop.arrays import Array, namespace
from batchprop.errors import InputError
from batchprop.network import Layer, Layers

Matrices: TypeAlias = tuple[Array, ...]


class Factors(NamedTuple):
    """Every example's own gradient, never built until you ask for it; ``BatchGradient`` asks it for more.

    Attributes:
        dZ: L + 1 matrices ``(n_l, m)``, the left factors.
        H: L + 1 matrices ``(n_{l-1}, m)``, the right factors.
        weights: how much each example counts in a mean ``(m,)``, or None where all count the same.
    """

    dZ: Matrices
    H: Matrices
    weights: Array | None = None

    def mean(self) -> Layers:
        """The gradient that trains the network: ``dW = dZ diag(w) Hᵀ / Σw``, ``db = dZ w / Σw``.

        Returns:
            For each layer ``Layer(dW, db)``, of the shapes of W and b; zeros where all weights are 0.
            One product a layer.

        Example:
            >>> import numpy as np
            >>> Factors((np.array([[1.0, 2.0]]),), (np.array([[3.0, 4.0]]),)).mean()
            (Layer(W=array([[5.5]]), b=array([1.5])),)
        """
        return self.collapse(self.shares())

    def collapse(self, coefficients: Array) -> Layers:
        """Any weighted sum of the gradients: ``Σ c_i dW_i = (dZ diag(c)) Hᵀ``, ``Σ c_i db_i = dZ c``.

        Args:
            coefficients: c ``(m,)``. The weights are not looked at.

        Returns:
            For each layer ``Layer(Σ c_i dW_i, Σ c_i db_i)``. One product a layer.

        Raises:
            InputError: there is not one coefficient for each example.

        Example:
            >>> import numpy as np
            >>> g = Factors((np.array([[1.0, 2.0]]),), (np.array([[3.0, 4.0]]),))
            >>> g.collapse(np.array([1.0, 10.0]))
            (Layer(W=array([[83.]]), b=array([21.])),)
        """
        _check_one_each("coefficients", coefficients, self.dZ[0].shape[1])
        return tuple(
            Layer((dZ * coefficients) @ H.T, dZ @ coefficients) for dZ, H in zip(self.dZ, self.H, strict=True)
        )

    def total(self) -> Layers:
        """The sum of the gradients: ``dW = dZ Hᵀ``, ``db = dZ 1``, whatever their weights.

        Returns:
            For each layer ``Layer(dW, db)``. One product a layer.

        Example:
            >>> import numpy as np
            >>> Factors((np.array([[1.0, 2.0]]),), (np.array([[3.0, 4.0]]),)).total()
            (Layer(W=array([[11.]]), b=array([3.])),)
        """
        dZ = self.dZ[0]
        ones = namespace(dZ).ones_like(dZ[0, :])  # a product with ones is faster in NumPy than a sum
        return tuple(Layer(dZ @ H.T, dZ @ ones) for dZ, H in zip(self.dZ, self.H, strict=True))

    def shares(self) -> Array:
        """Each example's share of the mean: ``w_i / Σw``, or ``1/m``; zeros where ``Σw = 0``.

        Returns:
            ``(m,)``. Costs ``O(m)``.

        Example:
            >>> import numpy as np
            >>> dZ, H = (np.array([[1.0, 2.0]]),), (np.array([[3.0, 4.0]]),)
            >>> Factors(dZ, H).shares(), Factors(dZ, H, np.array([1.0, 3.0])).shares()
            (array([0.5, 0.5]), array([0.25, 0.75]))
        """
        xp = namespace(self.dZ[0])
        if self.weights is None:
            m = self.dZ[0].shape[1]
            return xp.full((m,), 1.0 / max(m, 1), dtype=self.dZ[0].dtype)
        total = xp.sum(self.weights)
        return self.weights / xp.where(total > 0, total, xp.ones_like(total))

    def tensor(self, k: int) -> Array:
        """The tensor ``DW[:, :, i] = dz_i h_iᵀ`` of layer k: each example's own weight gradient.

        Args:
            k: the layer, from 0; negative counts from the end.

        Returns:
            ``(n_l, n_{l-1}, m)``. Costs ``O(m n_l n_{l-1})``, m times the layer, in time and memory: for
            looking, not for training.

        Raises:
            InputError: there is no such layer.

        Example:
            >>> import numpy as np
            >>> g = Factors((np.array([[1.0, 2.0]]),), (np.array([[3.0, 4.0], [5.0, 6.0]]),))
            >>> g.tensor(0)[:, :, 1]
            array([[ 8., 12.]])
        """
        k = _layer(k, len(self.dZ))
        return self.dZ[k][:, None, :] * self.H[k][None, :, :]

    def bias_matrix(self, k: int) -> Array:
        """The matrix ``Db = dZ`` of layer k: each example's own bias gradient.

        Args:
            k: the layer, from 0; negative counts from the end.

        Returns:
            ``(n_l, m)``. Costs nothing: it is the left factor itself.

        Raises:
            InputError: there is no such layer.

        Example:
            >>> import numpy as np
            >>> Factors((np.array([[1.0, 2.0]]),), (np.array([[3.0, 4.0]]),)).bias_matrix(0)
            array([[1., 2.]])
        """
        return self.dZ[_layer(k, len(self.dZ))]

    def example(self, i: int) -> Layers:
        """One example's own gradient: ``dW = dz_i h_iᵀ``, ``db = dz_i``, whatever its weight.

        Args:
            i: the column, from 0; negative counts from the end.

        Returns:
            For each layer ``Layer(dW, db)``, of the shapes of W and b. One outer product a layer.

        Raises:
            InputError: there is no such example. (An index that is itself traced by JAX is not checked.)

        Example:
            >>> import numpy as np
            >>> Factors((np.array([[1.0, 2.0]]),), (np.array([[3.0, 4.0]]),)).example(-1)
            (Layer(W=array([[8.]]), b=array([2.])),)
        """
        m = self.dZ[0].shape[1]
        if not _traced(i) and not (isinstance(i, int | np.integer) and -m <= i < m):
            raise InputError(
                f"example {i!s} is not there: the batch has {m}, numbered 0 to {m - 1} or from -{m}"
            )
        return tuple(
            Layer(dZ[:, i][:, None] * H[:, i][None, :], dZ[:, i])
            for dZ, H in zip(self.dZ, self.H, strict=True)
        )

    def scaled(self, factors: Array) -> Self:
        """Each example's gradient times a factor of its own: column i of every dZ is multiplied by ``f_i``.

        Args:
            factors: f ``(m,)``.

        Returns:
            The same kind, with the same H and weights. Unlike a weight, a factor does not enter the mean's
            divisor. Costs ``O(m n)``.

        Raises:
            InputError: there is not one factor for each example.

        Example:
            >>> import numpy as np
            >>> g = Factors((np.array([[1.0, 2.0]]),), (np.array([[3.0, 4.0]]),))
            >>> g.scaled(np.array([10.0, 0.5])).dZ[0]
            array([[10.,  1.]])
        """
        _check_one_each("factors", factors, self.dZ[0].shape[1])
        return self._replace(dZ=tuple(dZ * factors for dZ in self.dZ))


def layer_shapes(factors: Factors) -> list[tuple[int, int]]:
    """Return the shape of W in each layer, ``(n_l, n_{l-1})``.

    Example:
        >>> import numpy as np
        >>> layer_shapes(Factors((np.ones((2, 5)),), (np.ones((3, 5)),)))
        [(2, 3)]
    """
    return [(dZ.shape[0], H.shape[0]) for dZ, H in zip(factors.dZ, factors.H, strict=True)]


def check_direction(direction: Layers, shapes: list[tuple[int, int]]) -> None:
    """Check that a direction looks like a gradient; shapes alone are looked at, so it may be traced.

    Args:
        direction: for each layer ``Layer(V_W, V_b)``.
        shapes: what ``layer_shapes`` returns.

    Raises:
        InputError: it has other shapes, or none.

    Example:
        >>> check_direction((), [(2, 3)])
        Traceback (most recent call last):
        batchprop.errors.InputError: the direction has shapes [] as W and b of each layer: ...
    """
    wanted = [(shape, shape[:1]) for shape in shapes]
    must = f"it must have the layers' own, {wanted}, as a mean gradient has"
    try:
        given = [(tuple(V_W.shape), tuple(V_b.shape)) for V_W, V_b in direction]
    except (AttributeError, TypeError, ValueError) as error:
        what = f"a {type(direction).__name__}"
        raise InputError(f"the direction is {what}, not W and b of each layer: {must}") from error
    if given != wanted:
        raise InputError(f"the direction has shapes {given} as W and b of each layer: {must}")


def _check_one_each(name: str, values: Array, m: int) -> None:
    # NumPy would stretch one number over all examples without a word.
    if getattr(values, "shape", None) != (m,):
        given = f"shape {values.shape}" if hasattr(values, "shape") else f"no shape, as {values!r}"
        raise InputError(f"the {name} have {given}: give an array of shape ({m},), one for each example")


def _layer(k: int, layers: int) -> int:
    if not isinstance(k, int | np.integer) or not -layers <= k < layers:
        numbers = f"0 to {layers - 1} or from -{layers}"
        raise InputError(f"layer {k!s} is not there: the network has {layers}, numbered {numbers}")
    return int(k)


def _traced(i: object) -> bool:
    """Whether an index is an array, as JAX traces it; NumPy's own numbers are none."""
    return hasattr(i, "dtype") and not isinstance(i, np.generic)
