"""The playground as a notebook's widget: its address flows to Python and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

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
    expect(frame.locator('dd[data-name="step"]')).to_have_text("3")
    assert "data=spirals" in notebook.evaluate("model.state.address")
    frame.locator("button.step").click()
    notebook.wait_for_function("model.saved.address?.includes('step=4')")
    assert "data=spirals" in notebook.evaluate("model.saved.address")


def test_address_that_python_sets_before_the_page_is_there_is_the_one_it_opens_with(notebook: Page) -> None:
    widget = bp.playground().widget
    widget.address = "data=spirals&step=2"
    frame = show(notebook, widget, "canvas")
    expect(frame.locator('dd[data-name="step"]')).to_have_text("2")
    notebook.evaluate("model.fromPython('address', 'data=nowhere')")
    # What no page has is told in it, and the address is again what the page shows.
    notebook.wait_for_function("model.saved.address === ''")
