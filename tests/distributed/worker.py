"""One of several processes on loopback: it runs some checks on its rows, and writes what they gave."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from sklearn.datasets import load_iris

import batchprop as bp
from batchprop.distributed import clusters, runtime
from batchprop.estimators.datasets import StreamingDataset
from batchprop.estimators.interface import FitInterface

CUTS = {1: (0, 150), 2: (0, 40, 150), 4: (0, 7, 8, 70, 150)}
"""The first row of each process, and the number of rows: shares of several sizes."""

CHUNK_STARTS = (0, 5, 35, 50, 90, 120, 150)
"""The first row of each part of the table that is read in parts, and the number of rows."""

EPOCHS = 4


class Rows:
    """The rows of one process."""

    def __init__(self, index: int, count: int) -> None:
        X, y = load_iris(return_X_y=True)
        order = np.random.RandomState(0).permutation(len(y))
        own = slice(*CUTS[count][index : index + 2])
        self.X, self.y = (X[order] - X.mean(0))[own], y[order][own]
        self.labels = np.array(["setosa", "versicolor", "virginica"], dtype=object)[self.y]
        self.weights = np.random.RandomState(1).randint(0, 4, len(y)).astype(float)[own]
        self.number = self.X[:, 0] - self.X[:, 3]
        # Every process names all chunks, and reads its own.
        whole = (X[order] - X.mean(0), y[order], np.random.RandomState(1).randint(0, 4, len(y)).astype(float))
        self.chunks = [tuple(a[slice(*ends)] for a in whole) for ends in pairwise(CHUNK_STARTS)]
        self.index = index


def classifier(**parameters: Any) -> bp.MLPClassifier:
    """A small network, whose program all checks share as far as they can."""
    settings: dict[str, Any] = {"batch_size": 20, "max_iter": EPOCHS, "random_state": 0, "dtype": "float64"}
    settings |= parameters
    return bp.MLPClassifier((8,), **settings)


def fit_plain(rows: Rows, **engine: Any) -> FitInterface:
    return classifier(**engine).fit(rows.X, rows.labels)


def fit_float32(rows: Rows, **engine: Any) -> FitInterface:
    # A small table would be trained in float64.
    X = np.tile(rows.X, (1, 3)).astype("float32")
    return classifier(dtype="float32", **engine).fit(X, rows.y)


def fit_weighted(rows: Rows, **engine: Any) -> FitInterface:
    options: dict[str, Any] = {"early_stopping": True, "class_weight": "balanced", "solver": "sgd"}
    clf = classifier(momentum=0.5, **options, **engine)
    return clf.fit(rows.X, rows.y, rows.weights)


def fit_validated(rows: Rows, **engine: Any) -> FitInterface:
    options: dict[str, Any] = {"max_iter": EPOCHS, "random_state": 0, "dtype": "float64", "scoring": "loss"}
    reg = bp.MLPRegressor(
        hidden_layer_sizes=(8,), batch_size="full", early_stopping=True, n_iter_no_change=2, tol=10,
        **options, **engine,
    )  # fmt: skip
    # Rows of weight 0 may hold anything.
    weights = rows.weights
    y = np.where(weights == 0, np.nan, rows.number)
    validation = {"X_val": rows.X[::2], "y_val": y[::2], "sample_weight_val": weights[::2]}
    return reg.fit(rows.X, y, weights, **validation)


def fit_lbfgs(rows: Rows, **engine: Any) -> FitInterface:
    return classifier(solver="lbfgs", **engine).fit(rows.X, rows.y, rows.weights)


def fit_recorded(rows: Rows, **engine: Any) -> FitInterface:
    clf = classifier(batch_size="noise", max_batch_size=64, **engine)
    return clf.fit(rows.X, rows.y, monitor=["gradient_norms", "update_ratio"], record_examples=True)


def fit_private(rows: Rows, **engine: Any) -> FitInterface:
    privacy = bp.privacy.Privacy(delta=1e-5, noise_multiplier=1.0, accountant="rdp")
    return classifier(privacy=privacy, **engine).fit(rows.X, rows.y)


def fit_streamed(rows: Rows, **engine: Any) -> FitInterface:
    # A batch of all rows is the same for any number of processes.
    clf = classifier(batch_size=1000, early_stopping=True, class_weight="balanced", **engine)
    return clf.fit(rows.chunks)


def fit_shuffled(rows: Rows, **engine: Any) -> FitInterface:
    return classifier(max_iter=12, tol=0, **engine).fit(rows.chunks)


def fit_dropout(rows: Rows, **engine: Any) -> FitInterface:
    return classifier(dropout=0.3, **engine).fit(rows.X, rows.y)


FITS: dict[str, Callable[..., FitInterface]] = {
    name.removeprefix("fit_"): function
    for name, function in list(globals().items())
    if name.startswith("fit_")
}


def summary(fitted: FitInterface) -> dict[str, Any]:
    """What must be the same for any number of processes, as plain data."""
    spent = fitted.privacy_spent_
    records = fitted._records()
    return {
        "loss": fitted.loss_curve_,
        "validation": [fitted.validation_loss_curve_, fitted.validation_scores_],
        "weights": [theta.tolist() for theta in (*fitted.coefs_, *fitted.intercepts_)],
        "monitors": fitted.monitor_,
        "epochs": [fitted.n_iter_, fitted.t_],
        "epsilon": None if spent is None else spent.epsilon,
        "records": None if records is None else [v.tolist() for v in records["statistics"].values()],
    }


def refused(rows: Rows, **_: Any) -> dict[str, str]:
    """The messages of what is refused, in every process."""
    spoilt = rows.X.copy()
    if rows.index == 1:
        spoilt[3, 2] = np.nan
    calls: dict[str, Callable[[], Any]] = {
        "rows": lambda: classifier().fit(spoilt, rows.y),
        "settings": lambda: classifier(alpha=0.1 * rows.index).fit(rows.X, rows.y),
        "columns": lambda: classifier().fit(rows.X[:, rows.index :], rows.y),
        "table": lambda: classifier().fit(rows.chunks[rows.index :]),
        "engine": lambda: classifier(engine="numpy").fit(rows.X, rows.y),
        "joined twice": lambda: bp.distributed.initialize("127.0.0.1:1", 0, 2),
    }
    messages = {}
    for name, call in calls.items():
        try:
            call()
        except bp.errors.BatchpropError as error:
            messages[name] = str(error)
    return messages


def interrupted(rows: Rows, **_: Any) -> dict[str, Any]:
    """The epochs after which a callback of one process ends training in all."""
    stop = lambda epoch: rows.index == 1 and epoch.number == 2  # noqa: E731
    clf = classifier(callbacks=[stop]).fit(rows.X, rows.y)
    # Each process predicts by itself.
    assert len(clf.set_params(engine="jax").predict(rows.X)) == len(rows.X)
    return {"epochs": clf.n_iter_}


def saved(rows: Rows, folder: Path, epochs: int, **_: Any) -> dict[str, Any]:
    """A fit that is resumed from the checkpoints in a folder, and has more epochs."""
    clf = classifier(max_iter=epochs, tol=0, **_)
    return summary(clf.fit(rows.X, rows.y, checkpoint=bp.Checkpoints(folder, every=1), resume=True))


def join_as_another_version(index: int, port: int) -> str:
    """The message of two processes of several versions; before a device is asked for, they can join again."""
    with patch.object(runtime, "__version__", f"0.0.{index}"):
        try:
            bp.distributed.initialize(f"127.0.0.1:{port}", index, 2)
        except bp.errors.BatchpropError as error:
            return str(error)
    return "joined"


def note_partitions(read: set[int]) -> None:
    """Note the partitions that epochs of this process read, from now on."""
    read_partition = StreamingDataset._read_partition

    def note(self: StreamingDataset, partition: int, rows: int) -> Any:
        read.add(partition)
        return read_partition(self, partition, rows)

    patch.object(StreamingDataset, "_read_partition", note).start()


def main(folder: Path, *checks: str) -> None:
    """Join the others, run the checks, and write their results."""
    warnings.simplefilter("ignore")  # more epochs would be better
    index, count = (int(os.environ[name]) for name in (clusters.PROCESS_ID, clusters.N_PROCESSES))
    results = dict[str, Any]()
    results["version"] = [
        join_as_another_version(index, int(name[8:])) for name in checks if "version-" in name
    ]
    bp.distributed.initialize()
    rows, read = Rows(index, count), set[int]()
    note_partitions(read)
    for check in checks:
        if check.startswith("saved-"):
            results["saved"] = saved(rows, folder / "checkpoints", int(check.partition("-")[2]))
        elif check in FITS:
            results[check] = summary(FITS[check](rows))
        elif not check.startswith("version-"):
            results[check] = {"refused": refused, "interrupted": interrupted}[check](rows)
    results["read"] = sorted(read)
    (folder / f"{count}-{index}.json").write_text(json.dumps(results))
