"""The options for reading a table, in each command that learns from one table."""

import pytest

from batchprop.tabular.options import READING_OPTIONS
from tests.cli.commands import run

COMMANDS = {
    "examine": ("--epochs", 1),
    "look": ("--epochs", 1, "--no-open"),
    "play": ("--no-open",),
    "walk": (),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_errors_advise_options_that_the_command_has(folder, command):
    days = [f"0{day % 9 + 1}/0{day % 8 + 1}/2021" for day in range(40)]
    rows = [f"{i}~{day}~{i % 7},5~{i % 2}" for i, day in enumerate(days)]
    (folder / "t.csv").write_text("\n".join(["id~when~size~y", *rows]))
    words = (command, "t.csv", "--target", "y", "--separator", "~", "--drop", "id", *COMMANDS[command])
    assert "--type when=date:dayfirst" in run(*words, code=1).stderr
    assert "'zip'" in run(*words, "--type", "zip=text", code=1).stderr
    run(*words, "--type", "when=date:dayfirst", "--decimal", ",", "--missing", "NA", "--task", "regression")


@pytest.mark.parametrize("command", COMMANDS)
def test_options_for_reading_need_a_table(folder, command):
    for name in READING_OPTIONS:
        if name != "task":
            value = {"type": "a=text", "decimal": ","}.get(name, "a")
            assert (
                f"--{name} is for a table, but there is no DATA"
                in run(command, f"--{name}", value, code=2).stderr
            )
