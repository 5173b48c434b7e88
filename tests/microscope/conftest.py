"""The microscope that most tests use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import batchprop as bp
from tests.estimators.tables import estimator, table
from tests.microscope.browser_pages import RATE, ROWS, open_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from tests.browsers import OpenPage


@pytest.fixture(scope="module")
def model() -> Any:
    X, y = table("multiclass")
    net = estimator("multiclass", activation="tanh", hidden_layer_sizes=(7, 4), dtype="float64", max_iter=5)
    return net.fit(X, y, record_examples=True)


@pytest.fixture(scope="module")
def file(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    X, y = table("multiclass")
    page = bp.microscope.look(model, X[:ROWS], y[:ROWS], learning_rate=RATE)
    return page.save(tmp_path_factory.mktemp("pages") / "page.html")


@pytest.fixture
def seen(browser: Browser, file: Path) -> Iterator[OpenPage]:
    result = open_file(browser, file)
    yield result
    result.close()
    assert result.said == []
    assert result.asked == [file.as_uri()]


@pytest.fixture
def page(seen: OpenPage) -> Page:
    return seen.page
