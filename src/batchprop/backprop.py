"""Batch backpropagation, on one page.

Columns are examples. A batch ``B (n_0, m)`` and its targets ``Y (K, m)`` go forward to Z, H and P, and come
back as dZ. Layers of the text are counted from 1, those of Python from 0: ``layers[k]`` maps ``H[k]`` to
``Z[k]``, ``H[0]`` is B, and ``dZ[k] (n_k, m)`` is each example's own derivative of its own loss, never
divided by m.
"""

from typing import NamedTuple

from batchprop.arrays import Array, matmul_transposed
from batchprop.errors import InputError
from batchprop.gradient import BatchGradient, Matrices
from batchprop.network import Network
from batchprop.params import Layer

Masks = tuple[Array | None, ...]


class Step(NamedTuple):
    """All that one pass over a batch computes.

    Attributes:
        losses: each example's loss, ``(m,)``.
        P: the network's answers ``(K, m)``.
        Z: what enters each activation, L + 1 matrices ``(n_l, m)``.
        H: what enters each layer, L + 1 matrices ``(n_{l-1}, m)``; ``H[0]`` is B.
        dZ: each example's derivative by its own column of Z, L + 1 matrices ``(n_l, m)``.
        weights: each example's weight ``(m,)``, or None where all count the same.
    """

    losses: Array
    P: Array
    Z: Matrices
    H: Matrices
    dZ: Matrices
    weights: Array | None

    @property
    def loss(self) -> Array:
        """The batch's loss ``Σ w_i loss_i / Σ w_i``, a scalar array."""
        return self.losses @ self.gradient.normalized_weights()

    @property
    def gradient(self) -> BatchGradient:
        """Every example's gradient, kept in the factors dZ and H."""
        return BatchGradient(self.dZ, self.H, self.weights)


def backprop(
    net: Network, B: Array, Y: Array, weights: Array | None = None, masks: Masks | None = None
) -> Step:
    """Run one batch forward and backward.

    ``Zˡ = Wˡ Hˡ⁻¹ + bˡ``, ``Hˡ = σ(Zˡ)``, ``P = head(Zᴸ⁺¹)``; ``dZᴸ⁺¹ = P − Y`` (for the canonical heads),
    then ``dZˡ = (Wˡ⁺¹)ᵀ dZˡ⁺¹ ⊙ σ'(Zˡ)``.

    Args:
        net: the network.
        B: the batch ``(n_0, m)``, one column per example.
        Y: the targets ``(K, m)``, in B's dtype.
        weights: how much each example counts ``(m,)``, or None for the same; 0 leaves one out.
        masks: for each hidden layer None, or what its H is multiplied with ``(n_l, m)`` (dropout).

    Returns:
        The ``Step``.

    Raises:
        InputError: the shapes of B, Y or weights do not fit the network or each other.

    Source:
        The batch algorithm of the text that this comes from; the loss elementwise, ``1/m`` at the collapse.

    Example:
        >>> import numpy as np
        >>> net = Network.create([2, 3, 2], activation="sigmoid", random_state=0, dtype="float64")
        >>> step = backprop(net, np.array([[0.5, 1.0], [2.0, -1.0]]), np.eye(2))
        >>> step.losses.shape, step.P.shape, [dZ.shape for dZ in step.dZ]
        ((2,), (2, 2), [(3, 2), (2, 2)])
        >>> np.allclose(step.gradient.mean()[0].W, step.gradient.tensor(0).mean(axis=-1))
        True
    """
    _check_shapes(net, B, Y, weights)
    if masks is None:
        masks = (None,) * len(net.activations)
    Z, H = forward(net, B, masks)
    P, losses = net.head.output_and_losses(Z[-1], Y)
    dZ = backward(net, Z, net.head.dZ(P, Y), masks)
    return Step(losses, P, Z, H, dZ, weights)


def forward(net: Network, B: Array, masks: Masks) -> tuple[Matrices, Matrices]:
    """Return ``(Z, H)``: what leaves each layer's sum, and what enters it; ``H[0]`` is B.

    Args:
        net: the network.
        B: the batch ``(n_0, m)``.
        masks: one for each hidden layer, or None in its place.

    Returns:
        Two tuples of L + 1 matrices. The head's output is ``net.head.output(Z[-1])``.

    Example:
        >>> import numpy as np
        >>> Z, H = forward(
        ...     Network.create([2, 3, 1], random_state=0), np.ones((2, 5), "float32"), (None,)
        ... )
        >>> [matrix.shape for matrix in Z], [matrix.shape for matrix in H]
        ([(3, 5), (1, 5)], [(2, 5), (3, 5)])
    """
    Z: Matrices = ()
    H: Matrices = (B,)
    for layer, activation, mask in zip(net.layers[:-1], net.activations, masks, strict=True):
        Z = (*Z, affine(layer, H[-1]))
        H = (*H, apply_mask(activation.function(Z[-1]), mask))
    return (*Z, affine(net.layers[-1], H[-1])), H


def logits(net: Network, B: Array) -> Array:
    """Return the last layer's Z ``(K, m)``, from which the head makes its answers.

    Args:
        net: the network.
        B: the batch ``(n_0, m)``.

    Returns:
        ``(K, m)``.

    Example:
        >>> import numpy as np
        >>> logits(Network.create([2, 3, 1], random_state=0), np.ones((2, 5), "float32")).shape
        (1, 5)
    """
    return forward(net, B, (None,) * len(net.activations))[0][-1]


def predict(net: Network, B: Array) -> Array:
    """Return the network's answers P ``(K, m)``, as prediction needs them.

    Args:
        net: the network.
        B: the batch ``(n_0, m)``.

    Returns:
        ``(K, m)``.

    Example:
        >>> import numpy as np
        >>> predict(Network.create([2, 3, 2], random_state=0), np.ones((2, 5), "float32")).sum(
        ...     axis=0
        ... )
        array([1., 1., 1., 1., 1.], dtype=float32)
    """
    return net.head.output(logits(net, B))


def output_and_losses(net: Network, B: Array, Y: Array) -> tuple[Array, Array]:
    """Return P ``(K, m)`` and each example's loss ``(m,)``, as validation needs them.

    Args:
        net: the network.
        B: the batch ``(n_0, m)``.
        Y: the targets ``(K, m)``.

    Returns:
        P and the losses.
    """
    return net.head.output_and_losses(logits(net, B), Y)


def backward(net: Network, Z: Matrices, dZ_output: Array, masks: Masks) -> Matrices:
    """Return dZ of every layer, from the head's back to the first.

    Args:
        net: the network.
        Z: from ``forward``.
        dZ_output: the head's dZ ``(K, m)``.
        masks: those of ``forward``.

    Returns:
        L + 1 matrices ``(n_l, m)``.

    Example:
        >>> import numpy as np
        >>> net = Network.create([2, 3, 1], activation="identity", random_state=0)
        >>> dZ = backward(net, (np.ones((3, 5)), np.ones((1, 5))), np.ones((1, 5)), (None,))
        >>> bool(np.allclose(dZ[0], net.layers[1].W.T))
        True
    """
    dZ: Matrices = (dZ_output,)
    above = zip(net.layers[1:], net.activations, Z, masks, strict=False)
    for layer, activation, Z_l, mask in reversed(list(above)):
        dH = apply_mask(matmul_transposed(layer.W, dZ[0]), mask)
        dZ = (dH * activation.derivative(Z_l), *dZ)
    return dZ


def affine(layer: Layer, H: Array) -> Array:
    """Return ``Z = W H + b``, b added to every column."""
    return layer.W @ H + layer.b[:, None]


def apply_mask(H: Array, mask: Array | None) -> Array:
    """Return ``H ⊙ mask``, or H where there is none."""
    return H if mask is None else H * mask


def _check_shapes(net: Network, B: Array, Y: Array, weights: Array | None) -> None:
    n_in, n_out = net.layers[0].W.shape[1], net.layers[-1].W.shape[0]
    if B.ndim != 2 or B.shape[0] != n_in:
        raise InputError(
            f"B has shape {tuple(B.shape)}: the network takes ({n_in}, m), a column per example; "
            "with examples in rows, pass X.T"
        )
    m = B.shape[1]
    if tuple(Y.shape) != (n_out, m):
        raise InputError(
            f"Y has shape {tuple(Y.shape)}: for this network and batch it must be ({n_out}, {m})"
        )
    if weights is not None and tuple(weights.shape) != (m,):
        raise InputError(
            f"weights have shape {tuple(weights.shape)}: give one number for each of the {m} examples"
        )
