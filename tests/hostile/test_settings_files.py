"""Invalid settings.json files: `look` gives a one-line error."""

import json
import shutil

import pytest

from batchprop.tabular.model_info import FORMAT
from tests.cli.commands import run


@pytest.fixture
def model(saved):
    return saved.parent


LISTS = b"[" * 100_000


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\xff\xfe", b"null", b"[]", b'"settings"', b"7", LISTS, b'{"data":' * 100_000, b"\0" * 100,
        b'{"format": 3, "data": null}', b'{"format": 3, "data": {}}', b'{"format": 3, "data": []}',
        b'{"format": 3, "data": {"files": 7}}', b'{"format": 3, "data": {"files": "flowers.csv"}}',
        b'{"format": 3, "data": {"files": [["flowers.csv"]]}}', b'{"format": 3, "data": {"files": [""]}}',
        b'{"format": 3, "data": {"files": null}}', b'{"format": 3, "data": {"files": {"0": "flowers.csv"}}}',
        b'{"format": 3, "data": {"files": ["a\\u0000b"]}}', b'{"format": 3, "data": {"files": ["a\\nb"]}}',
        b'{"format": 3, "data": {"files": ["\\u001b[2J"]}}', b'{"format": 3, "data": {"files": ["\\ud800"]}}',
        b'{"format": 3, "data": {"files": ["flowers.csv"]}, "target": 7}',
        b'{"format": 3, "data": {"files": ["' + b"x" * 5000 + b'"]}}', b"9" * 10_000,
    ],
)  # fmt: skip
def test_invalid_settings_are_ignored_with_a_message(model, folder, content):
    there = folder / "model"
    shutil.copytree(model, there)
    (there / "settings.json").write_bytes(content)
    told = run("look", there, "--no-open", code=1).stderr
    assert "does not tell what its model was trained on: name a table" in told
    assert told.rstrip("\n").isprintable()


@pytest.mark.parametrize("name", ["x" * 300, "nowhere.csv", "/dev/zero", "..", "/", "/**/*.csv"])
def test_settings_that_name_an_invalid_table_are_refused(model, folder, name):
    there = folder / "model"
    shutil.copytree(model, there)
    (there / "settings.json").write_text(json.dumps({"format": FORMAT, "data": {"files": [name]}}))
    told = run("look", there, "--no-open", code=1).stderr
    assert "is not there" in told or "refused to read" in told


def test_settings_folder_is_ignored_with_a_message(model, folder):
    there = folder / "model"
    shutil.copytree(model, there)
    (there / "settings.json").unlink()
    (there / "settings.json").mkdir()
    assert "does not tell" in run("look", there, "--no-open", code=1).stderr
