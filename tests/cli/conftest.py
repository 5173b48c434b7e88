"""Every test works in its own folder; tests that only read a model share one."""

import pytest

from tests.cli.commands import QUICK, flowers, houses, run, skip_figures


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
def models(tmp_path_factory):
    """A folder with flowers.csv, houses.parquet and a model for each."""
    folder = tmp_path_factory.mktemp("models")
    data = {"flowers": (flowers(folder / "flowers.csv"), "species")}
    data["houses"] = (houses(folder / "houses.parquet"), "price")
    with pytest.MonkeyPatch.context() as patch:
        skip_figures(patch)
        for name, (path, target) in data.items():
            run("train", path, "--target", target, "--out", folder / f"{name}-model", *QUICK)
    return folder
