"""`batchprop train` in several processes of this machine."""

import json
import signal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from numpy.testing import assert_allclose

from batchprop.data import memory
from batchprop.tabular import train_table
from tests.cli.commands import QUICK, flowers, run

# The commands of other processes have the presets of users.
PLAIN: dict[str, Any] = {"members": 1, "bins": 0, "dropout": 0, "schedule": "constant", "learning_rate": 0.01}
WORDS = [str(word) for name, value in PLAIN.items() for word in (f"--{name.replace('_', '-')}", value)]
PARTS = (*WORDS, *QUICK)

FACTOR = 1000
"""So many times larger than its file is a table in memory: then a small one is read in parts."""

FORKED = f"""
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
import jax
from batchprop.cli import main
from batchprop.data import memory
memory.WORKING_FACTOR = {FACTOR}
from tests.distributed.forks import fork_in_launcher

def run(command):
    assert command[:3] == [sys.executable, "-m", "batchprop"]
    sys.argv[1:] = command[3:]
    main()

fork_in_launcher(run)
main()
"""


@pytest.mark.filterwarnings("ignore:.*are read at a time:UserWarning")
def test_two_processes_train_the_model_of_one(tmp_path, origin, monkeypatch):
    # The table is read in parts; a batch of all rows is the same for any number of processes.
    flowers(tmp_path / "flowers.parquet")
    pd.read_parquet("flowers.parquet").to_parquet("flowers.parquet", row_group_size=40)
    words = ("train", "flowers.parquet", "--target", "species", "--processes", "2", "--out", "model")
    more = ("--device", "cpu", "--memory", "1MiB", "--hidden", "8", "--epochs", "3", "--batch-size", "1000")
    ended = origin.run(*words, *more, *WORDS, cwd=tmp_path, start=FORKED)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("epoch 1/3") == 1, "process 0 alone prints"
    assert "read in 4 parts" in " ".join(ended.stdout.split())
    monkeypatch.setattr(memory, "WORKING_FACTOR", FACTOR)
    quick: dict[str, Any] = {"hidden": (8,), "epochs": 3, "batch_size": 1000, "engine": "numpy"}
    alone = train_table("flowers.parquet", target="species", memory="1MiB", **quick, **PLAIN)
    losses = pd.read_csv("model/history.csv")["loss"]
    assert_allclose(losses, [epoch.loss for epoch in alone.history], rtol=1e-5)
    assert json.loads(Path("model/settings.json").read_text())["training"]["interrupted"] is False
    assert not Path("model.checkpoints").exists()


def test_sigterm_saves_the_model_of_all(tmp_path, origin):
    table, out = flowers(tmp_path / "flowers.csv"), tmp_path / "model"
    words = ("train", table, "--target", "species", "--processes", "2", "--out", out, "--device", "cpu")
    endless = ("--epochs", "100000", "--patience", "100000")
    started = origin.start((*words, *PARTS, *endless), tmp_path, start=FORKED)
    try:
        printed = []
        for line in started.stdout:
            printed.append(line)
            if line.startswith("epoch 1/"):
                started.send_signal(signal.SIGTERM)
        assert started.wait() == 128 + signal.SIGTERM, "".join(printed)
        assert f"--processes 2 --out {out}" in "".join(printed)
    finally:
        started.close()
    assert json.loads((out / "settings.json").read_text())["training"]["interrupted"] is True
    assert (tmp_path / "model.checkpoints").is_dir()
    # In memory, each has trained on its part of the rows.
    quick: dict[str, Any] = {"hidden": (8,), "epochs": 1, "batch_size": 16, "engine": "numpy"}
    (alone,) = train_table(table, target="species", **quick, **PLAIN).history
    assert pd.read_csv(out / "history.csv")["loss"][0] == pytest.approx(alone.loss, rel=1e-5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--processes", "0"), "--processes 0 is not allowed"),
        (("--processes", "many"), "--processes many is not allowed"),
        (("--coordinator", "here", "--process-id", "0", "--num-processes", "2"), "--coordinator here"),
        (("--coordinator", "here:1", "--num-processes", "2"), "--process-id is missing"),
        (("--coordinator", "here:1", "--process-id", "2", "--num-processes", "2"), "--process-id 2"),
        (("--processes", "2", "--coordinator", "here:1"), "leave one of them out"),
        (("--coordinator", "here:1", "--step-timeout", "soon"), "--step-timeout soon is not allowed"),
        (("--step-timeout", "2min"), "--step-timeout is for several processes"),
        (("--process-id", "0"), "--coordinator is missing"),
    ],
)
def test_wrong_options_are_refused(tmp_path, words, message):
    table = flowers(tmp_path / "flowers.csv")
    assert message in run("train", table, "--target", "species", *words, code=2).stderr


def test_processes_within_those_of_a_launcher_are_refused(tmp_path, monkeypatch):
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "here", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    words = ("train", flowers(tmp_path / "flowers.csv"), "--target", "species", "--processes", "2")
    assert "--processes 2 does not go with torchrun" in run(*words, code=2).stderr


def test_standard_input_is_refused():
    words = ("train", Path("-"), "--target", "species", "--processes", "2")
    assert "standard input, -, is read once" in run(*words, code=2).stderr
