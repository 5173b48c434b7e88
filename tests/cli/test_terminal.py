"""In a terminal, a progress bar is shown; Ctrl-C stops training and keeps the model."""

import io
import json
import os
import pty
import re
import signal

from rich.console import Console

from batchprop.cli.progress import _Bar, progress
from batchprop.tabular import EpochSummary
from tests.cli.commands import FILES, QUICK, START, WITHOUT_JAX, flowers, names

LONG = ("--epochs", "1000000", "--patience", "1000000")

# The bar is drawn ten times a second, which a short training may never see.
DRAWN_ALWAYS = f"""
from rich.progress import Progress
update = Progress.update
Progress.update = lambda *args, **changes: update(*args, **changes, refresh=True)
{START}
"""


def in_terminal(origin, words, cwd, upto=None, **options):
    """Run a command in a pseudo-terminal; press Ctrl-C at the first output that matches `upto`."""
    controller, terminal = pty.openpty()
    running = origin.start(words, cwd, stdout=terminal, stderr=terminal, env={"COLUMNS": "100"}, **options)
    os.close(terminal)
    output = b""
    try:
        while chunk := read(controller):
            output += chunk
            if upto is not None and re.search(upto, output):
                running.send_signal(signal.SIGINT)
                upto = None
        return running.wait(), output.decode()
    finally:
        running.close()
        os.close(controller)


def read(controller):
    """What a terminal shows next; nothing once the command has ended."""
    try:
        return os.read(controller, 65536)
    except OSError:
        return b""


def test_terminal_shows_a_progress_bar_with_all_metrics(origin, folder):
    data = flowers(folder / "flowers.csv")
    words = ("train", data, "--target", "species", *QUICK, "--engine", "numpy")
    code, output = in_terminal(origin, words, folder, start=DRAWN_ALWAYS)
    assert code == 0
    bars = [line for line in re.split(r"[\r\n]", output) if "━" in line]
    for epoch in (1, 2, 3):
        figures = rf"epoch {epoch}/3 .*loss [\d.]+ +validation [\d.]+ +[\d,]+ rows/s"
        assert any(re.search(figures, bar) for bar in bars), (epoch, bars)
    assert names(folder / "flowers-model") == FILES


def test_bar_ends_where_training_stopped_and_compiling_is_no_pace():
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=100)
    history = list[EpochSummary]()
    with progress(console, 200) as show:
        assert isinstance(show, _Bar)
        for number in range(1, 25):
            history.append(EpochSummary(number, 0.5, 0.6, 0.1, 1000, 60.0 if number == 1 else 0.5))
            show(history)
            if number < 3:
                show.bar.refresh()
    bars = [line for line in re.split(r"[\r\n]", file.getvalue()) if "epoch" in line]
    first, second = (next(bar for bar in bars if f"epoch   {n}/200" in bar) for n in (1, 2))
    assert "left" not in first
    assert "≤ 1:39 left" in second
    assert "epoch 24/24" in bars[-1]
    assert "left" not in bars[-1]


def test_bar_of_several_networks_counts_the_epochs_of_all():
    file = io.StringIO()
    history = list[EpochSummary]()
    with progress(Console(file=file, force_terminal=True, width=100), 10, 3) as show:
        assert isinstance(show, _Bar)
        # The first network ends early, after 4 of its 10 epochs.
        for member, number in [(1, 1), (1, 2), (1, 3), (1, 4), (2, 1)]:
            history.append(EpochSummary(number, 0.5, 0.6, 0.1, 1000, 1.0, member))
            show(history)
        show.bar.refresh()
        assert show.bar.tasks[0].completed == 11
        assert show.bar.tasks[0].total == 30
    bars = [line for line in re.split(r"[\r\n]", file.getvalue()) if "epoch" in line]
    assert any("network 2/3, epoch  1/10" in bar and "≤ 0:19 left" in bar for bar in bars)
    assert "network 2/3, epoch 1/1" in bars[-1]


def test_note_is_printed_on_its_own_lines_above_the_bar(origin, folder):
    data = flowers(folder / "flowers.csv")
    words = ("train", data, "--target", "species", "--epochs", "100000", "--patience", "1")
    code, output = in_terminal(origin, (*words, "--learning-rate", "1"), folder, start=WITHOUT_JAX)
    assert code == 0
    assert re.search(r"(^|[\r\n]|\x1b\[2K)batchprop: note: this fit may take long in NumPy", output)


def test_ctrl_c_in_a_terminal_keeps_the_best_weights(origin, folder):
    data = flowers(folder / "flowers.csv")
    words = ("train", data, "--target", "species", *LONG)
    code, output = in_terminal(origin, words, folder, upto=rb"epoch +\d+/1000000 .*loss \d")
    assert code == 130
    assert "Interrupted after epoch" in output
    assert names(folder / "flowers-model") == FILES
    assert "Traceback" not in output


def test_ctrl_c_without_a_terminal_keeps_and_reports_the_best_weights(origin, folder):
    data = flowers(folder / "flowers.csv")
    words = ("train", data, "--target", "petal_width", "--task", "auto", *LONG)
    running = origin.start((*words, "--engine", "numpy"), folder)
    try:
        for line in running.stdout:
            if line.startswith("epoch 1/"):
                running.send_signal(signal.SIGINT)
                break
        rest, _ = running.communicate()
    finally:
        running.close()
    assert running.returncode == 130
    said = " ".join(rest.split())
    assert re.search(r"Interrupted after epoch \d+, .* Kept the weights of epoch \d+", said)
    assert "Saved as far as it was trained in flowers-model" in said
    assert names(folder) == ["flowers-model", "flowers.csv"]
    facts = json.loads((folder / "flowers-model" / "settings.json").read_text())["training"]
    assert facts["interrupted"] is True
    assert facts["best epoch"] <= facts["epochs"]
