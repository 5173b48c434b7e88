"""Monitors: gradient statistics of an epoch, from metrics of its examples and its steps."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchprop.arrays import Array, namespace, squared_norm
from batchprop.backprop import Step
from batchprop.batches import BatchSampler, GrowingBatchSampler, batch_sizes, flat_rows
from batchprop.dynamics import SQUARED_NORM, basic_metrics
from batchprop.errors import ParameterError, unknown_option_error
from batchprop.estimators.interface import FitInterface
from batchprop.estimators.validation import FitArgs
from batchprop.gradient import estimate_gradient_noise
from batchprop.params import Layer, Layers
from batchprop.training import EpochRecord, MetricFns

MONITORS = ("noise_scale", "gradient_norms", "gradient_snr", "update_ratio")
"""The allowed values of ``monitor=``."""

_UNPLANNED = {"constant", "adaptive"}
_EXAMPLE_MONITORS = {"noise_scale", "gradient_norms", "gradient_snr"}
_STEP_MONITORS = {"noise_scale", "gradient_snr", "update_ratio"}


def check_monitors(monitors: Collection[str], solver: str) -> None:
    """Check the ``monitor`` of ``fit``.

    Raises:
        ParameterError: they are not names, or can be read only once; a name is unknown, or the solver takes
            no batches.

    Example:
        >>> check_monitors("noise_scale", "adam")
        Traceback (most recent call last):
        batchprop.errors.ParameterError: monitor='noise_scale' is not allowed: give names, as ('noise_scale',)
    """
    if isinstance(monitors, str):
        raise ParameterError(f"monitor={monitors!r} is not allowed: give names, as ({monitors!r},)")
    # Names are read here, and again where they are used: an iterator would be empty by then.
    if not isinstance(monitors, Collection):
        raise ParameterError(f"monitor={monitors!r} is not allowed: give a tuple of names, or () for none")
    for name in monitors:
        if name not in MONITORS:
            raise unknown_option_error("monitor", name, MONITORS)
    if monitors and solver == "lbfgs":
        raise ParameterError(
            "monitor does not go with solver='lbfgs', which takes no batches: use 'adam' or 'sgd'"
        )


def active_monitors(estimator: FitInterface, call: FitArgs) -> frozenset[str]:
    """Return the monitors of a fit: those requested, and the one that ``batch_size="noise"`` needs.

    Raises:
        ParameterError: the schedule needs the number of steps, which depends on the noise scale.
    """
    if estimator.batch_size != "noise":
        return frozenset(call.monitor)
    if isinstance(estimator.learning_rate, str) and estimator.learning_rate not in _UNPLANNED:
        raise ParameterError(
            f"learning_rate={estimator.learning_rate!r} plans a number of steps, and with batch_size='noise' "
            "nobody knows it: use 'constant', 'adaptive' or a callable"
        )
    return frozenset(call.monitor) | {"noise_scale"}


def record_monitors(
    estimator: FitInterface,
    monitors: frozenset[str],
    epochs: Iterator[EpochRecord],
    weights: NDArray[np.floating] | None,
    sampler: BatchSampler | None,
) -> Iterator[EpochRecord]:
    """Keep the monitors' values of each epoch as ``monitor_``; a growing sampler gets the noise scale.

    Args:
        estimator: gets the values.
        monitors: some of ``MONITORS``.
        epochs: with their metrics.
        weights: of all rows, or None.
        sampler: of the batches.
    """
    for epoch in epochs:
        values = summarize_epoch(monitors, epoch, weights)
        if isinstance(sampler, GrowingBatchSampler):
            values["batch_size"] = sampler.batch_size
            sampler.update(values["noise_scale"])
        for name, value in values.items():
            estimator.monitor_.setdefault(name, []).append(value)
        yield epoch


@cache
def metric_fns_for(monitors: frozenset[str], *, recording: bool = False) -> MetricFns:
    """Return the metrics that some monitors need, and ``recording`` the examples."""
    # Cached: an engine compiles again for every other function object.
    norms = squared_norms if monitors & _EXAMPLE_MONITORS else None
    # The basic metrics begin with the squared norm, too.
    example_metric = basic_metrics if recording else norms
    return MetricFns(example_metric, squared_update_norms if monitors & _STEP_MONITORS else None)


def squared_norms(step: Step, _: Array) -> Array:
    """Each example's squared gradient norm, ``(1, m)``."""
    return step.gradient.squared_norms()[None, :]


def squared_update_norms(gradient: Layers, before: Layers, after: Layers) -> Array:
    """``‖g‖²``; then for each layer ``‖θ_after − θ_before‖²`` and ``‖θ_before‖²``: ``(1 + 2 (L + 1),)``."""
    xp = namespace(before[0].b)
    moved = [Layer(new.W - old.W, new.b - old.b) for new, old in zip(after, before, strict=True)]
    of_layers = (_squared_layer_norm(layer) for pair in zip(moved, before, strict=True) for layer in pair)
    return xp.stack([sum(map(_squared_layer_norm, gradient)), *of_layers])


def summarize_epoch(
    monitors: Collection[str], epoch: EpochRecord, weights: NDArray[np.floating] | None
) -> dict[str, float]:
    """Return the monitors' values of an epoch.

    Args:
        monitors: some of ``MONITORS``.
        epoch: with its metrics.
        weights: of all rows, or None.

    Returns:
        Numbers by name: for ``noise_scale`` tr Σ / ‖G‖², in examples, both averaged over the epoch's batches
        (McCandlish et al., arXiv 1812.06162); for ``gradient_snr`` how many times larger ``‖G‖²`` is than the
        variance of a batch's mean; for ``gradient_norms`` the median, 95% quantile and maximum over examples;
        for ``update_ratio`` each layer's ``‖Δθ‖ / ‖θ‖``, averaged over steps.
    """
    values: dict[str, float] = {}
    if {"noise_scale", "gradient_snr"} & set(monitors):
        trace, signal, size = _mean_noise(epoch, weights)
        scale = trace / signal if signal > 0 else trace * np.inf  # which stays nan if nothing is known
        if "noise_scale" in monitors:
            values["noise_scale"] = scale
        if "gradient_snr" in monitors:
            values["gradient_snr"] = size / scale if scale else np.inf
    if "gradient_norms" in monitors:
        w, squared = _weighted_squared_norms(epoch, weights)
        norms = np.sqrt(squared[w > 0])  # a row of weight 0 counts as absent
        names = ("gradient_norm_median", "gradient_norm_95", "gradient_norm_max")
        values |= dict(zip(names, np.quantile(norms, (0.5, 0.95, 1.0)).tolist(), strict=True))
    if "update_ratio" in monitors:
        norms = np.sqrt(np.asarray(epoch.metrics.steps)[:, 1:])
        moved, before = norms[:, ::2], norms[:, 1::2]
        ratios = np.divide(moved, before, out=np.full_like(moved, np.nan), where=before > 0).mean(axis=0)
        values |= {f"update_ratio_{k}": float(ratio) for k, ratio in enumerate(ratios)}
    return {name: float(value) for name, value in values.items()}


def _mean_noise(epoch: EpochRecord, weights: NDArray[np.floating] | None) -> tuple[float, float, float]:
    """The epoch's mean estimates of tr Σ and ‖G‖², and the effective size of its batches."""
    sizes = batch_sizes(epoch.batches)
    of_batch = np.repeat(np.arange(len(sizes)), sizes)
    w, squared_norms = _weighted_squared_norms(epoch, weights)
    largest = np.zeros(len(sizes))
    np.maximum.at(largest, of_batch, w)
    # In units of the batch's largest weight, no square rounds to 0 or to infinity.
    w = w / np.where(largest > 0, largest, 1.0)[of_batch]
    total = np.bincount(of_batch, weights=w, minlength=len(sizes))
    squares = np.bincount(of_batch, weights=w**2, minlength=len(sizes))
    squared = np.bincount(of_batch, weights=w * squared_norms, minlength=len(sizes))
    enough = total**2 > squares  # at least two examples: one says nothing about the variance
    if not enough.any():
        return np.nan, np.nan, np.nan
    concentration = squares[enough] / total[enough] ** 2
    of_mean = np.asarray(epoch.metrics.steps)[enough, 0].astype(float)
    noise = estimate_gradient_noise(squared[enough] / total[enough], of_mean, concentration)
    return float(noise.trace.mean()), float(noise.squared_norm.mean()), float(1 / concentration.mean())


def _weighted_squared_norms(
    epoch: EpochRecord, weights: NDArray[np.floating] | None
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """The weights of an epoch's rows, in its order, and their squared norms, 0 where the weight is 0."""
    squared = np.asarray(epoch.metrics.examples)[:, SQUARED_NORM]
    if weights is None:
        return np.ones(len(squared)), squared
    w = weights[flat_rows(epoch.batches)]
    return w, np.where(w > 0, squared, 0.0)  # 0 · ∞ would be NaN


def _squared_layer_norm(layer: Layer) -> Any:
    return squared_norm(layer.W) + squared_norm(layer.b)
