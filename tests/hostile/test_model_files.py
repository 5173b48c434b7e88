"""Malicious model files run no code, use bounded resources, and give a one-line error."""

import os
import threading

import pytest
from typer.testing import CliRunner

from batchprop.cli.app import app
from batchprop.errors import ModelError
from batchprop.tabular.persistence import MODEL, load_pipeline
from tests.cli.commands import flowers, run
from tests.hostile import models, unsound  # noqa: F401 which fill CRAFTED
from tests.hostile.crafted_files import count_calls, cut, flip_bits, run_bounded, with_schema
from tests.hostile.model_changes import CRAFTED

MAX_LINE = 600
ENDLESS = [
    "a_list_that_doubles_with_each_level",
    "a_list_that_doubles_by_bare_numbers",
    "parts_laid_over_each_other",
    "an_archive_in_the_archive",
    "one_array_read_a_thousand_times",
]


@pytest.mark.parametrize("name", CRAFTED)
def test_crafted_model_is_refused_with_a_one_line_error(saved, folder, name):
    make, refusal = CRAFTED[name]
    path = folder / MODEL
    make(saved, path)
    with pytest.raises(ModelError, match=refusal) as refused:
        load_pipeline(path)
    told = str(refused.value)
    assert "\n" not in told
    assert len(told) < MAX_LINE + len(str(path))
    assert os.listdir(folder) == [MODEL]  # noqa: PTH208 nothing was unpacked, nothing ran


def test_commands_refuse_crafted_models_in_bounded_memory(origin, saved, folder):
    names = []
    for name, (make, _) in CRAFTED.items():
        make(saved, folder / f"{name}.skops")
        names.append(f"{name}.skops")
    data = flowers(folder / "flowers.csv")
    told = run_bounded(
        origin,
        "from typer.testing import CliRunner\nfrom batchprop.cli.app import app\n"
        "import batchprop.cli.look_command, batchprop.tabular.predictions, batchprop.tabular.persistence",
        "data, *names = sys.argv[1:]\n"
        "for i, name in enumerate(names):\n"
        "    for words in (['predict', name, data], ['look', name, data, '--no-open'])[: 1 + (i % 8 == 0)]:\n"
        "        done = CliRunner().invoke(app, words)\n"
        "        lines = done.stderr.splitlines()\n"
        "        print(name, done.exit_code, len(lines), type(done.exception).__name__, *lines[:1])",
        data, *names, cwd=folder,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr[-2000:]
    lines = told.stdout.splitlines()
    assert len(lines) == len(names) + len(names[::8])
    assert [line for line in lines if " 1 1 SystemExit batchprop: " not in line] == []


@pytest.mark.parametrize("name", ENDLESS)
def test_loading_time_is_proportional_to_the_file(saved, folder, name):
    path = folder / MODEL
    CRAFTED[name][0](saved, path)
    assert count_calls(load_pipeline, path) < 1000 + 2 * path.stat().st_size


def test_a_model_cut_short_anywhere_is_refused(saved, folder):
    path = folder / MODEL
    for content in cut(saved.read_bytes(), 60):
        path.write_bytes(content)
        with pytest.raises(ModelError, match="truncated or damaged"):
            load_pipeline(path)


def test_any_flipped_bit_is_detected_or_changes_no_prediction(saved, folder):
    # Bits of the archive's dates and versions are unused; all others are covered by checksums.
    path, data = folder / MODEL, flowers(folder / "flowers.csv")
    sound = run("predict", saved, data).stdout
    noticed = 0
    for content in flip_bits(saved.read_bytes(), 120):
        path.write_bytes(content)
        done = CliRunner().invoke(app, ["predict", str(path), str(data)])
        if done.exit_code == 0:
            assert done.stdout == sound
        else:
            noticed += 1
            assert (done.exit_code, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert noticed > 100


def test_named_pipe_is_refused_without_blocking(folder):
    os.mkfifo(folder / MODEL)
    # Opening it would block forever, so it runs in a daemon thread.
    told = []
    watched = threading.Thread(
        target=lambda: told.append(CliRunner().invoke(app, ["predict", ".", "x.csv"]).stderr), daemon=True
    )
    watched.start()
    watched.join(timeout=60)
    assert "is no file" in told[0]


def test_control_characters_in_names_are_not_printed(saved, folder):
    def change(schema):
        schema["__class__"] = "\x1b[2J\x07\u202e"

    with_schema(saved, folder / MODEL, change)
    told = CliRunner().invoke(app, ["predict", ".", "flowers.csv"]).stderr
    assert "types that no model of batchprop has" in told
    assert told.rstrip("\n").isprintable()
