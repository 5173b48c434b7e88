"""Every test works in its own folder; tests that corrupt a model share one valid model."""

import pytest

from batchprop.tabular.persistence import MODEL
from tests.cli.commands import QUICK, flowers, run


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    data = flowers(folder / "flowers.csv")
    run("train", data, "--target", "species", "--out", folder / "model", "--engine", "numpy", *QUICK)
    return folder / "model" / MODEL
