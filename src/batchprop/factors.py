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
        """
        return self.collapse(self.shares())

    def collapse(self, coefficients: Array) -> Layers:
        """Any weighted sum of the gradients: ``Σ c_i dW_i = (dZ diag(c)) Hᵀ``, ``Σ c_i db_i = dZ c``.

        Args:
            coefficients: c ``(m,)``. The weights are not looked at.

        Returns:
            For each layer ``Layer(Σ c_i dW_i, Σ c_i db_i)``. One product a layer.

        Example:
            >>> import numpy as np
            >>> g = Factors((np.array([[1.0, 2.0]]),), (np.array([[3.0, 4.0]]),))
            >>> g.collapse(np.array([1.0, 10.0]))
            (Layer(W=array([[83.]]), b=array([21.])),)
        """
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
        """Each example's share of the mean, ``(m,)``: ``w_i / Σw``, or ``1/m``; zeros where ``Σw = 0``."""
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
            ``(n_l, n_{l-1}, m)``, of m times the layer's size: for looking, not for training.
        """
        return self.dZ[k][:, None, :] * self.H[k][None, :, :]

    def bias_matrix(self, k: int) -> Array:
        """The matrix ``Db = dZ`` of layer k: each example's own bias gradient.

        Args:
            k: the layer, from 0; negative counts from the end.

        Returns:
            ``(n_l, m)``.
        """
        return self.dZ[k]

    def example(self, i: int) -> Layers:
        """One example's own gradient: ``dW = dz_i h_iᵀ``, ``db = dz_i``, whatever its weight.

        Args:
            i: the column, from 0; negative counts from the end.

        Returns:
            For each layer ``Layer(dW, db)``, of the shapes of W and b.

        Raises:
            InputError: there is no such example. (An index that is itself traced by JAX is not checked.)

        Example:
            >>> import numpy as np
            >>> Factors((np.array([[1.0, 2.0]]),), (np.array([[3.0, 4.0]]),)).example(-1)
            (Layer(W=array([[8.]]), b=array([2.])),)
        """
        m = self.dZ[0].shape[1]
        if isinstance(i, int | np.integer) and not -m <= i < m:
            raise InputError(
                f"example {i} is not there: the batch has {m}, numbered 0 to {m - 1} or from -{m}"
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
            divisor.
        """
        return self._replace(dZ=tuple(dZ * factors for dZ in self.dZ))
