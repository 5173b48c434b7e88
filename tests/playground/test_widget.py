"""The playground as a notebook's widget: its address flows to Python and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import batchprop as bp
from tests.notebooks import open_notebook, show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page


@pytest.fixture
def notebook(browser: Browser) -> Iterator[Page]:
    yield from open_notebook(browser)


def test_address_flows_from_python_to_the_page_and_back(
    notebook: Page,
) -> None:
    frame = show(notebook, bp.playground().widget, "canvas")
    notebook.evaluate("model.fromPython('address', 'data=spirals&batchSize=1&step=3')")
    notebook.wait_for_function("model.saved.address?.includes('step=3')")
    assert "data=spirals" in notebook.evaluate("model.saved.address")
    frame.locator("button.step").click()
    notebook.wait_for_function("model.saved.address.includes('step=4')")
