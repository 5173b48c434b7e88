"""Batch backpropagation, on one page.

Columns are examples. A batch ``B (n_0, m)`` with targets ``Y (K, m)`` goes forward to Z, H and P, and back as
dZ. The equations count layers from 1, Python from 0: ``layers[k]`` maps ``H[k]`` to ``Z[k]``, and ``H[0]`` is
B. ``dZ[k] (n_k, m)`` holds each example's derivative of its own loss; it is never divided by m.
"""

from typing import NamedTuple

from batchprop.arrays import Array, matmul_transposed, namespace
from batchprop.errors import InputError
from batchprop.format import pluralize
from batchprop.gradient import BatchGradient, Matrices
from batchprop.network import Network
from batchprop.params import Layer

Masks = tuple[Array | None, ...]
"""For each hidden layer the dropout mask ``(n_l, m)`` that multiplies its H, or None."""


class Step(NamedTuple):
    """Everything that one pass over a batch computes.

    Attributes:
        losses: each example's loss, ``(m,)``.
        P: the network's outputs ``(K, m)``.
        Z: the input of each activation, L + 1 matrices ``(n_l, m)``.
        H: the input of each layer, L + 1 matrices ``(n_{l-1}, m)``; ``H[0]`` is B.
        dZ: the derivative of each example's loss by its own column of Z, L + 1 matrices ``(n_l, m)``.
        weights: each example's weight ``(m,)``, or None where all are equal.
    """

    losses: Array
    P: Array
    Z: Matrices
    H: Matrices
    dZ: Matrices
    weights: Array | None

    @property
    def loss(self) -> Array:
        """The batch's loss ``Σ w_i loss_i / Σ w_i``, a scalar array; a weight of 0 leaves its example out."""
        losses = self.losses
        if self.weights is not None:
            losses = namespace(losses).where(self.weights != 0, losses, 0.0)  # 0 · ∞ would be NaN
        return losses @ self.gradient.normalized_weights()

    @property
    def gradient(self) -> BatchGradient:
        """The gradient of every example, as the factors dZ and H."""
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
        weights: how much each example counts ``(m,)``, or None for equal weights. Only their ratios matter;
            0 leaves an example out of the loss and the means, even where its numbers are infinite or NaN.
        masks: for each hidden layer the dropout mask ``(n_l, m)`` that multiplies its H, or None.

    Returns:
        The ``Step``.

    Raises:
        InputError: the shapes of B, Y or weights do not fit the network or each other.

    Source:
        Rumelhart, Hinton and Williams 1986, for a batch at once; ``1/m`` enters at the collapse.

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
    step = forward_backward(net, B, Y, (None,) * len(net.activations) if masks is None else masks)
    return step._replace(weights=weights)


def forward_backward(
    net: Network, B: Array, Y: Array, masks: Masks, scale: float | Array | None = None
) -> Step:
    """Run the pass without checks, every dZ times ``scale``, a number or ``(m,)``; None is 1.

    A scale of 0 makes an example's dZ 0, whatever its targets hold.
    """
    Z, H = forward(net, B, masks)
    P, losses = net.head.output_and_losses(Z[-1], Y)
    dZ = net.head.dZ(P, Y)
    if scale is not None:
        # Backward is linear in each column: scaling the K rows of the head's dZ scales every layer's.
        dZ = dZ * scale if isinstance(scale, float) else namespace(dZ).where(scale != 0, dZ, 0.0) * scale
    return Step(losses, P, Z, H, backward(net, Z, dZ, masks), None)


def forward(net: Network, B: Array, masks: Masks) -> tuple[Matrices, Matrices]:
    """Return ``(Z, H)``, L + 1 matrices each; the head's output is ``net.head.output(Z[-1])``."""
    Z: Matrices = ()
    H: Matrices = (B,)
    for layer, activation, mask in zip(net.layers[:-1], net.activations, masks, strict=True):
        Z = (*Z, affine(layer, H[-1]))
        H = (*H, apply_mask(activation.function(Z[-1]), mask))
    return (*Z, affine(net.layers[-1], H[-1])), H


def backward(net: Network, Z: Matrices, dZ_output: Array, masks: Masks) -> Matrices:
    """Return the dZ of every layer, from the head's dZ ``(K, m)`` and the Z and masks of ``forward``."""
    dZ: Matrices = (dZ_output,)
    above = zip(net.layers[1:], net.activations, Z, masks, strict=False)
    # The first layer's Wᵀ dZ would be the gradient of the batch itself, which no step needs.
    for layer, activation, Z_l, mask in reversed(list(above)):
        dH = apply_mask(matmul_transposed(layer.W, dZ[0]), mask)
        dZ = (dH * activation.derivative(Z_l), *dZ)
    return dZ


def affine(layer: Layer, H: Array) -> Array:
    """Return ``Z = W H + b``, b added to every column."""
    return layer.W @ H + layer.b[:, None]


def apply_mask(H: Array, mask: Array | None) -> Array:
    """Return ``H ⊙ mask``, or H itself without a mask."""
    return H if mask is None else H * mask


def logits(net: Network, B: Array) -> Array:
    """Return what enters the head, ``Z[-1] (K, m)``."""
    return forward(net, B, (None,) * len(net.activations))[0][-1]


def predict(net: Network, B: Array) -> Array:
    """Return the outputs P ``(K, m)``, without dropout."""
    return net.head.output(logits(net, B))


def resolved_outputs(net: Network, B: Array) -> Array:
    """Return P as ``predict`` does, with NaN where Z is not finite: a P of 0 or 1 would hide the overflow."""
    Z = logits(net, B)
    xp = namespace(Z)
    return xp.where(xp.isfinite(Z), net.head.output(Z), xp.nan)


def resolved_outputs_and_losses(net: Network, B: Array, Y: Array) -> tuple[Array, Array]:
    """Return P as ``resolved_outputs`` does, and each example's loss ``(m,)``."""
    Z = logits(net, B)
    P, losses = net.head.output_and_losses(Z, Y)
    xp = namespace(Z)
    return xp.where(xp.isfinite(Z), P, xp.nan), losses


def output_and_losses(net: Network, B: Array, Y: Array) -> tuple[Array, Array]:
    """Return P ``(K, m)`` and each example's loss ``(m,)``, as validation needs them."""
    return net.head.output_and_losses(logits(net, B), Y)


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
            f"weights have shape {tuple(weights.shape)}: give {pluralize(m, 'number')}, one for each example"
        )
