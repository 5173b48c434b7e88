"""The JAX engine against NumPy's over a sample of the test problems: equal curves, in either dtype."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_allclose

from batchprop import optimizers
from batchprop.batches import Dataset, Indices
from batchprop.engines.jax import JaxEngine
from batchprop.engines.numpy import NumpyEngine
from batchprop.objective import Objective
from batchprop.training import Engine, EpochResult, TrainConfig, init_state
from tests.core.comparisons import in_dtype, leaves
from tests.core.problems import SOME_PAIRS, Problem, Shape, problem, shapes_in_turn

STEPS = 50

# Momentum, so that an error would grow, and a rate at which a curve has one way to go: in float32, NumPy's
# own rounding moves none of them by more than 3.2e-6. At 0.1 some diverge, and where a derivative is a sign
# (absolute error, quantiles) its last bit decides a step.
OPTIMIZER, RATE = optimizers.nesterov(0.9), 0.01

WITHIN = {"float32": 1e-5, "float64": 1e-10}


@cache
def plan(m: int) -> list[Indices]:
    """Batches of four rows, and a last batch of two."""
    rng = np.random.default_rng(0)
    return [rng.permutation(m)[: 2 if step % 5 == 4 else 4] for step in range(STEPS)]


def train(engine: Engine, case: Problem, dtype: str, *, weighted: bool) -> EpochResult:
    table = Dataset(case.B.T.astype(dtype), case.Y.T.astype(dtype), case.weights.astype(dtype))
    recipe = TrainConfig(
        case.net.replace_layers(in_dtype(case.net.layers, dtype)), OPTIMIZER, Objective(alpha=0.01)
    )
    table = table if weighted else table._replace(weights=None)
    return engine.run_batches(recipe, init_state(recipe), table, plan(len(table.Y)), [RATE] * STEPS)


# Compiling dominates: 26 programs here, 1728 for all problems in both types, weighted and not. Of eight pairs
# in turn, each shape with hidden layers comes in both types; the next eight are weighted.
TURNS = [
    (*pair, ("float32", "float64")[(turn + turn // 4) % 2], turn // 8 == 1, shapes_in_turn(turn))
    for turn, pair in enumerate(SOME_PAIRS)
]


@pytest.mark.parametrize(("activation", "head", "dtype", "weighted", "shapes"), TURNS)
def test_loss_curve_matches_numpy(
    activation: str, head: str, dtype: str, weighted: bool, shapes: list[Shape]
) -> None:
    within = WITHIN[dtype]
    for shape in shapes:
        case = problem(activation, head, shape)
        ours, theirs = (
            train(engine, case, dtype, weighted=weighted) for engine in (JaxEngine(), NumpyEngine())
        )
        about = f"{shape}, {weighted=}"
        assert_allclose(ours.losses, theirs.losses, rtol=within, atol=within, err_msg=about)
        # Constant curves would agree for any engine.
        assert np.ptp(theirs.losses) >= 0.01 * max(theirs.losses)
        assert (len(ours.losses), ours.state.steps, ours.finite) == (STEPS, STEPS, True)
        for leaf, reference in zip(leaves(ours.state.layers), leaves(theirs.state.layers), strict=True):
            assert leaf.dtype == dtype
            assert_allclose(leaf, reference, rtol=10 * within, atol=10 * within, err_msg=about)
