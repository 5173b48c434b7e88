"""Per-example metrics against their definitions, example by example, on three array libraries."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import array_api_strict
import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose

from batchprop.backprop import Step, backprop
from batchprop.dynamics import (
    LOSS,
    MARGIN,
    PROBABILITY,
    LabelEncoding,
    basic_metrics,
    example_metrics,
    predictions_of,
)
from batchprop.params import tree_map
from tests.core.problems import HEAD_MAKERS, Problem, Shape, group_sizes, problem

SHAPE = Shape((3, 4, 5), 7)
TOLD_APART = ("softmax", "softmax, smoothed", "softmax, in groups", "sigmoid", "sigmoid, smoothed")
STRICT = type(array_api_strict.asarray(0.0))


def labels_of(case: Problem) -> LabelEncoding | None:
    """The label encoding of the problem's Y."""
    K = case.Y.shape[0]
    if case.head.startswith("sigmoid"):
        return LabelEncoding()
    if case.head.startswith("softmax"):
        return LabelEncoding(tuple(group_sizes(K)) if "groups" in case.head else (K,))
    return None


def problem_with_labels(head: str, shape: Shape = SHAPE) -> Problem:
    """The problem of a head, with labels as targets for classification heads."""
    case = problem("tanh", head, shape)
    if head != "softmax, smoothed":
        return case
    return case._replace(Y=np.eye(shape.sizes[-1])[:, np.arange(shape.m) % shape.sizes[-1]])


def step_of(case: Problem, asarray: Any = np.asarray) -> tuple[Step, Any]:
    net = case.net.replace_layers(tree_map(asarray, case.net.layers))
    Y = asarray(case.Y)
    return backprop(net, asarray(case.B), Y), Y


def compute_metrics(case: Problem, step: Step, Y: Any) -> Any:
    """Compute the metrics of a batch, one column per example."""
    return example_metrics(basic_metrics(step, Y), Y, case.net.head, labels_of(case))


def metrics_of_one_example(case: Problem, i: int) -> list[float]:
    """Compute the metrics of one example from its own gradient, by loops over its labels."""
    step, _ = step_of(case._replace(B=case.B[:, [i]], Y=case.Y[:, [i]]))
    y, p, z, labels = case.Y[:, i], step.P[:, 0], step.Z[-1][:, 0], labels_of(case)
    gradient = step.gradient.mean()
    squared = sum(float((theta**2).sum()) for layer in gradient for theta in layer)
    result = [squared, float(step.losses[0]), float(np.linalg.norm(p - y))]
    if labels is None:
        return [*result, *p]
    chances, margins = list[float](), list[float]()
    if not labels.blocks:
        for k, given in enumerate(y):
            chances.append(p[k] if given else 1 - p[k])
            margins.append(z[k] if given else -z[k])
    start = 0
    for size in labels.blocks:
        given = start + int(y[start : start + size].argmax())
        others = [z[k] for k in range(start, start + size) if k != given]
        chances.append(p[given])
        margins.append(z[given] - max(others))
        start += size
    return [*result, float(np.prod(chances)), min(margins), *p]


@pytest.mark.parametrize("head", HEAD_MAKERS)
def test_each_metric_matches_its_definition(head: str) -> None:
    case = problem_with_labels(head)
    step, Y = step_of(case)
    seen = compute_metrics(case, step, Y)
    for i in range(case.B.shape[1]):
        assert_allclose(seen[:, i], metrics_of_one_example(case, i), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("head", HEAD_MAKERS)
def test_only_the_array_api_standard_is_used(head: str) -> None:
    case = problem_with_labels(head)
    strict = compute_metrics(case, *step_of(case, array_api_strict.asarray))
    assert isinstance(strict, STRICT)
    assert_allclose(np.from_dlpack(strict), compute_metrics(case, *step_of(case)), rtol=1e-12, atol=1e-14)


@pytest.mark.untraced
@pytest.mark.parametrize("head", HEAD_MAKERS)
@pytest.mark.usefixtures("jnp64")
def test_example_metrics_compile(head: str) -> None:
    case = problem_with_labels(head)

    @jax.jit
    def compiled(B: Any, Y: Any) -> Any:
        return compute_metrics(case, backprop(case.net, B, Y), Y)

    assert_allclose(compiled(case.B, case.Y), compute_metrics(case, *step_of(case)), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("head", TOLD_APART)
def test_margin_is_positive_where_the_prediction_is_correct(head: str) -> None:
    case = problem_with_labels(head)
    step, Y = step_of(case)
    labels = labels_of(case)
    assert labels is not None
    starts = np.cumsum([0, *labels.blocks])
    if labels.blocks:
        pairs = [slice(*ends) for ends in pairwise(starts)]
        right = np.all([step.P[s].argmax(0) == Y[s].argmax(0) for s in pairs], axis=0)
    else:
        right = np.all((step.P > 0.5) == (Y > 0.5), axis=0)
    assert ((compute_metrics(case, step, Y)[MARGIN] > 0) == right).all()


def test_softmax_loss_is_minus_the_log_probability_of_the_label() -> None:
    case = problem_with_labels("softmax")
    step, Y = step_of(case)
    seen = compute_metrics(case, step, Y)
    assert_allclose(seen[LOSS], -np.log(seen[PROBABILITY]), rtol=1e-12)
    assert_allclose(predictions_of(seen.T, LabelEncoding((5,))), step.P.T)


@pytest.mark.parametrize("score", [1e4, -1e4])
def test_confident_prediction_has_finite_metrics(score: float) -> None:
    for head, Z in (("sigmoid", [[score]]), ("softmax", [[score], [-score]])):
        case = problem_with_labels(head, Shape((1, 1) if head == "sigmoid" else (1, 2), 1))
        with_score = [layer._replace(b=np.asarray(Z)[:, 0]) for layer in case.net.layers]
        step = backprop(case.net.replace_layers(tuple(with_score)), np.zeros((1, 1)), case.Y)
        assert np.isfinite(compute_metrics(case, step, case.Y)).all()
