"""Every collapse of a gradient, over all test problems, against the per-example gradients."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

import array_api_strict
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from batchprop.backprop import backprop
from batchprop.gradient import BatchGradient
from batchprop.params import Layers, tree_map
from tests.core.all_collapses import MAX_NORM, collapse_all, expected, rows
from tests.core.comparisons import leaves, random_like
from tests.core.oracle import loop
from tests.core.problems import SHAPES, SOME_PAIRS, Problem, Shape, problem, sampled_problems

over_a_sample = pytest.mark.parametrize(("activation", "head"), SOME_PAIRS)

Answers = dict[str, Any]


def gradient(case: Problem) -> BatchGradient:
    return backprop(case.net, case.B, case.Y, case.weights).gradient


def direction(case: Problem) -> Layers:
    return random_like(case.net.layers, np.random.default_rng(1))


def limits(case: Problem) -> Any:
    return np.linspace(0.2, 0.6, len(case.net.layers))


def same(actual: Answers, reference: Answers, within: float = 1e-10) -> None:
    """Compare every result with its reference, number by number."""
    assert actual.keys() == reference.keys()
    for name, answer in actual.items():
        ours, theirs = ([np.asarray(leaf) for leaf in leaves((it,))] for it in (answer, reference[name]))
        assert [leaf.shape for leaf in ours] == [leaf.shape for leaf in theirs], name
        mine, other = (np.concatenate([leaf.ravel() for leaf in group]) for group in (ours, theirs))
        # The rounding error of a cancelling sum is relative to its largest terms.
        largest = np.max(np.abs(other), where=np.isfinite(other), initial=1.0)
        assert_allclose(mine, other, rtol=within, atol=within * largest, err_msg=name)


@cache
def sampled(activation: str, head: str) -> list[tuple[Problem, Answers]]:
    """Problems of a pair, and the reference collapses from the slow loop's gradients.

    A collapse sees the factors alone, whatever made them: shapes matter, and each comes several times.
    """
    cases = [case for case, _ in sampled_problems(activation, head)]
    return [(case, reference_of(case)) for case in cases]


def reference_of(case: Problem) -> Answers:
    tensors, bias_matrices = loop(case.net.layers, case.sigma, case.head, case.B, case.Y)[1:]
    return expected(case, rows(tensors, bias_matrices, case.weights), direction(case), MAX_NORM, limits(case))


@over_a_sample
def test_every_collapse_matches_the_slow_loop(activation: str, head: str) -> None:
    for case, reference in sampled(activation, head):
        same(collapse_all(gradient(case), direction(case), MAX_NORM, list(limits(case))), reference)


@over_a_sample
def test_every_collapse_uses_only_the_array_api_standard(activation: str, head: str) -> None:
    asarray = array_api_strict.asarray
    for case, reference in sampled(activation, head):
        dZ, H, weights = gradient(case)
        g = BatchGradient(tuple(map(asarray, dZ)), tuple(map(asarray, H)), asarray(weights))
        answers = collapse_all(g, tree_map(asarray, direction(case)), MAX_NORM, asarray(limits(case)))
        same({name: strict_to_numpy(answer) for name, answer in answers.items()}, reference)


def strict_to_numpy(answer: Any) -> Any:
    """Convert to NumPy; array-api-strict supports only DLPack."""
    return tuple(map(strict_to_numpy, answer)) if isinstance(answer, tuple) else np.from_dlpack(answer)


# With hidden layers, and of one example without; a program takes a second to compile.
@pytest.mark.parametrize("shape", [SHAPES[1], SHAPES[-1]])
@pytest.mark.usefixtures("jnp64")
def test_every_collapse_compiles(shape: Shape) -> None:
    case = problem("one per layer", "squared_error", shape)
    answers = jax.jit(collapse_all)(gradient(case), direction(case), MAX_NORM, limits(case))
    same(answers, reference_of(case))


# Many examples through few, wide layers: m × parameters far exceeds everything else.
WIDTHS, M = (120, 90, 10), 100
PARAMETERS = sum((n + 1) * n_above for n, n_above in pairwise(WIDTHS))

FRUGAL: dict[str, Callable[[BatchGradient], Any]] = {
    "mean": BatchGradient.mean,
    "total": BatchGradient.sum,
    "squared_norms": BatchGradient.squared_norms,
    "squared_norms_per_layer": BatchGradient.squared_norms_per_layer,
    "dot": lambda g: g.dot(g.mean()),
    "gram": BatchGradient.gram,
    "variance": BatchGradient.variance,
    "noise": BatchGradient.noise,
    "noise_scale": BatchGradient.noise_scale,
    "clipped": lambda g: g.clipped(0.5).mean(),
    "clipped_per_layer": lambda g: g.clipped_per_layer([0.5, 0.2]).mean(),
    "normalized": lambda g: g.normalized(0.5).mean(),
    "kronecker_factors": BatchGradient.kronecker_factors,
    "example": lambda g: g.example(3),
}


def large_gradient() -> BatchGradient:
    rng = np.random.default_rng(0)
    return BatchGradient(
        tuple(rng.normal(size=(n, M)) for n in WIDTHS[1:]),
        tuple(rng.normal(size=(n, M)) for n in WIDTHS[:-1]),
        rng.uniform(size=M),
    )


def peak(ask: Callable[[BatchGradient], Any], g: BatchGradient) -> int:
    """The peak number of 8-byte numbers allocated at once."""
    tracemalloc.start()
    try:
        ask(g)
        return tracemalloc.get_traced_memory()[1] // 8
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", FRUGAL)
def test_no_examples_by_parameters_array_is_allocated(name: str) -> None:
    g = large_gradient()
    # Twice the factors of all layers, a few times the parameters, and the result.
    allowed = 2 * M * 2 * sum(WIDTHS) + 5 * PARAMETERS + 3 * M * M
    assert allowed < M * PARAMETERS / 5
    assert peak(FRUGAL[name], g) < allowed
    assert peak(lambda g: g.tensor(0), g) > 5 * allowed  # what the measure shows where it is


def largest_array(ask: Callable[[BatchGradient], Any], g: BatchGradient) -> int:
    """The size of the largest array in the compiled XLA program."""
    program = jax.jit(ask).lower(g).compile().as_text() or ""
    shapes = re.findall(r"\b[a-z]+\d*\[([\d,]+)\]", program)
    return max(int(np.prod([int(n) for n in shape.split(",")])) for shape in shapes)


def test_no_compiled_program_has_an_examples_by_parameters_array() -> None:
    g = jax.tree.map(lambda matrix: jnp.asarray(matrix, "float32"), large_gradient())
    # One program of all compiles in a third of the time of one for each.
    every = largest_array(lambda g: [ask(g) for ask in FRUGAL.values()], g)
    assert every <= max(M * max(WIDTHS), WIDTHS[0] * max(WIDTHS))


def test_size_check_detects_the_compiled_tensor() -> None:
    g = jax.tree.map(lambda matrix: jnp.asarray(matrix, "float32"), large_gradient())
    assert largest_array(lambda g: g.tensor(0), g) == M * WIDTHS[0] * WIDTHS[1]
