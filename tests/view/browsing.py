"""A microscope open in the browser, and what can be read off it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page


_NUMBERS = """async figure => {
  const details = figure.querySelector("details");
  if (!details.open) {
    const made = new Promise(done => details.addEventListener("toggle", done, { once: true }));
    details.querySelector("summary").click();
    await made;
  }
  return [...figure.querySelectorAll("tbody tr")]
    .map(row => [...row.querySelectorAll("td")].map(cell => cell.dataset.value));
}"""


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


def opened(browser: Browser, file: Path, *, width: int = 1440, height: int = 1000, **options: Any) -> Opened:
    """Open a file as a user would, from the disk."""
    page = browser.new_page(viewport={"width": width, "height": height}, reduced_motion="reduce", **options)
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda note: said.append(note.text) if note.type in {"error", "warning"} else None)
    page.goto(file.as_uri())
    page.wait_for_selector("figure")
    return Opened(page, asked, said)


def figures(page: Page) -> list[str]:
    """The names of the matrices that the current line shows, each once."""
    names = page.eval_on_selector_all("figure", "all => all.map(one => one.dataset.name)")
    return list(dict.fromkeys(names))


def numbers_of(page: Page, name: str) -> np.ndarray:
    """A matrix, read from the table that its figure opens."""
    figure = page.locator(f'figure[data-name="{name}"]').first
    rows = figure.evaluate(_NUMBERS)
    return np.array(rows, dtype=float)


def lines(page: Page) -> list[str]:
    """The lines of the algorithm, by their ids."""
    found: list[str] = page.eval_on_selector_all("[data-line]", "all => all.map(one => one.dataset.line)")
    return found


def current(page: Page) -> str:
    """The line that is shown."""
    found = page.locator('[aria-current="step"]').get_attribute("data-line")
    assert found is not None
    return found


def go_to(page: Page, line: str) -> None:
    """Show a line; where there is little room, those of other groups are folded away."""
    button = page.locator(f'[data-line="{line}"] button')
    if not button.is_visible():
        button.locator("xpath=ancestor::li[contains(@class, 'group')]").locator(".group-title").click()
    button.click()
