"""A real browser for the pages, where there is one."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

import batchprop as bp
from tests.estimators.tables import estimator, table
from tests.view.browsing import RATE, ROWS, Opened, opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, started once for all tests of a process."""
    found = [
        path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))
    ]
    if not found:
        pytest.skip("no Chromium on this machine; on Debian: apt-get install chromium")
    api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found[0], args=OPTIONS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def model() -> Any:
    X, y = table("multiclass")
    net = estimator("multiclass", activation="tanh", hidden_layer_sizes=(7, 4), dtype="float64", max_iter=5)
    return net.fit(X, y, record_examples=True)


@pytest.fixture(scope="module")
def file(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    X, y = table("multiclass")
    page = bp.view.microscope(model, X[:ROWS], y[:ROWS], learning_rate=RATE)
    return page.save(tmp_path_factory.mktemp("pages") / "page.html")


@pytest.fixture
def seen(browser: Browser, file: Path) -> Iterator[Opened]:
    found = opened(browser, file)
    yield found
    found.page.close()
    assert found.said == []
    assert found.asked == [file.as_uri()]


@pytest.fixture
def page(seen: Opened) -> Page:
    return seen.page
