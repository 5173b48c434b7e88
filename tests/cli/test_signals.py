"""Ctrl-C, SIGTERM and SIGHUP, sent to real processes: kept results, exit codes, and no partial files."""

import json
import os
import pty
import re
import signal
import subprocess
import threading
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from batchprop.cli.signals import Terminated, exit_code, handle_signals, interruption_message
from batchprop.files import cleanup_all, defer_signals, temporary_folder
from batchprop.tabular.persistence import MODEL, atomic_folder
from tests.cli.commands import FILES, START, command, environment, flowers, names, run

# In NumPy, which compiles nothing; test_terminal.py tests Ctrl-C in JAX.
LONG = ("--epochs", "1000000", "--patience", "1000000", "--engine", "numpy")
BOTH = [
    (signal.SIGINT, 130, "interrupted"),
    (signal.SIGTERM, 143, "terminated"),
    (signal.SIGHUP, 129, "terminated"),
]

# Prints and waits when the given function is called.
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
    """Return start-up code for a command that halts once in each of these functions."""
    return "\n".join([HALT, *(f"halting({place!r})" for place in places), START])


@contextmanager
def started(origin, folder, *words, start=START):
    """A command in a separate process; its standard output is read line by line."""
    running = origin.start(words, folder, start)
    try:
        yield running
    finally:
        running.close()


@contextmanager
def started_without_imports(folder, *words, start):
    """A command in a process without any imports."""
    with subprocess.Popen(
        command(*words, start=start), cwd=folder, env=environment(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as running:  # fmt: skip
        try:
            yield running
        finally:
            running.kill()


def wait_for(running, start):
    """Read up to a line with this start."""
    for line in running.stdout:
        if line.startswith(start):
            return
    raise AssertionError(f"it ended before {start!r}: {running.stderr.read()}")


def end(running):
    """Return the exit code, and the rest of both outputs."""
    out, err = running.communicate()
    assert "Traceback" not in out + err
    return running.returncode, " ".join(out.split()), err


@pytest.mark.parametrize(("number", "code", "_"), BOTH)
def test_first_signal_saves_the_model_so_far(origin, folder, number, code, _):
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
def test_sigterm_ends_look_and_examine_the_same_way(origin, folder, words, kept):
    with started(origin, folder, *words, "--epochs", 1000000) as running:
        wait_for(running, "epoch 1/")
        running.send_signal(signal.SIGTERM)
        assert end(running)[0] == 143
    assert names(folder) == [kept]


@pytest.mark.parametrize(("number", "code", "word"), BOTH)
def test_signal_before_the_first_epoch_reports_that_nothing_is_written(origin, folder, number, code, word):
    data = flowers(folder / "flowers.csv")
    start = halting_at("batchprop.tabular.training_input.encode")
    with started(origin, folder, "train", data, "--target", "species", start=start) as running:
        wait_for(running, "halted in encode")
        running.send_signal(number)
        assert end(running)[::2] == (code, f"batchprop: {word}; nothing was written\n")
    assert names(folder) == ["flowers.csv"]


IN_A_TERMINAL = f"""
terminal = os.open(os.environ["TTY"], os.O_RDWR)  # the first that a session opens controls it
for number in range(3):
    os.dup2(terminal, number)
{START}
"""


def test_end_of_the_terminal_saves_the_model_so_far(origin, folder):
    data = flowers(folder / "flowers.csv")
    ours, theirs = pty.openpty()
    words = ("train", data, "--target", "species", *LONG)
    with closing(origin.start(words, folder, IN_A_TERMINAL, env={"TTY": os.ttyname(theirs)})) as running:
        shown = b""
        while b" loss " not in shown:
            shown += os.read(ours, 1000)
        os.close(theirs)
        os.close(ours)
        assert running.wait() == 129
    assert names(folder / "flowers-model") == FILES
    assert json.loads((folder / "flowers-model" / "settings.json").read_text())["training"]["interrupted"]


def test_hangups_after_the_first_signal_do_not_count():
    with handle_signals():
        with pytest.raises(Terminated):
            signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
    assert exit_code() == 129


# ---- the second signal


@pytest.mark.parametrize(("first", "code", "word"), BOTH)
def test_second_signal_stops_at_once_with_the_first_exit_code(origin, folder, first, code, word):
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


def test_second_signal_during_cleanup_leaves_no_files(origin, folder):
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


def test_third_signal_ends_an_unresponsive_process(origin, folder):
    start = f"{HALT}\n{STUCK}\n{START}"
    with started(origin, folder, "train", "--out", "m", start=start) as running:
        for word in ("first", "second", "third"):
            wait_for(running, f"stuck {word}")
            left = [re.sub(r"\.\w{6}-\d+-\w{8}\.", ".", name) for name in names(folder)]
            assert left == [".m.partial", ".m.lock"]
            running.send_signal(signal.SIGTERM)
        assert end(running)[::2] == (143, "batchprop: terminated; nothing was written\n")
    assert names(folder) == []


# ---- before the command starts

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
def test_signal_during_imports_prints_one_line(folder, name, number, code, word):
    with started_without_imports(folder, "train", start=IMPORTING.replace("{name}", name)) as running:
        wait_for(running, f"importing {name}")
        running.send_signal(number)
        assert end(running) == (code, "", f"batchprop: {word}\n")
    assert names(folder) == []


def test_signal_while_options_are_read_prints_one_line(folder, monkeypatch):
    def interrupted(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("typer.core.TyperGroup.parse_args", interrupted)
    said = run("train", code=143)
    assert (said.stdout, said.stderr) == ("", "batchprop: terminated; nothing was written\n")


def test_installed_command_is_the_entry_point_with_signal_handlers():
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert 'batchprop = "batchprop.cli:main"' in text


def test_signal_ignored_by_the_parent_stays_ignored(origin, folder):
    data = flowers(folder / "flowers.csv")
    begin = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
    start = f"{begin}; {START}"
    with started(origin, folder, "train", data, "--target", "species", *LONG, start=start) as running:
        wait_for(running, "epoch 1/")
        running.send_signal(signal.SIGINT)
        wait_for(running, "epoch 10/")
        running.send_signal(signal.SIGTERM)
        assert end(running)[0] == 143
    assert names(folder / "flowers-model") == FILES


# ---- in this process


def test_handlers_are_restored_and_signal_counts_reset():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated), handle_signals():
        signal.raise_signal(signal.SIGTERM)
    assert exit_code() == 143
    with handle_signals():
        assert exit_code() == 130
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_handlers_are_not_installed_outside_the_main_thread():
    seen = []

    def work():
        with handle_signals(), defer_signals():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]


def test_signal_between_the_renames_is_deferred(folder, monkeypatch):
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


def test_cleanup_removes_created_parent_folders(folder):
    with temporary_folder(folder / "a" / "b", ".c.") as part:
        (part / "file").write_text("half")
        cleanup_all()
        assert names(folder) == []
