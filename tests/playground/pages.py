"""A playground open in the browser, and what it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    from tests.browsers import OpenPage

PETS = "weight,height,age,kind\n" + "".join(
    f"{3 + 5 * (i % 2) + 0.01 * i},{20.5 + i % 11},{i % 7},{'cat' if i % 2 else 'dog'}\n" for i in range(80)
)


class Playing(NamedTuple):
    """A page, and its requests and errors."""

    seen: OpenPage

    @property
    def page(self) -> Page:
        """The page."""
        return self.seen.page

    def at(self, selector: str) -> Locator:
        """Return the elements of the page that match a selector."""
        return self.page.locator(selector)

    def readout(self, name: str) -> Locator:
        """Return one of the numbers in the toolbar."""
        return self.at(f'dd[data-name="{name}"]')

    def steps(self) -> int:
        """Return the number of steps shown on the page."""
        return int(self.readout("step").inner_text().replace(",", ""))

    def type(self, selector: str, value: str) -> None:
        """Type into a field and press Enter."""
        self.at(selector).fill(value)
        self.at(selector).press("Enter")

    def load(self, name: str, content: str) -> None:
        """Choose a file."""
        self.at("#file").set_input_files({"name": name, "mimeType": "text/csv", "buffer": content.encode()})

    def unfold(self, panel: str) -> Locator:
        """Open the table beside a chart, and return its rows."""
        details = self.at(f'section[aria-label="{panel}"] details')
        if details.get_attribute("open") is None:
            details.locator("summary").click()
        return details.locator("tbody tr")

    def newest(self, panel: str) -> np.ndarray:
        """Return the numbers of the latest step in the table beside a chart."""
        row = self.unfold(panel).first
        row.wait_for()
        cells = row.locator("td").evaluate_all("all => all.map(one => one.dataset.value ?? 'nan')")
        return np.array(cells, dtype=float)

    def python(self) -> str:
        """Return the lines of Python that the page gives."""
        self.at(".copy-python").click()
        code = self.at(".python").inner_text()
        self.at(".python-dialog .close").click()
        return code
