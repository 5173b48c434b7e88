"""A microscope open in the browser, and its contents."""

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

    from tests.browsers import OpenPage


RATE, ROWS = 0.25, 6
"""α and the batch size of the page that most tests use."""

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


def open_file(browser: Browser, file: Path, **options: Any) -> OpenPage:
    """Open a file from disk in the browser."""
    return browsers.open_page(browser, file.as_uri(), "figure", **options)


def matrix_names(page: Page) -> list[str]:
    """The names of the current step's matrices, without duplicates."""
    names = page.eval_on_selector_all("figure", "all => all.map(one => one.dataset.name)")
    return list(dict.fromkeys(names))


def read_matrix(page: Page | Frame, name: str) -> np.ndarray:
    """Read a matrix from its table of numbers."""
    figure = page.locator(f'figure[data-name="{name}"]').first
    rows = figure.evaluate(_NUMBERS)
    return np.array(rows, dtype=float)


def steps(page: Page) -> list[str]:
    """The ids of the algorithm's steps."""
    ids: list[str] = page.eval_on_selector_all("[data-step]", "all => all.map(one => one.dataset.step)")
    return ids


def current_step(page: Page) -> str:
    """The id of the current step."""
    result = page.locator('[aria-current="step"]').get_attribute("data-step")
    assert result is not None
    return result


def go_to(page: Page | Frame, step: str) -> None:
    """Go to a step; on a narrow page, the steps of other phases are hidden."""
    button = page.locator(f'[data-step="{step}"] button')
    if not button.is_visible():
        button.locator("xpath=ancestor::li[contains(@class, 'phase')]").locator(".phase-title").click()
    button.click()


def library_matrices(
    model: Any, weights: np.ndarray | None = None, clip: float | None = None
) -> dict[str, Any]:
    """The library's matrices by name; for a tensor, the front slice."""
    X, y = table("multiclass")
    net, batch = model.network_and_batch(X[:ROWS], y[:ROWS])
    step = bp.backprop(net, batch.B, batch.Y, weights)
    g = step.gradient if clip is None else step.gradient.clipped(clip)
    front = int(np.argmax(step.gradient.squared_norms()))
    result = {"B": batch.B, "P": step.P, "Y": batch.Y, "losses": step.losses[None, :]}
    for k, (layer, mean) in enumerate(zip(net.layers, g.mean(), strict=True)):
        result |= {
            f"W{k + 1}": layer.W, f"b{k + 1}": layer.b[:, None], f"Z{k + 1}": step.Z[k],
            f"dZ{k + 1}": step.dZ[k], f"Db{k + 1}": step.gradient.bias_matrix(k),
            f"DW{k + 1}": step.gradient.tensor(k)[:, :, front],
            f"dW{k + 1}": mean.W, f"product{k + 1}": mean.W, f"db{k + 1}": mean.b[:, None],
            f"updatedW{k + 1}": layer.W - RATE * mean.W,
            f"updatedb{k + 1}": (layer.b - RATE * mean.b)[:, None], f"H{k}T": step.H[k].T,
        }  # fmt: skip
        if k:
            dH = layer.W.T @ step.dZ[k]
            result |= {
                f"H{k}": step.H[k],
                f"W{k + 1}T": layer.W.T,
                f"dH{k}": dH,
                f"derivatives{k}": 1 - step.H[k] ** 2,
            }
    return result


def assert_matches(page: Page, expected: dict[str, Any], names: list[str] | None = None) -> set[str]:
    """Compare the current step's matrices with the library's."""
    # One call for all of them: each call waits for the browser to draw.
    tables = page.evaluate(
        f"""async names => {{
      const all = {{}};
      for (const figure of document.querySelectorAll("figure"))
        if (!(figure.dataset.name in all)) all[figure.dataset.name] = figure;
      const read = {_NUMBERS};
      const result = {{}};
      for (const name of names ?? Object.keys(all)) result[name] = await read(all[name]);
      return result;
    }}""",
        names,
    )
    for name, rows in tables.items():
        actual = np.array(rows, dtype=float)
        assert_allclose(actual, expected[name], rtol=2e-5, atol=2e-6, err_msg=name)
    return set(tables)
