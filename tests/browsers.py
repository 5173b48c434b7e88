"""A real browser, if installed, and pages whose requests and errors are recorded."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


_idle: dict[str, list[OpenPage]] = {}
"""Windows that nobody uses, by the options that they were opened with."""


class OpenPage(NamedTuple):
    """A page with its recorded requests and errors.

    Attributes:
        page: the Playwright page.
        asked: every address that the page requested.
        said: console warnings and errors, and uncaught exceptions.
        options: of its window.
    """

    page: Page
    asked: list[str]
    said: list[str]
    options: dict[str, Any]

    def close(self) -> None:
        """Leave the page, and keep its window: the next page in it costs a third of one in a new window."""
        # What a page stores would reach the next one.
        self.page.evaluate("localStorage.clear(), sessionStorage.clear()")
        self.page.context.clear_cookies()
        self.page.goto("about:blank")
        self.page.set_viewport_size(self.options["viewport"])
        self.page.emulate_media(reduced_motion=self.options["reduced_motion"])
        _idle.setdefault(repr(self.options), []).append(self)


def chromium() -> Iterator[Browser]:
    """Start Chromium for the duration of the context."""
    result = [
        path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))
    ]
    if not result:
        pytest.skip("no Chromium on this machine; on Debian: apt-get install chromium")
    api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=result[0], args=OPTIONS)
        yield started
        _idle.clear()
        started.close()


def open_page(
    browser: Browser, address: str, ready: str, *, width: int = 1440, height: int = 1000, **options: Any
) -> OpenPage:
    """Open a page as a user would; its window may have shown others, of which it keeps nothing.

    Args:
        browser: the browser.
        address: the address of the page.
        ready: the selector of an element that exists once the page is ready.
        width: the window's width.
        height: the window's height.
        options: Playwright's page options.
    """
    options = {"viewport": {"width": width, "height": height}, "reduced_motion": "reduce", **options}
    idle = _idle.get(repr(options))
    one = idle.pop() if idle else _window(browser, options)
    # What the page before it said and asked for is not this one's.
    one.asked.clear()
    one.said.clear()
    one.page.goto(address)
    one.page.wait_for_selector(ready)
    return one


def _window(browser: Browser, options: dict[str, Any]) -> OpenPage:
    """A new window, which shares nothing with others, and notes what happens in it."""
    one = OpenPage(browser.new_page(**options), [], [], options)
    one.page.on("request", lambda request: one.asked.append(request.url))
    one.page.on("pageerror", lambda error: one.said.append(str(error)))
    one.page.on(
        "console", lambda note: one.said.append(note.text) if note.type in {"error", "warning"} else None
    )
    return one


def violations(page: Page, *parts: str) -> str:
    """What axe has to say against the page as it is; nothing where it is accessible.

    Args:
        page: as it is.
        parts: select what to look at, where the rest was looked at before; without them, all of it.
    """
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python"
    )
    context = {"include": [[part] for part in parts]} if parts else None
    results = axe.Axe().run(page, context, {"resultTypes": ["violations"]})
    return results.generate_report() if results.violations_count else ""
