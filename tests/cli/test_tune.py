"""`batchprop tune`: what it prints and writes, where it goes on, and how it ends early."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from batchprop.tabular import load_model, tuning
from tests.cli.commands import FILES, run, skip_figures

SMALL = ("--preset", "fast", "--epochs", "4", "--engine", "numpy")


@pytest.fixture
def rows(folder):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=80).round(3), "word": rng.choice(["a", "b"], 80)})
    kind = np.where(frame["x"] + rng.normal(size=80) / 2 > 0, "hi", "lo")
    frame.assign(kind=kind).to_csv(folder / "t.csv", index=False)
    return ["tune", "t.csv", "--target", "kind", *SMALL]


def test_tune_writes_a_model_with_its_trials_and_goes_on(rows, folder):
    said = run(*rows, "--trials", 2).stdout
    assert "Made 2 trials: 2 complete." in said
    assert sorted(path.name for path in (folder / "t-tuned").iterdir()) == sorted(
        [*FILES, "trials.csv", "trials.png"]
    )
    assert (folder / "t-tuned" / "trials.png").read_bytes().startswith(b"\x89PNG")
    first = pd.read_csv(folder / "t-tuned" / "trials.csv")
    answers = run("predict", "t-tuned", "t.csv").stdout.split()[1:]
    assert answers == load_model("t-tuned").predict("t.csv")["kind"].tolist()
    assert "the folder t-tuned exists" in run(*rows, "--trials", 3, code=1).stderr
    said = run(*rows, "--trials", 3, "--force").stdout
    assert "Going on after 2 trials, from t-tuned.trials" in said
    both = pd.read_csv(folder / "t-tuned" / "trials.csv")
    pd.testing.assert_frame_equal(both[:2], first)
    assert len(both) == 3


def test_ctrl_c_keeps_the_best_so_far(rows, folder, monkeypatch):
    skip_figures(monkeypatch)
    run_trial = tuning._run_trial

    def interrupt(shared, store, asked, *rest):
        if asked.number == 1:
            raise KeyboardInterrupt
        run_trial(shared, store, asked, *rest)

    monkeypatch.setattr(tuning, "_run_trial", interrupt)
    assert "Interrupted after 1 trial: 1 complete." in run(*rows, "--trials", 5, code=None).stdout
    assert load_model("t-tuned").predict("t.csv").shape == (80, 1)


@pytest.mark.parametrize(
    ("words", "message", "code"),
    [
        (("--time", "soon"), "--time-limit soon is not allowed: give seconds, or a time, as 30s, 5min", 2),
        (("--trials", "0"), "Invalid value for '--trials': ", 2),
        (("--dropout", "0.1"), "No such option: --dropout", 2),
        (("--seed", "1"), "the trials in t-tuned.trials are of another search: `options.seed` was 0", 1),
    ],
)
def test_misuse_is_one_line(rows, folder, words, message, code):
    if code == 1:
        tuning.tune("t.csv", target="kind", n_trials=1, folder="t-tuned.trials", preset="fast", epochs=4)
    assert (
        message
        in run(*rows, *words, *(("--trials", "1") if "--trials" not in words else ()), code=code).stderr
    )


def test_a_table_larger_than_the_memory_is_refused(folder):
    frame = pd.DataFrame({f"x{i}": np.arange(30_000) % (i + 7) for i in range(20)})
    frame.assign(y=frame["x0"] * 1.5).to_parquet(folder / "large.parquet", row_group_size=3000)
    words = ("tune", "large.parquet", "--target", "y", "--trials", "1", *SMALL, "--memory", "2MB")
    assert "tune reads no table in parts: give more --memory" in run(*words, code=1).stderr
