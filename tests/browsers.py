"""A real browser for pages, where there is one, and pages that are watched."""

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


class Opened(NamedTuple):
    """A page, and what went wrong in it.

    Attributes:
        page: to drive.
        asked: every address that it fetched.
        said: warnings and errors on its console, and uncaught ones.
    """

    page: Page
    asked: list[str]
    said: list[str]


def chromium() -> Iterator[Browser]:
    """Chromium, until whoever asked is done."""
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


def opened(
    browser: Browser, address: str, ready: str, *, width: int = 1440, height: int = 1000, **options: Any
) -> Opened:
    """Open a page as a user would.

    Args:
        browser: to open it in.
        address: of the page.
        ready: selects what is there once the page is.
        width: of the window.
        height: of the window.
        options: of the page, by Playwright's names.
    """
    page = browser.new_page(viewport={"width": width, "height": height}, reduced_motion="reduce", **options)
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda note: said.append(note.text) if note.type in {"error", "warning"} else None)
    page.goto(address)
    page.wait_for_selector(ready)
    return Opened(page, asked, said)


def violations(page: Page) -> str:
    """What axe has to say against the page as it is; nothing where it is accessible."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python"
    )
    results = axe.Axe().run(page)
    return results.generate_report() if results.violations_count else ""
