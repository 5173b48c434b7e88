"""Clipping holds for every finite gradient: no clipped example exceeds the limit, at any exponents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from itertools import cycle, product
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from batchprop import optimizers
from batchprop.batches import Dataset
from batchprop.clipping import clip_by_global_norm, clip_columns
from batchprop.dp_sgd import AutomaticClipping, Clipping, DPMechanism, FlatClipping, PerLayerClipping
from batchprop.engines.jax import JaxEngine
from batchprop.engines.numpy import NumpyEngine
from batchprop.gradient import BatchGradient
from batchprop.network import Network
from batchprop.objective import Objective
from batchprop.params import Layer, Layers
from batchprop.training import TrainConfig, init_state

DTYPES = ["float32", "float64"]
M, WIDTHS = 5, (3, 2, 4, 1)
LIMITS = [1e-3, 1.0, 50.0]
# dz² is below the normal numbers, where it keeps three digits, and none in JAX; dz² h² is an ordinary number
# again, and neither overflows.
FEW_DIGITS = (9.9984e-22, 9e18, 1e-3)
METHODS: dict[str, Callable[[BatchGradient, float], BatchGradient]] = {
    "flat": lambda g, limit: g.clipped(limit),
    "per layer": lambda g, limit: g.clipped_per_layer([limit / np.sqrt(len(g.dZ))] * len(g.dZ)),
    "automatic": lambda g, limit: g.normalized(limit),
}
CLIPPINGS: dict[str, Callable[[float], Clipping]] = {
    "flat": FlatClipping,
    "per layer": PerLayerClipping,
    "automatic": AutomaticClipping,
}


def draw_matrix(rng: np.random.Generator, shape: tuple[int, int], dtype: str) -> Any:
    """Numbers of any sign and exponent, subnormal ones, the largest ones and zeros too."""
    info = np.finfo(dtype)
    lowest = info.minexp - info.nmant
    # A matrix, a column and an entry each have a range of exponents of their own.
    spread = rng.choice([0, 3, info.maxexp - lowest])
    centre = rng.integers(lowest, info.maxexp, (1, shape[1]) if rng.random() < 0.7 else (1, 1))
    exponents = np.clip(centre + rng.integers(-spread, spread + 1, shape), lowest, info.maxexp - 1)
    mantissas = rng.uniform(1, 2, shape) * rng.choice([-1, 1], shape)
    mantissas[rng.random(shape) < 0.1] = 0
    return np.clip(np.ldexp(mantissas, exponents), info.min, info.max).astype(dtype)


def draw_gradient(seed: int, dtype: str, m: int | None = None, widths: Sequence[int] = ()) -> BatchGradient:
    rng = np.random.default_rng(seed)
    m = m or int(rng.integers(1, 6))
    widths = widths or rng.integers(1, 4, rng.integers(2, 5)).tolist()
    return BatchGradient(
        tuple(draw_matrix(rng, (n, m), dtype) for n in widths[1:]),
        tuple(draw_matrix(rng, (n, m), dtype) for n in widths[:-1]),
    )


def exact_squares(values: Any) -> Fraction:
    return sum((Fraction(float(x)) ** 2 for x in np.ravel(values)), Fraction(0))


def exact_squared_norms(g: BatchGradient) -> list[Fraction]:
    """Every example's squared norm, without any rounding."""
    layers = [(np.asarray(dZ), np.asarray(H)) for dZ, H in zip(g.dZ, g.H, strict=True)]
    return [
        sum((exact_squares(dZ[:, i]) * (exact_squares(H[:, i]) + 1) for dZ, H in layers), Fraction(0))
        for i in range(layers[0][0].shape[1])
    ]


def bound(limit: float, dtype: str) -> Fraction:
    """The square of the limit, and 16 units of rounding."""
    return (Fraction(limit) * (1 + 16 * Fraction(float(np.finfo(dtype).eps)))) ** 2


@pytest.mark.untraced
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_no_random_gradient_exceeds_the_limit(name: str, dtype: str) -> None:
    exceeding = []
    for seed, limit in zip(range(90), cycle(LIMITS), strict=False):
        clipped = METHODS[name](draw_gradient(seed, dtype), limit)
        assert {dZ.dtype.name for dZ in clipped.dZ} == {dtype}
        if max(exact_squared_norms(clipped)) > bound(limit, dtype):
            exceeding.append((seed, limit))
    assert exceeding == []


@cache
def compiled(name: str) -> Callable[..., Any]:
    return jax.jit(lambda dZ, H, limit: METHODS[name](BatchGradient(dZ, H), limit).dZ)


@pytest.mark.untraced
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_no_random_gradient_exceeds_the_limit_in_jax(name: str, dtype: str) -> None:
    exceeding = []
    for seed, limit in zip(range(18), cycle(LIMITS), strict=False):
        g = draw_gradient(seed, dtype, M, WIDTHS)
        with jax.enable_x64(dtype == "float64"):
            dZ = [np.asarray(dZ) for dZ in compiled(name)(*g[:2], np.asarray(limit, dtype))]
        assert {M.dtype.name for M in dZ} == {dtype}
        if max(exact_squared_norms(BatchGradient(tuple(dZ), g.H))) > bound(limit, dtype):
            exceeding.append((seed, limit))
    assert exceeding == []


@cache
def compiled_sum(name: str) -> Callable[..., Layers]:
    return jax.jit(
        lambda dZ, H, c, limit: DPMechanism(CLIPPINGS[name](limit), None, 1.0).clipped_sum(
            BatchGradient(dZ, H), c
        )
    )


@pytest.mark.untraced
@pytest.mark.parametrize("name", CLIPPINGS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("library", ["numpy", "jax"])
@settings(max_examples=8)
@given(seed=st.integers(0, 2**32), limit=st.sampled_from(LIMITS), share=st.sampled_from([1.0, 1 / 300]))
def test_private_sum_moves_by_at_most_the_limit_for_each_example(
    library: str, name: str, dtype: str, seed: int, limit: float, share: float
) -> None:
    g = draw_gradient(seed, dtype, M, WIDTHS)
    for i in range(M):
        c = np.where(np.arange(M) == i, share, 0).astype(dtype)
        if library == "numpy":
            with np.errstate(over="ignore", invalid="ignore"):  # as in the engine
                layers = DPMechanism(CLIPPINGS[name](limit), None, 1.0).clipped_sum(g, c)
        else:
            with jax.enable_x64(dtype == "float64"):
                layers = compiled_sum(name)(*g[:2], c, np.asarray(limit, dtype))
        moved = sum((exact_squares(theta) for layer in layers for theta in layer), Fraction(0))
        assert moved <= bound(limit * float(np.asarray(share, dtype)), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@given(seed=st.integers(0, 2**32))
def test_squared_norms_are_right_wherever_they_fit(dtype: str, seed: int) -> None:
    g, info = draw_gradient(seed, dtype), np.finfo(dtype)
    most, least = (Fraction(float(number)) for number in (info.max, info.tiny))
    with np.errstate(over="ignore"):
        squared_norms = g.squared_norms().tolist()
    for ours, exact in zip(squared_norms, exact_squared_norms(g), strict=True):
        if exact > most * Fraction(101, 100):
            assert ours == np.inf
        elif 100 * least < exact < most * Fraction(99, 100):
            assert abs(Fraction(ours) - exact) <= 32 * Fraction(float(info.eps)) * exact


@pytest.mark.untraced
@pytest.mark.parametrize("library", ["numpy", "jax"])
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    ("dz", "h", "limit"),
    [
        (1e-20, 1e35, 1.0),
        (1e-25, 1e30, 1.0),
        (1e25, 1.0, 1.0),
        (1.0, 1e25, 1.0),
        (1e-30, 1e33, 1.0),
        FEW_DIGITS,
    ],
)
def test_gradients_of_mixed_exponents_get_the_length_of_the_limit(
    library: str, name: str, dz: float, h: float, limit: float
) -> None:
    factors = tuple((np.full((1, 1), entry, "float32"),) for entry in (dz, h))
    before = dz * np.sqrt(h * h + 1)
    if library == "jax":
        (clipped,) = compiled(name)(*factors, np.float32(limit))
    else:
        (clipped,) = METHODS[name](BatchGradient(*factors), limit).dZ
    length = float(np.asarray(clipped, "float64")[0, 0]) * np.sqrt(h * h + 1)
    expected = limit * before / (before + 0.01) if name == "automatic" else limit
    assert_allclose(length, expected, rtol=1e-5)


def test_norms_are_as_exact_as_the_resolution_asks() -> None:
    info = np.finfo("float32")
    # Just below: JAX takes dz² for 0.
    dz, h = np.float32(0.99 * np.sqrt(info.tiny)), np.float32(1e10)
    exact = float(dz) * float(h)
    resolution = exact / float(info.eps) / 3
    (scaled,) = jax.jit(lambda dZ, H: clip_columns((dZ,), (H,), lambda norms: norms, resolution=resolution))(
        np.full((1, 1), dz), np.full((1, 1), h)
    )
    # The factor is the norm itself.
    assert abs(float(scaled[0, 0]) / float(dz) - exact) <= float(info.eps) * resolution


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_factors_of_ordinary_gradients_are_those_of_the_plain_formula(name: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    g = BatchGradient(
        tuple(rng.normal(size=(n, 40)).astype(dtype) for n in (5, 4)),
        tuple(rng.normal(size=(n, 40)).astype(dtype) for n in (6, 5)),
    )
    squares = np.array(
        [(dZ**2).sum(axis=0) * ((H**2).sum(axis=0) + 1) for dZ, H in zip(g.dZ, g.H, strict=True)]
    )
    norms, limit = np.sqrt(squares.sum(axis=0)), float(np.median(np.sqrt(squares.sum(axis=0))))
    factors = {
        "flat": [np.minimum(1, limit / norms)] * 2,
        "per layer": np.minimum(1, limit / np.sqrt(2) / np.sqrt(squares)),
        "automatic": [limit / (norms + 0.01)] * 2,
    }[name]
    for ours, before, f in zip(METHODS[name](g, limit).dZ, g.dZ, factors, strict=True):
        assert_allclose(ours, before * f, rtol=2e-6 if dtype == "float32" else 1e-14)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_extreme_examples_change_no_bit_of_the_others(name: str, dtype: str) -> None:
    rng, info = np.random.default_rng(0), np.finfo(dtype)
    g = BatchGradient(
        tuple(rng.normal(size=(n, 40)).astype(dtype) for n in (5, 4)),
        tuple(rng.normal(size=(n, 40)).astype(dtype) for n in (6, 5)),
    )
    beside = BatchGradient(*(tuple(matrix.copy() for matrix in part) for part in g[:2]))
    beside.dZ[0][:, 3], beside.H[0][:, 3] = info.tiny, info.max / 2
    beside.dZ[1][:, 7] = info.max / 4
    others = np.delete(np.arange(40), [3, 7])
    with_them, alone = METHODS[name](beside, 1.0), METHODS[name](g, 1.0)
    for ours, theirs in zip(with_them.dZ, alone.dZ, strict=True):
        assert_array_equal(ours[:, others], theirs[:, others])
    assert_array_equal(beside.squared_norms()[others], g.squared_norms()[others])


@pytest.mark.parametrize("dtype", DTYPES)
@given(seed=st.integers(0, 2**32), exponent=st.integers(-30, 30))
def test_global_norm_of_a_gradient_is_clipped_at_any_exponent(dtype: str, seed: int, exponent: int) -> None:
    rng, limit = np.random.default_rng(seed), 10.0**exponent
    scale = float(np.finfo(dtype).max) ** rng.uniform(-0.97, 0.97)
    gradient = (Layer(*((scale * rng.normal(size=s)).astype(dtype) for s in ((3, 2), (3,)))),)
    assume(limit / scale > 100 * float(np.finfo(dtype).tiny))  # a factor with all its digits
    [clipped] = clip_by_global_norm(gradient, limit)
    squared = exact_squares(clipped.W) + exact_squares(clipped.b)
    # Below the smallest normal number there are fewer digits, and at most a unit of the last is added.
    slack = Fraction(9 * float(np.finfo(dtype).smallest_subnormal)) ** 2
    assert squared <= 2 * slack + bound(limit, dtype) * (1 + Fraction(1, 10**6))
    before = exact_squares(gradient[0].W) + exact_squares(gradient[0].b)
    if before < Fraction(limit) ** 2 * Fraction(99, 100):
        assert_array_equal(clipped.W, gradient[0].W)


ENGINES: dict[str, Callable[[], Any]] = {"numpy": NumpyEngine, "jax": JaxEngine}


@pytest.mark.parametrize(("engine", "name"), list(product(ENGINES, CLIPPINGS)))
@pytest.mark.parametrize(
    ("target", "size", "limit"),
    [(1e-25, 1e38, 1.0), (1e-38, 3e38, 1.0), (1e-12, 1e30, 1.0), (1e38, 1e-30, 1.0), FEW_DIGITS],
)
def test_private_step_of_an_extreme_row_is_bounded(
    engine: str, name: str, target: float, size: float, limit: float
) -> None:
    """The input of the layer is the row, and the derivative of its output is minus the target."""
    weights = [(np.zeros((1, 2), "float32"), np.zeros(1, "float32"))]
    net = Network.from_weights(weights, activation="identity", head="squared_error")
    rows = Dataset(np.array([[size, -size / 2]], "float32"), np.array([[target]], "float32"))
    recipe = TrainConfig(
        net, optimizers.sgd(), Objective(mechanism=DPMechanism(CLIPPINGS[name](limit), None, 1.0))
    )
    after = ENGINES[engine]().run_batches(recipe, init_state(recipe), rows, [np.arange(1)], [1.0])
    moved = sum((exact_squares(theta) for layer in after.layers for theta in layer), Fraction(0))
    assert moved <= bound(limit, "float32")
