"""The report in a real browser: it fits a telephone and a desk, reads well, and asks for nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browsers import violations
from tests.cli.commands import QUICK, flowers, run
from tests.microscope.browsing import opened

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    data = flowers(folder / "flowers.csv")
    run("train", data, "--target", "species", "--out", folder / "m", "--record", *QUICK)
    return folder / "m" / "report.html"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_page_is_accessible_and_fits(browser: Browser, file: Path, width: int, scheme: str) -> None:
    opened_page = opened(browser, file, width=width, color_scheme=scheme)
    page = opened_page.page
    for summary in page.locator("summary").all():
        summary.click()
    assert not violations(page)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    for picture in page.locator("svg").all():
        box = picture.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert box["height"] > 50
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(243, 241, 236)", "dark": "rgb(17, 20, 24)"}[scheme]
    assert (opened_page.said, opened_page.asked) == ([], [file.as_uri()])
    opened_page.close()
