"""Weights: a row of weight 0 equals its absence, whatever it holds; weights of any size equal their ratios.

The oracle is the same call without the rows of weight 0, or with weights of an ordinary size.
"""

from __future__ import annotations

from functools import partial
from itertools import cycle
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from batchprop import optimizers
from batchprop.backprop import backprop, predict
from batchprop.batches import Dataset
from batchprop.dynamics import basic_metrics
from batchprop.engines import padding
from batchprop.engines.jax import JaxEngine
from batchprop.engines.numpy import NumpyEngine
from batchprop.gradient import BatchGradient
from batchprop.network import Network
from batchprop.objective import Objective
from batchprop.training import NO_METRIC_FNS, EpochResult, MetricFns, TrainConfig, init_state
from tests.core.comparisons import close
from tests.core.problems import HEAD_MAKERS, targets
from tests.core.strategies import layers_of_factors, per_example

pytestmark = pytest.mark.filterwarnings("ignore:(overflow|invalid value):RuntimeWarning")

FILLS = (np.nan, np.inf, -np.inf, 1e20, 9.97e36, -1e30)
SIZES = (5e-324, 1e-300, 1e-40, 1e-12, 1.0, 3.0, 1e12, 1e37, 1e300, 1.7e308)
BOUNDS = {"float64": 1e-12, "float32": 1e-6}


def without(g: BatchGradient, kept: Any) -> BatchGradient:
    """Only the kept examples."""
    assert g.weights is not None
    return BatchGradient(tuple(M[:, kept] for M in g.dZ), tuple(M[:, kept] for M in g.H), g.weights[kept])


def filled(matrices: Any, kept: Any, value: float) -> Any:
    """A value in every column that is not kept."""
    return tuple(np.where(kept, M, value) for M in matrices)


def means(g: BatchGradient) -> list[Any]:
    """Everything that weights enter, as a list of arrays."""
    layers = [theta for layer in (*g.mean(), *g.variance()) for theta in layer]
    return [*layers, *g.noise(), g.noise_scale(), *(M for factors in g.kronecker_factors() for M in factors)]


@given(layers_of_factors(), st.sampled_from(FILLS), st.sampled_from(FILLS), st.data())
def test_an_example_of_weight_0_enters_no_mean(g: Any, dz: float, h: float, data: st.DataObject) -> None:
    m = g.dZ[0].shape[1]
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=m, max_size=m).filter(any)))
    g = g._replace(weights=np.where(kept, data.draw(per_example(m, st.floats(0.1, 10))), 0.0))
    spoilt = g._replace(dZ=filled(g.dZ, kept, dz), H=filled(g.H, kept, h))
    for actual, expected in zip(means(spoilt), means(g), strict=True):
        assert_array_equal(actual, expected)
    largest = max(1.0, float(np.max(g.squared_norms())))
    for actual, expected in zip(means(spoilt)[:-1], means(without(g, kept))[:-1], strict=True):
        assert_allclose(actual, expected, rtol=1e-9, atol=1e-12 * largest)


@given(layers_of_factors(), st.sampled_from(SIZES[1:-1]), st.data())
def test_only_ratios_of_weights_enter_means(g: Any, unit: float, data: st.DataObject) -> None:
    ratios = data.draw(per_example(g.dZ[0].shape[1], st.sampled_from([0.25, 0.5, 1.0])))
    expected = means(g._replace(weights=ratios))
    largest = max(1.0, float(np.max(g.squared_norms()))) ** 2
    for dtype in ("float64", "float32"):
        with np.errstate(over="ignore"):
            weights = (ratios * unit).astype(dtype)
        if not (weights > 0).all() or not np.isfinite(weights).all():
            continue  # float32 does not hold them
        bound = 1e-4 if dtype == "float32" else 1e-9  # 1e-40 has few digits in float32
        for actual, wanted in zip(means(g._replace(weights=weights))[:-3], expected[:-3], strict=True):
            assert_allclose(actual, wanted, rtol=bound, atol=bound * largest)


@pytest.mark.parametrize("unit", SIZES)
def test_equal_weights_of_any_size_are_a_plain_mean(unit: float) -> None:
    g = BatchGradient((np.array([[1.0, 2.0, 5.0]]),), (np.array([[3.0, 4.0, 7.0]]),), np.full(3, unit))
    for actual, expected in zip(means(g), means(g._replace(weights=np.ones(3))), strict=True):
        assert_array_equal(actual, expected)


@pytest.mark.untraced
@pytest.mark.parametrize("head", HEAD_MAKERS)
@pytest.mark.parametrize("fill", FILLS)
def test_backprop_leaves_out_targets_of_weight_0(head: str, fill: float) -> None:
    rng = np.random.default_rng(0)
    net = Network.create([3, 4, 2], head=HEAD_MAKERS[head](2), random_state=0, dtype="float64")
    B, Y = rng.normal(size=(3, 6)), targets(head, rng, 2, 6)
    kept = np.array([True, False, True, True, False, True])
    weights = np.where(kept, rng.uniform(0.5, 2, size=6), 0.0)
    step = backprop(net, B, np.where(kept, Y, fill), weights)
    alone = backprop(net, B[:, kept], Y[:, kept], weights[kept])
    assert_allclose(step.loss, alone.loss, rtol=1e-12)
    close(step.gradient.mean(), alone.gradient.mean())


def test_jax_arrays_leave_out_examples_of_weight_0() -> None:
    dZ, H = np.array([[1.0, np.nan, 2.0]], "float32"), np.array([[3.0, np.inf, 4.0]], "float32")
    for weights in ([1.0, 0.0, 3.0], [1e30, 0.0, 3e30], [1e37, 0.0, 3e37]):
        g = BatchGradient((jnp.asarray(dZ),), (jnp.asarray(H),), jnp.asarray(weights, "float32"))
        assert_allclose(g.normalized_weights(), [0.25, 0.0, 0.75], rtol=1e-6)
        assert_allclose(g.mean()[0].W, [[6.75]], rtol=1e-6)
        assert np.isfinite(g.noise().trace)
    small = BatchGradient((jnp.asarray(dZ),), (jnp.asarray(H),), np.array([1e-300, 0.0, 3e-300]))
    assert_allclose(small.normalized_weights(), [0.25, 0.0, 0.75], rtol=1e-6)


# ---- training

N, KEPT = 24, np.arange(24) % 3 != 1
BATCHES = [np.arange(9), np.array([16, *range(9, 16)]), np.array([19, 18, 20, 21, 22, 23])]
"""Each holds rows of weight 0; two begin with one, which the padding of a shorter batch repeats."""
ORDER = np.concatenate(BATCHES)


def split_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Microbatches of at most 4 rows, 2 of them in a chunk."""
    monkeypatch.setattr(padding, "MICROBATCH_SIZE", 4)
    monkeypatch.setattr(padding, "MAX_CHUNK_SIZE", 2)


ENGINES: dict[str, Any] = {
    "numpy": NumpyEngine,
    "jax": JaxEngine,
    "jax, resident": partial(JaxEngine, resident=True),
    "jax, microbatches": JaxEngine,
}


# A program is compiled for each pair: every head runs in NumPy, and in some way of JAX in one of the types.
PAIRS = [("numpy", head, dtype) for head in HEAD_MAKERS for dtype in BOUNDS] + list(
    zip(cycle(list(ENGINES)[1:]), HEAD_MAKERS, cycle(BOUNDS), strict=False)
)

TURNS = [("numpy", "float64"), *zip(ENGINES, cycle(["float32", "float64"]), strict=False)]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A maker of an engine in each execution mode."""
    if "microbatches" in request.param:
        split_batches(monkeypatch)
    return ENGINES[request.param]


def run(
    engine: Any,
    dataset: Dataset,
    batches: Any = BATCHES,
    head: str = "squared_error",
    metrics: MetricFns = NO_METRIC_FNS,
    alpha: float | None = None,
) -> EpochResult:
    """One epoch of SGD with momentum."""
    dtype = dataset.Y.dtype
    net = Network.create([3, 4, 2], head=HEAD_MAKERS[head](2), random_state=0, dtype=str(dtype))
    config = TrainConfig(net, optimizers.momentum(), Objective(alpha=alpha), metrics)
    result: EpochResult = engine().run_batches(
        config, init_state(config), dataset, batches, [0.05] * len(batches)
    )
    assert result.finite
    return result


def rows_of(head: str, dtype: str, weights: Any = None) -> Dataset:
    """A dataset for a head."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(N, 3)).astype(dtype)
    return Dataset(X, targets(head, rng, 2, N).T.astype(dtype), weights)


def with_fill(dataset: Dataset, fill: float) -> Dataset:
    """A value in the targets of the rows that are not kept, and in their inputs."""
    with np.errstate(over="ignore"):
        value = np.asarray(fill, dataset.Y.dtype)
    return dataset._replace(
        X=np.where(KEPT[:, None], dataset.X, value), Y=np.where(KEPT[:, None], dataset.Y, value)
    )


def compare(actual: EpochResult, expected: EpochResult, bound: float) -> None:
    """The same losses and layers."""
    assert_allclose(actual.losses, expected.losses, rtol=bound, atol=bound)
    close(actual.layers, expected.layers, rtol=bound, atol=bound)


WEIGHTS = np.where(KEPT, np.random.default_rng(2).uniform(0.5, 2.0, N), 0.0)
OTHERS = [np.array([row for row in rows if KEPT[row]]) for rows in BATCHES]


@pytest.mark.untraced
@pytest.mark.parametrize(("engine", "head", "dtype"), PAIRS, indirect=["engine"])
def test_a_row_of_weight_0_equals_its_absence(engine: Any, head: str, dtype: str) -> None:
    dataset = rows_of(head, dtype, WEIGHTS)
    expected = run(NumpyEngine, dataset, OTHERS, head)
    for fill in FILLS if head == "squared_error" else (np.nan, 9.97e36):
        compare(run(engine, with_fill(dataset, fill), head=head), expected, BOUNDS[dtype])


def test_numpy_computes_rows_of_weight_0_not_at_all() -> None:
    dataset = rows_of("softmax", "float32", WEIGHTS)
    ours, theirs = run(NumpyEngine, with_fill(dataset, np.nan)), run(NumpyEngine, dataset, OTHERS)
    assert ours.losses == theirs.losses
    close(ours.layers, theirs.layers, rtol=0, atol=0)


def examples(result: EpochResult) -> np.ndarray:
    """The metrics of the rows."""
    assert result.metrics.examples is not None
    return np.asarray(result.metrics.examples)


@pytest.mark.untraced
@pytest.mark.parametrize(("engine", "dtype"), TURNS, indirect=["engine"])
def test_metrics_of_rows_of_weight_0_do_not_disturb_the_training(engine: Any, dtype: str) -> None:
    dataset, metrics = rows_of("squared_error", dtype, WEIGHTS), MetricFns(basic_metrics)
    spoilt = run(engine, with_fill(dataset, np.nan), metrics=metrics)
    compare(spoilt, run(NumpyEngine, dataset, OTHERS), BOUNDS[dtype])
    plain = examples(run(engine, dataset, metrics=metrics))
    kept = KEPT[ORDER]
    assert_allclose(examples(spoilt)[kept], plain[kept], rtol=BOUNDS[dtype] * 10)
    # They are of the row itself, also where it trains nothing.
    assert_allclose(plain, examples(run(NumpyEngine, dataset, metrics=metrics)), rtol=2e-5)
    assert np.isnan(examples(spoilt)[~kept]).all()


@pytest.mark.untraced
def test_metrics_of_a_batch_of_weight_0_are_of_its_rows(engine: Any) -> None:
    dataset, metrics = rows_of("squared_error", "float64", WEIGHTS), MetricFns(basic_metrics)
    batches = [np.flatnonzero(~KEPT), np.flatnonzero(KEPT)]
    ours, theirs = (run(one, dataset, batches, metrics=metrics) for one in (engine, NumpyEngine))
    assert_allclose(examples(ours), examples(theirs), rtol=1e-10)


@pytest.mark.untraced
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("engine", "dtype"), TURNS, indirect=["engine"])
def test_weights_of_any_size_train_as_ones(engine: Any, dtype: str, size: float) -> None:
    dataset = rows_of("squared_error", dtype)
    for zero in (False, True):
        ones = np.where(KEPT, 1.0, 0.0) if zero else np.ones(N)
        # The size of ordinary weights enters the penalty.
        alpha = None if size == 3 else 0.1
        expected = run(engine, dataset._replace(weights=ones), alpha=alpha)
        actual = run(engine, dataset._replace(weights=ones * size), alpha=alpha)
        compare(actual, expected, 1e-6 if size == 3 else 0.0)


@pytest.mark.untraced
def test_one_large_weight_leaves_a_batch_of_small_ones_its_step(engine: Any) -> None:
    dataset = rows_of("squared_error", "float32")
    weights = np.where(np.arange(N) < 9, 1.0, 1e-200)
    actual, expected = (run(engine, dataset._replace(weights=w)) for w in (weights, np.ones(N)))
    compare(actual, expected, 0.0)


def test_the_penalty_heeds_ordinary_weights(engine: Any) -> None:
    """As in scikit-learn: doubled weights halve it."""
    dataset = rows_of("squared_error", "float64", np.full(N, 2.0))
    halved = run(engine, dataset._replace(weights=None), alpha=0.05)
    compare(run(engine, dataset, alpha=0.1), halved, 1e-12)


@pytest.mark.untraced
def test_value_and_gradient_leaves_out_rows_of_weight_0(engine: Any) -> None:
    net = Network.create([3, 4, 2], head="squared_error", random_state=0, dtype="float64")
    dataset, rows = rows_of("squared_error", "float64", WEIGHTS), np.arange(N)
    for alpha in (None, 0.1):
        loss, gradient = engine().value_and_gradient(net, with_fill(dataset, np.nan), rows, Objective(alpha))
        expected = engine().value_and_gradient(net, dataset, np.flatnonzero(KEPT), Objective(alpha))
        assert_allclose(loss, expected.loss, rtol=1e-12)
        close(gradient, expected.gradient)
    assert np.isfinite(engine().map_rows(predict, net, dataset.X)).all()
