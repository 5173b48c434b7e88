"""The session, its events, and the worker that runs it."""

from __future__ import annotations

import base64
import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from batchprop.backprop import predict
from batchprop.batches import gather
from batchprop.cli.playground_tools import PlaygroundTools
from batchprop.errors import DataError, InputError, ParameterError
from batchprop.playground import trainer as training
from batchprop.playground.events import Cursor, next_events
from batchprop.playground.session import Session
from batchprop.playground.settings import Settings
from batchprop.playground.surface import decision_surface
from batchprop.playground.worker import EndedError, Worker

SECONDS = 30  # until a test is given up


def playground(**settings: Any) -> Session:
    return Session(PlaygroundTools(), Settings(rows=60).replace(settings))


def events_of(it: Session, cursor: Cursor | None = None) -> dict[str, Any]:
    """The events of a page, by name."""
    return dict(next_events(it, cursor or Cursor())[0])


def numbers(packed: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(packed["data"]), "<f4").reshape(packed["shape"])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "fruit.csv"
    rng = np.random.default_rng(0)
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["weight", "colour", "price", "kind"])
        for i in range(50):
            weight = rng.normal()
            kind = "pear" if weight > 0 else "plum"
            rows.writerow(
                [f"{weight:.3f}", ["red", "green"][i % 2], f"{2 * weight + rng.normal():.2f}", kind]
            )
    return path


def test_first_events_are_complete_and_later_ones_incremental() -> None:
    it = playground(batch_size=8)
    it.step()
    it.step()
    events, cursor = next_events(it, Cursor())
    assert [name for name, _ in events] == ["setup", "state"]
    it.step()
    ((name, state),), cursor = next_events(it, cursor)
    assert name == "state"
    assert (state["first_step"], state["step"]) == (2, 3)
    assert_allclose(numbers(state["losses"])[0], it.trainer.losses[2:])
    assert state["current"]["loss"] == it.trainer.losses[-1]
    assert state["validation"][-1][0] == 3
    it.change({"learning_rate": 0.5})
    events, cursor = next_events(it, cursor)
    assert [name for name, _ in events] == ["setup", "state"]
    assert numbers(events[1][1]["losses"]).shape == (1, 0)
    it.reset()
    events, cursor = next_events(it, cursor)
    assert events[1][1]["first_step"] == cursor.steps == 0
    assert events[0][1]["run"] == 1


def test_state_has_the_surface_and_the_last_batch() -> None:
    it = playground(batch_size=4)
    it.step()
    state = events_of(it)["state"]
    P = decision_surface(it.trainer.network, it.plane)
    assert (
        np.frombuffer(base64.b64decode(state["surface"]["labels"]), np.uint8).tolist() == P.argmax(0).tolist()
    )
    sure = np.frombuffer(base64.b64decode(state["surface"]["confidence"]), np.uint8)
    assert_allclose(sure / 255, P.max(axis=0), atol=0.5 / 255 + 1e-6)
    assert it.trainer.last_batch is not None
    assert state["last_batch"] == sorted(it.trainer.last_batch.rows.tolist())
    it.start()
    assert events_of(it)["state"]["last_batch"] is None


def test_regression_has_a_surface_of_numbers() -> None:
    it = playground(data="hills")
    surface = events_of(it)["state"]["surface"]
    assert_allclose(numbers(surface["values"]).ravel(), decision_surface(it.trainer.network, it.plane)[0])


@pytest.mark.parametrize(
    ("changes", "anew"),
    [
        ({"batch_size": 1}, False),
        ({"learning_rate": 0.5, "optimizer": "adam"}, False),
        ({"speed": "fast"}, False),
        ({"axes": [1, 0]}, False),
        ({"seed": 1}, True),
        ({"hidden": []}, True),
        ({"activation": "relu"}, True),
        ({"data": "blobs"}, True),
        ({"noise": 0.5}, True),
    ],
)
def test_some_settings_restart_the_training(changes: dict[str, Any], anew: bool) -> None:
    it = playground()
    it.step()
    it.start()
    it.change(changes)
    assert it.run == anew
    assert it.trainer.steps == (not anew)
    assert it.running == (not anew)
    events_of(it)


def test_rejected_setting_changes_nothing() -> None:
    it = playground()
    it.step()
    before = it.settings
    for changes in ({"batch_size": 10_000}, {"rows": 3}, {"data": "file"}, {"axes": [0, 9]}, {"noise": 2}):
        with pytest.raises(InputError):
            it.change({"hidden": [3], **changes} if "axes" not in changes else changes)
        assert (it.settings, it.run, it.trainer.steps) == (before, 0, 1)


def test_training_stops_at_the_step_limit_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "MAX_STEPS", 2)
    it = playground()
    it.start()
    for _ in range(3):
        it.advance()
    assert not it.running
    assert "at most 2 steps" in events_of(it)["state"]["stop_reason"]
    for action in ("start", "step"):
        with pytest.raises(ParameterError, match="at most 2 steps"):
            it.execute(action)
    it.execute("reset")
    assert events_of(it)["state"]["stop_reason"] is None
    with pytest.raises(ParameterError, match="'dance' is unknown: give one of start, pause, step, reset"):
        it.execute("dance")


def test_user_table(table: Path) -> None:
    it = playground()
    with pytest.raises(DataError, match="there is no file yet"):
        it.change({"data": "file"})
    file = it.load_file(table, "fruit.csv")
    assert (file.columns, file.rows, file.suggested_target) == (
        ("weight", "colour", "price", "kind"),
        50,
        "kind",
    )
    assert events_of(it)["setup"]["file"] is None  # until it is learned from
    with pytest.raises(DataError, match="target is not chosen"):
        it.change({"data": "file", "target": None})
    with pytest.raises(DataError, match="'size'"):
        it.change({"data": "file", "target": "size"})
    it.change({"data": "file", "target": "kind", "batch_size": 5})
    assert events_of(it)["setup"]["file"]["name"] == "fruit.csv"
    data = events_of(it)["setup"]["data"]
    assert data["outputs"] == ("pear", "plum")
    assert data["features"][:2] == ("weight", "price")
    assert (data["x"]["name"], data["y"]["name"]) == ("weight", "price")
    for _ in range(200):
        it.step()
    assert it.trainer.validate().score >= 0.9
    it.change({"target": "price"})
    assert events_of(it)["setup"]["data"]["task"] == "numbers"
    assert events_of(it)["setup"]["data"]["title"] == "fruit.csv: price, standardised"


def test_loaded_file_is_used_once_its_target_is_chosen(table: Path, tmp_path: Path) -> None:
    it = playground(batch_size=5)
    it.load_file(table, "first.csv")
    it.change({"data": "file", "target": "kind"})
    it.step()
    it.load_file(table, "second.csv")
    it.change({"batch_size": 4, "rows": 30})
    assert (it.data.title, it.trainer.steps) == ("first.csv: kind", 1)
    it.change({"data": "file", "target": "kind"})
    assert (it.data.title, it.trainer.steps) == ("second.csv: kind", 0)


def test_rejected_target_changes_nothing(table: Path, tmp_path: Path) -> None:
    it = playground(batch_size=5)
    it.load_file(table, "first.csv")
    it.change({"data": "file", "target": "kind"})
    it.step()
    one = tmp_path / "one.csv"
    rows = "".join(f"{i**0.5},{i**0.3},x\n" for i in range(20))
    one.write_text(f"a,b,k\n{rows}", encoding="utf-8")
    it.load_file(one, "one.csv")
    with pytest.raises(DataError, match="the target 'k' holds one class only"):
        it.change({"data": "file", "target": "k"})
    it.change({"activation": "relu"})
    it.change({"target": "price"})
    it.change({"target": "kind"})
    assert (it.data.title, events_of(it)["setup"]["file"]["name"]) == ("first.csv: kind", "first.csv")
    it.change({"data": "file", "target": "a"})
    assert events_of(it)["setup"]["file"]["name"] == "one.csv"
    it.load_file(table, "third.csv")
    it.change({"data": "moons"})
    it.change({"data": "file", "target": "a"})
    assert it.data.title == "one.csv: a, standardised"


def test_batch_size_counts_points_that_are_not_drawn() -> None:
    it = playground(rows=5000, batch_size=100)
    assert events_of(it)["state"]["last_batch_size"] is None
    it.step()
    state = events_of(it)["state"]
    assert state["last_batch_size"] == 100
    assert 10 < len(state["last_batch"]) < 80


def test_decompression_bomb_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "table.parquet"
    words = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(20_000, dtype=np.int32)), pa.array(["x" * 300_000])
    )
    pq.write_table(pa.table({"word": words, "kind": pa.array(["a", "b"] * 10_000)}), path)
    with pytest.raises(DataError, match=r"words\.parquet takes more than 250 MB once it is unpacked"):
        playground().load_file(path, "words.parquet")
    wide = pa.table({f"c{i}": np.zeros(5) for i in range(502)})
    pq.write_table(wide, path)
    with pytest.raises(DataError, match=r"wide\.parquet has 501 features"):
        playground().load_file(path, "wide.parquet")


def test_plane_starts_with_the_best_features(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, 80)
    columns = [
        rng.normal(size=80),
        rng.normal(size=80) + 4 * kind,
        rng.normal(size=80),
        kind + rng.normal(size=80),
    ]
    rows = "".join(
        f"{a:.3f},{b:.3f},{c:.3f},{d:.3f},{'xy'[k]}\n" for a, b, c, d, k in zip(*columns, kind, strict=True)
    )
    path = tmp_path / "t.csv"
    path.write_text("a,b,c,d,kind\n" + rows, encoding="utf-8")
    it = playground()
    it.load_file(path, "t.csv")
    it.change({"data": "file", "target": "kind"})
    assert it.plane.axes == (1, 3)
    it.change({"axes": [0, 2]})
    it.change({"seed": 5})
    assert it.plane.axes == (0, 2)


def test_table_of_one_feature_has_one_axis(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("x,y\n" + "".join(f"{i / 7:.3f},{'ab'[i % 2]}\n" for i in range(30)), encoding="utf-8")
    it = playground()
    it.load_file(path, "one.csv")
    it.change({"data": "file", "target": "y"})
    assert it.plane.axes == (0, None)
    assert events_of(it)["setup"]["data"]["y"]["name"] is None
    it.change({"data": "moons"})
    assert list(it.settings.axes) == [0, 1]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "t.txt",
            b"a,b\n",
            "t.txt is not a table that the playground reads: give a file that ends in .csv",
        ),
        ("t.csv.gz", b"\x1f\x8b", "t.csv.gz is not a table"),
        ("t.csv", b"", "t.csv"),
        ("t.csv", b"a,b\n1\n", "t.csv"),
        ("t.csv", b"\x80\x00\xff", "t.csv"),
        ("t.parquet", b"PAR1 and no more", "t.parquet"),
        ("t.csv", b"a,b\n1,2\n3,4\n", "t.csv has too few rows (2): the playground needs at least 5"),
        ("t.csv", b"a,b\n" + b"1,2\n" * 20_001, "t.csv has 20,001 rows: the playground takes up to 20,000"),
        (
            "t.csv",
            b",".join(b"c%d" % i for i in range(600)) + b"\n" + (b",".join([b"1"] * 600) + b"\n") * 5,
            "599 features",
        ),
    ],
)
def test_errors_of_files_use_the_users_file_name(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / f"table{Path(name).suffix}"
    path.write_bytes(content)
    it = playground()
    with pytest.raises(DataError) as refused:
        it.load_file(path, name)
    assert message in str(refused.value)
    assert str(tmp_path) not in str(refused.value)
    assert it.file is None


def test_parquet_with_too_many_rows_is_not_read(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"x": np.zeros(3_000_000), "y": np.zeros(3_000_000)}), path)
    with pytest.raises(DataError, match=r"zeros\.parquet has 3,000,000 rows"):
        playground().load_file(path, "zeros.parquet")


def test_microscope_shows_the_last_batch() -> None:
    it = playground(batch_size=6)
    with pytest.raises(InputError, match="there is no batch yet: take a step"):
        it.microscope()
    it.step()
    it.step()
    assert "Batch 2 of Two moons" in it.microscope()
    it.start()
    with pytest.raises(InputError, match="is running: pause it"):
        it.microscope()


def test_microscope_shows_part_of_a_large_batch() -> None:
    it = playground(rows=200, batch_size="full", data="hills")
    it.step()
    page = it.microscope()
    assert "Shown are 64 of the 160 examples of the batch" in page
    last = it.trainer.last_batch
    assert last is not None
    batch = gather(it.trainer.dataset, last.rows[:1])
    assert f"{predict(last.network, batch.B)[0, 0]:.4g}" in page


def test_worker_runs_until_paused_and_steps_once() -> None:
    worker = Worker(playground(speed="fast"))
    try:
        cursor = worker.next_events(Cursor()).result(SECONDS)[1]
        worker.submit(Session.start).result(SECONDS)
        while cursor.steps < 50:
            cursor = worker.next_events(cursor).result(SECONDS)[1]
        worker.submit(Session.pause).result(SECONDS)
        steps = worker.submit(lambda it: it.trainer.steps).result(SECONDS)
        worker.submit(Session.step).result(SECONDS)
        assert worker.submit(lambda it: it.trainer.steps).result(SECONDS) == steps + 1
    finally:
        worker.close()
        worker.join()


def test_events_wait_for_changes_and_fail_after_the_end() -> None:
    worker = Worker(playground())
    cursor = worker.next_events(Cursor()).result(SECONDS)[1]
    waiting = worker.next_events(cursor)
    given_up = worker.next_events(cursor)
    assert given_up.cancel()
    assert worker.submit(lambda it: it.run).result(SECONDS) == 0
    assert not waiting.done()
    with pytest.raises(ParameterError):
        worker.submit(lambda it: it.execute("dance")).result(SECONDS)
    worker.close()
    worker.join()
    for late in (waiting, worker.submit(Session.step), worker.next_events(Cursor())):
        with pytest.raises(EndedError, match="the playground has ended"):
            late.result(SECONDS)
