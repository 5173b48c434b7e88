"""Malicious checkpoint files: resuming gives a one-line error and runs no code."""

from __future__ import annotations

import copy
import json
import pickle
import struct

import numpy as np
import pytest
from safetensors.numpy import save

import batchprop as bp
from batchprop.errors import BatchpropError, CheckpointError
from batchprop.estimators.checkpoints import CheckpointData, Checkpoints, deserialize, serialize, sha256
from tests.estimators.tables import estimator, quiet, table
from tests.hostile.crafted_files import cut, flip_bits, run_bounded

pytestmark = quiet

RAN: list[str] = []


class Bomb:
    def __reduce__(self):
        return RAN.append, ("it ran",)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of a checkpoint, and its data."""
    folder = tmp_path_factory.mktemp("whole")
    X, y = table("multiclass")
    estimator("multiclass", dropout=0.2, max_iter=3, engine="numpy").fit(X, y, checkpoint=folder)
    (path,) = Checkpoints(folder).files()
    return path.read_bytes(), deserialize(path)


def resume_from(folder, content):
    """Resume a fit from a folder with one checkpoint of these bytes."""
    (folder / "checkpoint-000001.safetensors").write_bytes(content)
    X, y = table("multiclass")
    model = estimator("multiclass", dropout=0.2, max_iter=5, engine="numpy")
    return model.fit(X, y, checkpoint=folder, resume=True)


HEADER = {
    "huge": {"a": {"dtype": "F64", "shape": [2**60], "data_offsets": [0, 2**63 - 1]}},
    "overflowing": {"a": {"dtype": "F64", "shape": [2**32, 2**32], "data_offsets": [0, 0]}},
    "negative": {"a": {"dtype": "F64", "shape": [-1], "data_offsets": [0, 8]}},
    "of no type": {"a": {"dtype": "pickle", "shape": [1], "data_offsets": [0, 8]}},
    "overlapping": {name: {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]} for name in "ab"},
    "a list": [],
}


def pack_header(header, data=b"\0" * 8):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_unmodified_checkpoint_is_resumed(whole, tmp_path):
    assert resume_from(tmp_path, whole[0]).n_iter_ == 5


@pytest.mark.parametrize("header", HEADER)
def test_inconsistent_headers_are_refused(header, tmp_path):
    with pytest.raises(CheckpointError, match="is damaged"):
        resume_from(tmp_path, pack_header(HEADER[header]))


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\0", pickle.dumps(Bomb()), struct.pack("<Q", 2**63) + b"{", b"PK\x03\x04" + b"\0" * 100,
        b"[" * 10**6,
    ],
    ids=["empty", "a zero", "a pickle", "a header without end", "an archive", "brackets"],
)  # fmt: skip
def test_other_files_are_refused(content, tmp_path):
    with pytest.raises(CheckpointError, match="is damaged"):
        resume_from(tmp_path, content)
    assert not RAN


def test_truncated_and_bit_flipped_files_are_refused(whole, tmp_path):
    content, saved = whole
    for damaged in (*cut(content, 20), *flip_bits(content, 60)):
        file = tmp_path / "one"
        file.write_bytes(damaged)
        try:
            result = deserialize(file)
        except CheckpointError:
            continue
        assert result.metadata == saved.metadata
        assert all(np.array_equal(result.arrays[name], array) for name, array in saved.arrays.items())


def change_metadata(saved, *path_and_value):
    """The bytes of a checkpoint with one metadata value altered, and a valid checksum."""
    *path, value = path_and_value
    facts = copy.deepcopy(dict(saved.metadata))
    inner = facts
    for name in path[:-1]:
        inner = inner[name]
    if value is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return serialize(CheckpointData(saved.arrays, facts))


NOW = ("states", "now")
FACTS = [
    ("format", 1), ("rng", ...), ("rng", "MT19937"), ("rng", "state", {}),
    ("rng", "state", "pos", 10**6), ("rng", "bit_generator", "os.system"), ("rows_seen", -1),
    ("rows_seen", "7"),
    ("fingerprint", ...), ("fingerprint", 7), ("states", []), ("states", {}),
    (*NOW, "progress", "state", "steps", -1), (*NOW, "progress", "state", "steps", 1e9),
    (*NOW, "progress", "state", 7), (*NOW, "progress", ...),
    (*NOW, "progress", "epochs", True), (*NOW, "progress", "seconds", "long"),
    (*NOW, "history", ...), (*NOW, "history", {}),
    (*NOW, "history", "loss_curve", ["a"]), (*NOW, "history", "loss_curve", 7),
    (*NOW, "epochs", [[1, 2, 3]]), (*NOW, "epochs", {"a": 1}), (*NOW, "rows_seen", None),
    (*NOW, "best_score", ...), (*NOW, "best_score", None), (*NOW, "plateau_rate", 0.1),
    (*NOW, "best_layers", 3), (*NOW, "n_no_improve", -1), (*NOW, "best_iteration", 0.5),
    (*NOW, "best_score", "good"), (*NOW, "rewinds", 0.5), (*NOW, "ended", 1),
    (*NOW, "history", "loss_curve", [0.5]), (*NOW, "epochs", [[20, 0.1]]), (*NOW, "progress", "epochs", 2),
    (*NOW, "rows_seen", 7), (*NOW, "best_iteration", 99), ("fingerprint", "momentum", "\n"),
    (*NOW, "rng_state", 7), (*NOW, "rng_state", {"bit_generator": "PCG64"}),
    (*NOW, "rng_state", {"bit_generator": "MT19937", "state": {}}),
]  # fmt: skip


@pytest.mark.parametrize("change", FACTS, ids=lambda change: ".".join(map(str, change))[:60])
def test_invalid_metadata_is_refused(change, whole, tmp_path):
    with pytest.raises(BatchpropError) as refused:
        resume_from(tmp_path, change_metadata(whole[1], *change))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "name",
    [
        "states.now.progress.state.layers.0.W",
        "states.now.progress.state.optimizer.mu.0.W",
        "states.now.progress.losses",
        "rng.state.key",
        "states.now.progress.sizes",
    ],
)
@pytest.mark.parametrize("array", [None, np.zeros((2, 2, 2)), np.array(["text"]).view(np.uint8), np.zeros(3)])
def test_arrays_of_the_wrong_shape_are_refused(name, array, whole, tmp_path):
    arrays = dict(whole[1].arrays)
    if array is None:
        del arrays[name]
    else:
        arrays[name] = array
    with pytest.raises(CheckpointError, match=r"of another fit|none that a fit has written"):
        resume_from(tmp_path, serialize(CheckpointData(arrays, whole[1].metadata)))


def test_too_deeply_nested_metadata_is_refused(whole, tmp_path):
    text = "[" * 100_000
    path = tmp_path / "one"
    path.write_bytes(save({}, {"batchprop": text, "sha256": sha256({}, text)}))
    with pytest.raises(CheckpointError, match="is no checkpoint"):
        deserialize(path)


def test_header_with_a_huge_declared_size_takes_little_memory(origin, tmp_path):
    (tmp_path / "one").write_bytes(pack_header(HEADER["huge"]))
    ended = run_bounded(
        origin,
        "from batchprop.estimators.checkpoints import deserialize\nfrom pathlib import Path",
        "deserialize(Path(sys.argv[1]))",
        tmp_path / "one",
        cwd=tmp_path,
    )
    assert "CheckpointError" in ended.stderr.splitlines()[-1]


def test_files_that_are_not_checkpoints_are_ignored(tmp_path):
    for name in ("checkpoint-1.safetensors", "checkpoint-000001.pickle", "notes.txt"):
        (tmp_path / name).write_bytes(pickle.dumps(Bomb()))
    X, y = table("single", 60)
    estimator("single").fit(X, y, checkpoint=bp.Checkpoints(tmp_path, 1), resume=True)
    assert len(list(tmp_path.iterdir())) == 5
    assert not RAN


@pytest.mark.parametrize("dtype", ["f2", "f4", "i1", "i8", "u4", "?"])
@pytest.mark.parametrize("name", ["layers.0.W", "optimizer", "losses", "sizes", "best_layers.1.b"])
def test_arrays_of_another_type_are_refused(name, dtype, whole, tmp_path):
    arrays = dict(whole[1].arrays)
    key = next(key for key in arrays if name in key)
    if arrays[key].dtype == dtype:
        pytest.skip("the type of this fit")
    arrays[key] = arrays[key].astype(dtype)
    with pytest.raises(CheckpointError, match=r"of another fit|none that a fit has written"):
        resume_from(tmp_path, serialize(CheckpointData(arrays, whole[1].metadata)))


@pytest.mark.parametrize("rewinds", [4, 10**30, 10**400], ids=["4", "30", "400"])
def test_more_rewinds_than_a_fit_makes_are_refused(rewinds, whole, tmp_path):
    metadata = copy.deepcopy(dict(whole[1].metadata))
    metadata["states"]["now"]["rewinds"] = rewinds
    with pytest.raises(CheckpointError, match="none that a fit has written"):
        resume_from(tmp_path, serialize(CheckpointData(whole[1].arrays, metadata)))
