"""A playground in a real browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browsers import open_page
from tests.playground.servers import Playing, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from playwright.sync_api import Browser


@pytest.fixture
def open_playground(browser: Browser) -> Iterator[Callable[..., Playing]]:
    """Open playgrounds; assert at the end that they logged no errors and made no external requests."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        opens: list[Playing] = []

        def begin(settings: dict[str, Any] | None = None, **options: Any) -> Playing:
            served = stack.enter_context(serve(**(settings or {})))
            seen = open_page(browser, served.address, ".speeds input:checked", **options)
            seen.page.set_default_timeout(30_000)
            stack.callback(seen.close)
            opens.append(Playing(seen, served))
            return opens[-1]

        yield begin
        for playing in opens:
            assert playing.seen.said == []
            asked = {
                url for url in playing.seen.asked if not url.startswith(("data:", playing.served.address))
            }
            assert asked == set()


@pytest.fixture
def playing(open_playground: Callable[..., Playing]) -> Playing:
    """A newly opened playground in a wide window."""
    return open_playground()
