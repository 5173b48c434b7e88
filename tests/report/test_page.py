"""The report in a real browser: it fits any screen, is accessible, and makes no requests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batchprop import report
from tests.browsers import violations
from tests.cli.commands import QUICK, flowers, run
from tests.microscope.browser_pages import open_file

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    data = flowers(folder / "flowers.csv")
    run("train", data, "--target", "species", "--out", folder / "m", "--record", *QUICK)
    return folder / "m" / "report.html"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_page_is_accessible_and_fits(browser: Browser, file: Path, width: int, scheme: str) -> None:
    opened_page = open_file(browser, file, width=width, color_scheme=scheme)
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


def test_every_class_of_the_report_has_a_style() -> None:
    folder = Path(report.__path__[0])
    template = (folder / "templates" / "report.html").read_text(encoding="utf-8")
    styles = (folder / "static" / "report.css").read_text(encoding="utf-8")
    classes = {name for names in re.findall(r'class="([^"{]*)', template) for name in names.split()}
    assert len(classes) > 5
    assert classes <= set(re.findall(r"\.([a-zA-Z][\w-]*)", styles))
