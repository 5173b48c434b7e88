"""Every test works in its own folder; tests that corrupt a model share one valid model."""

import pytest

from batchprop.tabular.persistence import MODEL
from tests.cli.commands import QUICK, flowers, run, skip_figures


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def quick_to_draw(request, monkeypatch):
    """Skip figures, which take 80% of a small training, in tests without the marker."""
    if request.node.get_closest_marker("pictures") is None:
        skip_figures(monkeypatch)


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    data = flowers(folder / "flowers.csv")
    with pytest.MonkeyPatch.context() as patch:
        skip_figures(patch)
        run("train", data, "--target", "species", "--out", folder / "model", "--engine", "numpy", *QUICK)
    return folder / "model" / MODEL
