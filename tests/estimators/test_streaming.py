"""Fits on tables that are read chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterator
from shutil import rmtree
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn.datasets import load_digits

import batchprop as bp
from batchprop.batches import Dataset, SharedBatches
from batchprop.data.shuffle import ShuffleConfig, shared_chunks, shuffled_chunks
from batchprop.data.sources import ArraySource, IterableSource
from batchprop.errors import CheckpointError, InputError, ParameterError
from batchprop.estimators import base, checkpoint_manager, datasets
from batchprop.estimators.checkpoints import CheckpointData, Checkpoints
from batchprop.estimators.datasets import StreamingDataset
from tests.estimators.tables import CLASS_TARGETS, TARGETS, estimator, quiet, table
from tests.estimators.test_checkpoints import DiedError, dying_after, same

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = quiet


class Small(ArraySource):
    """A source with many short partitions and little memory."""

    memory = 1 << 30

    def __init__(self, *given: Any, run_rows: int = 16) -> None:
        super().__init__(*given)
        self.run_rows = run_rows

    @property
    def partitions(self) -> tuple[int, ...]:
        n = len(self.X)
        return tuple(min(self.run_rows, n - start) for start in range(0, n, self.run_rows))

    def iter_blocks(self, partition: int, rows: int = 10) -> Iterator[Any]:
        begin = partition * self.run_rows
        for block in ArraySource(
            *(None if of is None else of[begin : begin + self.partitions[partition]] for of in self.parts)
        ).iter_blocks(0, rows):
            yield block._replace(start_row=block.start_row + begin)

    @property
    def parts(self) -> tuple[Any, Any, Any]:
        return self.X, self.y, self.weights


def mixing(monkeypatch: pytest.MonkeyPatch, rows: int, runs: int) -> None:
    monkeypatch.setattr(checkpoint_manager, "shuffle_config", lambda *_: ShuffleConfig(rows, runs))


@pytest.mark.parametrize(
    ("target", "engine"),
    [
        *((target, "numpy") for target in TARGETS),
        ("multiclass", "jax"),
        ("multioutput", "jax"),
        ("single", "jax"),
    ],
)
def test_streamed_fit_without_shuffling_equals_the_in_memory_fit(target: str, engine: str) -> None:
    X, y = table(target, 150)
    parameters = {"shuffle": False, "batch_size": 32, "dtype": "float64", "engine": engine}
    within = estimator(target, **parameters).fit(X, y)
    streamed = estimator(target, **parameters).fit(Small(X, y))
    for name in ("coefs_", "intercepts_", "loss_curve_"):
        for mine, theirs in zip(getattr(streamed, name), getattr(within, name), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-12)
    assert streamed.t_ == within.t_
    assert np.array_equal(streamed.predict(X), within.predict(X))


@pytest.mark.parametrize(("rows", "runs"), [(7, 1), (64, 3), (1000, 16)])
def test_epoch_uses_every_row_once_in_equal_batches(
    rows: int, runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Small(np.arange(150.0)[:, None], np.arange(150.0)[:, None])

    def tables(run: int, size: int) -> Iterator[Any]:
        return (bp.batches.Dataset(block.X, block.y) for block in source.iter_blocks(run, size))

    course = shuffled_chunks(tables, len(source.partitions), 32, ShuffleConfig(rows, runs), seed=1)
    orders = []
    for _ in range(2):
        pieces = list(next(course))
        sizes = [len(batch) for piece in pieces for batch in piece.batches]
        assert sizes == [32, 32, 32, 32, 22]
        seen = np.concatenate([piece.dataset.X[batch, 0] for piece in pieces for batch in piece.batches])
        assert sorted(seen) == list(range(150))
        orders.append(seen.tolist())
    assert orders[0] != orders[1]


@pytest.mark.parametrize("kind", ["list", "only in order", "a function", "a source"])
def test_chunks_may_have_any_type(kind: str) -> None:
    X, y = table("multiclass", 150)
    cut = [(X[i : i + 40], y[i : i + 40]) for i in range(0, 150, 40)]

    class Through:
        def __iter__(self) -> Iterator[Any]:
            return iter(cut)

    kinds = {
        "list": cut,
        "only in order": Through(),
        "a function": lambda: iter(cut),
        "a source": Small(X, y),
    }
    given = kinds[kind]
    clf = bp.MLPClassifier((16,), max_iter=60, random_state=0, learning_rate_init=0.01).fit(given)
    assert clf.score(X, y) > 0.85
    assert clf.classes_.tolist() == [10, 11, 12]


def test_memmap_larger_than_memory_is_read_in_partitions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = table("binary", 150)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    within = estimator("binary", shuffle=False).fit(mapped, y)
    monkeypatch.setattr(datasets, "DEFAULT_MEMORY", 1000)
    read = estimator("binary", shuffle=False, dtype="float64").fit(mapped, y)
    np.testing.assert_allclose(read.loss_curve_, within.loss_curve_)


def test_sample_weights_match_the_in_memory_fit() -> None:
    X, y = table("multiclass", 150)
    weights = np.random.RandomState(0).randint(0, 3, 150).astype(float)
    parameters = {"shuffle": False, "batch_size": 32, "dtype": "float64", "class_weight": "balanced"}
    within = estimator("multiclass", **parameters).fit(X, y, sample_weight=weights)
    streamed = estimator("multiclass", **parameters).fit(Small(X, y, weights))
    np.testing.assert_allclose(streamed.loss_curve_, within.loss_curve_, rtol=1e-12)


@pytest.mark.parametrize("target", CLASS_TARGETS)
def test_balanced_classes_are_counted_over_the_whole_table(target: str) -> None:
    X, y = table(target, 150)
    parameters = {"shuffle": False, "batch_size": 32, "dtype": "float64", "class_weight": "balanced"}
    within = estimator(target, **parameters).fit(X, y)
    streamed = estimator(target, **parameters).fit(Small(X, y))
    np.testing.assert_allclose(streamed.loss_curve_, within.loss_curve_, rtol=1e-12)


def test_validation_rows_are_the_same_in_every_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = table("single", 400)
    seen: list[set[float]] = []

    class Watching(StreamingDataset):
        """A source that checks two more epochs, in other orders."""

        def chunks(self, batch_size: int, rng: Any, *others: Any) -> Any:
            for seed in (1, 2):
                epoch = list(next(super().chunks(7, np.random.RandomState(seed))))
                seen.append(set(np.concatenate([chunk.dataset.X[:, 0] for chunk in epoch]).tolist()))
            return super().chunks(batch_size, rng, *others)

    monkeypatch.setattr(base, "StreamingDataset", Watching)
    for _ in range(2):
        model = estimator("single", early_stopping=True, validation_fraction=0.2, dtype="float64")
        model.fit(Small(X, y))
    assert len(seen) == 4
    assert all(rows == seen[0] for rows in seen)
    assert 0.15 < 1 - len(seen[0]) / 400 < 0.25
    assert len(model.validation_loss_curve_) == model.n_iter_
    assert model.t_ == model.n_iter_ * len(seen[0])


def test_sorted_table_trains_nearly_as_well_as_a_shuffled_one(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = load_digits(return_X_y=True)
    X = X / 16
    shuffled = np.random.RandomState(0).permutation(len(y))
    X_test, y_test = X[shuffled[:400]], y[shuffled[:400]]
    X, y = X[shuffled[400:]], y[shuffled[400:]]
    by_class = np.argsort(y, kind="stable")
    mixing(monkeypatch, rows=320, runs=16)
    scores: dict[str, list[float]] = {"in memory": [], "sorted": []}
    for seed in range(2):
        clf = bp.MLPClassifier(
            (64,),
            learning_rate_init=0.003,
            max_iter=8,
            batch_size=32,
            engine="numpy",
            random_state=seed,
            tol=0,
        )
        scores["in memory"].append(clf.fit(X, y).score(X_test, y_test))
        source = Small(X[by_class], y[by_class])
        scores["sorted"].append(clf.fit(source).score(X_test, y_test))
    assert np.mean(scores["sorted"]) > np.mean(scores["in memory"]) - 0.01


def test_poorly_shuffled_table_gives_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = table("single", 100)
    mixing(monkeypatch, rows=20, runs=1)
    said = r"^1 of the table's 1 row groups .* and 20 of its 100 rows are shuffled: .* give more memory"
    with pytest.warns(UserWarning, match=said):
        estimator("single").fit(Small(X, y, run_rows=100))


@pytest.mark.parametrize("engine", ["numpy", "jax"])
@pytest.mark.parametrize(
    "parameters",
    [{"dropout": 0.3}, {"early_stopping": True, "n_iter_no_change": 3, "solver": "sgd"}],
    ids=str,
)
def test_resumed_streamed_fit_gives_the_same_weights(
    parameters: dict[str, Any], engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = table("multiclass", 200)
    source = Small(X, y)
    mixing(monkeypatch, rows=40, runs=4)
    parameters |= {"batch_size": 16, "max_iter": 5, "engine": engine}
    whole = estimator("multiclass", **parameters).fit(source)
    for writes in (2, 7, 1, 6):
        with dying_after(writes), pytest.raises(DiedError):
            estimator("multiclass", **parameters).fit(
                source, checkpoint=Checkpoints(tmp_path, "0s"), resume=True
            )
        mixing(monkeypatch, rows=1000, runs=1)  # there is other memory now
    resumed = estimator("multiclass", **parameters).fit(source, checkpoint=tmp_path, resume=True)
    same(resumed, whole)


def test_four_processes_hold_a_quarter_of_the_rows_each() -> None:
    rows, parts = np.arange(320.0)[:, None], np.arange(16).reshape(4, 4)
    # Ten rows of each process in a batch of forty.
    counts, config = np.full((4, 8), 10), ShuffleConfig(rows=160, partitions=4)
    taken, empty = list[float](), Dataset(rows[:0], rows[:0])

    def open_partition(partition: int, size: int) -> Iterator[Dataset]:
        part = rows[20 * partition : 20 * (partition + 1)]
        return (Dataset(part[i : i + size], part[i : i + size]) for i in range(0, 20, size))

    for process, own in enumerate(parts):
        chunks = shared_chunks(open_partition, own.tolist(), counts, process, config, 0, empty)
        for chunk in next(chunks):
            batches = chunk.batches
            assert isinstance(batches, SharedBatches)
            assert chunk.dataset.n_rows <= config.rows / 4 + 20, "a quarter of the buffer, and a block"
            taken += [row for batch in batches.own for row in chunk.dataset.X[batch, 0]]
    assert sorted(taken) == rows[:, 0].tolist()


def test_other_number_of_processes_within_an_epoch_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    X, y = table("single", 200)
    mixing(monkeypatch, rows=40, runs=4)
    to_checkpoint = checkpoint_manager.to_checkpoint

    def of_four(*given: Any) -> CheckpointData:
        data = to_checkpoint(*given)
        assert data.metadata["processes"] == 1
        return CheckpointData(data.arrays, {**data.metadata, "processes": 4})

    monkeypatch.setattr(checkpoint_manager, "to_checkpoint", of_four)

    def resume_after(n_writes: int, *rows: Any) -> list[str]:
        model, folder = estimator("single", batch_size=16, max_iter=3, engine="numpy"), tmp_path / "saved"
        for resume in (False, True):
            with dying_after(n_writes), pytest.raises(DiedError):
                model.fit(*rows, checkpoint=Checkpoints(folder, "0s"), resume=resume)
        rmtree(folder)
        told = [str(recwarn.pop().message) for _ in [*recwarn]]
        return [each for each in told if "processes" in each]

    (told,) = resume_after(3, Small(X, y))
    assert "within epoch 1 by 4 processes, and goes on with 1" in told
    assert not resume_after(7, Small(X, y)), "at the end of the epoch"
    assert not resume_after(2, X, y), "in memory all read in one order"


def test_warm_start_and_given_validation_rows() -> None:
    X, y = table("multiclass", 200)
    model = estimator("multiclass", warm_start=True, early_stopping=True, n_iter_no_change=99)
    model.fit(Small(X, y), X_val=X[:30], y_val=y[:30])
    model.fit(Small(X, y), X_val=X[:30], y_val=y[:30])
    assert len(model.loss_curve_) == len(model.validation_loss_curve_) == 20


# ---- errors


@pytest.mark.parametrize(
    ("parameters", "given", "message"),
    [
        ({"solver": "lbfgs"}, {}, "solver='lbfgs' does not go with a table that is read a part at a time"),
        ({"batch_size": "full"}, {}, "batch_size='full' does not go with .*: give a number of rows"),
        ({"batch_size": "noise"}, {}, "batch_size='noise' does not go"),
        ({}, {"monitor": ("noise_scale",)}, "monitor does not go"),
        ({}, {"record_examples": True}, "record_examples=True does not go"),
    ],
)
def test_options_that_need_all_rows_are_refused(
    parameters: dict[str, Any], given: dict[str, Any], message: str
) -> None:
    X, y = table("single", 60)
    with pytest.raises(ParameterError, match=message):
        estimator("single", **parameters).fit(Small(X, y), **given)


def test_chunks_that_can_be_read_only_once_are_refused() -> None:
    X, y = table("single", 60)
    with pytest.raises(InputError, match=r"gone through only once, .* give a list of them, or the function"):
        estimator("single").fit((X, y) for _ in range(2))


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        ([], "there are no rows"),
        ([(np.zeros((0, 2)), np.zeros(0))], "there are no rows"),
        ([np.zeros((3, 2))], r"chunk 0 is ndarray, not \(X, y\)"),
        ([[1, 2], [3, 4]], r"chunk 0 is \[1, 2\], not \(X, y\) of rows: give tuples"),
        ([["1", b"2"], ["3", b"4"]], r"chunk 0 is \['1', b'2'\], not \(X, y\) of rows: give tuples"),
        ([(np.zeros((3, 2)), np.zeros(4))], "chunk 0 has 3 and 4 rows in its parts"),
        (
            [(np.zeros((3, 2)), np.arange(3.0)), (np.zeros((3, 1)), np.arange(3.0))],
            r"rows 3 to 5 .*X has 1 feat",
        ),
        (
            [(np.full((3, 2), np.nan), np.arange(3.0))],
            "rows 0 to 2 .*X contains NaN, first in row 0, column 0",
        ),
        ([(np.zeros((3, 2)), [1.0, np.inf, 2.0])], "rows 0 to 2 .*y contains infinity"),
        ([(np.zeros((3, 2)), np.arange(3.0), [1, -1, 1])], r"sample_weight\[1\]=-1 is negative"),
        (
            [(np.zeros((3, 2)), np.arange(3.0), [1, 1, 1]), (np.zeros((3, 2)), np.arange(3.0))],
            "have no weights",
        ),
    ],
)
def test_invalid_chunks_are_refused(chunks: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        estimator("single").fit(chunks)


def test_feature_names_of_chunks_are_stored() -> None:
    X, y = table("single", 60)
    frame = pd.DataFrame(X, columns=list("abcde"))
    model = estimator("single").fit([(frame, y), (frame, y)])
    assert model.feature_names_in_.tolist() == list("abcde")
    with pytest.raises(InputError, match="feature names should match"):
        estimator("single").fit([(frame, y), (frame[list("edcba")], y)])


def test_sparse_chunks_equal_dense_chunks() -> None:
    X, y = table("single", 60)
    same = estimator("single", shuffle=False).fit([(csr_matrix(X), y)])
    dense = estimator("single", shuffle=False).fit([(X, y)])
    np.testing.assert_array_equal(same.coefs_[0], dense.coefs_[0])


@pytest.mark.parametrize("change", ["labels", "the last row", "weights"])
def test_resume_with_other_rows_is_refused(change: str, tmp_path: Path) -> None:
    X, y = table("multiclass", 150)
    weights = np.ones(150)
    estimator("multiclass").fit(Small(X, y, weights), checkpoint=tmp_path)
    other = X.copy()
    other[-1] += 1
    given = {
        "labels": (X, y[::-1], weights),
        "the last row": (other, y, weights),
        "weights": (X, y, 2 * weights),
    }
    with pytest.raises(CheckpointError, match="data was"):
        estimator("multiclass").fit(Small(*given[change]), checkpoint=tmp_path, resume=True)


def test_chunks_that_change_between_epochs_are_refused() -> None:
    X, y = table("single", 60)
    chunks = [(X, y), (X, y)]
    source = IterableSource(chunks)
    chunks[1] = (X[:-1], y[:-1])
    with pytest.raises(InputError, match="chunk 1 has 59 rows, and had another number"):
        estimator("single").fit(source)


def test_targets_given_beside_a_source_are_refused() -> None:
    X, y = table("single", 60)
    with pytest.raises(InputError, match="y is given beside a table that brings its own"):
        estimator("single").fit(Small(X, y), y)
    with pytest.raises(InputError, match="sample_weight is given beside"):
        estimator("single").fit([(X, y)], sample_weight=np.ones(60))


def test_single_class_is_refused() -> None:
    with pytest.raises(InputError, match="y holds one class only"):
        estimator("binary").fit([(np.zeros((3, 2)), ["a", "a", "a"])])


def test_matrices_of_different_lengths_are_refused() -> None:
    with pytest.raises(InputError, match="the numbers of rows differ: X has 3, y has 4"):
        ArraySource(np.zeros((3, 1)), np.zeros(4))


def test_source_without_a_target_is_refused() -> None:
    class Blind(Small):
        def iter_blocks(self, partition: int, rows: int = 10) -> Iterator[Any]:
            return (block._replace(y=None) for block in super().iter_blocks(partition, rows))

    with pytest.raises(InputError, match="the table has no target: name its column"):
        estimator("single").fit(Blind(np.zeros((3, 1)), np.zeros(3)))


def test_chunks_of_no_rows_change_nothing() -> None:
    X, y = table("multiclass")
    none, first, second = (X[:0], y[:0]), (X[:20], y[:20]), (X[20:], y[20:])

    def fit(*chunks: Any) -> Any:
        return estimator("multiclass", engine="numpy").fit(lambda: iter(chunks))

    plain, gappy = fit(first, second), fit(none, first, none, none, second, none)
    assert all(np.array_equal(*pair) for pair in zip(plain.coefs_, gappy.coefs_, strict=True))
