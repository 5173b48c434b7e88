"""All commands: help that matches the options, and one-line errors."""

import errno
import json
import re
import shlex
import subprocess
import sys
from importlib.metadata import metadata, requires
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer
from packaging.requirements import Requirement
from typer.testing import CliRunner

import batchprop
from batchprop.activations import ACTIVATIONS
from batchprop.cli.app import app
from batchprop.engines.auto import ENGINES, PRECISIONS
from batchprop.heads import HEADS
from batchprop.tabular.options import option_choices
from tests.cli.commands import QUICK, environment, flowers, houses, names, process, run, write

COMMANDS = ("train", "predict", "walk")


def subcommand(name) -> Any:
    group: Any = typer.main.get_command(app)
    return group.commands[name]


def plain(text):
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", text).split())


@pytest.mark.parametrize("name", COMMANDS)
def test_help_lists_every_option_and_an_example(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    text = plain(run(name, "--help").stdout)
    options = subcommand(name).params
    assert options
    for option in options:
        shown = option.opts[0] if option.param_type_name == "option" else option.name.upper()
        assert shown in text
        assert option.help in text or plain(option.help) in text
    assert f"batchprop {name} " in text


def test_option_choices_match_the_core():
    assert set(option_choices("activation")) == set(ACTIVATIONS)
    assert set(option_choices("loss")) == set(HEADS) - {"softmax", "sigmoid"}
    assert option_choices("engine") == ENGINES
    assert option_choices("precision") == PRECISIONS


def examples(name):
    text = subcommand(name).epilog
    return [line for line in text.splitlines() if line.startswith("batchprop ")]


def launch_here(command, n_processes, **_):
    """Run what each of several processes would, once and in this one; test_processes.py starts them."""
    words = command[command.index("batchprop") + 1 :]
    at = words.index("--processes")
    assert n_processes == int(words[at + 1]) > 1
    return run(*words[:at], *words[at + 2 :]).exit_code


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_run(name, folder, monkeypatch):
    monkeypatch.setattr("batchprop.distributed.launcher.launch", launch_here)
    (folder / "flowers").mkdir()
    for part in ("flowers.csv", "flowers/may.csv"):
        flowers(folder / part)
    houses(folder / "houses.parquet")
    table = houses(folder / "visits.csv")
    write(pd.read_csv(table).assign(visits=range(150)), table)
    (folder / "data").mkdir()
    for part in "ab":
        pd.read_csv(table).assign(sold=["no", "yes"] * 75).to_parquet(folder / "data" / f"{part}.parquet")
    run("train", "flowers.csv", "--target", "species", *QUICK)
    assert examples(name)
    for line in examples(name):
        words = shlex.split(line)[1:]
        quick = ["--force", "--epochs", "2"] if name == "train" else []
        run(*words, *quick)


def test_top_level_help(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    text = plain(run("--help").stdout)
    for name in COMMANDS:
        assert name in text
    assert "1 bad data, or a file that the system refuses, 2 misuse" in text


def test_the_version():
    assert run("--version").stdout == f"batchprop {batchprop.__version__}\n"


def test_unknown_commands_and_options_exit_with_code_2():
    assert "No such command 'trian'" in run("trian", code=2).stderr
    assert "No such option" in run("--bogus", code=2).stderr


def test_separate_process_has_the_same_output_and_exit_code(origin, folder):
    done = process("walk", "--rows", "2", cwd=folder)
    assert done.returncode == 0
    assert "before the update" in done.stdout
    failed = origin.run("train", "t.csv", "--target", "y", cwd=folder)
    assert failed.returncode == 1
    assert failed.stderr == "batchprop: there is no file t.csv: check the name and the folder\n"
    misused = origin.run("train", "--hidden", "x", cwd=folder)
    assert misused.returncode == 2
    assert len(misused.stderr.splitlines()) == 1
    assert names(folder) == []


def test_closed_pipe_prints_no_traceback(origin, folder):
    walking = origin.start(("walk", "--rows", "500", "--hidden", "50,50,50"), folder)
    try:
        assert walking.stdout.readline()
        walking.stdout.close()
        assert "Traceback" not in walking.stderr.read()
        walking.wait()
    finally:
        walking.close()


def test_running_without_a_command_prints_the_help(origin, folder):
    done = origin.run(cwd=folder)
    assert (done.returncode, done.stderr) == (2, "")
    assert all(name in done.stdout for name in COMMANDS)


def test_output_that_cannot_encode_all_characters_does_not_fail(folder):
    flowers(folder / "flowers.csv")
    ascii_only = CliRunner(charset="ascii")
    done = ascii_only.invoke(app, ["train", "flowers.csv", "--target", "species", *QUICK])
    assert (done.exit_code, done.stderr) == (0, "")
    assert "Saved in flowers-model" in done.stdout
    assert ascii_only.invoke(app, ["walk"]).exit_code == 0
    assert ascii_only.invoke(app, ["train", "--help"]).exit_code == 0


def test_predictions_that_stdout_cannot_encode_raise_an_error(origin, folder):
    frame = pd.read_csv(flowers(folder / "t.csv")).replace("setosa", "城市")
    run("train", write(frame, folder / "t.csv"), "--target", "species", "--epochs", 30)
    done = origin.run("predict", "t-model", "t.csv", cwd=folder, encoding="ascii")
    assert done.returncode == 1
    assert done.stderr.startswith("batchprop: standard output is ascii, which lacks '\\u57ce'")
    assert len(done.stderr.splitlines()) == 1


IMPORTING = """
import sys
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "{name}":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt())
from batchprop.cli import main
main()
"""


@pytest.mark.parametrize("name", ["typer", "pandas"])
def test_ctrl_c_during_imports_prints_one_line(folder, name):
    done = process("train", *QUICK, cwd=folder, start=IMPORTING.replace("{name}", name))
    assert done.returncode == 130
    assert done.stderr.startswith("batchprop: interrupted")
    assert len(done.stderr.splitlines()) == 1
    assert names(folder) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
@pytest.mark.parametrize("words", [["walk"], ["train", *QUICK], ["--help"]])
def test_full_disk_is_a_one_line_error_and_leaves_no_files(origin, folder, words):
    with Path("/dev/full").open("w") as full:
        done = origin.run(*words, cwd=folder, stdout=full.fileno())
    assert done.returncode == 1
    assert done.stderr == "batchprop: the system refused to read or write: No space left on device\n"
    assert names(folder) == []


@pytest.mark.parametrize(
    ("place", "file"),
    [
        ("save_pipeline", "digits-model/model.skops"),
        ("write_history", "digits-model/history.csv"),
        ("save_learning_curve", "digits-model/learning-curve.png"),
    ],
)
def test_disk_that_fills_up_while_writing_leaves_the_network_only(folder, monkeypatch, place, file):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "some file")

    monkeypatch.setattr(f"batchprop.tabular.model_files.{place}", refuse)
    result = run("train", *QUICK, code=1)
    assert f"{file} could not be written: No space left on device; make room" in result.stderr
    assert "the trained network is kept in digits-model.unsaved: " in result.stderr
    assert names(folder) == ["digits-model.unsaved"]


WITHOUT = """
import contextlib, io, json, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"duckdb", "pandas", "pyarrow", "skops", "matplotlib"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from batchprop.cli import main
done = []
for words in json.loads(sys.argv[1]):
    sys.argv[1:] = words
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            done.append((end.code or 0, err.getvalue()))
print(json.dumps(done))
"""


def test_without_the_extra_help_works_and_commands_name_the_extra(folder):
    codes = {"--help": 0, "train --help": 0, "walk": 0, "play --no-open": 0}
    codes |= {
        "train": 1,
        "predict m t.csv": 1,
        "walk t.csv --target y": 1,
        "play t.csv --target y --no-open": 1,
    }
    codes |= {"export m --onnx m.onnx": 1, "export m --weights w.safetensors": 1}
    lines = json.dumps([line.split() for line in codes])
    # One process for all commands, since starting it takes longest.
    printed = process(lines, cwd=folder, start=WITHOUT)
    assert (printed.returncode, printed.stderr) == (0, "")
    done = json.loads(printed.stdout)
    assert len(done) == len(codes)
    for (line, wanted), (code, said) in zip(codes.items(), done, strict=True):
        assert code == wanted, (line, said)
        if code:
            # All extras at once: one to read the model, one to write the graph.
            extras = "onnx,tables" if "--onnx" in line else "tables"
            assert said.endswith(f'which is not installed: pip install "batchprop[{extras}]"\n')
            assert len(said.splitlines()) == 1


def test_advised_installation_finds_its_extras_in_an_installed_checkout():
    # pip takes the extras from the installed copy, as batchprop may be in no index.
    extras = set(metadata("batchprop").get_all("Provides-Extra") or ())
    assert {"jax", "onnx", "tables", "tune"} <= extras
    assert any(Requirement(text).name == "pandas" for text in requires_of("tables"))


def requires_of(extra):
    """The requirements that an extra adds."""
    return [
        text
        for text in requires("batchprop") or ()
        if (marker := Requirement(text).marker) is not None and marker.evaluate({"extra": extra})
    ]


def test_module_runs_the_commands_and_completes_their_names(folder):
    def run_module(*words, **variables):
        done = subprocess.run(
            [sys.executable, "-m", "batchprop", *words],
            cwd=folder, env={**environment(), **variables}, capture_output=True, text=True, check=False,
            timeout=60,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    shell = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    script = run_module("--show-completion", "bash", **shell)
    assert "_BATCHPROP_COMPLETE=complete_bash" in script
    assert script.rstrip().endswith(" batchprop")
    asked = {"_BATCHPROP_COMPLETE": "complete_bash", "COMP_WORDS": "batchprop ex", "COMP_CWORD": "1"}
    assert run_module(**asked).split() == ["examine", "export"]


def test_help_imports_no_slow_modules(folder):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import batchprop.cli.app"],
        cwd=folder, env=environment(), capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "batchprop.cli.train" in imported
    assert not imported & {"pandas", "pyarrow", "skops", "matplotlib", "sklearn", "jax", "scipy"}
