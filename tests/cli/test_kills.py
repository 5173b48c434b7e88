"""Killed commands: one more command gives what an undisturbed one gives, and nothing is left or hurt.

The process ends before, within or after one of its writes, syncs, renames and removals. A few of these points
are drawn; `make crash` takes all of them, on both engines (with KILLS=30, so many in each case; with
KILLS=2/8, the second eighth).
"""

from __future__ import annotations

import json
import os
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.cli import forks
from tests.presets import AS_DEFAULT

KILLS = os.environ.get("BATCHPROP_KILLS", "")
ALL = KILLS != ""
COUNT = int(KILLS) if KILLS.isdigit() else 0 if ALL else 3
PART = [int(number) for number in KILLS.split("/")] if "/" in KILLS else [1, 1]
ENGINES = ("numpy", "jax") if ALL else ("numpy",)

START = f"""
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.cli.kills import drive
{AS_DEFAULT}
drive(sys.argv[1])
"""
TRAIN = ("train", "t.csv", "--target", "kind", "--out", "m", "--hidden", "2", "--epochs", "2")


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A folder with a table, and files of others under names that look like ours."""
    work = tmp_path / "work"
    foreign = work / f".m.000000-{2**22 + 1}-00000000.partial"
    foreign.mkdir(parents=True)
    (foreign / "file").write_text("of another machine")
    (work / ".m.notes.partial").write_text("of somebody")
    (work / "m.checkpoints.old").mkdir()
    (tmp_path / "tmp").mkdir()
    if ALL:
        monkeypatch.setattr(forks, "SECONDS", 7200)
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(40, 2)), columns=["x", "z"])
    rows.assign(kind=np.where(rows.x > 0, "yes", "no")).to_csv(work / "t.csv", index=False)
    return work


def kill_everywhere(origin, work, words, again, *, streams, engine="numpy", keep=True):
    """Kill and repeat a command after a training with another seed, whose model is kept or not."""
    asked = {
        "prepare": [*TRAIN, "--seed", "1", "--engine", engine],
        "keep": keep,
        "words": words,
        "again": again,
        "streams": streams,
        "count": COUNT,
        "part": [PART[0] - 1, None, PART[1]],
        "seed": " ".join(words),
    }
    done = origin.run(
        json.dumps(asked), cwd=work, start=START,
        env={"TMPDIR": str(work.parent / "tmp"), "POINTS": str(work.parent / "points")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["wrong"] == []
    assert result["stops"] >= COUNT or ALL
    sys.stdout.write(f"{result['stops']} points: {words}\n")


def some(*choices):
    """Combinations of choices: all, or those at the same place."""
    return list(product(*choices)) if ALL else list(zip(*choices, strict=True))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    # A table that is read in parts trains one network.
    ("members", "force"),
    some(["2", "1", "in parts"] if ALL else ["2", "in parts"], [False, True]),
)
def test_killed_training_resumes_at_every_point(origin, work, engine, members, force):
    streams = members == "in parts"
    words = [*TRAIN, "--checkpoint-every", "1", "--engine", engine, *(["--force"] if force else [])]
    words += [] if streams else ["--members", members]
    again = [*words, "--resume"]
    kill_everywhere(origin, work, words, again, streams=streams, engine=engine, keep=force)


@pytest.mark.parametrize(
    ("streams", "out", "engine"), some([True, False], ["answers.csv", "answers.parquet"], ["jax", "numpy"])
)
def test_killed_prediction_is_done_again_at_every_point(origin, work, out, streams, engine):
    words = ["predict", "m", "t.csv", "--out", out, "--proba"]
    kill_everywhere(origin, work, words, [*words, "--force"], streams=streams, engine=engine)


@pytest.mark.skipif(not ALL, reason="make crash tries it")
@pytest.mark.parametrize("engine", ENGINES)
def test_killed_search_goes_on_at_every_point(origin, work, engine):
    words = ["tune", *TRAIN[1:4], "--epochs", "2", "--preset", "fast", "--trials", "2", "--engine", engine]
    words += ["--out", "u"]
    kill_everywhere(origin, work, words, [*words, "--force"], streams=False, engine=engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_killed_export_is_done_again_at_every_point(origin, work, engine):
    words = ["export", "m", "--weights", "net.safetensors", "--onnx", "net.onnx"]
    kill_everywhere(origin, work, words, [*words, "--force"], streams=False, engine=engine)
