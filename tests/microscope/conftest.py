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


@pytest.fixture(scope="package")
def model() -> Any:
    X, y = table("multiclass")
    net = estimator("multiclass", activation="tanh", hidden_layer_sizes=(7, 4), dtype="float64", max_iter=5)
    return net.fit(X, y, record_examples=True)


@pytest.fixture(scope="package")
def file(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    X, y = table("multiclass")
    page = bp.microscope.look(model, X[:ROWS], y[:ROWS], learning_rate=RATE)
    return page.save(tmp_path_factory.mktemp("pages") / "page.html")


_AS_OPENED = """() => {
  const slider = document.querySelector("#snapshot");
  if (slider.value !== slider.max) {
    slider.value = slider.max;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
  }
  document.querySelector(".tour-close").click();
  document.querySelector("button.include-all").click();
  // Whether the sheets of a tensor are collapsed, only its step shows.
  document.querySelector('[data-step="collapse-1"] button').click();
  const expand = document.querySelector(".collapse-button");
  if (expand.textContent.startsWith("Expand")) expand.click();
  const content = [document.body.innerHTML];
  document.querySelector("[data-step] button").click();
  document.activeElement.blur();
  scrollTo(0, 0);
  content.push(document.body.innerHTML);
  return content.join().replaceAll(' class=""', "");
}"""
"""Bring a page back to how it opened, but for the tour, and return what is in it."""


@pytest.fixture(scope="package")
def kept() -> Iterator[list[tuple[OpenPage, str]]]:
    """The page, for the next test, and what was in it when it opened."""
    result: list[tuple[OpenPage, str]] = []
    yield result
    for one, _ in result:
        one.close()


@pytest.fixture
def seen(browser: Browser, file: Path, kept: list[tuple[OpenPage, str]]) -> Iterator[OpenPage]:
    """A page at its first step: one that a test has left, if it can be brought back to that, or a new one."""
    if kept:
        one, first = kept.pop()
    else:
        one = open_file(browser, file)
        first = one.page.evaluate(_AS_OPENED)
    yield one
    said, asked = list(one.said), list(one.asked)
    one.page.keyboard.press("Escape")
    one.page.mouse.move(0, 0)
    one.page.emulate_media(reduced_motion="reduce")
    if one.page.evaluate(_AS_OPENED) == first:
        kept.append((one, first))
    else:
        one.close()
    assert said == []
    assert asked == [file.as_uri()]


@pytest.fixture
def page(seen: OpenPage) -> Page:
    return seen.page
