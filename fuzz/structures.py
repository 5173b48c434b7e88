"""`python -m fuzz.structures KIND SECONDS [FIRST]`: alter values, types, shapes and names inside valid files.

A checkpoint, a model, the checkpoints of a training or the trials of a search are taken apart, one to three
places of the structure are altered, and it is written again with valid checksums, so that nothing but the
checks of its content stands between the change and the fit or the prediction. The outcome is a BatchpropError
of one line, or finite answers for all rows.
Each case has a number, and is the same in every run.
"""

from __future__ import annotations

import copy
import io
import json
import random
import shutil
import sys
import tempfile
import traceback
import warnings
import zipfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors import SafetensorError

import batchprop as bp
from batchprop.errors import BatchpropError
from batchprop.estimators.checkpoints import CheckpointData, Checkpoints, deserialize, serialize
from batchprop.tabular import load_model, train_table, tune
from batchprop.tabular.observer import Observer
from fuzz.seeds import make_table

ODD: list[Any] = [
    None, True, False, 0, -1, 1, 2, 3, 7, 255, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63), 10**30, 10**400, 0.5,
    -0.0, 1e-320, 1e308, float("nan"), float("inf"), -float("inf"), "", "0", "x", "y", "nan", "1e999", "now",
    "\0", "\n", "\u202e", "\ud800", "a" * 5000, "float64", "float32", "object", "O", "M8[ns]", "int8", "relu",
    "identity", "numpy", "builtins", "os", "system", "list", "dict", "ndarray", [], {}, [[]], [None], [0],
    {"": 0}, [1, "a", None], {"__class__": "int"}, [0.0] * 3000,
]  # fmt: skip
"""Values that readers forget."""

TABULAR = "batchprop.tabular"

DTYPES = (
    "f2", "f4", "f8", ">f8", "i1", "i4", "i8", ">i4", "u1", "u8", "?", "c16", "S3", "U2", "M8[ns]", "m8[D]",
    "V8",
)  # fmt: skip
NUMBERS = (np.nan, np.inf, -np.inf, 0, -1, 1, 1e-320, 1e300, 3e38, 2**31, -(2**63), 2**53)

Parts = dict[str, Any]
"""The parts of a file by name: arrays, and plain data from JSON."""


class Place(NamedTuple):
    """A value in a tree of lists and dicts: what holds it, and under which key."""

    holder: Any
    key: Any

    @property
    def value(self) -> Any:
        """The value there."""
        return self.holder[self.key]


def places(tree: Any) -> list[Place]:
    """Return all places in a tree."""
    found, waiting = list[Place](), [tree]
    while waiting:
        holder = waiting.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        found += [Place(holder, key) for key in keys]
        waiting += [holder[key] for key in keys if isinstance(holder[key], dict | list)]
    return found


def alter_tree(tree: Any, rng: random.Random) -> None:
    """Alter one place of a tree."""
    if everywhere := places(tree):
        place = rng.choice(everywhere)
        rng.choice(TREE_CHANGES)(place, everywhere, rng)


def _replace(place: Place, everywhere: list[Place], rng: random.Random) -> None:  # noqa: ARG001 all alterations take these
    place.holder[place.key] = copy.deepcopy(rng.choice(ODD))


def _vary(place: Place, everywhere: list[Place], rng: random.Random) -> None:
    value = place.value
    if isinstance(value, bool):
        changed: Any = not value
    elif isinstance(value, int | float):
        changed = rng.choice([value + 1, value - 1, -value, value * 1000, float(value), str(value), [value]])
    elif isinstance(value, str):
        changed = rng.choice([value[:-1], value + "x", value.upper(), value[::-1], value * 2, [value]])
    elif isinstance(value, list):
        changed = rng.choice([value[:-1], value[1:], value + value[:1], value * 2, value[::-1], [value]])
    elif isinstance(value, dict):
        changed = rng.choice([list(value.values()), list(value), [value], dict(list(value.items())[1:])])
    else:
        return _replace(place, everywhere, rng)
    place.holder[place.key] = changed
    return None


def _splice(place: Place, everywhere: list[Place], rng: random.Random) -> None:
    place.holder[place.key] = copy.deepcopy(rng.choice(everywhere).value)


def _swap(place: Place, everywhere: list[Place], rng: random.Random) -> None:
    other = rng.choice(everywhere)
    mine, theirs = copy.deepcopy(place.value), copy.deepcopy(other.value)
    place.holder[place.key], other.holder[other.key] = theirs, mine


def _remove(place: Place, everywhere: list[Place], rng: random.Random) -> None:  # noqa: ARG001 all alterations take these
    del place.holder[place.key]


def _add(place: Place, everywhere: list[Place], rng: random.Random) -> None:
    value = copy.deepcopy(rng.choice([rng.choice(ODD), rng.choice(everywhere).value]))
    if isinstance(place.holder, dict):
        keys = [other.key for other in everywhere if isinstance(other.key, str)]
        place.holder[rng.choice([rng.choice(keys), "", "x", "__class__"])] = value
    else:
        place.holder.insert(place.key, value)


def _nest(place: Place, everywhere: list[Place], rng: random.Random) -> None:  # noqa: ARG001 all alterations take these
    value = place.value
    for _ in range(rng.choice([1, 2, 60])):
        value = [value] if rng.random() < 0.5 else {"content": value}
    place.holder[place.key] = value


TREE_CHANGES: tuple[Callable[[Place, list[Place], random.Random], None], ...] = (
    _replace, _replace, _vary, _vary, _vary, _splice, _swap, _remove, _add, _nest,
)  # fmt: skip


def alter_array(array: NDArray[Any], rng: random.Random) -> NDArray[Any]:
    """Return an array with other values, of another type or of another shape."""
    with np.errstate(all="ignore"):
        return rng.choice(ARRAY_CHANGES)(array.copy(), rng)


def _retype(array: NDArray[Any], rng: random.Random) -> NDArray[Any]:
    dtype = rng.choice(DTYPES)
    return array.astype(dtype) if dtype[0] not in "VMm" else array.astype("i8").astype(dtype)


def _set_one(array: NDArray[Any], rng: random.Random) -> NDArray[Any]:
    if array.size:
        array.reshape(-1)[rng.randrange(array.size)] = np.asarray(rng.choice(NUMBERS)).astype(array.dtype)
    return array


def _set_all(array: NDArray[Any], rng: random.Random) -> NDArray[Any]:
    return np.full_like(array, np.asarray(rng.choice(NUMBERS)).astype(array.dtype))


def _reshape(array: NDArray[Any], rng: random.Random) -> NDArray[Any]:
    shapes = [(-1,), (*array.shape, 1), (1, *array.shape), array.shape[::-1]]
    reshaped: NDArray[Any] = array.reshape(rng.choice(shapes))
    return np.asfortranarray(reshaped) if rng.random() < 0.5 else np.ascontiguousarray(reshaped)


def _resize(array: NDArray[Any], rng: random.Random) -> NDArray[Any]:
    array = np.atleast_1d(array)
    return rng.choice(
        [array[:0], array[..., :-1], array[1:], np.concatenate([array, array]), array[..., None]]
    )


def _scale(array: NDArray[Any], rng: random.Random) -> NDArray[Any]:
    if array.dtype.kind not in "fiu":
        return array
    return (array.astype(float) * rng.choice([-1, 1000, 1e30, 1e-30])).astype(array.dtype)


def _reorder(array: NDArray[Any], rng: random.Random) -> NDArray[Any]:
    order = rng.choice([np.arange(array.size)[::-1], np.zeros(array.size, int)])
    reordered: NDArray[Any] = array.reshape(-1)[order].reshape(array.shape)
    return reordered


ARRAY_CHANGES = (_retype, _set_one, _set_all, _reshape, _resize, _scale, _reorder)


def alter(parts: Parts, rng: random.Random) -> Parts:
    """Alter one to three places of the parts."""
    parts = dict(parts)
    arrays = [name for name, part in parts.items() if isinstance(part, np.ndarray)]
    trees = [name for name in parts if name not in arrays]
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        chance = rng.random()
        if chance < 0.65 or not arrays:
            tree = rng.choice(trees)
            # In a list, so that the whole tree is a place, too; a model's file keeps its kind. By JSON it is
            # copied ten times as fast as by copy.deepcopy.
            holder = [json.loads(json.dumps(parts[tree]))]
            alter_tree(holder, rng)
            parts[tree] = holder[0] if holder else None
            continue
        name, other = rng.choice(arrays), rng.choice(arrays)
        if chance < 0.9:
            parts[name] = alter_array(parts[name], rng)
        elif chance < 0.94:
            parts[name], parts[other] = parts[other], parts[name]
        elif chance < 0.97:
            parts[rng.choice([f"{name}x", "x", name.rpartition(".")[0] or "y"])] = parts[name]
        else:
            del parts[name]
            arrays.remove(name)
        if not arrays:
            return parts
    return parts


class CheckpointFiles:
    """A fit that resumes from altered checkpoints."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkpoints"
        rng = np.random.default_rng(0)
        self.X, self.y = rng.normal(size=(24, 2)), np.arange(24) % 3
        self._fit(3)
        (self.path,) = Checkpoints(self.folder).files()
        saved = deserialize(self.path)
        self.originals: list[Parts] = [{**saved.arrays, "metadata": dict(saved.metadata)}]

    def _fit(self, epochs: int, **more: Any) -> bp.MLPClassifier:
        network = bp.MLPClassifier(
            (2,), max_iter=epochs, engine="numpy", random_state=0, dropout=0.1, early_stopping=True
        )
        return network.fit(self.X, self.y, checkpoint=Checkpoints(self.folder, "9h"), **more)

    def write(self, parts: Parts) -> None:
        """Write a checkpoint."""
        arrays = {name: part for name, part in parts.items() if isinstance(part, np.ndarray)}
        metadata = parts["metadata"]
        for path in Checkpoints(self.folder).files():
            path.unlink()
        if not isinstance(metadata, dict):
            metadata = {"metadata": metadata}
        self.path.write_bytes(serialize(CheckpointData(arrays, metadata)))

    def check(self) -> None:
        """Resume, and check the network."""
        network = self._fit(4, resume=True)
        if not all(np.isfinite(part).all() for part in (*network.coefs_, *network.intercepts_)):
            raise AssertionError("weights that are not finite")
        if not np.isfinite(network.predict_proba(self.X)).all():
            raise AssertionError("probabilities that are not finite")
        if not (isinstance(network.n_iter_, int) and len(network.loss_curve_) == network.n_iter_ <= 4):
            raise AssertionError(f"{network.n_iter_} epochs, and losses of {len(network.loss_curve_)}")


class ModelFiles:
    """Predictions of altered models, of one network and of several, for classes and for numbers."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.frame = folder / "model", make_table(12).assign(word="w1", route=range(12))
        table = make_table()
        words = pd.DataFrame({"word": [f"w{i % 12}" for i in range(24)], "y": table["y"]})
        classes, numbers = np.arange(24) % 3, np.sqrt(np.arange(24.0))
        routes = pd.DataFrame({"route": np.arange(160) % 40})
        routes["y"] = routes["route"] % 2 * 0.5  # neighbours differ: codes
        # As in a table of many rows.
        with (
            patch(f"{TABULAR}.transformers.MAX_CATEGORIES", 4),
            patch(f"{TABULAR}.piecewise.ROWS_PER_BIN", 4),
        ):
            of_many = [
                self._train(words, 1),
                self._train(words.assign(y=numbers), 2),
                self._train(table[["size"]].assign(y=numbers), 1),
                self._train(routes, 1),
            ]
        # Most cases alter a model of one column and one network, which is read and checked in half the time.
        self.originals = [
            *[self._train(table[[name, "y"]], 1) for name in table.columns.drop("y")] * 2,
            *of_many,
            self._train(table[["garden"]].assign(y=classes), 2),
            self._train(table, 2),
        ]
        # Most parts of a case are as they were.
        self.packed = {id(part): _pack(part) for parts in self.originals for part in parts.values()}

    def _train(self, table: pd.DataFrame, members: int) -> Parts:
        """Return the parts of a model of a table."""
        model = train_table(
            table, target="y", hidden=2, epochs=1, bins=4, members=members, engine="numpy", seed=0
        )
        model.save(self.folder, force=True)
        with zipfile.ZipFile(self.folder / "model.skops") as archive:
            read = {name: archive.read(name) for name in archive.namelist()}
        parts: Parts = {"settings.json": json.loads((self.folder / "settings.json").read_text())}
        for name, content in read.items():
            parts[name] = np.load(io.BytesIO(content)) if name.endswith(".npy") else json.loads(content)
        return parts

    def write(self, parts: Parts) -> None:
        """Write the settings and the model."""
        with zipfile.ZipFile(self.folder / "model.skops", "w") as archive:
            for name, part in parts.items():
                content = self.packed.get(id(part)) or _pack(part)
                if name == "settings.json":
                    (self.folder / name).write_bytes(content)
                else:
                    archive.writestr(name, content)

    def check(self) -> None:
        """Predict, read the scores, and check them."""
        model, told = load_model(self.folder), None
        try:
            _ = model.evaluation, model.history
        except BatchpropError as error:
            told = _check_line(error)
        answers = model.predict(self.frame, proba=hasattr(model.pipeline[-1], "classes_"))
        if told is not None:
            raise AssertionError(told)
        _check_answers(answers, len(self.frame))


def _pack(part: Any) -> bytes:
    """Return a part as the bytes in a model's file."""
    if not isinstance(part, np.ndarray):
        return json.dumps(part).encode()
    buffer = io.BytesIO()
    np.save(buffer, part, allow_pickle=False)
    return buffer.getvalue()


def _check_answers(answers: Any, n: int) -> None:
    """Refuse answers for other rows, missing ones, and numbers that are not finite or no probabilities."""
    if not isinstance(answers, pd.DataFrame) or len(answers) != n:
        raise AssertionError("answers for other rows")
    if answers.isna().to_numpy().any():
        raise AssertionError("answers that are missing")
    chances = answers.iloc[:, 1:].to_numpy(dtype=float)
    if not (np.isfinite(chances).all() and (chances >= 0).all() and (chances <= 1).all()):
        raise AssertionError("probabilities outside of 0 to 1")
    numbers = answers.iloc[:, 0]
    if numbers.dtype.kind == "f" and not np.isfinite(numbers).all():
        raise AssertionError("answers that are not finite")


class TrainingFiles:
    """A training of two networks that resumes from altered checkpoints, and from what is kept beside them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.frame = folder / "kept", make_table()[["size", "y"]]
        with suppress(KeyboardInterrupt):
            self._train(observer=_Interrupting(3))
        self.paths = sorted(self.folder.glob("member-*/*"))
        parts: Parts = {"resume.json": json.loads((self.folder / "resume.json").read_text())}
        for i, path in enumerate(self.paths):
            saved = deserialize(path)
            parts |= {f"{i}.{name}": part for name, part in saved.arrays.items()}
            parts[f"{i}."] = dict(saved.metadata)
        self.originals = [parts]

    def _train(self, **more: Any) -> Any:
        options: dict[str, Any] = {"hidden": 2, "epochs": 2, "members": 2, "bins": 2, "engine": "numpy"}
        return train_table(
            self.frame, target="y", seed=0, checkpoints=self.folder, checkpoint_every=1, **options, **more
        )

    def write(self, parts: Parts) -> None:
        """Write the checkpoints of both networks, and what is beside them."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for i, path in enumerate(self.paths):
            path.parent.mkdir(parents=True, exist_ok=True)
            own = {name[len(f"{i}.") :]: part for name, part in parts.items() if name.startswith(f"{i}.")}
            arrays = {name: part for name, part in own.items() if isinstance(part, np.ndarray)}
            metadata = own.get("", {})
            if not isinstance(metadata, dict):
                metadata = {"metadata": metadata}
            path.write_bytes(serialize(CheckpointData(arrays, metadata)))
        (self.folder / "resume.json").write_text(json.dumps(parts["resume.json"]))

    def check(self) -> None:
        """Resume, predict, and check the answers."""
        model = self._train(resume=True)
        _check_answers(model.predict(self.frame, proba=True), len(self.frame))
        epochs = [(epoch.member, epoch.epoch) for epoch in model.history]
        # One that diverged, or is said to have, is not among them.
        if [each for each in [(1, 1), (1, 2), (2, 1), (2, 2)] if each in epochs] != epochs:
            raise AssertionError(f"epochs {epochs}")
        _ = model.evaluation


class _Interrupting(Observer):
    """Ends a training after so many epochs."""

    def __init__(self, epochs: int) -> None:
        self.left = epochs

    def on_epoch(self, history: Any) -> None:  # noqa: ARG002 the callback's signature
        """Count down."""
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


class TrialFiles:
    """A search that goes on from altered trials."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.frame = folder / "trials", make_table()[["size", "y"]]
        self._tune(2)
        parts: Parts = {}
        for path in sorted(self.folder.iterdir()):
            if path.suffix == ".json":
                parts[path.name] = json.loads(path.read_text())
                continue
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    content, key = archive.read(name), f"{path.name}/{name}"
                    parts[key] = (
                        np.load(io.BytesIO(content)) if name.endswith(".npy") else json.loads(content)
                    )
        self.originals = [parts]
        self.packed = {id(part): _pack(part) for part in parts.values()}

    def _tune(self, n_trials: int) -> Any:
        options: dict[str, Any] = {"preset": "fast", "members": 2, "epochs": 2, "engine": "numpy", "seed": 0}
        return tune(self.frame, target="y", n_trials=n_trials, folder=self.folder, **options)

    def write(self, parts: Parts) -> None:
        """Write the records and the networks of the trials."""
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        archives = dict[str, zipfile.ZipFile]()
        with ExitStack() as stack:
            for key, part in parts.items():
                file, slash, name = key.partition("/")
                content = self.packed.get(id(part)) or _pack(part)
                if not slash:
                    (self.folder / file).write_bytes(content)
                    continue
                if file not in archives:
                    archives[file] = stack.enter_context(zipfile.ZipFile(self.folder / file, "w"))
                archives[file].writestr(name, content)

    def check(self) -> None:
        """Go on with the search, without another trial, and check its result."""
        result = self._tune(2)
        if not np.isfinite(result.loss):
            raise AssertionError("a loss that is not finite")
        _check_answers(result.model.predict(self.frame, proba=True), len(self.frame))
        _ = result.evaluation


KINDS: dict[str, type[CheckpointFiles | ModelFiles | TrainingFiles | TrialFiles]] = {
    "checkpoint": CheckpointFiles,
    "model": ModelFiles,
    "training": TrainingFiles,
    "trials": TrialFiles,
}


class Search:
    """The cases of a kind; the folder receives the files."""

    def __init__(self, kind: str, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.files = KINDS[kind](folder)
        self.refused = self.accepted = self.unwritable = 0

    def run(self, number: int) -> str | None:
        """Run a case; return what is wrong with it, or None."""
        # Of equal seeds, both kinds would draw the same.
        rng = random.Random(number)
        try:
            self.files.write(alter(rng.choice(self.files.originals), rng))
        except (ValueError, TypeError, ArithmeticError, RecursionError, SafetensorError):
            self.unwritable += 1  # as an array of another type, JSON or safetensors
            return None
        try:
            self.files.check()
        except BatchpropError as error:
            self.refused += 1
            return _check_line(error)
        except Exception as error:  # noqa: BLE001 any other error is what is searched for
            where = traceback.extract_tb(error.__traceback__)[-1]
            return f"{type(error).__name__}: {error!s:.200} ({where.filename}:{where.lineno})"
        self.accepted += 1
        return None


def _check_line(error: BatchpropError) -> str | None:
    told = str(error)
    if "\n" in told or len(told) > 2000:
        return f"an error of {len(told)} characters: {told[:200]!r}"
    return None


def main() -> int:
    """Run cases until the time is over; print each failure once, and return the exit code."""
    kind, seconds, first = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    end, number, failures = monotonic() + seconds, first, dict[str, int]()
    with tempfile.TemporaryDirectory(prefix="batchprop-fuzz-") as folder:
        search = Search(kind, Path(folder))
        while monotonic() < end:
            wrong = search.run(number)
            if wrong is not None and failures.setdefault(wrong, number) == number:
                print(f"case {number}: {wrong}", flush=True)
            number += 1
    counts = f"{search.refused:,} refused, {search.accepted:,} accepted, {search.unwritable:,} not writable"
    print(f"{number - first:,} cases: {counts}, {len(failures)} kinds of failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
