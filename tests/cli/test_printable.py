"""No name in a table, a file or an option controls the terminal, in what any command prints."""

import io
import os
import re
import shutil
import subprocess
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from batchprop import cli
from batchprop.cli.console import make_console
from batchprop.cli.progress import pass_progress, progress
from batchprop.cli.terminal import printable
from batchprop.format import INVISIBLE, join_command
from batchprop.tabular import EpochSummary
from tests.cli.commands import QUICK, run

pytestmark = pytest.mark.filterwarnings("always")  # warnings are printed too

HIDDEN = "\u00ad\u061c\u115f\u200b\u200c\u200d\u2060\u2061\u2062\u2063\u2064\u3164\ue000\ufeff\U000e0001"
"""Characters of no width, or for private use."""

DIRECTIONS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}

CONTROLS = [
    letter
    for letter in map(chr, [*range(0x20000), *range(0xE0000, 0xE1000)])
    if unicodedata.category(letter) in {"Cc", "Zl", "Zp"}
    or unicodedata.bidirectional(letter) in DIRECTIONS
    or letter in f"{HIDDEN}\u200e\u200f"
]
"""These, and every control character, line separator and bidirectional control of Unicode. The other planes
hold ideographs and private characters."""

IN_TABLES = [letter for letter in CONTROLS if letter != "\0"]  # which is refused there
FILE_NAME = "".join(IN_TABLES)


def check(text):
    """Check that text holds nothing but what is seen, and line ends."""
    assert {letter for letter in text if not letter.isprintable()} <= {"\n"}, ascii(text)
    assert not set(text) & (set(CONTROLS) - {"\n"}), ascii(text)


def run_seen(*words, code=0):
    """Run a command in this process, and check what it prints."""
    result = run(*words, code=code)
    check(result.stdout)
    check(result.stderr)
    return result


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A table with each of them in a column's name, in a class and in the name of the file."""
    few = ["".join(IN_TABLES[at : at + 4]) for at in range(0, len(IN_TABLES), 4)]
    rng, n = np.random.default_rng(0), 4 * len(few)
    path = tmp_path_factory.mktemp("hostile") / f"{FILE_NAME}.parquet"
    names = [f"a{letters}{i}" for i, letters in enumerate(few)]
    frame = pd.DataFrame(rng.normal(size=(n, len(names))), columns=names)
    frame["w\x1b]0;words\x07"] = ["b\x1b[31m", "c\u202e"] * (n // 2)
    frame["t\x1b[2J"] = [f"k{letters}{i}" for i, letters in enumerate(few)] * 4
    frame["l\u2066ong"] = [" ".join(f"{few[i % len(few)]}{i}" for i in range(j, j + 9)) for j in range(n)]
    frame.to_parquet(path, index=False)
    return path


TARGET = ("--target", "t\x1b[2J")


@pytest.fixture(scope="module")
def model(table):
    """A model trained on it, in a folder of such a name."""
    folder = table.with_name(f"model{FILE_NAME}")
    check((result := run("train", table, *TARGET, "--out", folder, *QUICK)).stdout)
    check(result.stderr)
    assert "\\x1b[2J" in result.stdout
    return folder


def test_train_walk_look_and_examine(table, model, folder):
    assert run_seen("examine", table, *TARGET, "--epochs", "1", "--top", "100", "--out", "rows.csv").stdout
    run_seen("walk", table, *TARGET, "--rows", "3")
    run_seen("look", table, *TARGET, "--epochs", "1", "--no-open", "--out", f"{FILE_NAME[:60]}.html")
    run_seen("tune", table, *TARGET, "--trials", "1", "--preset", "fast", "--epochs", "1", "--out", "tuned")
    run_seen("look", model, table, "--no-open", "--out", "page.html")
    run_seen("train", table, *TARGET, "--out", model, code=1)


def test_predict_and_export(table, model, folder):
    run_seen("predict", model, table, "--proba", "--out", f"{FILE_NAME[:60]}.csv")
    run_seen("export", model, "--weights", f"{FILE_NAME[:60]}.safetensors")
    frame = pd.read_parquet(table)
    frame.drop(columns=frame.columns[3]).to_parquet("lacking.parquet")
    run_seen("predict", model, "lacking.parquet", code=1)
    frame.assign(**{frame.columns[9]: "x\x1b[1m"}).to_parquet("words.parquet")
    run_seen("predict", model, "words.parquet", code=1)
    frame.assign(**{"w\x1b]0;words\x07": "new\u202e"}).to_parquet("unseen.parquet")
    run_seen("predict", model, "unseen.parquet", "--out", "unseen.csv")


def test_predictions_are_printable_in_a_terminal_and_data_elsewhere(table, model, folder, monkeypatch):
    words = ("predict", model, table, "--keep", "w\x1b]0;words\x07")
    raw = run(*words).stdout
    assert set(raw) & set(CONTROLS)
    assert pd.read_csv(io.StringIO(raw)).shape == (len(pd.read_parquet(table)), 2)
    # The runner's stream stands for a terminal.
    monkeypatch.setattr("batchprop.cli.terminal.is_terminal", lambda: True)
    assert "\\u202e" in run_seen(*words).stdout


@pytest.mark.parametrize("command", ["train", "tune", "walk", "examine", "look", "predict", "export", "play"])
def test_errors_of_every_command(command, table, folder):
    name = f"no{FILE_NAME[:90]}"
    run_seen(
        command,
        f"{name}.csv",
        *(("x.csv",) if command == "predict" else ()),
        code=2 if command == "export" else None,
    )
    run_seen(command, f"--{name}", code=2)
    run_seen(f"{command}{name}", code=2)
    if command not in {"predict", "export"}:
        run_seen(command, table, "--target", name, code=None)


def test_play(table, folder):
    target = next(name for name in map(str, pd.read_parquet(table)) if name[0] == "a" and "\x1b" in name)
    assert "Playground" in run_seen("play", table, "--target", target, "--no-open").stdout


def test_bars_of_a_terminal_show_no_name_raw():
    file = io.StringIO()
    console = make_console(file=file, force_terminal=True, width=60, color_system=None)
    with pass_progress(console, FILE_NAME, 10) as count_rows:
        count_rows(5)
    with progress(console, 3) as show:
        show([EpochSummary(1, 0.5, 0.6, 0.1, 1000, 1.0)])
    console.print(FILE_NAME, f"{FILE_NAME}\0", sep="\n", soft_wrap=True)
    shown = file.getvalue()
    assert "\\u202e" in shown
    # Rich's own codes begin with ESC and [, and move the bar.
    assert not set(shown) & set(CONTROLS) - {"\n", "\r", "\x1b"}
    assert {part[0] for part in shown.split("\x1b")[1:]} == {"["}


@pytest.mark.parametrize("letter", CONTROLS)
def test_each_is_escaped_as_python_does(letter):
    assert printable(f"é{letter}漢") == f"é{ascii(letter)[1:-1]}漢"
    assert printable("é漢 ❤️ ½") == "é漢 ❤️ ½"


def test_commands_print_by_one_function_and_one_console():
    by_hand = re.compile(r"typer\.s?echo\(|\bprint\(f?\"|(?<!def )\bConsole\(|stdout\.write|stderr\.write")
    found = {
        (path.name, line.strip())
        for path in Path(cli.__file__).parent.glob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if by_hand.search(line) and not line.lstrip().startswith((">>>", "class ", "#"))
    }
    allowed = {"terminal.py", "console.py", "app.py"}
    assert {
        name for name, line in found if "console.print(" not in line and "out.print(" not in line
    } <= allowed
    assert all("printable(" in line for name, line in found if name == "app.py")


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_a_printed_command_is_seen_and_gives_the_shell_every_word():
    words = [
        FILE_NAME,
        "".join(INVISIBLE),
        "a b",
        "it's \\x41\x1b",
        "é'ü",
        "",
        "\x07f",
        "\udcff\udc80.csv",
        "$HOME\n",
    ]
    pasted = f"printf '%s\\0' {join_command(words)}"
    check(pasted)
    assert printable(pasted) == pasted
    heard = subprocess.run(["bash", "-c", pasted], capture_output=True, check=True).stdout
    assert heard.split(b"\0")[:-1] == [os.fsencode(word) for word in words]
