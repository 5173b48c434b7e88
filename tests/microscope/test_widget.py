"""The microscope as a notebook's widget: the page and Python follow each other's selection."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anywidget
import pytest

import batchprop as bp
from batchprop.errors import BatchpropError
from batchprop.microscope import widget as widgets
from tests.estimators.tables import estimator, quiet, table
from tests.microscope.browser_pages import go_to
from tests.notebooks import open_notebook, show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

pytestmark = quiet


@pytest.fixture(scope="module")
def microscope() -> Any:
    X, y = table("multiclass")
    return bp.microscope.look(estimator("multiclass", max_iter=2).fit(X, y), X[:6], y[:6])


@pytest.fixture
def notebook(browser: Browser) -> Iterator[Page]:
    yield from open_notebook(browser)


def test_selection_in_the_page_reaches_the_traits(notebook: Page, microscope: Any) -> None:
    frame = show(notebook, microscope.widget, "figure")
    go_to(frame, "collapse-1")
    frame.locator('tr[data-example="2"] input').uncheck()
    frame.locator('tr[data-example="4"] th').hover()
    notebook.wait_for_function("model.saved.selected === 4")
    saved = notebook.evaluate("model.saved")
    # What the page said is not said back to it.
    assert frame.evaluate("window.told") == 0
    assert (saved["step"], saved["left_out"]) == ("collapse-1", [2])
    notebook.evaluate("clear()")
    frame.locator('tr[data-example="3"] input').uncheck()
    assert notebook.evaluate("model.saved.left_out") == [2]


def test_traits_that_python_sets_reach_the_page(notebook: Page, microscope: Any) -> None:
    first = bp.microscope.Microscope(microscope.html).widget
    first.step = "loss"
    frame = show(notebook, first, "figure")
    frame.wait_for_selector('[data-step="loss"][aria-current]')
    for name, value, there in (
        ("left_out", [1], 'tr.excluded[data-example="1"]'),
        ("selected", 3, 'tr.highlighted[data-example="3"]'),
        ("step", "update-1", '[data-step="update-1"][aria-current]'),
    ):
        notebook.evaluate("([name, value]) => model.fromPython(name, value)", [name, value])
        frame.wait_for_selector(there)
    # What no page has changes nothing, and the traits say so.
    notebook.evaluate("model.fromPython('left_out', [0, 1, 2, 3, 4, 5])")
    notebook.evaluate("model.fromPython('step', 'nowhere')")
    notebook.wait_for_function(
        "JSON.stringify(model.saved.left_out) === '[1]' && model.saved.step === 'update-1'"
    )
    assert frame.locator("tr.excluded").count() == 1


def test_widget_is_displayed_where_anywidget_is_installed(
    microscope: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(microscope.widget, anywidget.AnyWidget)
    assert microscope.widget is microscope.widget
    shown = json.dumps(microscope._repr_mimebundle_(), default=str)
    assert "application/vnd.jupyter.widget-view+json" in shown
    monkeypatch.setattr(widgets, "find_spec", lambda _: None)
    bare = bp.microscope.Microscope("<p>")
    assert bare._repr_mimebundle_()["text/html"].startswith(
        '<iframe title="batchprop microscope" srcdoc="&lt;p'
    )
    with pytest.raises(BatchpropError, match=r"pip install 'batchprop\[notebook\]'"):
        _ = bare.widget
