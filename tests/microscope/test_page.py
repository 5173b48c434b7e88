"""The microscope in a real browser: its numbers match the library, and every control works."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import batchprop as bp
from tests import browsers
from tests.browsers import violations
from tests.estimators.tables import estimator, quiet, table
from tests.microscope.browser_pages import (
    ROWS,
    assert_matches,
    current_step,
    go_to,
    library_matrices,
    matrix_names,
    open_file,
    read_matrix,
    steps,
)

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page

pytestmark = quiet

STEPS = [
    "forward-0", "forward-1", "forward-2", "forward-3", "loss", "backward-3", "backward-2", "backward-1",
    "collapse-3", "collapse-2", "collapse-1", "update-1", "update-2", "update-3",
]  # fmt: skip
CHANGED_BY_A_STEP = (".equation-view", '[aria-current="step"]')


def test_every_number_of_every_step_matches_the_library(page: Page, model: Any) -> None:
    expected, compared = library_matrices(model), set[str]()
    assert steps(page) == STEPS
    for line in STEPS:
        go_to(page, line)
        compared |= assert_matches(page, expected)
    assert compared == set(expected)


def test_slider_goes_back_to_the_initial_weights(page: Page, model: Any) -> None:
    assert page.locator(".snapshot-name").inner_text() == "after epoch 5, the last"
    page.locator("#snapshot").focus()
    page.keyboard.press("Home")
    assert page.locator(".snapshot-name").inner_text() == "before the first epoch"
    assert current_step(page) == "forward-0"
    go_to(page, "update-2")
    assert_matches(page, library_matrices(model.at_snapshot(model.weight_snapshots_[0])))


def test_url_fragment_opens_that_step(browser: Browser, file: Path) -> None:
    for end, step in (("#collapse-2", "collapse-2"), ("#nothing", "forward-0")):
        opened_page = browsers.open_page(browser, file.as_uri() + end, "figure")
        assert current_step(opened_page.page) == step
        opened_page.close()


def test_keys_and_buttons_step_and_space_plays(page: Page) -> None:
    for step in STEPS[1:]:
        page.keyboard.press("ArrowRight")
        assert current_step(page) == step
    assert page.locator("button.next").is_disabled()
    page.keyboard.press("ArrowLeft")
    page.locator("button.previous").click()
    assert current_step(page) == STEPS[-3]
    page.locator("h1").click()
    page.keyboard.press("Space")
    assert page.locator("button.play").inner_text() == "Pause"
    page.keyboard.press("Space")
    assert page.locator("button.play").inner_text() == "Play"


def test_hovering_a_column_selects_the_example_everywhere(page: Page, model: Any) -> None:
    X, y = table("multiclass")
    go_to(page, "forward-1")
    canvas = page.locator('figure[data-name="Z1"] canvas').first
    box = canvas.bounding_box()
    assert box is not None
    canvas.hover(position={"x": box["width"] * 2.5 / ROWS, "y": box["height"] * 0.5 / 7})
    assert page.locator("tr.highlighted").get_attribute("data-example") == "2"
    card = page.locator(".detail-panel").inner_text()
    step = model.backprop(X[2:3], y[2:3])
    norm = float(np.sqrt(step.gradient.squared_norms()[0]))
    for text in ("row 2", str(y[2]), f"{step.losses[0]:.4g}", f"{norm:.4g}", "Z¹, unit 1"):
        assert text in card, (text, card)
    Z = library_matrices(model)["Z1"]
    assert f"{Z[0, 2]:.4g}".replace("-", "−") in card


def test_keyboard_reaches_every_cell_and_screen_readers_announce_it(page: Page, model: Any) -> None:
    go_to(page, "collapse-2")
    figure = page.locator('figure[data-name="dW2"]').first
    figure.focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    value = library_matrices(model)["dW2"][1, 1]
    assert f"{value:.4g}".replace("-", "−") in page.locator(".detail-panel").inner_text()
    assert current_step(page) == "collapse-2"
    assert page.locator('[aria-live="polite"]').count() == 1
    assert re.match(r"dW², 4 × 7; one row per unit", figure.get_attribute("aria-label") or "")
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowRight")
    assert current_step(page) == "collapse-1"


def test_examples_sort_by_any_column(page: Page, model: Any) -> None:
    losses = library_matrices(model)["losses"][0]

    def order() -> list[int]:
        return [
            int(row)
            for row in page.eval_on_selector_all("tr[data-example]", "all => all.map(r => r.dataset.example)")
        ]

    head = page.locator('th[data-key="loss"]')
    head.locator("button").click()
    assert (order(), head.get_attribute("aria-sort")) == (np.argsort(losses).tolist(), "ascending")
    head.locator("button").click()
    assert (order(), head.get_attribute("aria-sort")) == (np.argsort(-losses).tolist(), "descending")
    page.locator('th[data-key="row"] button').click()
    assert order() == list(range(ROWS))


def test_excluding_and_clipping_match_the_library(page: Page, model: Any) -> None:
    page.locator('tr[data-example="1"] input').uncheck()
    page.locator('tr[data-example="4"] input').uncheck()
    weights = np.array([1.0, 0, 1, 1, 0, 1])
    go_to(page, "update-1")
    assert_matches(page, library_matrices(model, weights))
    page.locator("#clip-on").check()
    page.locator("#clip-number").fill("0.2")
    page.locator("#clip-number").press("Enter")
    expected = library_matrices(model, weights, 0.2)
    assert_matches(page, expected, ["dW1", "updatedW1", "updatedb1"])
    X, y = table("multiclass")
    g = model.backprop(X[:ROWS], y[:ROWS]).gradient
    length = np.sqrt(sum(float((theta**2).sum()) for layer in g.mean() for theta in layer))
    text = page.locator(".gradient-change").inner_text()
    assert f"{length:.4g} →" in text
    assert "2 examples excluded" in text
    cosines = page.eval_on_selector_all(
        'td[data-key="cosine"]', "all => all.map(one => Number(one.dataset.value))"
    )
    kept = model.backprop(X[:ROWS], y[:ROWS], weights).gradient.clipped(0.2).mean()
    norm = np.sqrt(sum(float((theta**2).sum()) for layer in kept for theta in layer))
    assert_allclose(cosines, g.dot(kept) / np.sqrt(g.squared_norms()) / norm, rtol=1e-4)
    page.locator("#clip-on").uncheck()
    page.locator("button.include-all").click()
    assert_matches(page, library_matrices(model))


def test_slices_collapse_to_the_mean_which_equals_the_product(page: Page) -> None:
    go_to(page, "collapse-1")
    stack = page.locator('figure[data-name="DW1"]')
    stack.locator("button.collapse-button").click()
    assert stack.locator("button.collapse-button").inner_text() == "Expand the slices"
    text = page.get_by_text("are the same numbers: largest difference").inner_text()
    assert re.search(r"difference (0|[\d.]+·10⁻\S+)\.", text)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_page_is_accessible_and_fits(browser: Browser, file: Path, width: int, scheme: str) -> None:
    opened_page = open_file(browser, file, width=width, color_scheme=scheme)
    # A step changes its own equations and which line is marked; the list of all steps, which is most of the
    # page, stays as it was looked at with the first.
    for line, parts in (
        ("forward-2", ()),
        ("loss", CHANGED_BY_A_STEP),
        ("collapse-1", CHANGED_BY_A_STEP),
    ):
        go_to(opened_page.page, line)
        opened_page.page.locator("figure summary").first.click()
        assert not violations(opened_page.page, *parts)
        assert opened_page.page.evaluate("document.scrollingElement.scrollWidth") <= width
    assert (opened_page.said, opened_page.asked) == ([], [file.as_uri()])
    opened_page.close()


def test_overflowing_network_is_drawn(browser: Browser, tmp_path: Path, model: Any) -> None:
    X, y = table("multiclass")
    broken = model.at_snapshot(model.weight_snapshots_[-1])
    del broken._extra_state
    broken.coefs_ = [broken.coefs_[0] * np.inf, *broken.coefs_[1:]]
    with np.errstate(all="ignore"):
        file = bp.microscope.look(broken, X[:3], y[:3]).save(tmp_path / "broken.html")
    opened_page = open_file(browser, file)
    for line in STEPS:
        go_to(opened_page.page, line)
        assert matrix_names(opened_page.page)
    go_to(opened_page.page, "forward-1")
    assert not np.isfinite(read_matrix(opened_page.page, "W1")).all()
    assert opened_page.said == []
    opened_page.close()


def test_labels_are_never_markup(browser: Browser, tmp_path: Path) -> None:
    X, y = table("binary")
    y = np.where(y == "yes", "<img src=x onerror=alert(1)>", "</script><b>no</b>")
    file = bp.microscope.look(estimator("binary").fit(X, y), X, y, rows=3, about="<i>a</i>").save(
        tmp_path / "t.html"
    )
    opened_page = open_file(browser, file)
    assert opened_page.page.locator("h1").inner_text() == "<i>a</i> through 5-8-1"
    assert opened_page.page.locator("main img, main b, main i").count() == 0
    assert "<img src=x onerror=alert(1)>" in opened_page.page.locator("table.examples-table").inner_text()
    assert (opened_page.said, opened_page.asked) == ([], [file.as_uri()])
    opened_page.close()
