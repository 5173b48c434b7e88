"""The network shared by the JAX peers, written idiomatically and differentiated by JAX."""

from __future__ import annotations

from typing import Any, TypeAlias

import jax
import optax
from jax import numpy as jnp

from benchmarks.cases import Task

Parameters: TypeAlias = list[tuple[Any, Any]]


def parameters(task: Task) -> Parameters:
    """Put the initial weights on the device: ``W (n_in, n_out)`` and ``b (n_out,)`` of each layer."""
    return [(jnp.array(layer.W.T), jnp.array(layer.b)) for layer in task.network.layers]


def forward(layers: Parameters, x: Any) -> Any:
    """Map rows to logits."""
    *hidden, (W_out, b_out) = layers
    for W, b in hidden:
        x = jax.nn.relu(x @ W + b)
    return x @ W_out + b_out


def mean_loss(layers: Parameters, x: Any, y: Any) -> Any:
    """Cross-entropy of a batch."""
    return optax.softmax_cross_entropy_with_integer_labels(forward(layers, x), y).mean()
