"""A fit of several processes on loopback, against the fit of one process with all rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tests.distributed import worker


def assert_same(actual: Any, expected: Any, tolerance: float = 1e-10) -> None:
    """Check two summaries against each other, entry by entry."""
    if isinstance(expected, dict):
        assert set(actual) == set(expected)
        for name in expected:
            assert_same(actual[name], expected[name], tolerance)
    elif isinstance(expected, list):
        assert len(actual) == len(expected)
        for one, other in zip(actual, expected, strict=True):
            assert_same(one, other, tolerance)
    elif isinstance(expected, float):
        assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)
    else:
        assert actual == expected


# More epochs would be better, and a batch of all rows is cut to them.
pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:Got `batch_size`"),
]

EXACT = [name for name in worker.FITS if name not in {"dropout", "shuffled"}]


@pytest.mark.parametrize("name", EXACT)
def test_two_processes_train_as_one(name: str, two: list[dict[str, Any]]) -> None:
    # Noise is drawn by JAX; for all else NumPy is the independent reference.
    engine = "jax" if name == "private" else "numpy"
    expected = json.loads(json.dumps(worker.summary(worker.FITS[name](worker.Rows(0, 1), engine=engine))))
    for results in two:
        assert_same(results[name], expected, 1e-5 if name == "float32" else 1e-10)


def test_four_processes_train_as_one(four: list[dict[str, Any]]) -> None:
    expected = json.loads(json.dumps(worker.summary(worker.fit_plain(worker.Rows(0, 1), engine="numpy"))))
    for results in four:
        assert_same(results["plain"], expected)


def test_processes_with_dropout_agree(two: list[dict[str, Any]]) -> None:
    first, second = (results["dropout"] for results in two)
    assert first == second
    assert first["loss"] != two[0]["plain"]["loss"]


def test_processes_that_read_their_own_partitions_learn_as_much(two: list[dict[str, Any]]) -> None:
    first, second = (results["shuffled"] for results in two)
    assert first == second
    alone = [worker.classifier(max_iter=12, tol=0, random_state=seed) for seed in range(4)]
    losses = [clf.fit(worker.Rows(0, 1).chunks).loss_ for clf in alone]
    assert min(losses) * 0.9 < first["loss"][-1] < max(losses) * 1.1


def test_every_process_reads_half_of_the_rows(two: list[dict[str, Any]]) -> None:
    sizes = np.diff(worker.CHUNK_STARTS)
    read = [results["read"] for results in two]
    assert sorted(read[0] + read[1]) == [*range(len(sizes))]
    assert [sizes[own].sum() for own in read] == [75, 75]


def test_stop_of_one_process_stops_all(two: list[dict[str, Any]]) -> None:
    assert [results["interrupted"] for results in two] == [{"epochs": 2}] * 2


def test_error_of_one_process_is_told_by_all(two: list[dict[str, Any]]) -> None:
    first, second = (results["refused"] for results in two)
    assert first["rows"] == f"process 1: {second['rows']}"
    assert "NaN" in second["rows"]
    assert first["settings"] == second["settings"]
    assert first["settings"].startswith("process 1 and process 0 differ in alpha, 0.1 and 0.0:")
    assert "columns of X" in first["columns"]
    assert first["table"].startswith("process 1 and process 0 differ in the rows of the table's parts")
    assert "engine='numpy' does not go with several processes" in first["engine"]
    assert "called before" in first["joined twice"]


def test_another_version_is_refused(two: list[dict[str, Any]]) -> None:
    messages = [message.partition(" with JAX")[0] for results in two for message in results["version"]]
    assert messages == ["process 1 has batchprop 0.0.1"] * 2


def test_resume_on_another_number_of_processes(
    ended: Path, four: list[dict[str, Any]], two: list[dict[str, Any]]
) -> None:
    # Four processes begin, two go on, and one ends.
    assert [results["saved"]["epochs"][0] for results in (*four, *two)] == [2] * 4 + [4] * 2
    last = worker.saved(worker.Rows(0, 1), ended / "checkpoints", 6, engine="jax")
    clf = worker.classifier(max_iter=6, tol=0, engine="numpy")
    rows = worker.Rows(0, 1)
    assert_same(json.loads(json.dumps(last)), json.loads(json.dumps(worker.summary(clf.fit(rows.X, rows.y)))))
