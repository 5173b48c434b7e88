"""The playground and the thread that owns it: what can be done, and what a page is told."""

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


def told(it: Session, heard: Cursor | None = None) -> dict[str, Any]:
    """What a page is told, both events in one."""
    return dict(next_events(it, heard or Cursor())[0])


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


def test_a_page_hears_all_once_and_then_what_is_new() -> None:
    it = playground(batch_size=8)
    it.step()
    it.step()
    events, heard = next_events(it, Cursor())
    assert [name for name, _ in events] == ["lesson", "frame"]
    it.step()
    ((name, frame),), heard = next_events(it, heard)
    assert name == "frame"
    assert (frame["first"], frame["step"]) == (2, 3)
    assert_allclose(numbers(frame["losses"])[0], it.training.losses[2:])
    assert frame["now"]["loss"] == it.training.losses[-1]
    assert frame["held"][-1][0] == 3
    it.change({"learning_rate": 0.5})
    events, heard = next_events(it, heard)
    assert [name for name, _ in events] == ["lesson", "frame"]
    assert numbers(events[1][1]["losses"]).shape == (1, 0)
    it.reset()
    events, heard = next_events(it, heard)
    assert events[1][1]["first"] == heard.steps == 0
    assert events[0][1]["run"] == 1


def test_the_frame_shows_the_network_and_the_batch_taken_last() -> None:
    it = playground(batch_size=4)
    it.step()
    frame = told(it)["frame"]
    P = decision_surface(it.training.network, it.plane)
    assert (
        np.frombuffer(base64.b64decode(frame["surface"]["labels"]), np.uint8).tolist() == P.argmax(0).tolist()
    )
    sure = np.frombuffer(base64.b64decode(frame["surface"]["sure"]), np.uint8)
    assert_allclose(sure / 255, P.max(axis=0), atol=0.5 / 255 + 1e-6)
    assert it.training.taken is not None
    assert frame["batch"] == sorted(it.training.taken.rows.tolist())
    it.start()
    assert told(it)["frame"]["batch"] is None


def test_numbers_have_a_surface_of_numbers() -> None:
    it = playground(data="hills")
    surface = told(it)["frame"]["surface"]
    assert_allclose(numbers(surface["values"]).ravel(), decision_surface(it.training.network, it.plane)[0])


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
def test_some_choices_begin_anew_and_the_training_goes_on_with_the_others(
    changes: dict[str, Any], anew: bool
) -> None:
    it = playground()
    it.step()
    it.start()
    it.change(changes)
    assert it.run == anew
    assert it.training.steps == (not anew)
    assert it.running == (not anew)
    told(it)


def test_a_choice_that_is_refused_changes_nothing() -> None:
    it = playground()
    it.step()
    before = it.settings
    for changes in ({"batch_size": 10_000}, {"rows": 3}, {"data": "file"}, {"axes": [0, 9]}, {"noise": 2}):
        with pytest.raises(InputError):
            it.change({"hidden": [3], **changes} if "axes" not in changes else changes)
        assert (it.settings, it.run, it.training.steps) == (before, 0, 1)


def test_it_ends_where_it_cannot_go_on_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "MAX_STEPS", 2)
    it = playground()
    it.start()
    for _ in range(3):
        it.advance()
    assert not it.running
    assert "2 batches are the most" in told(it)["frame"]["ended"]
    for action in ("start", "step"):
        with pytest.raises(ParameterError, match="2 batches are the most"):
            it.act(action)
    it.act("reset")
    assert told(it)["frame"]["ended"] is None
    with pytest.raises(ParameterError, match="'dance' is unknown: it is one of start, pause, step, reset"):
        it.act("dance")


def test_a_table_of_the_players_own(table: Path) -> None:
    it = playground()
    with pytest.raises(DataError, match="there is no file yet"):
        it.change({"data": "file"})
    file = it.load(table, "fruit.csv")
    assert (file.columns, file.rows, file.suggested) == (("weight", "colour", "price", "kind"), 50, "kind")
    assert told(it)["lesson"]["file"] is None  # until it is learned from
    with pytest.raises(DataError, match="target is not chosen"):
        it.change({"data": "file", "target": None})
    with pytest.raises(DataError, match="'size'"):
        it.change({"data": "file", "target": "size"})
    it.change({"data": "file", "target": "kind", "batch_size": 5})
    assert told(it)["lesson"]["file"]["name"] == "fruit.csv"
    data = told(it)["lesson"]["data"]
    assert data["outputs"] == ("pear", "plum")
    assert data["features"][:2] == ("weight", "price")
    assert (data["x"]["name"], data["y"]["name"]) == ("weight", "price")
    for _ in range(200):
        it.step()
    assert it.training.held_out().score >= 0.9
    it.change({"target": "price"})
    assert told(it)["lesson"]["data"]["task"] == "numbers"
    assert told(it)["lesson"]["data"]["title"] == "fruit.csv: price, standardised"


def test_another_file_is_learned_once_it_is_asked_for(table: Path, tmp_path: Path) -> None:
    it = playground(batch_size=5)
    it.load(table, "first.csv")
    it.change({"data": "file", "target": "kind"})
    it.step()
    it.load(table, "second.csv")
    it.change({"batch_size": 4, "rows": 30})
    assert (it.examples.title, it.training.steps) == ("first.csv: kind", 1)
    it.change({"data": "file", "target": "kind"})
    assert (it.examples.title, it.training.steps) == ("second.csv: kind", 0)


def test_a_file_whose_target_is_refused_changes_nothing(table: Path, tmp_path: Path) -> None:
    it = playground(batch_size=5)
    it.load(table, "first.csv")
    it.change({"data": "file", "target": "kind"})
    it.step()
    one = tmp_path / "one.csv"
    rows = "".join(f"{i**0.5},{i**0.3},x\n" for i in range(20))
    one.write_text(f"a,b,k\n{rows}", encoding="utf-8")
    it.load(one, "one.csv")
    with pytest.raises(DataError, match="the target 'k' holds one class only"):
        it.change({"data": "file", "target": "k"})
    it.change({"activation": "relu"})
    it.change({"target": "price"})
    it.change({"target": "kind"})
    assert (it.examples.title, told(it)["lesson"]["file"]["name"]) == ("first.csv: kind", "first.csv")
    it.change({"data": "file", "target": "a"})
    assert told(it)["lesson"]["file"]["name"] == "one.csv"
    it.load(table, "third.csv")
    it.change({"data": "moons"})
    it.change({"data": "file", "target": "a"})
    assert it.examples.title == "one.csv: a, standardised"


def test_the_size_of_the_batch_is_told_though_few_points_are_drawn() -> None:
    it = playground(rows=5000, batch_size=100)
    assert told(it)["frame"]["taken"] is None
    it.step()
    frame = told(it)["frame"]
    assert frame["taken"] == 100
    assert 10 < len(frame["batch"]) < 80


def test_a_file_that_unpacks_to_too_much_is_refused_before_it_does(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "table.parquet"
    words = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(20_000, dtype=np.int32)), pa.array(["x" * 300_000])
    )
    pq.write_table(pa.table({"word": words, "kind": pa.array(["a", "b"] * 10_000)}), path)
    with pytest.raises(DataError, match=r"words\.parquet takes more than 250 MB once it is unpacked"):
        playground().load(path, "words.parquet")
    wide = pa.table({f"c{i}": np.zeros(5) for i in range(502)})
    pq.write_table(wide, path)
    with pytest.raises(DataError, match=r"wide\.parquet has 501 features"):
        playground().load(path, "wide.parquet")


def test_the_plane_begins_with_the_features_that_tell_most(tmp_path: Path) -> None:
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
    it.load(path, "t.csv")
    it.change({"data": "file", "target": "kind"})
    assert it.plane.axes == (1, 3)
    it.change({"axes": [0, 2]})
    it.change({"seed": 5})
    assert it.plane.axes == (0, 2)


def test_a_table_of_one_feature_has_one_axis(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("x,y\n" + "".join(f"{i / 7:.3f},{'ab'[i % 2]}\n" for i in range(30)), encoding="utf-8")
    it = playground()
    it.load(path, "one.csv")
    it.change({"data": "file", "target": "y"})
    assert it.plane.axes == (0, None)
    assert told(it)["lesson"]["data"]["y"]["name"] is None
    it.change({"data": "moons"})
    assert list(it.settings.axes) == [0, 1]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.txt", b"a,b\n", "t.txt is no table that the playground reads: those end in .csv, .tsv"),
        ("t.csv.gz", b"\x1f\x8b", "t.csv.gz is no table"),
        ("t.csv", b"", "t.csv"),
        ("t.csv", b"a,b\n1\n", "t.csv"),
        ("t.csv", b"\x80\x00\xff", "t.csv"),
        ("t.parquet", b"PAR1 and no more", "t.parquet"),
        ("t.csv", b"a,b\n1,2\n3,4\n", "t.csv has too few rows (2): the playground needs 5 at least"),
        ("t.csv", b"a,b\n" + b"1,2\n" * 20_001, "t.csv has 20,001 rows: the playground takes up to 20,000"),
        (
            "t.csv",
            b",".join(b"c%d" % i for i in range(600)) + b"\n" + (b",".join([b"1"] * 600) + b"\n") * 5,
            "599 features",
        ),
    ],
)
def test_what_is_no_table_or_too_large_is_refused_by_the_name_that_the_player_knows(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    path = tmp_path / f"table{Path(name).suffix}"
    path.write_bytes(content)
    it = playground()
    with pytest.raises(DataError) as refused:
        it.load(path, name)
    assert said in str(refused.value)
    assert str(tmp_path) not in str(refused.value)
    assert it.file is None


def test_a_footer_that_promises_too_many_rows_is_not_read(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"x": np.zeros(3_000_000), "y": np.zeros(3_000_000)}), path)
    with pytest.raises(DataError, match=r"zeros\.parquet has 3,000,000 rows"):
        playground().load(path, "zeros.parquet")


def test_the_microscope_shows_the_batch_taken_last_as_it_was() -> None:
    it = playground(batch_size=6)
    with pytest.raises(InputError, match="no batch was taken yet: take a step"):
        it.microscope()
    it.step()
    it.step()
    assert "Batch 2 of Two moons" in it.microscope()
    it.start()
    with pytest.raises(InputError, match="is running: pause it"):
        it.microscope()


def test_of_a_large_batch_the_microscope_shows_a_part_and_says_so() -> None:
    it = playground(rows=200, batch_size="full", data="hills")
    it.step()
    page = it.microscope()
    assert "Of the batch's 160 examples 64 are shown" in page
    taken = it.training.taken
    assert taken is not None
    batch = gather(it.training.table, taken.rows[:1])
    assert f"{predict(taken.network, batch.B)[0, 0]:.4g}" in page


def test_the_stage_runs_until_it_is_paused_and_steps_by_one() -> None:
    stage = Worker(playground(speed="fast"))
    try:
        heard = stage.next_events(Cursor()).result(SECONDS)[1]
        stage.submit(Session.start).result(SECONDS)
        while heard.steps < 50:
            heard = stage.next_events(heard).result(SECONDS)[1]
        stage.submit(Session.pause).result(SECONDS)
        steps = stage.submit(lambda it: it.training.steps).result(SECONDS)
        stage.submit(Session.step).result(SECONDS)
        assert stage.submit(lambda it: it.training.steps).result(SECONDS) == steps + 1
    finally:
        stage.close()
        stage.join()


def test_nothing_new_is_waited_for_and_the_end_is_told() -> None:
    stage = Worker(playground())
    heard = stage.next_events(Cursor()).result(SECONDS)[1]
    waiting = stage.next_events(heard)
    given_up = stage.next_events(heard)
    assert given_up.cancel()
    assert stage.submit(lambda it: it.run).result(SECONDS) == 0
    assert not waiting.done()
    with pytest.raises(ParameterError):
        stage.submit(lambda it: it.act("dance")).result(SECONDS)
    stage.close()
    stage.join()
    for late in (waiting, stage.submit(Session.step), stage.next_events(Cursor())):
        with pytest.raises(EndedError, match="the playground has ended"):
            late.result(SECONDS)
