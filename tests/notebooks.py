"""A page that shows widgets as a notebook does, with a model in place of the kernel's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchprop.webdata import read_asset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Frame, Page

_HOST = """
window.told = 0;
addEventListener("message", () => { window.told += 1; });
window.show = async (code, state) => {
  const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  const { default: widget } = await import(url);
  const listeners = {};
  window.model = {
    state, saved: {},
    get: name => state[name],
    set: (name, value) => window.model.fromPython(name, value),
    save_changes: () => { window.model.saved = { ...state }; },
    on: (event, listener) => (listeners[event] ??= []).push(listener),
    off: (event, listener) => { listeners[event] = listeners[event].filter(one => one !== listener); },
    fromPython: (name, value) => {
      state[name] = value;
      listeners[`change:${name}`].forEach(listener => listener());
    },
  };
  window.clear = widget.render({ model: window.model, el: document.body });
};
"""


def open_notebook(browser: Browser) -> Iterator[Page]:
    """An empty notebook, closed after the test."""
    page = browser.new_page()
    page.add_init_script(_HOST)
    page.goto("about:blank")
    yield page
    page.close()


def show(notebook: Page, widget: Any, selector: str) -> Frame:
    """Show a widget, and return its frame once it has an element."""
    names = ("html", "_title", "_shared", "_is_set", *widget._shared)
    state = {name: getattr(widget, name) for name in names}
    code = read_asset("microscope", "widget.js")
    notebook.evaluate("([code, state]) => window.show(code, state)", [code, state])
    frame = notebook.locator("iframe").element_handle().content_frame()
    assert frame is not None
    frame.wait_for_selector(selector)
    return frame
