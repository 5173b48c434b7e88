"""The same networks in JAX's functions, differentiated by JAX: no derivative is written here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import xlogy

from batchprop.params import Layers
from tests.core.problems import group_sizes, levels

SIGMA: dict[str, Callable[[Any], Any]] = {
    "identity": lambda z: z,
    "sigmoid": jax.nn.sigmoid,
    "logistic": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "leaky_relu": jax.nn.leaky_relu,
    "elu": jax.nn.elu,
    "selu": jax.nn.selu,
    "gelu": partial(jax.nn.gelu, approximate=True),
    "silu": jax.nn.silu,
    "mish": jax.nn.mish,
    "softplus": jax.nn.softplus,
}


def softmax(z: Any, y: Any, smoothing: float = 0.0) -> Any:
    return -jnp.sum(((1 - smoothing) * y + smoothing / len(y)) * jax.nn.log_softmax(z))


def softmax_in_groups(z: Any, y: Any) -> Any:
    first = group_sizes(len(z))[0]
    rest = softmax(z[first:], y[first:]) if len(z) > first else 0.0
    return softmax(z[:first], y[:first]) + rest


def sigmoid(z: Any, y: Any, smoothing: float = 0.0) -> Any:
    y = (1 - smoothing) * y + smoothing / 2
    return -jnp.sum(y * jax.nn.log_sigmoid(z) + (1 - y) * jax.nn.log_sigmoid(-z))


def huber(z: Any, y: Any, delta: float = 1.0) -> Any:
    r = jnp.abs(z - y)
    return jnp.sum(jnp.where(r < delta, r**2 / 2, delta * r - delta**2 / 2))


def quantile_losses(z: Any, y: Any, q: Any) -> Any:
    return q * jax.nn.relu(y - z) + (1 - q) * jax.nn.relu(z - y)


def quantile(z: Any, y: Any, q: float = 0.5) -> Any:
    return jnp.sum(quantile_losses(z, y, q))


def quantiles(z: Any, y: Any) -> Any:
    p = jnp.cumsum(jnp.concatenate([z[:1], jax.nn.softplus(z[1:])]))
    return jnp.mean(quantile_losses(p, y, jnp.array(levels(len(z)))))


HEADS: dict[str, Callable[[Any, Any], Any]] = {
    "softmax": softmax,
    "softmax, smoothed": partial(softmax, smoothing=0.2),
    "softmax, in groups": softmax_in_groups,
    "sigmoid": sigmoid,
    "sigmoid, smoothed": partial(sigmoid, smoothing=0.2),
    "squared_error": lambda z, y: jnp.sum((z - y) ** 2) / 2,
    "absolute_error": lambda z, y: jnp.sum(jnp.abs(z - y)),
    "huber": huber,
    "huber, 0.3": partial(huber, delta=0.3),
    "quantile": quantile,
    "quantile, 0.9": partial(quantile, q=0.9),
    "quantiles": quantiles,
    "poisson": lambda z, y: jnp.sum(jnp.exp(z) - y * z + xlogy(y, y) - y),
}


def example_loss(sigma: Sequence[str], head: str) -> Callable[[Layers, Any, Any], Any]:
    """Return the function ``(layers, x, y) -> loss`` of one example."""

    def loss(layers: Layers, x: Any, y: Any) -> Any:
        for (W, b), name in zip(layers, sigma, strict=False):
            x = SIGMA[name](W @ x + b)
        return HEADS[head](layers[-1].W @ x + layers[-1].b, y)

    return loss


@partial(jax.jit, static_argnums=(0, 1))  # one program is made sooner than many of one operation each
def example_gradients(sigma: Sequence[str], head: str, layers: Layers, B: Any, Y: Any) -> Any:
    """Per-example gradients, stacked on the last axis: ``vmap(grad)`` over the columns."""
    per_example = jax.vmap(jax.grad(example_loss(sigma, head)), in_axes=(None, 1, 1), out_axes=-1)
    return per_example(layers, jnp.asarray(B), jnp.asarray(Y))
