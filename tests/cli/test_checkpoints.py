"""`batchprop train --checkpoint-every ... --resume`: an interrupted training resumes."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from batchprop.cli.app import app
from batchprop.estimators import fit as fit_module
from batchprop.estimators.checkpoints import Checkpoints
from batchprop.tabular.persistence import load_pipeline
from tests.cli.commands import run
from tests.cli.test_large_tables import STREAM, large_soon, table  # noqa: F401
from tests.estimators.test_checkpoints import DiedError, dying_after

# The small memory of these tests opens few partitions, and the fit warns about it.
pytestmark = pytest.mark.filterwarnings("ignore:.*are read at a time:UserWarning")

QUICK = ("--epochs", "4", "--hidden", "8", "--checkpoint-every", "0s")
KEPT = "m.checkpoints"


@pytest.fixture(autouse=True)
def one_batch_chunks(monkeypatch):
    monkeypatch.setattr(fit_module, "CHUNK_SECONDS", 0.0)


@pytest.fixture
def rows(folder):
    kept = ["x0", "x1", "x2", "x3", "colour", "born", "kind"]
    table(400)[kept].to_parquet(folder / "t.parquet", row_group_size=50)
    # Five batches in an epoch, and a checkpoint after each: fits are killed within an epoch.
    return ["train", "t.parquet", "--target", "kind", "--batch-size", "64", *QUICK]


def coefs(model):
    last = load_pipeline(model)[-1]
    return [coef.tobytes() for coef in getattr(last, "regressor_", last).coefs_]


def epochs_of(model):
    return pd.read_csv(f"{model}/history.csv").drop(columns="seconds").to_numpy().tolist()


@pytest.mark.parametrize(
    ("target", "extra"), [("price", ()), ("kind", STREAM[:2])], ids=["in memory", "in parts"]
)
def test_resumed_training_gives_the_same_model(folder, extra, target):
    other = {"kind": "price", "price": "kind"}[target]
    table(1500).drop(columns=other).to_parquet(folder / "t.parquet", row_group_size=375)
    words = [
        "train",
        "t.parquet",
        "--target",
        target,
        "--dropout",
        "0.2",
        "--batch-size",
        "256",
        *QUICK,
        *extra,
    ]
    run(*words, "--out", "whole")
    for writes in (3, 5):
        with dying_after(writes), pytest.raises(DiedError):
            run(*words, "--out", "m", "--resume")
        assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == [KEPT, "whole"]
    said = run(*words, "--out", "m", "--resume").stdout
    assert "Resuming after " in said
    assert coefs("m") == coefs("whole")
    assert epochs_of("m") == epochs_of("whole")
    assert not (folder / KEPT).exists()


def test_resume_without_a_checkpoint_starts_training(rows):
    assert (
        "There is no checkpoint in m.checkpoints: training starts over."
        in run(*rows, "--out", "m", "--resume").stdout
    )


def test_resume_of_a_finished_training_changes_nothing(rows, folder):
    run(*rows, "--out", "m", "--resume")
    before = (folder / "m" / "model.skops").read_bytes()
    assert (
        "The training in m has ended: nothing is left to do." in run(*rows, "--out", "m", "--resume").stdout
    )
    assert (folder / "m" / "model.skops").read_bytes() == before


def test_model_beside_the_checkpoints_of_its_training_is_done(rows, folder, monkeypatch):
    # As if the process had been killed before it removed them.
    with monkeypatch.context() as patch:
        patch.setattr("batchprop.cli.train_command.remove_checkpoints", lambda *_: None)
        run(*rows, "--out", "m")
    before = (folder / "m" / "model.skops").read_bytes()
    assert len(Checkpoints(KEPT).files()) == 2
    said = run(*rows, "--out", "m", "--resume").stdout
    assert "The training in m has ended: nothing is left to do." in said
    assert not (folder / KEPT).exists()
    assert (folder / "m" / "model.skops").read_bytes() == before


def test_resumed_training_replaces_no_file_of_others(rows, folder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("batchprop.tabular.fit.HistoryCallback", interrupting(after=2))
        assert CliRunner().invoke(app, [*rows, "--out", "m"]).exit_code == 130
    (folder / "m" / "notes.txt").write_text("of somebody")
    said = run(*rows, "--out", "m", "--resume", code=1).stderr
    assert "the folder m also holds notes.txt, which no training wrote, and would be replaced" in said
    (folder / "m" / "notes.txt").unlink()
    run(*rows, "--out", "m", "--resume")


def test_resume_with_force_and_without_checkpoints_trains(rows, folder):
    run(*rows, "--out", "m", "--seed", "1")
    run(*rows, "--out", "whole")
    run(*rows, "--out", "m", "--force", "--resume")
    assert coefs("m") == coefs("whole")


def test_resume_compares_the_columns_of_a_very_wide_table(rows, folder):
    with dying_after(9), pytest.raises(DiedError):
        run(*rows, "--out", "m")
    info = folder / KEPT / "resume.json"
    saved = json.loads(info.read_text())
    saved["split"]["drop"] = [f"{'column' * 100}{i}" for i in range(10_000)]
    info.write_text(json.dumps(saved))
    said = run(*rows, "--out", "m", "--resume", code=1).stderr
    assert "--drop was 'column" in said
    assert "..., and now is " in said
    assert len(said) < 500


@pytest.mark.parametrize("name", ["checkpoint-000001.safetensors", "resume.json"])
def test_pipe_in_place_of_a_file_does_not_block(rows, folder, name):
    (folder / KEPT).mkdir()
    os.mkfifo(folder / KEPT / name)
    if name == "resume.json":
        said = run(*rows, "--out", "m", "--resume", code=1).stderr
        assert "resume.json exists and is not a file (it is a pipe)" in said
    else:
        said = run(*rows, "--out", "m", "--resume", code=1).stderr
        assert "checkpoint-000001.safetensors is damaged" in said
        assert "it is a pipe, not a file" in said


def test_linked_folder_of_checkpoints_is_refused(rows, folder):
    (folder / "elsewhere").mkdir()
    (folder / KEPT).symlink_to("elsewhere")
    for more in ((), ("--resume",), ("--force",)):
        said = run(*rows, "--out", "m", *more, code=1).stderr
        assert "m.checkpoints is a link" in said or "it is a link" in said
    assert list((folder / "elsewhere").iterdir()) == []


def test_resume_does_not_replace_a_complete_model(rows):
    with dying_after(9), pytest.raises(DiedError):
        run(*rows, "--out", "m")
    run(*rows[:-2], "--out", "m")
    assert "the folder m exists" in run(*rows, "--out", "m", "--resume", code=1).stderr


@pytest.mark.parametrize(("memory", "now"), [("1MiB", "1.1MiB"), ("4GB", "1MiB")])
def test_resume_ignores_a_changed_memory_limit(folder, memory, now):
    table(1500).drop(columns="price").to_parquet(folder / "t.parquet", row_group_size=375)
    words = ["train", "t.parquet", "--target", "kind", "--batch-size", "128", *QUICK, "--epochs", "2"]
    run(*words, "--memory", memory, "--out", "whole")
    with dying_after(5), pytest.raises(DiedError):
        run(*words, "--memory", memory, "--out", "m")
    run(*words, "--memory", now, "--out", "m", "--resume")
    assert coefs("m") == coefs("whole")


def test_resume_ignores_a_damaged_resume_file(rows, folder):
    with dying_after(17), pytest.raises(DiedError):
        run(*rows, "--out", "m")
    for i, content in enumerate([b"", b"[" * 10**5, b"{}", b'{"memory": "all"}', b'{"memory": -1}']):
        shutil.copytree(folder / KEPT, folder / f"m{i}.checkpoints")
        (folder / f"m{i}.checkpoints" / "resume.json").write_bytes(content)
        run(*rows, "--out", f"m{i}", "--resume")


def test_failure_before_the_first_checkpoint_leaves_no_files(rows, folder):
    run(*rows, "--out", "m", "--weights", "nowhere", code=1)
    assert sorted(path.name for path in folder.iterdir()) == ["t.parquet"]


def test_existing_checkpoints_are_not_overwritten(rows, folder):
    with dying_after(2), pytest.raises(DiedError):
        run(*rows, "--out", "m")
    said = run(*rows, "--out", "m", code=1).stderr
    assert (
        "checkpoints holds checkpoints of a training that did not end: continue with --resume, or start over"
        in said
    )
    run(*rows, "--out", "m", "--force")
    assert not (folder / KEPT).exists()


def test_ctrl_c_keeps_the_model_and_the_checkpoint_and_prints_how_to_go_on(rows, folder, monkeypatch):
    frame = pd.read_parquet("t.parquet").rename(columns={"x3": "x, 3"})
    frame.to_parquet("my t.parquet", row_group_size=50)
    more = ["--drop", 'x0,"x, 3"', "--hidden", "8,4", "--class-weight", "balanced", "--test-fraction", "0.25"]
    rows = ["train", "my t.parquet", *rows[2:], *more, "--memory", "1GB"]
    run(*rows, "--out", "whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("batchprop.tabular.fit.HistoryCallback", interrupting(after=2))
        first = CliRunner().invoke(app, [*rows, "--out", "my m"])
    assert first.exit_code == 130
    assert "Saved as far as it was trained in my m" in first.stdout
    # The settings of a very wide table take megabytes.
    settings = folder / "my m" / "settings.json"
    settings.write_text(settings.read_text().rstrip() + " " * (1 << 23))
    printed = next(line for line in first.stdout.splitlines() if line.startswith("Resume with: "))
    run(*shlex.split(printed.removeprefix("Resume with: "))[1:])
    assert coefs("my m") == coefs("whole")
    assert not json.loads(settings.read_text())["training"]["interrupted"]


def interrupting(after):
    from batchprop.tabular.history import HistoryCallback

    def made(history, show):
        go_on = HistoryCallback(history, show)

        def on_epoch(record):
            go_on(record)
            if record.number == after:
                os.kill(os.getpid(), signal.SIGINT)
            return False

        go_on.on_fit_begin(None, resumed=False)
        return on_epoch

    return made


def test_resume_with_other_settings_is_refused(rows):
    with dying_after(2), pytest.raises(DiedError):
        run(*rows, "--out", "m")
    said = run(*rows, "--out", "m", "--resume", "--alpha", "0.5", code=1).stderr
    assert "the checkpoint is of another fit: alpha was 0.0001, and now is 0.5" in said


@pytest.mark.filterwarnings("default")
def test_damaged_checkpoint_is_reported_and_the_previous_one_used(rows):
    run(*rows, "--out", "whole")
    with dying_after(9), pytest.raises(DiedError):
        run(*rows, "--out", "m")
    newest = Checkpoints(KEPT).files()[-1]
    newest.write_bytes(newest.read_bytes()[:-9])
    said = run(*rows, "--out", "m", "--resume")
    assert f"{newest.name} is damaged" in said.stderr
    assert coefs("m") == coefs("whole")


def test_full_disk_is_reported_and_the_old_checkpoint_kept(rows, monkeypatch):
    write = Checkpoints.write

    def full(self, saved, epochs):
        if len(self.files()) == 2:
            raise_full()
        return write(self, saved, epochs)

    def raise_full():
        from batchprop.errors import CheckpointError

        raise CheckpointError("the checkpoint could not be written: No space left on device")

    monkeypatch.setattr(Checkpoints, "write", full)
    said = run(*rows, "--out", "m", code=1).stderr
    assert said == "batchprop: the checkpoint could not be written: No space left on device\n"
    assert len(Checkpoints(KEPT).files()) == 2


@pytest.mark.filterwarnings("default")
def test_diverging_training_rewinds_and_reports_it(folder):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({f"x{j}": rng.normal(size=600) for j in range(3)})
    frame["price"] = frame.x0 + 2 * frame.x1 + 3 * frame.x2
    frame.to_parquet(folder / "t.parquet")
    words = [
        "train",
        "t.parquet",
        "--target",
        "price",
        "--hidden",
        "none",
        "--solver",
        "sgd",
        "--epochs",
        "12",
    ]
    words += ["--learning-rate", "4", "--batch-size", "8"]
    assert "the loss became inf" in run(*words, code=1).stderr
    said = run(*words, "--on-divergence", "rewind")
    assert "of the learning rate" in said.stderr
    history = pd.read_csv(folder / "t-model" / "history.csv")
    assert history["epoch"].tolist() == list(range(1, len(history) + 1))
    assert json.loads((folder / "t-model" / "settings.json").read_text())["test"]["R²"] > 0.95
