"""Ctrl-C and SIGTERM, sent to real processes: what is kept, the exit code, and nothing half-written."""

import json
import re
import signal
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from batchprop.cli.signals import Terminated, exit_code, handle_signals, interruption_message
from batchprop.files import cleanup_all, defer_signals, temporary_path
from batchprop.tabular.persistence import MODEL, atomic_folder
from tests.cli.commands import FILES, START, command, environment, flowers, names

# In NumPy, which compiles nothing; Ctrl-C in JAX is tested in a terminal.
LONG = ("--epochs", "1000000", "--patience", "1000000", "--engine", "numpy")
BOTH = [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]

# Waits where a function of ours or of another's is called, and says so.
HALT = """
import importlib, signal, sys
def halting(place):
    module, _, name = place.rpartition(".")
    module = importlib.import_module(module)
    function, calls = getattr(module, name), []
    def halt(*args, **extra):
        calls.append(name)
        if len(calls) == 1:
            print("halted in", name, flush=True)
            while True:
                signal.pause()
        return function(*args, **extra)
    setattr(module, name, halt)
"""


def halting_at(*places):
    """What starts a command that halts, once, in each of these functions."""
    return "\n".join([HALT, *(f"halting({place!r})" for place in places), START])


@contextmanager
def started(origin, folder, *words, start=START):
    """A command in a process of its own; its standard output is read line by line."""
    running = origin.start(words, folder, start)
    try:
        yield running
    finally:
        running.close()


@contextmanager
def begun(folder, *words, start):
    """A command in a process that has imported nothing."""
    with subprocess.Popen(
        command(*words, start=start), cwd=folder, env=environment(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as running:  # fmt: skip
        try:
            yield running
        finally:
            running.kill()


def wait_for(running, start):
    """Read up to a line that starts so."""
    for line in running.stdout:
        if line.startswith(start):
            return
    raise AssertionError(f"it ended before {start!r}: {running.stderr.read()}")


def end(running):
    """The exit code, and what was said on the rest of both outputs."""
    out, err = running.communicate()
    assert "Traceback" not in out + err
    return running.returncode, " ".join(out.split()), err


@pytest.mark.parametrize(("number", "code", "_"), BOTH)
def test_the_first_signal_saves_what_was_trained(origin, folder, number, code, _):
    data = flowers(folder / "flowers.csv")
    with started(origin, folder, "train", data, "--target", "species", *LONG) as running:
        wait_for(running, "epoch 1/")
        running.send_signal(number)
        assert end(running)[0] == code
    assert names(folder) == ["flowers-model", "flowers.csv"]
    assert names(folder / "flowers-model") == FILES
    assert json.loads((folder / "flowers-model" / "settings.json").read_text())["training"]["interrupted"]


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["examine", "--out", "rows.csv", "--engine", "numpy"], "rows.csv"),
        (["look", "--out", "page.html", "--no-open"], "page.html"),
    ],
)
def test_sigterm_ends_the_other_trainings_alike(origin, folder, words, kept):
    with started(origin, folder, *words, "--epochs", 1000000) as running:
        wait_for(running, "epoch 1/")
        running.send_signal(signal.SIGTERM)
        assert end(running)[0] == 143
    assert names(folder) == [kept]


@pytest.mark.parametrize(("number", "code", "word"), BOTH)
def test_before_the_first_epoch_nothing_is_written_and_that_is_said(origin, folder, number, code, word):
    data = flowers(folder / "flowers.csv")
    start = halting_at("batchprop.tabular.training_input.encode")
    with started(origin, folder, "train", data, "--target", "species", start=start) as running:
        wait_for(running, "halted in encode")
        running.send_signal(number)
        assert end(running)[::2] == (code, f"batchprop: {word}; nothing was written\n")
    assert names(folder) == ["flowers.csv"]


# ---- the second


@pytest.mark.parametrize(("first", "code", "word"), BOTH)
def test_a_second_signal_stops_at_once_with_the_code_of_the_first(origin, folder, first, code, word):
    second = signal.SIGTERM if first == signal.SIGINT else signal.SIGINT
    start = halting_at("batchprop.tabular.model_files.save_pipeline")
    with started(origin, folder, "train", "--hidden", "4", *LONG, "--out", "new/m", start=start) as running:
        wait_for(running, "epoch 1/")
        running.send_signal(first)
        wait_for(running, "halted in save_pipeline")
        running.send_signal(second)
        assert end(running)[::2] == (code, f"batchprop: {word}; nothing was written\n")
    assert names(folder) == []


def test_a_second_signal_while_the_report_is_written_keeps_the_model(origin, folder):
    start = halting_at("batchprop.tabular.model_files.build_report")
    with started(origin, folder, "train", "--hidden", "4", *LONG, "--out", "m", start=start) as running:
        wait_for(running, "epoch 1/")
        running.send_signal(signal.SIGTERM)
        wait_for(running, "halted in build_report")
        running.send_signal(signal.SIGTERM)
        code, said, _ = end(running)
    assert code == 143
    assert "the report is left out" in said
    assert names(folder / "m") == [name for name in FILES if name != "report.html"]


def test_a_second_signal_in_the_middle_of_the_tidying_leaves_nothing(origin, folder):
    start = halting_at("shutil.rmtree", "batchprop.tabular.model_files.save_pipeline")
    with started(
        origin, folder, "train", "--hidden", "4", "--epochs", "2", "--out", "m", start=start
    ) as running:
        wait_for(running, "halted in save_pipeline")
        assert len(names(folder)) == 2  # what is half written, and the lock
        running.send_signal(signal.SIGINT)
        wait_for(running, "halted in rmtree")
        running.send_signal(signal.SIGINT)
        assert end(running)[::2] == (130, "batchprop: interrupted; nothing was written\n")
    assert names(folder) == []


STUCK = """
import batchprop.tabular.training_input
def stuck(*_):
    for word in ("first", "second", "third"):
        try:
            print("stuck", word, flush=True)
            while True:
                signal.pause()
        except KeyboardInterrupt:
            pass
batchprop.tabular.training_input.encode = stuck
"""


def test_a_third_signal_ends_what_takes_no_notice_of_two(origin, folder):
    start = f"{HALT}\n{STUCK}\n{START}"
    with started(origin, folder, "train", "--out", "m", start=start) as running:
        for word in ("first", "second", "third"):
            wait_for(running, f"stuck {word}")
            assert [re.sub(r"\.\w{8}\.", ".", name) for name in names(folder)] == [".m.partial", ".m.lock"]
            running.send_signal(signal.SIGTERM)
        assert end(running)[::2] == (143, "batchprop: terminated; nothing was written\n")
    assert names(folder) == []


# ---- before the command begins

IMPORTING = """
import sys
class Halt:
    def find_spec(self, name, path=None, target=None):
        if name == "{name}":
            print("importing", name, flush=True)
            import signal
            try:
                while True:
                    signal.pause()
            except BaseException:
                raise ImportError("swallowed")
sys.meta_path.insert(0, Halt())
from batchprop.cli import main
main()
"""


@pytest.mark.parametrize(("number", "code", "word"), BOTH)
@pytest.mark.parametrize("name", ["numpy", "typer", "batchprop.cli.train"])
def test_a_signal_during_the_first_imports_is_one_line(folder, name, number, code, word):
    with begun(folder, "train", start=IMPORTING.replace("{name}", name)) as running:
        wait_for(running, f"importing {name}")
        running.send_signal(number)
        assert end(running) == (code, "", f"batchprop: {word}\n")
    assert names(folder) == []


def test_the_command_of_the_shell_is_the_one_that_listens_first():
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert 'batchprop = "batchprop.cli:main"' in text


def test_what_whoever_started_it_ignores_stays_ignored(origin, folder):
    data = flowers(folder / "flowers.csv")
    begin = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
    start = f"{begin}; from batchprop.cli import main; main()"
    with started(origin, folder, "train", data, "--target", "species", *LONG, start=start) as running:
        wait_for(running, "epoch 1/")
        running.send_signal(signal.SIGINT)
        wait_for(running, "epoch 10/")
        running.send_signal(signal.SIGTERM)
        assert end(running)[0] == 143
    assert names(folder / "flowers-model") == FILES


# ---- in this process


def test_handlers_are_put_back_and_each_command_counts_anew():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated), handle_signals():
        signal.raise_signal(signal.SIGTERM)
    assert exit_code() == 143
    with handle_signals():
        assert exit_code() == 130
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_another_thread_listens_to_nothing():
    seen = []

    def work():
        with handle_signals(), defer_signals():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]


def test_a_signal_between_the_renames_waits_until_the_model_is_in_its_place(folder, monkeypatch):
    old = folder / "m"
    old.mkdir()
    (old / MODEL).write_text("old")
    rename = Path.rename

    def interrupted(self, target):
        signal.raise_signal(signal.SIGTERM)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with handle_signals():
        with pytest.raises(Terminated), atomic_folder("m", force=True) as part:
            (part / MODEL).write_text("new")
        assert interruption_message() == "terminated; m is written"
    assert (folder / "m" / MODEL).read_text() == "new"
    assert names(folder) == ["m"]


def test_a_sweep_takes_back_the_folders_that_were_made_for_it(folder):
    part = folder / "a" / "b" / ".c.partial"
    with temporary_path(part, [part.parent, part.parent.parent]):
        part.mkdir(parents=True)
        (part / "file").write_text("half")
        cleanup_all()
        assert names(folder) == []
