"""The training loop: a generator of epochs, with clear errors on divergence."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, repeat
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from batchprop import batches, optimizers, schedules
from batchprop.backprop import backprop
from batchprop.batches import BatchSampler, Dataset, minibatches
from batchprop.clipping import clip_by_global_norm
from batchprop.engines.numpy import NumpyEngine
from batchprop.errors import BatchpropError, DivergedError, ParameterError
from batchprop.network import Network
from batchprop.objective import Objective
from batchprop.optimizers import OPTIMIZERS, Optimizer
from batchprop.params import tree_map
from batchprop.training import EpochRecord, TrainConfig, TrainState, init_state, train
from tests.core.comparisons import close, dot, random_like

N = 60
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 3))
LABELS = (X @ [1.0, -2.0, 0.5] > 0).astype(int)
TABLE = Dataset(X, np.eye(2)[LABELS])
NET = Network.create([3, 8, 2], activation="tanh", random_state=0, dtype="float64")


def epochs(
    optimizer: Optimizer | None = None,
    *,
    net: Network = NET,
    table: Dataset = TABLE,
    plan: BatchSampler | None = None,
    schedule: Any = None,
    state: TrainState | None = None,
    **objective: Any,
) -> Iterator[EpochRecord]:
    """Train with default batches of 16 and a default rate of 0.1."""
    recipe = TrainConfig(net, optimizer or optimizers.sgd(), Objective(**objective))
    return train(
        recipe,
        state or init_state(recipe),
        table,
        plan if plan is not None else minibatches(table.n_rows, 16, np.random.RandomState(0)),
        schedule or schedules.constant(0.1),
        NumpyEngine(np.random.default_rng(0)),
    )


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_loss_falls(name: str) -> None:
    run = list(islice(epochs(OPTIMIZERS[name](), schedule=schedules.constant(0.05)), 10))
    assert run[-1].loss < 0.8 * run[0].loss
    assert [epoch.number for epoch in run] == list(range(1, 11))


def test_record_describes_its_epoch() -> None:
    rates = iter([0.4, 0.3, 0.2, 0.1])
    (first,) = islice(epochs(schedule=lambda _: next(rates)), 1)
    assert (first.number, first.rows, first.learning_rate) == (1, N, 0.1)
    assert first.seconds > 0
    assert first.state.steps == 4
    assert first.network.layers is first.state.layers
    assert (first.validation_loss, first.validation_score) == (None, None)


def test_epoch_loss_is_the_row_average_before_each_step() -> None:
    (first,) = islice(epochs(plan=minibatches(N, 16), schedule=lambda _: 0.0), 1)
    assert_allclose(first.loss, backprop(NET, X.T, TABLE.Y.T).loss)


def test_consumer_can_stop_training() -> None:
    run = epochs()
    for epoch in run:
        if epoch.loss < 0.3:
            break
    assert 1 < epoch.number < 200
    assert next(run).number == epoch.number + 1


def test_epochs_are_computed_lazily() -> None:
    def schedule(step: int) -> float:
        raise AssertionError(step)

    epochs(schedule=schedule)


def test_training_ends_with_its_batches() -> None:
    assert len(list(epochs(plan=islice(minibatches(N, 16), 3)))) == 3


def test_training_continues_from_a_record() -> None:
    def plan() -> BatchSampler:
        return minibatches(N, 16)

    whole = list(islice(epochs(optimizers.adam(), plan=plan()), 4))
    half = list(islice(epochs(optimizers.adam(), plan=plan()), 2))[-1]
    rest = list(islice(epochs(optimizers.adam(), plan=plan(), state=half.state), 2))
    close(rest[-1].network.layers, whole[-1].network.layers, rtol=0, atol=0)
    assert rest[-1].state.steps == whole[-1].state.steps == 16


def test_earlier_records_keep_their_network() -> None:
    first, second = islice(epochs(), 2)
    assert not np.array_equal(first.network.layers[0].W, second.network.layers[0].W)
    assert NET.layers[0].W.base is None


def test_schedule_is_evaluated_per_step_at_the_start_of_an_epoch() -> None:
    asked: list[int] = []

    def schedule(step: int) -> float:
        asked.append(step)
        return 0.1

    run = epochs(schedule=schedule)
    next(run)
    assert asked == [0, 1, 2, 3]
    next(run)
    assert asked == list(range(8))


def test_learning_rate_can_be_reduced_between_epochs() -> None:
    schedule = schedules.ReduceOnPlateau(0.5)
    run = epochs(schedule=schedule)
    assert next(run).learning_rate == 0.5
    schedule.reduce()
    assert next(run).learning_rate == 0.1


@pytest.mark.parametrize("wrong", [-0.1, float("nan"), float("inf")])
def test_invalid_learning_rate_is_refused(wrong: float) -> None:
    run = epochs(schedule=lambda step: 0.1 if step < 5 else wrong)
    next(run)
    with pytest.raises(ParameterError, match=r"learning rate of .* for step 5: it must return a finite"):
        next(run)


def test_nonfinite_loss_raises_an_error_with_a_suggestion() -> None:
    net = Network.create([3, 8, 1], activation="identity", head="squared_error", random_state=0)
    table = Dataset(X.astype("float32"), X[:, :1].astype("float32"))
    with pytest.raises(
        DivergedError,
        match=r"loss became (inf|nan) in epoch \d+, batch [1-4] \(learning rate 50\): "
        r"try a smaller learning rate, max_grad_norm=1\.0, or scaling the columns of X",
    ) as caught:
        list(islice(epochs(net=net, table=table, schedule=schedules.constant(50.0)), 50))
    assert isinstance(caught.value, ArithmeticError)
    assert isinstance(caught.value, BatchpropError)


def test_the_batch_that_diverged_is_named() -> None:
    bad = X.copy()
    bad[37] = np.inf
    with np.errstate(invalid="ignore"), pytest.raises(DivergedError, match="in epoch 1, batch 3 "):
        next(epochs(table=TABLE._replace(X=bad), plan=minibatches(N, 16)))


def test_weights_that_overflow_in_the_last_step_are_an_error() -> None:
    net = Network.create([3, 1], head="squared_error", random_state=0)
    table = Dataset(X.astype("float32"), X[:, :1].astype("float32"))
    with pytest.raises(DivergedError, match=r"weights stopped being finite in epoch 1.*rate 1·10³⁹\)"):
        next(epochs(net=net, table=table, plan=minibatches(N, N), schedule=schedules.constant(1e39)))


def norm(gradient: Any) -> float:
    return float(np.sqrt(dot(gradient, gradient)))


def test_long_gradient_is_clipped_in_the_same_direction() -> None:
    gradient = random_like(NET.layers, RNG)
    cut = clip_by_global_norm(gradient, 0.5)
    assert_allclose(norm(cut), 0.5)
    close(cut, tree_map(lambda g: g * 0.5 / norm(gradient), gradient))


def test_short_gradient_is_not_clipped() -> None:
    gradient = random_like(NET.layers, RNG)
    assert clip_by_global_norm(gradient, None) is gradient
    close(clip_by_global_norm(gradient, 2 * norm(gradient)), gradient)
    nothing = tree_map(np.zeros_like, gradient)
    close(clip_by_global_norm(nothing, 1.0), nothing, rtol=0, atol=0)


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_gradient_with_overflowing_square_is_clipped(size: float) -> None:
    gradient = tree_map(lambda g: (size * g).astype("float32"), random_like(NET.layers, RNG))
    cut = clip_by_global_norm(gradient, 0.25)
    assert {g.dtype.name for layer in cut for g in layer} == {"float32"}
    whole = norm(tree_map(lambda g: g.astype("float64"), gradient))
    assert_allclose(norm(tree_map(lambda g: g.astype("float64"), cut)), min(whole, 0.25), rtol=1e-5)


def test_clipping_bounds_every_step() -> None:
    (first,) = islice(epochs(plan=minibatches(N, N), max_grad_norm=1e-3, schedule=schedules.constant(2.0)), 1)
    step = tree_map(lambda after, before: after - before, first.network.layers, NET.layers)
    assert_allclose(norm(step), 2e-3)


def test_full_batch_training_does_not_depend_on_the_order() -> None:
    ordered, shuffled = (
        list(islice(epochs(plan=minibatches(N, N, random_state)), 5))[-1]
        for random_state in (None, np.random.RandomState(1))
    )
    close(ordered.network.layers, shuffled.network.layers, rtol=1e-10)
    assert_allclose(ordered.loss, shuffled.loss)


def test_a_full_batch_larger_than_a_microbatch_is_one_step() -> None:
    many = 200
    table = Dataset(np.tile(X, (many, 1)), np.tile(TABLE.Y, (many, 1)))
    assert table.n_rows > batches.MICROBATCH_SIZE
    (large,) = islice(epochs(table=table, plan=minibatches(table.n_rows, table.n_rows)), 1)
    (small,) = islice(epochs(plan=minibatches(N, N)), 1)
    assert large.state.steps == 1
    close(large.network.layers, small.network.layers, rtol=1e-10)


def test_empty_and_weightless_batches_change_nothing() -> None:
    weightless = TABLE._replace(weights=np.zeros(N))
    plans: list[tuple[Dataset, BatchSampler]] = [
        (weightless, minibatches(N, 16)),
        (TABLE, repeat([np.arange(0)] * 3)),
    ]
    for table, plan in plans:
        (epoch,) = islice(epochs(table=table, plan=plan, alpha=1.0), 1)
        close(epoch.network.layers, NET.layers, rtol=0, atol=0)
        assert epoch.loss == 0


def test_poisson_batches_train() -> None:
    plan = batches.poisson_batches(N, 0.2, 5, np.random.RandomState(0))
    run = list(islice(epochs(plan=plan), 30))
    assert run[-1].loss < 0.8 * run[0].loss
    assert len({epoch.rows for epoch in run}) > 1


def test_sample_weights_are_used() -> None:
    weights = np.where(LABELS == 1, 1.0, 0.0)
    run = list(islice(epochs(table=TABLE._replace(weights=weights)), 100))
    P = backprop(run[-1].network, X.T, TABLE.Y.T).P
    assert np.all(P.argmax(axis=0) == 1)


def test_dropout_still_learns() -> None:
    run = list(islice(epochs(dropout=(0.3,), schedule=schedules.constant(0.3)), 40))
    P = backprop(run[-1].network, X.T, TABLE.Y.T).P
    assert np.mean(P.argmax(axis=0) == LABELS) > 0.9


def test_float32_trains_in_float32() -> None:
    net = Network.create([3, 8, 2], random_state=0)
    table = Dataset(X.astype("float32"), TABLE.Y.astype("float32"))
    for name in OPTIMIZERS:
        run = epochs(OPTIMIZERS[name](), net=net, table=table, alpha=0.1, max_grad_norm=0.1, dropout=(0.2,))
        last = list(islice(run, 2))[-1]
        assert {theta.dtype.name for layer in last.network.layers for theta in layer} == {"float32"}


def test_an_epoch_without_batches_is_refused() -> None:
    net = Network.create([1, 1], head="squared_error", random_state=0)
    recipe, table = TrainConfig(net, optimizers.sgd(), Objective()), Dataset(np.ones((2, 1)), np.ones((2, 1)))
    empty: list[Any] = []
    with pytest.raises(ParameterError, match="epoch 1 of the sampler has no batches"):
        next(train(recipe, init_state(recipe), table, iter([empty]), schedules.constant(0.1), NumpyEngine()))
