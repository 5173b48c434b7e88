"""BatchGradient: the gradient of every example of a batch, in factors, and every way to collapse it.

The weight gradient of example i in layer k is the outer product ``dz_i h_iᵀ``; the pair ``(dZ, H)`` holds all
of them. Index legend: ``n_l`` units in a layer, ``n_{l-1}`` in the one below, ``m`` examples, ``k`` a layer
from 0; c the normalized weights, ``w_i / Σw`` or ``1/m``. The weights enter means, and nothing else; an
example of weight 0 is left out of every mean, even where its gradient is infinite or NaN.
"""

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import add
from typing import NamedTuple, Self, TypeAlias

import numpy as np

from batchprop.arrays import Array, columnwise_dot, namespace, squared_norm
from batchprop.clipping import (
    automatic_clip_factors,
    clip_columns,
    clip_factors,
    global_norm,
    per_layer_limits,
    squared_layer_norms,
)
from batchprop.errors import InputError
from batchprop.params import Layer, Layers

__all__ = ["BatchGradient", "GradientNoise", "KroneckerFactors", "Matrices", "estimate_gradient_noise"]

Matrices: TypeAlias = tuple[Array, ...]
"""One matrix for each layer."""


class GradientNoise(NamedTuple):
    """Two unbiased estimates: the spread of the examples' gradients g_i, and their expectation G.

    Attributes:
        trace: of ``tr Σ = E‖g_i − G‖²``, a scalar array; never below 0.
        squared_norm: of ``‖G‖²``, a scalar array; it may come out below 0 where the batch is small.
    """

    trace: Array
    squared_norm: Array


class KroneckerFactors(NamedTuple):
    """The second moments of a layer's input and of its backpropagated derivative.

    Attributes:
        A: ``Σ c_i h_i h_iᵀ``, ``(n_{l-1}, n_{l-1})``.
        G: ``Σ c_i dz_i dz_iᵀ``, ``(n_l, n_l)``.
    """

    A: Array
    G: Array


class BatchGradient(NamedTuple):
    """Every example's own gradient, in factors; no gradient is built until you ask for it.

    Attributes:
        dZ: L + 1 matrices ``(n_l, m)``, the left factors.
        H: L + 1 matrices ``(n_{l-1}, m)``, the right factors.
        weights: how much each example counts in a mean ``(m,)``, or None for equal weights. Only their ratios
            matter, at any size; 0 leaves an example out, whatever its gradient is.

    Example:
        >>> import numpy as np
        >>> g = BatchGradient(
        ...     (np.array([[1.0, 2.0]]),), (np.array([[3.0, 4.0], [5.0, 6.0]]),), None
        ... )
        >>> g.tensor(0)[0]
        array([[ 3.,  8.],
               [ 5., 12.]])
        >>> g.mean()[0]
        Layer(W=array([[5.5, 8.5]]), b=array([1.5]))
        >>> g.squared_norms()
        array([ 35., 212.])
    """

    dZ: Matrices
    H: Matrices
    weights: Array | None = None

    # The mean

    def mean(self) -> Layers:
        """The gradient that trains the network: ``dW = dZ diag(w) Hᵀ / Σw``, ``db = dZ w / Σw``.

        Returns:
            For each layer ``Layer(dW, db)``, of the shapes of W and b; zeros where all weights are 0.
            One product a layer.

        Example:
            >>> import numpy as np
            >>> BatchGradient((np.array([[1.0, 2.0]]),), (np.array([[3.0, 4.0]]),)).mean()
            (Layer(W=array([[5.5]]), b=array([1.5])),)
        """
        return self.without_weightless().collapse(self.normalized_weights())

    def normalized_weights(self) -> Array:
        """Each example's coefficient in the mean, c: ``w_i / Σw``, or ``1/m``; zeros where ``Σw = 0``.

        Returns:
            ``(m,)``. Costs ``O(m)``.

        Example:
            >>> import numpy as np
            >>> dZ, H = (np.array([[1.0, 2.0]]),), (np.array([[3.0, 4.0]]),)
            >>> (
            ...     BatchGradient(dZ, H).normalized_weights(),
            ...     BatchGradient(dZ, H, np.array([1.0, 3.0])).normalized_weights(),
            ... )
            (array([0.5, 0.5]), array([0.25, 0.75]))
        """
        xp = namespace(self.dZ[0])
        if self.weights is None:
            m = self.dZ[0].shape[1]
            return xp.full((m,), 1.0 / max(m, 1), dtype=self.dZ[0].dtype)
        if isinstance(self.weights, np.ndarray):
            # In float64, where no weight of any size rounds to 0 or to infinity in units of the largest.
            w = _in_units_of_largest(np.asarray(self.weights, dtype=np.float64))
            return xp.asarray(_divide_unless_zero(w, np.sum(w)), dtype=self.dZ[0].dtype)
        w = _in_units_of_largest(self.weights)
        return _divide_unless_zero(w, xp.sum(w))

    def without_weightless(self) -> Self:
        """The same gradients, but zeros for each example of weight 0, in dZ and in H.

        A product of 0 and an infinite gradient would be NaN; a mean over the result is that over the other
        examples, whatever the ones of weight 0 held.

        Returns:
            A BatchGradient; itself without weights. Costs ``O(m n)``.

        Example:
            >>> import numpy as np
            >>> dZ, H = (np.array([[np.inf, 2.0]]),), (np.array([[3.0, 4.0]]),)
            >>> BatchGradient(dZ, H, np.array([0.0, 1.0])).without_weightless().dZ[0]
            array([[0., 2.]])
        """
        if self.weights is None:
            return self
        xp, counts = namespace(self.dZ[0]), self.weights != 0

        def blank(matrices: Matrices) -> Matrices:
            return tuple(xp.where(counts, M, xp.zeros_like(M)) for M in matrices)

        return self._replace(dZ=blank(self.dZ), H=blank(self.H))

    # Collapses, and their opposite: single gradients

    def collapse(self, coefficients: Array) -> Layers:
        """Any weighted sum of the gradients: ``Σ c_i dW_i = (dZ diag(c)) Hᵀ``, ``Σ c_i db_i = dZ c``.

        Args:
            coefficients: c ``(m,)``, of any sign. The weights play no part.

        Returns:
            For each layer ``Layer(Σ c_i dW_i, Σ c_i db_i)``. One product a layer.

        Raises:
            InputError: there is not one coefficient for each example.

        Example:
            >>> import numpy as np
            >>> g = BatchGradient((np.array([[1.0, 2.0]]),), (np.array([[3.0, 4.0]]),))
            >>> g.collapse(np.array([1.0, 10.0]))
            (Layer(W=array([[83.]]), b=array([21.])),)
        """
        _validate_per_example("coefficients", coefficients, self.dZ[0].shape[1])
        return tuple(
            Layer((dZ * coefficients) @ H.T, dZ @ coefficients) for dZ, H in zip(self.dZ, self.H, strict=True)
        )

    def sum(self) -> Layers:
        """The sum of the gradients: ``dW = dZ Hᵀ``, ``db = dZ 1``; the weights play no part.

        Returns:
            For each layer ``Layer(dW, db)``. One product a layer.

        Example:
            >>> import numpy as np
            >>> BatchGradient((np.array([[1.0, 2.0]]),), (np.array([[3.0, 4.0]]),)).sum()
            (Layer(W=array([[11.]]), b=array([3.])),)
        """
        dZ = self.dZ[0]
        ones = namespace(dZ).ones_like(dZ[0, :])  # in NumPy a product with ones is faster than sum(axis=1)
        return tuple(Layer(dZ @ H.T, dZ @ ones) for dZ, H in zip(self.dZ, self.H, strict=True))

    def tensor(self, k: int) -> Array:
        """The tensor ``DW[:, :, i] = dz_i h_iᵀ`` of layer k: each example's own weight gradient.

        Args:
            k: the layer, from 0; negative counts from the end.

        Returns:
            ``(n_l, n_{l-1}, m)``. Costs ``O(m n_l n_{l-1})``, m times the layer, in time and memory: for
            inspection, not for training.

        Raises:
            InputError: there is no such layer.

        Example:
            >>> import numpy as np
            >>> g = BatchGradient((np.array([[1.0, 2.0]]),), (np.array([[3.0, 4.0], [5.0, 6.0]]),))
            >>> g.tensor(0)[:, :, 1]
            array([[ 8., 12.]])
        """
        k = _normalize_layer_index(k, len(self.dZ))
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
            >>> BatchGradient((np.array([[1.0, 2.0]]),), (np.array([[3.0, 4.0]]),)).bias_matrix(0)
            array([[1., 2.]])
        """
        return self.dZ[_normalize_layer_index(k, len(self.dZ))]

    def example(self, i: int) -> Layers:
        """One example's own gradient: ``dW = dz_i h_iᵀ``, ``db = dz_i``; its weight plays no part.

        Args:
            i: the column, from 0; negative counts from the end.

        Returns:
            For each layer ``Layer(dW, db)``, of the shapes of W and b. One outer product a layer.

        Raises:
            InputError: there is no such example. (An index that is itself traced by JAX is not checked.)

        Example:
            >>> import numpy as np
            >>> BatchGradient((np.array([[1.0, 2.0]]),), (np.array([[3.0, 4.0]]),)).example(-1)
            (Layer(W=array([[8.]]), b=array([2.])),)
        """
        m = self.dZ[0].shape[1]
        if not _is_traced(i) and not (isinstance(i, int | np.integer) and -m <= i < m):
            raise InputError(
                f"example {i!s} is not there: the batch has {m}, numbered 0 to {m - 1} or from -{m}"
            )
        return tuple(
            Layer(dZ[:, i][:, None] * H[:, i][None, :], dZ[:, i])
            for dZ, H in zip(self.dZ, self.H, strict=True)
        )

    # Norms and inner products

    def squared_norms(self) -> Array:
        """Each example's squared gradient norm: ``‖g_i‖² = Σ_layers ‖dz_i‖² (‖h_i‖² + 1)``, 1 for the bias.

        Returns:
            ``(m,)``, of the gradients themselves; the weights play no part. Infinite only where the result
            exceeds the largest number. Costs ``O(m n)``; no gradient is built.

        Source:
            Goodfellow 2015, arXiv 1510.01799.

        Example:
            >>> import numpy as np
            >>> BatchGradient((np.array([[1.0, 2.0]]),), (np.array([[3.0, 4.0]]),)).squared_norms()
            array([10., 68.])
        """
        return _sum_layers(self.squared_norms_per_layer())

    def squared_norms_per_layer(self) -> tuple[Array, ...]:
        """Each example's squared gradient norm in each layer: ``‖dz_i‖² (‖h_i‖² + 1)``, 1 for the bias.

        Returns:
            For each layer ``(m,)``; the weights play no part. Costs ``O(m n)``; no gradient is built.

        Source:
            Goodfellow 2015, arXiv 1510.01799.

        Example:
            >>> import numpy as np
            >>> BatchGradient(
            ...     (np.array([[1.0, 2.0]]),), (np.array([[3.0, 4.0]]),)
            ... ).squared_norms_per_layer()
            (array([10., 68.]),)
        """
        return squared_layer_norms(self.dZ, self.H)

    def dot(self, direction: Layers) -> Array:
        """Each example's inner product with a direction: ``⟨g_i, V⟩ = Σ_layers dz_iᵀ (V_W h_i + V_b)``.

        Args:
            direction: V, for each layer ``Layer(V_W, V_b)`` of the shapes of W and b: the mean of another
                gradient, or an optimiser's step.

        Returns:
            ``(m,)``; the weights play no part. One product a layer.

        Raises:
            InputError: the direction has other shapes than the layers, or none.

        Example:
            >>> import numpy as np
            >>> g = BatchGradient((np.array([[1.0, 2.0]]),), (np.array([[3.0, 4.0]]),))
            >>> g.dot((Layer(np.array([[10.0]]), np.array([1.0])),))
            array([31., 82.])
        """
        validate_direction(direction, layer_shapes(self))
        return _sum_layers(
            columnwise_dot(dZ, V_W @ H + V_b[:, None])
            for dZ, H, (V_W, V_b) in zip(self.dZ, self.H, direction, strict=True)
        )

    def gram(self, other: "BatchGradient | None" = None) -> Array:
        """Every example's inner product with every other: ``K = Σ_layers (dZᵀ dZ') ⊙ (Hᵀ H' + 1)``.

        Args:
            other: the gradient of another batch through layers of the same widths, or None for this one.

        Returns:
            ``K[i, j] = ⟨g_i, g'_j⟩``, ``(m, m')``; the weights play no part. Two products a layer.

        Raises:
            InputError: ``other`` is no gradient, or its layers have other widths.

        Source:
            Pruthi et al. 2020 (TracIn), arXiv 2002.08484.

        Example:
            >>> import numpy as np
            >>> BatchGradient((np.array([[1.0, 2.0]]),), (np.array([[3.0, 4.0]]),)).gram()
            array([[10., 26.],
                   [26., 68.]])
        """
        other = self if other is None else other
        if not isinstance(other, BatchGradient):
            raise InputError(
                f"a {type(other).__name__} is no gradient: give what backprop returns of a batch"
            )
        if layer_shapes(other) != layer_shapes(self):
            raise InputError(
                f"the other gradient's layers have shapes {layer_shapes(other)}, these {layer_shapes(self)}: "
                "give two batches through the same network"
            )
        return _sum_layers(
            (dZ.T @ dZ_) * (H.T @ H_ + 1.0)
            for dZ, H, dZ_, H_ in zip(self.dZ, self.H, other.dZ, other.H, strict=True)
        )

    # Statistics over the batch

    def variance(self) -> Layers:
        """The variance of each parameter's gradient over the batch: ``Σ c_i g_i² − (Σ c_i g_i)²``, by entry.

        With the normalized weights c, ``Var W = (dZ² diag(c)) (H²)ᵀ − dW²`` and ``Var b = dZ² c − db²``.

        Returns:
            For each layer ``Layer(Var W, Var b)``, of the shapes of W and b: the variance of this batch,
            divided by m and not m − 1; rounding never takes it below 0. Two products a layer.

        Source:
            Dangel, Kunstner and Hennig 2020 (BackPACK), arXiv 1912.10985.

        Example:
            >>> import numpy as np
            >>> BatchGradient((np.array([[1.0, 2.0]]),), (np.array([[3.0, 4.0]]),)).variance()
            (Layer(W=array([[6.25]]), b=array([0.25])),)
        """
        xp, c, g = namespace(self.dZ[0]), self.normalized_weights(), self.without_weightless()
        squares = BatchGradient(tuple(dZ**2 for dZ in g.dZ), tuple(H**2 for H in g.H)).collapse(c)

        def spread(second: Array, first: Array) -> Array:
            # The difference of two nearly equal numbers may round to below 0.
            return xp.maximum(second - first**2, xp.zeros_like(first))

        return tuple(
            Layer(spread(square.W, mean.W), spread(square.b, mean.b))
            for square, mean in zip(squares, g.collapse(c), strict=True)
        )

    def noise(self) -> GradientNoise:
        """The spread of the examples' gradients around the true gradient G, and the norm of G, unbiased.

        With the normalized weights c, ``s_i = ‖g_i‖²``, the mean ḡ and ``q = Σ c_i²`` (``1/m`` without
        weights): ``tr Σ ≈ (Σ c_i s_i − ‖ḡ‖²) / (1 − q)`` and ``‖G‖² ≈ ‖ḡ‖² − q tr Σ``.

        Returns:
            ``GradientNoise(trace, squared_norm)``; both NaN where fewer than two examples count. Costs the
            mean's one product a layer, ``O(m n)`` and ``O(parameters)``.

        Source:
            McCandlish et al. 2018, arXiv 1812.06162, appendix A.1, from one batch instead of two sizes.

        Example:
            >>> import numpy as np
            >>> g = BatchGradient((np.array([[1.0, 3.0]]),), (np.array([[0.0, 0.0]]),))
            >>> [float(estimate) for estimate in g.noise()]
            [2.0, 3.0]
        """
        xp, c, g = namespace(self.dZ[0]), self.normalized_weights(), self.without_weightless()
        q, zero = c @ c, xp.zeros_like(c @ c)
        square_of_mean = sum((squared_norm(theta) for layer in g.collapse(c) for theta in layer), start=zero)
        return estimate_gradient_noise(c @ g.squared_norms(), square_of_mean, q)

    def noise_scale(self) -> Array:
        """The gradient noise scale ``tr Σ / ‖G‖²``: the batch size at which noise and gradient match.

        Far below it a batch of twice the size nearly halves the steps; far above it, it hardly helps.

        Returns:
            A scalar array, in examples; infinite where the estimate of ``‖G‖²`` is not above 0 (the batch is
            too small to see the gradient), NaN where fewer than two examples count. Costs as ``noise`` does.
            A quotient of noisy numbers is biased: over several steps, average both of ``noise``, then divide.

        Source:
            McCandlish et al. 2018, arXiv 1812.06162.

        Example:
            >>> import numpy as np
            >>> g = BatchGradient((np.array([[1.0, 3.0]]),), (np.array([[0.0, 0.0]]),))
            >>> round(float(g.noise_scale()), 3)
            0.667
        """
        trace, squared = self.noise()
        xp = namespace(squared)
        unseen = squared <= 0
        # Both branches of where are computed: dividing by the 0 itself would warn in NumPy.
        ratio = trace / xp.where(unseen, xp.ones_like(squared), squared)
        return xp.where(unseen, xp.full_like(squared, xp.inf), ratio)

    def kronecker_factors(self) -> tuple[KroneckerFactors, ...]:
        """The factors of K-FAC's curvature: ``A = H diag(c) Hᵀ`` and ``G = dZ diag(c) dZᵀ``.

        With the normalized weights c, ``A ⊗ G`` approximates the second moment of the layer's weight
        gradient. The biases are left out; dZ belongs to the given labels, not to labels sampled from the
        network, as in the empirical Fisher matrix.

        Returns:
            For each layer ``KroneckerFactors(A, G)``, of ``(n_{l-1}, n_{l-1})`` and ``(n_l, n_l)``. Two
            products a layer.

        Source:
            Martens and Grosse 2015, arXiv 1503.05671.

        Example:
            >>> import numpy as np
            >>> g = BatchGradient((np.array([[1.0, 2.0]]),), (np.array([[3.0, 4.0]]),))
            >>> g.kronecker_factors()
            (KroneckerFactors(A=array([[12.5]]), G=array([[2.5]])),)
        """
        c, g = self.normalized_weights(), self.without_weightless()
        return tuple(
            KroneckerFactors((H * c) @ H.T, (dZ * c) @ dZ.T) for dZ, H in zip(g.dZ, g.H, strict=True)
        )

    # Clipping

    def scaled(self, factors: Array) -> Self:
        """Each example's gradient times a factor of its own: column i of every dZ is multiplied by ``f_i``.

        Args:
            factors: f ``(m,)``.

        Returns:
            A BatchGradient with the same H and weights. Unlike a weight, a factor does not enter the mean's
            divisor. Costs ``O(m n)``.

        Raises:
            InputError: there is not one factor for each example.

        Example:
            >>> import numpy as np
            >>> g = BatchGradient((np.array([[1.0, 2.0]]),), (np.array([[3.0, 4.0]]),))
            >>> g.scaled(np.array([10.0, 0.5])).dZ[0]
            array([[10.,  1.]])
        """
        _validate_per_example("factors", factors, self.dZ[0].shape[1])
        return self._replace(dZ=tuple(dZ * factors for dZ in self.dZ))

    def clipped(self, max_norm: float | Array) -> "BatchGradient":
        """Each example's gradient, clipped to a norm: ``g_i · min(1, C / ‖g_i‖)``, the norm over all layers.

        Args:
            max_norm: C, above 0: a number or a scalar array (JAX may trace it); infinite for no limit.

        Returns:
            A BatchGradient with the same H and weights. Costs ``O(m n)``: column i of every dZ is scaled. The
            limit holds for all finite factors. A gradient of zeros stays; one whose norm exceeds the largest
            number becomes zeros, and so does an entry that scaling takes below the smallest normal number.

        Raises:
            ParameterError: C is not above 0, or no number.

        Source:
            Abadi et al. 2016, arXiv 1607.00133; in factors, Li et al. 2022, arXiv 2110.05679.

        Example:
            >>> import numpy as np
            >>> g = BatchGradient((np.array([[3.0, 0.3], [4.0, 0.4]]),), (np.zeros((1, 2)),))
            >>> g.clipped(1.0).dZ[0]
            array([[0.6, 0.3],
                   [0.8, 0.4]])
        """

        def factors(norms: tuple[Array, ...]) -> tuple[Array, ...]:
            return (clip_factors(global_norm(norms), max_norm),) * len(norms)

        return self._replace(dZ=clip_columns(self.dZ, self.H, factors))

    def clipped_per_layer(self, max_norms: Sequence[float | Array] | Array) -> "BatchGradient":
        """Each example's gradient, clipped in each layer to that layer's own norm.

        Args:
            max_norms: ``C_k > 0`` for each layer: numbers, scalar arrays, or one array ``(L + 1,)``. The norm
                of an example's whole gradient is then at most ``√(Σ C_k²)``.

        Returns:
            A BatchGradient with the same H and weights. Costs ``O(m n)``; the limits of floating point are
            handled as in ``clipped``.

        Raises:
            InputError: there are more or fewer limits than layers.
            ParameterError: a limit is not above 0, or no number.

        Source:
            McMahan et al. 2018, arXiv 1710.06963.

        Example:
            >>> import numpy as np
            >>> g = BatchGradient((np.array([[2.0]]), np.array([[4.0]])), (np.zeros((1, 1)),) * 2)
            >>> g.clipped_per_layer([1.0, 9.0]).dZ
            (array([[1.]]), array([[4.]]))
        """
        limits = per_layer_limits(max_norms, len(self.dZ))

        def factors(norms: tuple[Array, ...]) -> tuple[Array, ...]:
            return tuple(map(clip_factors, norms, limits))

        return self._replace(dZ=clip_columns(self.dZ, self.H, factors))

    def normalized(self, max_norm: float | Array, stability: float | Array = 0.01) -> "BatchGradient":
        """Each example's gradient, brought to about one norm: ``C g_i / (‖g_i‖ + γ)``, automatic clipping.

        Args:
            max_norm: C, above 0, the bound of every norm: a number or a scalar array.
            stability: γ, above 0, in units of the gradients: it keeps the divisor above 0, and leaves short
                gradients shorter.

        Returns:
            A BatchGradient with the same H and weights. Costs ``O(m n)``; the limits of floating point are
            handled as in ``clipped``.

        Raises:
            ParameterError: C or γ is not above 0, or no number.

        Source:
            Bu et al. 2023, arXiv 2206.07136.

        Example:
            >>> import numpy as np
            >>> g = BatchGradient((np.array([[0.99, 0.0, 9.99]]),), (np.zeros((1, 3)),))
            >>> g.normalized(1.0).dZ[0]
            array([[0.99 , 0.   , 0.999]])
        """

        def factors(norms: tuple[Array, ...]) -> tuple[Array, ...]:
            return (automatic_clip_factors(global_norm(norms), max_norm, stability),) * len(norms)

        return self._replace(dZ=clip_columns(self.dZ, self.H, factors))


def estimate_gradient_noise(mean_of_squares: Array, square_of_mean: Array, q: Array) -> GradientNoise:
    """Estimate the gradient noise from sums over a batch, or over several, one entry for each.

    ``tr Σ ≈ (Σ c_i s_i − ‖ḡ‖²) / (1 − q)`` and ``‖G‖² ≈ ‖ḡ‖² − q tr Σ``.

    Args:
        mean_of_squares: ``Σ c_i s_i``, with the normalized weights c and ``s_i = ‖g_i‖²``.
        square_of_mean: ``‖ḡ‖²``.
        q: ``Σ c_i²``, which is ``1/m`` without weights.

    Returns:
        ``GradientNoise(trace, squared_norm)``; both NaN where fewer than two examples count.

    Source:
        McCandlish et al. 2018, arXiv 1812.06162, appendix A.1, from one batch instead of two sizes.

    Example:
        >>> import numpy as np
        >>> noise = estimate_gradient_noise(
        ...     np.array([5.0, 5.0]), np.array([4.0, 5.0]), np.array([0.5, 1.0])
        ... )
        >>> noise.trace, noise.squared_norm
        (array([ 2., nan]), array([ 3., nan]))
    """
    xp = namespace(q)
    defined = (q > 0) & (q < 1)  # q is 1 for one example, and 0 for none
    scatter = xp.maximum(mean_of_squares - square_of_mean, xp.zeros_like(q))
    trace = scatter / xp.where(defined, 1.0 - q, xp.ones_like(q))
    trace = xp.where(defined, trace, xp.full_like(q, xp.nan))
    return GradientNoise(trace, square_of_mean - q * trace)


def layer_shapes(gradient: BatchGradient) -> list[tuple[int, int]]:
    """Return the shape of W in each layer, ``(n_l, n_{l-1})``."""
    return [(dZ.shape[0], H.shape[0]) for dZ, H in zip(gradient.dZ, gradient.H, strict=True)]


def validate_direction(direction: Layers, shapes: list[tuple[int, int]]) -> None:
    """Raise an InputError where a direction has other shapes than ``layer_shapes``."""
    # Shapes alone are read, so a direction may be traced by JAX.
    wanted = [(shape, shape[:1]) for shape in shapes]
    must = f"it must have the layers' own, {wanted}, as a mean gradient has"
    try:
        shapes_given = [(tuple(V_W.shape), tuple(V_b.shape)) for V_W, V_b in direction]
    except (AttributeError, TypeError, ValueError) as error:
        what = f"a {type(direction).__name__}"
        raise InputError(f"the direction is {what}, not W and b of each layer: {must}") from error
    if shapes_given != wanted:
        raise InputError(f"the direction has shapes {shapes_given} as W and b of each layer: {must}")


def _in_units_of_largest(weights: Array) -> Array:
    """Return weights divided by their largest, so that no sum of them overflows."""
    # A batch without examples has no largest weight.
    return _divide_unless_zero(weights, namespace(weights).max(weights)) if weights.shape[0] else weights


def _divide_unless_zero(values: Array, divisor: Array) -> Array:
    # Chosen with where, not with if: a compiled program cannot branch on the divisor.
    xp = namespace(values)
    divisor = xp.asarray(divisor)
    return values / xp.where(divisor > 0, divisor, xp.ones_like(divisor))


def _validate_per_example(name: str, values: Array, m: int) -> None:
    # NumPy would silently broadcast one number over all examples.
    if getattr(values, "shape", None) != (m,):
        what = f"shape {values.shape}" if hasattr(values, "shape") else f"no shape, as {values!r}"
        raise InputError(f"the {name} have {what}: give an array of shape ({m},), one for each example")


def _normalize_layer_index(k: int, n_layers: int) -> int:
    if not isinstance(k, int | np.integer) or not -n_layers <= k < n_layers:
        numbers = f"0 to {n_layers - 1} or from -{n_layers}"
        raise InputError(f"layer {k!s} is not there: the network has {n_layers}, numbered {numbers}")
    return int(k)


def _is_traced(i: object) -> bool:
    """Whether an index is an array, as JAX traces it; NumPy's own numbers are none."""
    return hasattr(i, "dtype") and not isinstance(i, np.generic)


def _sum_layers(per_layer: Iterable[Array]) -> Array:
    # Unlike sum, reduce adds no 0 first: one array fewer, and no type promotion.
    return reduce(add, per_layer)
