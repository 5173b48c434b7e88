"""A microscope open in the browser, and what can be read off it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.testing import assert_allclose

import batchprop as bp
from tests import browsers
from tests.estimators.tables import table

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Frame, Page

    from tests.browsers import Opened


RATE, ROWS = 0.25, 6
"""Of the page that most tests look at: α, and the rows of its batch."""

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


def opened(browser: Browser, file: Path, **options: Any) -> Opened:
    """Open a file as a user would, from the disk."""
    return browsers.opened(browser, file.as_uri(), "figure", **options)


def figures(page: Page) -> list[str]:
    """The names of the matrices that the current line shows, each once."""
    names = page.eval_on_selector_all("figure", "all => all.map(one => one.dataset.name)")
    return list(dict.fromkeys(names))


def numbers_of(page: Page | Frame, name: str) -> np.ndarray:
    """A matrix, read from the table that its figure opens."""
    figure = page.locator(f'figure[data-name="{name}"]').first
    rows = figure.evaluate(_NUMBERS)
    return np.array(rows, dtype=float)


def lines(page: Page) -> list[str]:
    """The lines of the algorithm, by their ids."""
    found: list[str] = page.eval_on_selector_all("[data-step]", "all => all.map(one => one.dataset.step)")
    return found


def current(page: Page) -> str:
    """The line that is shown."""
    found = page.locator('[aria-current="step"]').get_attribute("data-step")
    assert found is not None
    return found


def go_to(page: Page | Frame, line: str) -> None:
    """Show a line; where there is little room, those of other groups are folded away."""
    button = page.locator(f'[data-step="{line}"] button')
    if not button.is_visible():
        button.locator("xpath=ancestor::li[contains(@class, 'phase')]").locator(".phase-title").click()
    button.click()


def the_librarys(model: Any, weights: np.ndarray | None = None, clip: float | None = None) -> dict[str, Any]:
    """Every matrix of the page by its name; of a tensor, the sheet in front."""
    X, y = table("multiclass")
    net, batch = model.network_and_batch(X[:ROWS], y[:ROWS])
    step = bp.backprop(net, batch.B, batch.Y, weights)
    g = step.gradient if clip is None else step.gradient.clipped(clip)
    front = int(np.argmax(step.gradient.squared_norms()))
    found = {"B": batch.B, "P": step.P, "Y": batch.Y, "losses": step.losses[None, :]}
    for k, (layer, mean) in enumerate(zip(net.layers, g.mean(), strict=True)):
        found |= {
            f"W{k + 1}": layer.W, f"b{k + 1}": layer.b[:, None], f"Z{k + 1}": step.Z[k],
            f"dZ{k + 1}": step.dZ[k], f"Db{k + 1}": step.gradient.bias_matrix(k),
            f"DW{k + 1}": step.gradient.tensor(k)[:, :, front],
            f"dW{k + 1}": mean.W, f"product{k + 1}": mean.W, f"db{k + 1}": mean.b[:, None],
            f"updatedW{k + 1}": layer.W - RATE * mean.W,
            f"updatedb{k + 1}": (layer.b - RATE * mean.b)[:, None],
        }  # fmt: skip
        if k:
            dH = layer.W.T @ step.dZ[k]
            found |= {
                f"H{k}": step.H[k],
                f"W{k + 1}T": layer.W.T,
                f"dH{k}": dH,
                f"derivatives{k}": 1 - step.H[k] ** 2,
            }
    return found


def check(page: Page, expected: dict[str, Any], names: list[str] | None = None) -> set[str]:
    """Compare what the line shows with the library's."""
    shown = names or figures(page)
    for name in shown:
        assert_allclose(numbers_of(page, name), expected[name], rtol=2e-5, atol=2e-6, err_msg=name)
    return set(shown)
