"""What training follows: one batch's loss and gradient, the penalty, the limit, and dropout.

A batch is a sum of microbatches: ``microbatch_gradient`` is what one adds, ``finalize_batch`` closes it.
"""

from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple, TypeAlias

from batchprop.arrays import Array, namespace, squared_norm
from batchprop.backprop import Masks, Step, backprop, backward, forward
from batchprop.batches import Batch
from batchprop.dp_sgd import DPMechanism, NormalSampler, with_finite_activations
from batchprop.errors import ParameterError
from batchprop.gradient import BatchGradient
from batchprop.network import Network
from batchprop.params import Layer, Layers, tree_map, zeros_like

UniformSampler: TypeAlias = Callable[[tuple[int, ...], Any], Array]
ExampleMetric: TypeAlias = Callable[[Step, Array], Array]
"""``(step, Y) -> (q, m)``: q numbers about each example, as it is before the batch's step."""


class RandomSource(NamedTuple):
    """Where random numbers come from, each a function of a shape and a dtype.

    Attributes:
        uniform: numbers in [0, 1).
        normal: standard normal numbers.
    """

    uniform: UniformSampler
    normal: NormalSampler


class Objective(NamedTuple):
    """What is minimised, and how the gradient is tamed.

    Attributes:
        alpha: the L2 penalty ``½ α ‖W‖² / Σw`` of each batch, biases left out, as scikit-learn defines it;
            None for none.
        dropout: for each hidden layer the chance that a unit is left out of a step, None where none is.
        max_grad_norm: the gradient's norm over all layers is cut to this, None for no limit.
        loss_scale: what the data's loss is multiplied with when it is reported; the gradient knows nothing of
            it.
        mechanism: what makes training private, or None.
    """

    alpha: float | None = None
    dropout: tuple[float | None, ...] = ()
    max_grad_norm: float | None = None
    loss_scale: float = 1.0
    mechanism: DPMechanism | None = None

    @property
    def has_dropout(self) -> bool:
        """Whether some layer has dropout."""
        return any(p is not None for p in self.dropout)

    @property
    def needs_rng(self) -> bool:
        """Whether a step needs random numbers."""
        return self.has_dropout or (
            self.mechanism is not None and self.mechanism.noise_multiplier is not None
        )


class LossAndGradient(NamedTuple):
    """A batch's loss and gradient, or what a microbatch adds to them."""

    loss: Array
    gradient: Layers


def microbatch_gradient(
    net: Network,
    batch: Batch,
    inverse_weight: float | Array,
    masks: Masks,
    mechanism: DPMechanism | None = None,
    metric: ExampleMetric | None = None,
) -> tuple[LossAndGradient, Array | None]:
    """What one microbatch adds to its batch: ``Σ w_i loss_i · share`` and ``Σ w_i g_i · share``.

    Args:
        net: the network.
        batch: the microbatch.
        inverse_weight: ``1 / Σw`` over the whole batch.
        masks: dropout's, one or None for each hidden layer.
        mechanism: limits each example's gradient g_i first; None for no limit.
        metric: computed of each example besides, or None.

    Returns:
        The loss, a scalar array, and the gradient, in the shapes of the layers; and what was seen. With a
        mechanism the loss is 0: nothing protects it, and a single row could make it infinite.
    """
    if mechanism is None and metric is None:
        return _fast_microbatch_gradient(net, batch, inverse_weight, masks), None
    step = backprop(net if mechanism is None else with_finite_activations(net), batch.B, batch.Y, None, masks)
    shares = _normalized_weights(step.losses, batch, inverse_weight)
    seen = None if metric is None else metric(step, batch.Y)
    if mechanism is None:
        gradient = _weighted_sum(step.gradient, batch.weights, inverse_weight)
        return LossAndGradient(step.losses @ shares, gradient), seen
    nil = namespace(shares).zeros((), dtype=shares.dtype)
    return LossAndGradient(nil, mechanism.clipped_sum(step.gradient, shares)), seen


def _weighted_sum(gradient: BatchGradient, weights: Array | None, inverse_weight: float | Array) -> Layers:
    if weights is None:
        return tree_map(lambda g: inverse_weight * g, gradient.sum())
    # Scaled at once, so that a compiler writes what enters a layer's two products only once.
    return gradient.scaled(inverse_weight * weights).sum()


def _fast_microbatch_gradient(
    net: Network, batch: Batch, inverse_weight: float | Array, masks: Masks
) -> LossAndGradient:
    Z, H = forward(net, batch.B, masks)
    P, losses = net.head.output_and_losses(Z[-1], batch.Y)
    shares = _normalized_weights(losses, batch, inverse_weight)
    # Backward is linear in each column: a weight on the head's dZ reaches every layer, at K numbers a column.
    dZ = backward(net, Z, net.head.dZ(P, batch.Y) * shares, masks)
    return LossAndGradient(losses @ shares, BatchGradient(dZ, H).sum())


def _normalized_weights(losses: Array, batch: Batch, inverse_weight: float | Array) -> Array:
    weights = namespace(losses).ones_like(losses) if batch.weights is None else batch.weights
    return inverse_weight * weights


def add(a: LossAndGradient, b: LossAndGradient) -> LossAndGradient:
    """Add what two microbatches contribute."""
    return LossAndGradient(a.loss + b.loss, tree_map(lambda x, y: x + y, a.gradient, b.gradient))


def add_l2_penalty(
    data: LossAndGradient, layers: Layers, objective: Objective, inverse_weight: float | Array
) -> LossAndGradient:
    """Add the L2 penalty: ``½ α ‖W‖² · share`` to the loss, ``α W · share`` to the gradient.

    Args:
        data: the batch's own loss and gradient.
        layers: the parameters.
        objective: its ``alpha`` and ``loss_scale``.
        inverse_weight: ``1 / Σw`` over the batch.

    Returns:
        The loss to report and the gradient to follow.
    """
    loss, gradient = objective.loss_scale * data.loss, data.gradient
    if objective.alpha is None:
        return LossAndGradient(loss, gradient)
    strength = objective.alpha * inverse_weight
    penalty = 0.5 * strength * sum(squared_norm(layer.W) for layer in layers)
    gradient = tuple(Layer(g.W + strength * layer.W, g.b) for g, layer in zip(gradient, layers, strict=True))
    return LossAndGradient(loss + penalty, gradient)


def finalize_batch(
    total: LossAndGradient,
    layers: Layers,
    objective: Objective,
    inverse_weight: float | Array,
    random_source: RandomSource | None,
) -> LossAndGradient:
    """Close a batch: its microbatches' sum, with noise where the objective asks for it, and the penalty.

    Args:
        total: what the microbatches add up to.
        layers: the parameters.
        objective: its mechanism, ``alpha`` and ``loss_scale``.
        inverse_weight: what a weight of 1 counts in the batch.
        random_source: where the noise comes from.

    Returns:
        The loss to report and the gradient to follow.
    """
    if objective.mechanism is not None:
        normal = None if random_source is None else random_source.normal
        total = total._replace(gradient=objective.mechanism.add_noise(total.gradient, normal))
    return add_l2_penalty(total, layers, objective, inverse_weight)


def clip_by_global_norm(gradient: Layers, max_norm: float | None) -> Layers:
    """Cut the gradient's norm over all layers: ``g · min(1, C / ‖g‖)``.

    Args:
        gradient: in the shapes of the layers.
        max_norm: C, or None for no limit.

    Returns:
        The gradient, its direction unchanged.

    Source:
        Pascanu, Mikolov and Bengio, arXiv 1211.5063.
    """
    if max_norm is None:
        return gradient
    xp = namespace(gradient[0].W)
    largest = reduce(xp.maximum, (xp.max(xp.abs(theta)) for layer in gradient for theta in layer))
    # Measured in units of its largest entry, for the square of a long gradient overflows in float32.
    unit = xp.maximum(largest, 1.0)
    norm = xp.sqrt(sum(squared_norm(theta / unit) for layer in gradient for theta in layer))
    factor = (max_norm / unit) / xp.maximum(norm, max_norm / unit)
    return tree_map(lambda g: factor * g, gradient)


def zero_gradient(layers: Layers) -> LossAndGradient:
    """Return what an empty batch amounts to: no loss and a gradient of zeros."""
    b = layers[0].b
    return LossAndGradient(namespace(b).zeros_like(b[0]), zeros_like(layers))


def dropout_masks(
    net: Network, m: int, rates: tuple[float | None, ...], uniform: UniformSampler | None
) -> Masks:
    """Draw what each hidden H is multiplied with: ``1/(1 − p)`` with chance ``1 − p``, else 0.

    Args:
        net: the network.
        m: the number of examples.
        rates: p for each hidden layer, None for a layer without; an empty tuple for no dropout.
        uniform: ``(shape, dtype) -> `` random numbers in [0, 1).

    Returns:
        For each hidden layer a mask ``(n_l, m)``, or None.

    Raises:
        ParameterError: there is dropout but nothing to draw it from.

    Source:
        Srivastava et al. 2014, in the form that leaves prediction as it is.

    Example:
        >>> import numpy as np
        >>> net, bits = Network.create([1, 2, 1], random_state=0), np.random.default_rng(0)
        >>> dropout_masks(net, 4, (0.5,), lambda shape, dtype: bits.random(shape, dtype=dtype))[0]
        array([[2., 2., 2., 0.],
               [0., 0., 0., 0.]], dtype=float32)
    """
    if all(p is None for p in rates):
        return (None,) * len(net.activations)
    if uniform is None:
        raise ParameterError(
            f"dropout={rates!r} needs randomness: make the engine with some, "
            "as NumpyEngine(np.random.default_rng(seed))"
        )
    return tuple(
        None if p is None else _mask(uniform((layer.b.shape[0], m), layer.b.dtype), p)
        for layer, p in zip(net.layers[:-1], rates, strict=True)
    )


def _mask(U: Array, p: float | Array) -> Array:
    return namespace(U).astype(p <= U, U.dtype) / (1.0 - p)
