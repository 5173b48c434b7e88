"""Checkpoints: a resumed fit ends with exactly the weights of an uninterrupted one."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from batchprop.errors import CheckpointError, DataError, ParameterError
from batchprop.estimators import fit as fit_module
from batchprop.estimators.checkpoints import CheckpointData, Checkpoints, deserialize, serialize
from tests.estimators.tables import estimator, quiet, table

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = quiet

ROOT = Path(__file__).resolve().parents[2]

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "adam with dropout": ("multiclass", {"dropout": 0.3}),
    "sgd that slows down": ("single", {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.5}),
    "early stopping": ("binary", {"early_stopping": True, "n_iter_no_change": 2, "class_weight": "balanced"}),
    "early stopping by a scorer": ("several", {"early_stopping": True, "scoring": "r2"}),
    "a planned rate": ("counts", {"learning_rate": "one_cycle", "loss": "poisson", "solver": "adamw"}),
    "a rate by rows": ("multilabel", {"solver": "sgd", "learning_rate": "invscaling", "dtype": "float64"}),
    "the full batch": ("multioutput", {"batch_size": "full"}),
    "in order": ("single", {"shuffle": False, "max_grad_norm": 0.1, "on_divergence": "rewind"}),
}


class DiedError(BaseException):
    """An exception that nothing catches, like SIGKILL."""


@pytest.fixture(autouse=True)
def one_batch_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_module, "CHUNK_SECONDS", 0.0)


@contextmanager
def dying_after(n_writes: int) -> Iterator[None]:
    """Make a fit die right after a checkpoint."""
    write, left = Checkpoints.write, [n_writes]

    def and_die(self: Checkpoints, *given: Any) -> Path:
        path = write(self, *given)
        left[0] -= 1
        if left[0] == 0:
            raise DiedError
        return path

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "write", and_die)
        yield


def model_of(case: str, engine: str) -> tuple[Any, tuple[Any, Any]]:
    target, parameters = CASES[case]
    model = estimator(target, **{"batch_size": 32, "max_iter": 6, "engine": engine, **parameters})
    return model, table(target, 150)


def same(one: Any, other: Any) -> None:
    for name in ("coefs_", "intercepts_"):
        for mine, theirs in zip(getattr(one, name), getattr(other, name), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    for name in (
        "loss_curve_", "loss_", "learning_rate_curve_", "validation_loss_curve_", "validation_scores_",
        "best_loss_", "best_validation_score_", "best_iteration_", "n_iter_", "t_",
    ):  # fmt: skip
        assert getattr(one, name) == getattr(other, name), name


# What JAX compiles differs by the solver; the kind of target, and the order of the rows, are not its own.
COMPILED = ("adam with dropout", "sgd that slows down", "early stopping by a scorer", "a planned rate")


@pytest.mark.parametrize(
    ("case", "engine"), [*((case, "numpy") for case in CASES), *((case, "jax") for case in COMPILED)]
)
def test_resumed_fit_gives_the_same_weights(case: str, engine: str, tmp_path: Path) -> None:
    model, (X, y) = model_of(case, engine)
    whole = model.fit(X, y)
    model, _ = model_of(case, engine)
    # In epoch 1, in the middle of an epoch, at its end; and dying again soon after.
    for writes in (2, 5, 1, 3):
        with dying_after(writes), pytest.raises(DiedError):
            model.fit(X, y, checkpoint=Checkpoints(tmp_path, "0s"), resume=True)
        model, _ = model_of(case, engine)
    resumed = model.fit(X, y, checkpoint=Checkpoints(tmp_path, "0s"), resume=True)
    same(resumed, whole)


@pytest.mark.parametrize("random_state", [None, np.random.RandomState(5)])
def test_fit_without_a_seed_resumes_with_the_same_random_numbers(random_state: Any, tmp_path: Path) -> None:
    X, y = table("binary", 150)
    seen: list[list[Any]] = []
    for resume in (False, True):
        model = estimator("binary", random_state=random_state, max_iter=4, dropout=0.2, batch_size=32)
        checkpoint = Checkpoints(tmp_path, every=2)
        if not resume:
            with dying_after(1), pytest.raises(DiedError):
                model.fit(X, y, checkpoint=checkpoint)
            (saved,) = checkpoint.files()
            (tmp_path / "copy").mkdir()
            (tmp_path / "copy" / saved.name).write_bytes(saved.read_bytes())
        for folder in (tmp_path, tmp_path / "copy"):
            again = estimator("binary", random_state=None, max_iter=4, dropout=0.2, batch_size=32)
            seen.append(again.fit(X, y, checkpoint=folder, resume=True).coefs_)
    for coefs in seen[1:]:
        assert all(np.array_equal(one, other) for one, other in zip(coefs, seen[0], strict=True))


def test_interrupted_fit_is_saved_and_resumes(tmp_path: Path) -> None:
    X, y = table("multiclass", 150)
    whole = estimator("multiclass", max_iter=5, batch_size=32).fit(X, y)

    def interrupt(epoch: Any) -> None:
        if epoch.number == 3:
            raise KeyboardInterrupt

    model = estimator("multiclass", max_iter=5, batch_size=32, callbacks=[interrupt])
    with pytest.warns(UserWarning, match="Ctrl-C ended training after 3 epochs"):
        model.fit(X, y, checkpoint=tmp_path)
    assert model.interrupted_
    model.set_params(callbacks=None).fit(X, y, checkpoint=tmp_path, resume=True)
    assert not model.interrupted_
    same(model, whole)


def test_finished_fit_is_not_trained_further(tmp_path: Path) -> None:
    X, y = table("binary", 150)
    model = estimator("binary", max_iter=50, tol=10.0, n_iter_no_change=2, batch_size=32)
    ended = model.fit(X, y, checkpoint=tmp_path).coefs_
    with pytest.warns(UserWarning, match=r"this fit ended after \d+ epochs: start over in another folder"):
        again = model.fit(X, y, checkpoint=tmp_path, resume=True).coefs_
    assert model.n_iter_ < 50
    assert all(np.array_equal(one, other) for one, other in zip(ended, again, strict=True))


def test_larger_max_iter_resumes_from_the_end(tmp_path: Path) -> None:
    X, y = table("single", 150)
    whole = estimator("single", max_iter=6, batch_size=32).fit(X, y)
    estimator("single", max_iter=3, batch_size=32).fit(X, y, checkpoint=tmp_path)
    same(estimator("single", max_iter=6, batch_size=32).fit(X, y, checkpoint=tmp_path, resume=True), whole)


def test_resume_without_a_checkpoint_starts_from_scratch(tmp_path: Path) -> None:
    X, y = table("single", 60)
    begun = estimator("single").fit(X, y, checkpoint=tmp_path / "new" / "deep", resume=True)
    same(begun, estimator("single").fit(X, y))


def test_last_two_checkpoints_are_kept(tmp_path: Path) -> None:
    X, y = table("single", 60)
    estimator("single", max_iter=7).fit(X, y, checkpoint=Checkpoints(tmp_path, every=2))
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "checkpoint-000003.safetensors",
        "checkpoint-000004.safetensors",
    ]
    estimator("single", max_iter=7).fit(X, y, checkpoint=Checkpoints(tmp_path / "rare", every="2h"))
    assert len(list((tmp_path / "rare").iterdir())) == 1  # where it ended


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "text", "missing array"])
def test_damaged_checkpoint_is_reported_and_the_previous_one_used(damage: str, tmp_path: Path) -> None:
    X, y = table("multiclass", 150)
    whole = estimator("multiclass", max_iter=6, batch_size=32).fit(X, y)
    estimator("multiclass", max_iter=4, batch_size=32).fit(X, y, checkpoint=Checkpoints(tmp_path, 1))
    newest = Checkpoints(tmp_path).files()[-1]
    content = newest.read_bytes()
    saved = deserialize(newest)
    lacking = CheckpointData({name: saved.arrays[name] for name in list(saved.arrays)[1:]}, saved.metadata)
    newest.write_bytes(
        {
            "cut": content[: len(content) // 2],
            "empty": b"",
            "flipped": content[:-100] + bytes([content[-100] ^ 1]) + content[-99:],
            "text": b"not a checkpoint",
            "missing array": serialize(lacking)[:-1],
        }[damage]
    )
    with pytest.warns(UserWarning, match=r"checkpoint-000004\.safetensors is damaged .*000003.* is used"):
        resumed = estimator("multiclass", max_iter=6, batch_size=32).fit(
            X, y, checkpoint=tmp_path, resume=True
        )
    same(resumed, whole)


def test_every_flipped_bit_is_detected(tmp_path: Path) -> None:
    content = serialize(CheckpointData({"a": np.arange(6.0), "b": np.array(3)}, {"text": "ü"}))
    file = tmp_path / "one"
    file.write_bytes(content)
    before = deserialize(file)
    for place in range(len(content)):
        file.write_bytes(content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :])
        try:
            result = deserialize(file)
        except CheckpointError:
            continue
        # Only the header's padding remains.
        assert result.metadata == before.metadata
        assert all(np.array_equal(result.arrays[name], array) for name, array in before.arrays.items())


def test_only_damaged_checkpoints_is_an_error(tmp_path: Path) -> None:
    X, y = table("single", 60)
    estimator("single").fit(X, y, checkpoint=Checkpoints(tmp_path, 1))
    for path in Checkpoints(tmp_path).files():
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"is damaged .* and there is no other .* start over"):
        estimator("single").fit(X, y, checkpoint=tmp_path, resume=True)


def test_a_checkpoint_of_an_older_format_is_refused(tmp_path: Path) -> None:
    X, y = table("single", 60)
    estimator("single").fit(X, y, checkpoint=Checkpoints(tmp_path, 1))
    for path in Checkpoints(tmp_path).files():
        data = deserialize(path)
        path.write_bytes(serialize(CheckpointData(data.arrays, {**data.metadata, "format": 1})))
    with pytest.raises(CheckpointError, match=r"has the format 1, .* reads 2: resume with the version that"):
        estimator("single").fit(X, y, checkpoint=tmp_path, resume=True)


def test_callbacks_get_the_state_after_each_epoch(tmp_path: Path) -> None:
    X, y = table("multiclass", 150)
    states: list[Any] = []
    model = estimator("multiclass", max_iter=3, callbacks=[lambda epoch: states.append(epoch.fit_state)])
    model.fit(X, y)
    assert [state.progress.epochs for state in states] == [1, 2, 3]
    assert [list(state.history.loss_curve) for state in states] == [model.loss_curve_[:n] for n in (1, 2, 3)]
    np.testing.assert_allclose(states[-1].progress.state.layers[0].W.T, model.coefs_[0], rtol=1e-6)
    with pytest.raises(AttributeError):
        states[-1].rewinds = 1


def test_full_disk_keeps_the_old_checkpoint(tmp_path: Path) -> None:
    X, y = table("multiclass", 150)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(epoch: Any) -> None:
        if epoch.number == 3:
            resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, hard))

    model = estimator("multiclass", max_iter=6, batch_size=32, callbacks=[fill])
    try:
        with pytest.raises(
            CheckpointError, match=r"could not be written: File too large; .*000002.* is whole"
        ):
            model.fit(X, y, checkpoint=Checkpoints(tmp_path, 1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name[-13:] for path in sorted(tmp_path.iterdir())] == ["1.safetensors", "2.safetensors"]
    resumed = model.set_params(callbacks=None).fit(X, y, checkpoint=tmp_path, resume=True)
    same(resumed, estimator("multiclass", max_iter=6, batch_size=32).fit(X, y))


def test_killed_fit_ends_with_the_same_weights(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tests.estimators.kills", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["kills"] == 5
    assert told["whole"] == told["resumed"]


# ---- errors


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"hidden_layer_sizes": (7,)}, r"network was \[5, 8, 3\] in float64, and now is \[5, 7, 3\]"),
        ({"alpha": 0.5}, "alpha was 0.0001, and now is 0.5"),
        ({"solver": "sgd"}, "solver was adam, and now is sgd"),
        ({"engine": "jax"}, "engine was numpy, and now is jax"),
    ],
)
def test_resume_with_other_settings_is_refused(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    X, y = table("multiclass")
    first = estimator("multiclass", hidden_layer_sizes=(8,), engine="numpy").fit(X, y, checkpoint=tmp_path)
    with pytest.raises(CheckpointError, match=f"{message}.*; set it as it was, or start over"):
        first.set_params(**changed).fit(X, y, checkpoint=tmp_path, resume=True)


def test_resume_with_other_rows_is_refused(tmp_path: Path) -> None:
    X, y = table("multiclass")
    estimator("multiclass").fit(X, y, checkpoint=tmp_path)
    with pytest.raises(CheckpointError, match="rows was 120, and now is 119"):
        estimator("multiclass").fit(X[:-1], y[:-1], checkpoint=tmp_path, resume=True)
    with pytest.raises(CheckpointError, match="data was"):
        estimator("multiclass").fit(X + 1, y, checkpoint=tmp_path, resume=True)


def test_resume_with_other_sample_weights_or_validation_rows_is_refused(tmp_path: Path) -> None:
    X, y = table("multiclass")
    estimator("multiclass").fit(X, y, np.ones(len(y)), X_val=X[:9], y_val=y[:9], checkpoint=tmp_path)
    for weights, n in ((None, 9), (np.arange(len(y)), 9), (np.ones(len(y)), 8)):
        with pytest.raises(CheckpointError, match=r"data was|validation was"):
            estimator("multiclass").fit(
                X, y, weights, X_val=X[:n], y_val=y[:n], checkpoint=tmp_path, resume=True
            )


def test_second_fit_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    X, y = table("single", 60)

    def another(_: Any) -> None:
        with pytest.raises(DataError, match=r"is being written by this process itself .* `checkpoint`"):
            estimator("single").fit(X, y, checkpoint=tmp_path / "kept")

    estimator("single", callbacks=[another], max_iter=1).fit(X, y, checkpoint=tmp_path / "kept")


def test_existing_checkpoints_are_not_overwritten(tmp_path: Path) -> None:
    X, y = table("single", 60)
    estimator("single").fit(X, y, checkpoint=tmp_path)
    with pytest.raises(
        CheckpointError, match=r"holds checkpoints of an earlier fit: .* resume=True, or name"
    ):
        estimator("single").fit(X, y, checkpoint=tmp_path)


@pytest.mark.parametrize(
    ("parameters", "given", "message"),
    [
        ({"solver": "lbfgs"}, {}, r"checkpoint does not go with solver='lbfgs'"),
        ({"batch_size": "noise"}, {}, r"checkpoint does not go with batch_size='noise'"),
        ({}, {"monitor": ("noise_scale",)}, "checkpoint does not go with monitor"),
        ({}, {"record_examples": True}, "checkpoint does not go with record_examples=True"),
        ({"on_divergence": "rewind", "solver": "lbfgs"}, {"checkpoint": None}, "on_divergence='rewind' does"),
        (
            {"on_divergence": "maybe"},
            {},
            "on_divergence='maybe' is not allowed: give one of 'error', 'rewind'",
        ),
        ({}, {"checkpoint": 3}, "checkpoint=3 is not allowed: give a folder, or batchprop.Checkpoints"),
        ({}, {"checkpoint": None, "resume": True}, "resume=True needs checkpoint=FOLDER"),
        ({}, {"resume": "yes"}, "resume='yes' is not allowed: give True or False"),
    ],
)
def test_fit_that_cannot_be_checkpointed_is_refused(
    parameters: dict[str, Any], given: dict[str, Any], message: str, tmp_path: Path
) -> None:
    X, y = table("single", 60)
    with pytest.raises(ParameterError, match=message):
        estimator("single", **parameters).fit(X, y, **{"checkpoint": tmp_path / "none", **given})
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("every", [0, -1, True, 2.5, "5", "min", "5 days", None])
def test_invalid_checkpoint_interval_is_refused(every: Any) -> None:
    with pytest.raises(ParameterError, match=r"every=.* is not allowed: give a time, as '5min'"):
        Checkpoints("folder", every)


def test_unwritable_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    X, y = table("single", 60)
    with pytest.raises(CheckpointError, match=r"could not be written: Not a directory|File exists"):
        estimator("single").fit(X, y, checkpoint=tmp_path / "file")
