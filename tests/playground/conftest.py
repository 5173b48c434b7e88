"""A playground in a real browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batchprop.playground import playground
from tests.browsers import open_page
from tests.playground.pages import Playing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any

    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page as `batchprop play` writes it."""
    return playground().save(tmp_path_factory.mktemp("playground") / "playground.html")


@pytest.fixture
def open_playground(browser: Browser, page_file: Path) -> Iterator[Callable[..., Playing]]:
    """Open playgrounds; assert at the end that they logged no errors and asked for nothing."""
    opens: list[Playing] = []

    def begin(fragment: str = "", file: Path = page_file, **options: Any) -> Playing:
        seen = open_page(browser, f"{file.as_uri()}#{fragment}", ".copy-link:enabled", **options)
        seen.page.set_default_timeout(30_000)
        opens.append(Playing(seen))
        return opens[-1]

    yield begin
    for playing in opens:
        assert playing.seen.said == []
        own = (playing.page.url.partition("#")[0], "data:", "blob:", "about:srcdoc")
        assert [url for url in playing.seen.asked if not url.startswith(own)] == []
        playing.seen.close()


@pytest.fixture
def playing(open_playground: Callable[..., Playing]) -> Playing:
    """A newly opened playground in a wide window."""
    return open_playground()
