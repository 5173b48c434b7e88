"""Links, pipes, folders and files of others under the names of our files: refused or left alone, at once.

The names are those that a traced run of each command uses. Of the kinds, one is drawn for each name, and of
the names that a command was tried with before, a third is tried again; `make crash` takes all.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.cli import forks
from tests.cli.test_kills import ALL
from tests.presets import AS_DEFAULT

START = f"""
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.cli.plants import drive
{AS_DEFAULT}
drive(sys.argv[1])
"""
QUICK = ("--hidden", "2", "--epochs", "1", "--engine", "numpy")
TRAIN = ("train", "t.csv", "--target", "kind", *QUICK, "--out", "m")
MODEL = ["m", "m.checkpoints", "m.unsaved"]
TUNE = ["tune", "whole.csv", "--target", "kind", "--preset", "fast", "--epochs", "1", "--engine", "numpy"]
RARE = [
    ([*TUNE, "--trials", "2", "--out", "u"], ["u", "u.trials"]),
    ([*TUNE, "--trials", "3", "--out", "u", "--force"], ["u", "u.trials"]),
    (["play", "whole.csv", "--target", "kind", "--no-open", "--out", "p.html", "--force"], ["p.html"]),
    (["export", "m", "--onnx", "n.onnx", "--force"], ["n.onnx"]),
]
"""Commands that are tried by `make crash` alone."""


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A folder with a table of which one row is skipped, and files of others that links lead to."""
    if ALL:
        monkeypatch.setattr(forks, "SECONDS", 7200)
    for name in ("work", "tmp", "empty", "victims", "victims/folder"):
        (tmp_path / name).mkdir()
    (tmp_path / "victims" / "file").write_text("precious")
    (tmp_path / "victims" / "folder" / "file").write_text("precious")
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(120, 2)), columns=["x", "z"])
    rows = rows.assign(kind=np.where(rows.x > 0, "yes", "no"))
    rows.loc[7, "kind"] = np.nan
    rows.to_csv(tmp_path / "work" / "t.csv", index=False)
    rows.dropna().to_csv(tmp_path / "work" / "whole.csv", index=False)
    return tmp_path / "work"


def test_nothing_planted_is_followed_waited_for_or_removed(origin, work):
    train = [*TRAIN, "--on-bad-row", "skip", "--checkpoint-every", "1"]
    predict = (["predict", "m", "whole.csv", "--out", "a.csv", "--force"], ["a.csv"])
    commands = [
        (train, MODEL),
        ([*train, "--force"], MODEL),
        (["interrupt", *train, "--force"], MODEL),
        ([*train, "--resume"], MODEL),
        (["export", "m", "--weights", "n.safetensors", "--force"], ["n.safetensors"]),
        (["examine", "whole.csv", "--target", "kind", *QUICK, "--out", "e.csv", "--force"], ["e.csv"]),
        (["look", "whole.csv", "--target", "kind", *QUICK[:4], "--no-open", "--force"], ["whole.html"]),
        *(RARE if ALL else []),
        (["log"], ["runs"]),
        predict,
        (["in parts"], []),
        ([*train, "--force"], MODEL),
        predict,
    ]
    asked = {"commands": commands, "kinds": 0 if ALL else 1}
    done = origin.run(json.dumps(asked), cwd=work, start=START, env={"TMPDIR": str(work.parent / "tmp")})
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert not result["wrong"], "\n".join(result["wrong"])
    # The trace finds what it should.
    found = {path.rpartition("/")[2] for path in result["names"]["train"]}
    assert {".m.lock", "m", "m.checkpoints", "model.skops", "skipped.csv", "resume.json"} <= found
    assert len(result["names"]["predict"]) >= 3
