"""Every collapse of a `BatchGradient`, and the same numbers from a matrix of one gradient per row."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from batchprop.gradient import BatchGradient
from batchprop.params import Layer, Layers
from tests.core.oracle import SIGMA
from tests.core.problems import Problem

MAX_NORM = 0.7
STABILITY = 0.05
SOME = slice(0, None, 3)  # the examples of the second batch


class Rows(NamedTuple):
    """The examples' gradients of each layer as rows ``(m, n_l n_{l-1} + n_l)``, W then b; their weights."""

    of_layer: list[Any]
    weights: Any

    @property
    def whole(self) -> Any:
        """All layers concatenated ``(m, parameters)``."""
        return np.concatenate(self.of_layer, axis=1)


def rows(tensors: Any, bias_matrices: Any, weights: Any) -> Rows:
    """Each layer's tensor ``(n_l, n_{l-1}, m)`` and matrix ``(n_l, m)``, flattened."""
    m = len(weights)
    flat = [
        np.concatenate([np.reshape(D, (-1, m)), np.reshape(Db, (-1, m))]).T
        for D, Db in zip(tensors, bias_matrices, strict=True)
    ]
    return Rows(flat, weights)


def in_shape(flat: list[Any], like: Layers) -> Layers:
    """Split one row per layer into the shapes of W and b."""
    return tuple(
        Layer(row[: layer.W.size].reshape(layer.W.shape), row[layer.W.size :])
        for row, layer in zip(flat, like, strict=True)
    )


def collapse_all(g: BatchGradient, direction: Layers, max_norm: Any, max_norms: Any) -> dict[str, Any]:
    """Every collapse of `g`, computed from the factors."""
    some = BatchGradient(tuple(dZ[:, SOME] for dZ in g.dZ), tuple(H[:, SOME] for H in g.H))
    return {
        "mean": g.mean(),
        "squared_norms": g.squared_norms(),
        "squared_norms_per_layer": g.squared_norms_per_layer(),
        "first": g.example(0),
        "last": g.example(-1),
        "dot": g.dot(direction),
        "gram": g.gram(),
        "gram with others": g.gram(some),
        "variance": g.variance(),
        "noise": g.noise(),
        "noise_scale": g.noise_scale(),
        "clipped": g.clipped(max_norm).mean(),
        "clipped_per_layer": g.clipped_per_layer(max_norms).mean(),
        "normalized": g.normalized(max_norm, STABILITY).mean(),
        "kronecker_factors": g.kronecker_factors(),
    }


def expected(
    case: Problem, of_rows: Rows, direction: Layers, max_norm: float, max_norms: Any
) -> dict[str, Any]:
    """The same collapses from the gradients themselves, by plain statistics."""
    G, layers, like = of_rows.whole, of_rows.of_layer, case.net.layers
    c = of_rows.weights / np.sum(of_rows.weights)
    mean = [c @ rows for rows in layers]
    v = np.concatenate([theta.ravel() for layer in direction for theta in layer])
    norms = np.linalg.norm(G, axis=1)

    def average(factors: list[Any]) -> Layers:
        return in_shape([(c * f) @ rows for f, rows in zip(factors, layers, strict=True)], like)

    own = [min(max_norm, length) / length if length else 1.0 for length in norms]
    by_layer = [
        [min(C, length) / length if length else 1.0 for length in np.linalg.norm(rows, axis=1)]
        for C, rows in zip(max_norms, layers, strict=True)
    ]
    trace, squared_norm = noise(G, c)
    return {
        "mean": in_shape(mean, like),
        "squared_norms": norms**2,
        "squared_norms_per_layer": tuple(np.linalg.norm(rows, axis=1) ** 2 for rows in layers),
        "first": in_shape([rows[0] for rows in layers], like),
        "last": in_shape([rows[-1] for rows in layers], like),
        "dot": G @ v,
        "gram": G @ G.T,
        "gram with others": G @ G[SOME].T,
        "variance": in_shape(
            [c @ (rows - centre) ** 2 for rows, centre in zip(layers, mean, strict=True)], like
        ),
        "noise": (trace, squared_norm),
        "noise_scale": np.inf if squared_norm <= 0 else trace / squared_norm,
        "clipped": average([own] * len(layers)),
        "clipped_per_layer": average(by_layer),
        "normalized": average([max_norm / (norms + STABILITY)] * len(layers)),
        "kronecker_factors": second_moments(case, of_rows, c),
    }


def noise(G: Any, c: Any) -> tuple[float, float]:
    """Estimate the trace from pairwise distances, and the squared norm by subtracting it from the mean's."""
    if len(c) == 1:
        return np.nan, np.nan
    pairs = np.outer(c, c)
    distances = np.sum((G[:, None] - G[None]) ** 2, axis=-1)
    different = 1 - np.trace(pairs)
    trace = np.sum(pairs * distances) / 2 / different
    return trace, np.sum((c @ G) ** 2) - trace * np.trace(pairs)


def second_moments(case: Problem, of_rows: Rows, c: Any) -> tuple[tuple[Any, Any], ...]:
    """``E[h hᵀ]`` and ``E[dz dzᵀ]`` of each layer: h by a forward pass per example; dz equals db."""
    h = [[x] for x in case.B.T]
    for (W, b), name in zip(case.net.layers, case.sigma, strict=False):
        for of_example in h:
            of_example.append(SIGMA[name][0](W @ of_example[-1] + b))
    return tuple(
        (
            sum(share * np.outer(x[k], x[k]) for share, x in zip(c, h, strict=True)),
            sum(
                share * np.outer(row[-len(b) :], row[-len(b) :])
                for share, row in zip(c, of_layer, strict=True)
            ),
        )
        for k, ((_, b), of_layer) in enumerate(zip(case.net.layers, of_rows.of_layer, strict=True))
    )
