"""The microscope in a real browser: its numbers are the library's, and everything on it can be used."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import batchprop as bp
from tests.estimators.tables import estimator, quiet, table
from tests.view.browsing import Opened, current, figures, go_to, lines, numbers_of, opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

pytestmark = quiet

RATE, ROWS = 0.25, 6
LINES = [
    "forward-0", "forward-1", "forward-2", "forward-3", "loss", "backward-3", "backward-2", "backward-1",
    "collapse-3", "collapse-2", "collapse-1", "update-1", "update-2", "update-3",
]  # fmt: skip


@pytest.fixture(scope="module")
def model() -> Any:
    X, y = table("multiclass")
    net = estimator("multiclass", activation="tanh", hidden_layer_sizes=(7, 4), dtype="float64", max_iter=5)
    return net.fit(X, y, record_examples=True)


@pytest.fixture(scope="module")
def file(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    X, y = table("multiclass")
    page = bp.view.microscope(model, X[:ROWS], y[:ROWS], learning_rate=RATE)
    return page.save(tmp_path_factory.mktemp("pages") / "page.html")


@pytest.fixture
def seen(browser: Browser, file: Path) -> Iterator[Opened]:
    found = opened(browser, file)
    yield found
    found.page.close()
    assert found.said == []
    assert found.asked == [file.as_uri()]


@pytest.fixture
def page(seen: Opened) -> Page:
    return seen.page


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
            f"W{k + 1}-after": layer.W - RATE * mean.W, f"b{k + 1}-after": (layer.b - RATE * mean.b)[:, None],
        }  # fmt: skip
        if k:
            dH = layer.W.T @ step.dZ[k]
            found |= {
                f"H{k}": step.H[k],
                f"W{k + 1}T": layer.W.T,
                f"dH{k}": dH,
                f"slopes{k}": 1 - step.H[k] ** 2,
            }
    return found


def check(page: Page, expected: dict[str, Any], names: list[str] | None = None) -> set[str]:
    """Compare what the line shows with the library's."""
    shown = names or figures(page)
    for name in shown:
        assert_allclose(numbers_of(page, name), expected[name], rtol=2e-5, atol=2e-6, err_msg=name)
    return set(shown)


def test_every_number_of_every_line_is_the_librarys(page: Page, model: Any) -> None:
    expected, seen = the_librarys(model), set[str]()
    assert lines(page) == LINES
    for line in LINES:
        go_to(page, line)
        seen |= check(page, expected)
    assert seen == set(expected)


def test_the_slider_goes_back_to_the_beginning(page: Page, model: Any) -> None:
    assert page.locator(".checkpoint-name").inner_text() == "after epoch 5, the last"
    page.locator("#checkpoint").focus()
    page.keyboard.press("Home")
    assert page.locator(".checkpoint-name").inner_text() == "before the first epoch"
    assert current(page) == "forward-0"
    go_to(page, "update-2")
    check(page, the_librarys(model.at_checkpoint(model.checkpoints_[0])))


def test_keys_and_buttons_step_and_space_plays(page: Page) -> None:
    for line in LINES[1:]:
        page.keyboard.press("ArrowRight")
        assert current(page) == line
    assert page.locator("button.next").is_disabled()
    page.keyboard.press("ArrowLeft")
    page.locator("button.previous").click()
    assert current(page) == LINES[-3]
    page.locator("h1").click()
    page.keyboard.press("Space")
    assert page.locator("button.play").inner_text() == "Pause"
    page.keyboard.press("Space")
    assert page.locator("button.play").inner_text() == "Play"


def test_a_hovered_column_is_that_example_everywhere(page: Page, model: Any) -> None:
    X, y = table("multiclass")
    go_to(page, "forward-1")
    canvas = page.locator('figure[data-name="Z1"] canvas').first
    box = canvas.bounding_box()
    assert box is not None
    canvas.hover(position={"x": box["width"] * 2.5 / ROWS, "y": box["height"] * 0.5 / 7})
    assert page.locator("tr.lit").get_attribute("data-example") == "2"
    card = page.locator(".card").inner_text()
    step = model.backprop(X[2:3], y[2:3])
    norm = float(np.sqrt(step.gradient.squared_norms()[0]))
    for told in ("row 2", str(y[2]), f"{step.losses[0]:.4g}", f"{norm:.4g}", "Z¹, unit 1"):
        assert told in card, (told, card)
    Z = the_librarys(model)["Z1"]
    assert f"{Z[0, 2]:.4g}".replace("-", "−") in card


def test_the_keyboard_reaches_every_cell_and_a_reader_hears_it(page: Page, model: Any) -> None:
    go_to(page, "collapse-2")
    figure = page.locator('figure[data-name="dW2"]').first
    figure.focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    value = the_librarys(model)["dW2"][1, 1]
    assert f"{value:.4g}".replace("-", "−") in page.locator(".card").inner_text()
    assert current(page) == "collapse-2"
    assert page.locator('[aria-live="polite"]').count() == 1
    assert re.match(r"dW², 4 × 7; one row a unit", figure.get_attribute("aria-label") or "")
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowRight")
    assert current(page) == "collapse-1"


def test_examples_are_sorted_by_any_column(page: Page, model: Any) -> None:
    losses = the_librarys(model)["losses"][0]

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


def test_leaving_out_and_clipping_change_the_gradient_as_the_library_does(page: Page, model: Any) -> None:
    page.locator('tr[data-example="1"] input').uncheck()
    page.locator('tr[data-example="4"] input').uncheck()
    weights = np.array([1.0, 0, 1, 1, 0, 1])
    go_to(page, "update-1")
    check(page, the_librarys(model, weights))
    page.locator("#clip-on").check()
    page.locator("#clip-number").fill("0.2")
    page.locator("#clip-number").press("Enter")
    expected = the_librarys(model, weights, 0.2)
    check(page, expected, ["dW1", "W1-after", "b1-after"])
    X, y = table("multiclass")
    g = model.backprop(X[:ROWS], y[:ROWS]).gradient
    length = np.sqrt(sum(float((theta**2).sum()) for layer in g.mean() for theta in layer))
    told = page.locator(".dw-change").inner_text()
    assert f"{length:.4g} →" in told
    assert "2 examples left out" in told
    cosines = page.eval_on_selector_all(
        'td[data-key="cosine"]', "all => all.map(one => Number(one.dataset.value))"
    )
    kept = model.backprop(X[:ROWS], y[:ROWS], weights).gradient.clipped(0.2).mean()
    norm = np.sqrt(sum(float((theta**2).sum()) for layer in kept for theta in layer))
    assert_allclose(cosines, g.dot(kept) / np.sqrt(g.squared_norms()) / norm, rtol=1e-4)
    page.locator("#clip-on").uncheck()
    page.locator("button.all-back").click()
    check(page, the_librarys(model))


def test_sheets_collapse_into_the_mean_and_the_product_is_the_same(page: Page) -> None:
    go_to(page, "collapse-1")
    stack = page.locator('figure[data-name="DW1"]')
    stack.locator("button.collapse-button").click()
    assert stack.locator("button.collapse-button").inner_text() == "Fan the sheets out"
    told = page.get_by_text("are the same numbers: largest difference").inner_text()
    assert re.search(r"difference (0|[\d.]+·10⁻\S+)\.", told)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_it_is_accessible_and_fits(browser: Browser, file: Path, width: int, scheme: str) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python"
    )
    found = opened(browser, file, width=width, color_scheme=scheme)
    for line in ("forward-2", "loss", "collapse-1"):
        go_to(found.page, line)
        found.page.locator("figure summary").first.click()
        results = axe.Axe().run(found.page)
        assert results.violations_count == 0, results.generate_report()
        assert found.page.evaluate("document.scrollingElement.scrollWidth") <= width
    assert (found.said, found.asked) == ([], [file.as_uri()])
    found.page.close()


def test_a_network_that_overflows_is_drawn_and_breaks_nothing(
    browser: Browser, tmp_path: Path, model: Any
) -> None:
    X, y = table("multiclass")
    broken = model.at_checkpoint(model.checkpoints_[-1])
    del broken._records
    broken.coefs_ = [broken.coefs_[0] * np.inf, *broken.coefs_[1:]]
    with np.errstate(all="ignore"):
        file = bp.view.microscope(broken, X[:3], y[:3]).save(tmp_path / "broken.html")
    found = opened(browser, file)
    for line in LINES:
        go_to(found.page, line)
        assert figures(found.page)
    go_to(found.page, "forward-1")
    assert not np.isfinite(numbers_of(found.page, "W1")).all()
    assert found.said == []
    found.page.close()


def test_text_from_a_table_is_never_markup(browser: Browser, tmp_path: Path) -> None:
    X, y = table("binary")
    y = np.where(y == "yes", "<img src=x onerror=alert(1)>", "</script><b>no</b>")
    file = bp.view.microscope(estimator("binary").fit(X, y), X, y, rows=3, about="<i>a</i>").save(
        tmp_path / "t.html"
    )
    found = opened(browser, file)
    assert found.page.locator("h1").inner_text() == "<i>a</i> through 5-8-1"
    assert found.page.locator("main img, main b, main i").count() == 0
    assert "<img src=x onerror=alert(1)>" in found.page.locator("table.examples-table").inner_text()
    assert (found.said, found.asked) == ([], [file.as_uri()])
    found.page.close()


def test_images_are_drawn_from_the_pictures_not_from_what_enters(
    browser: Browser, tmp_path: Path, model: Any
) -> None:
    X, y = table("multiclass")
    images = np.zeros((len(X), 2, 3))
    images[:, 1, 2] = 200
    file = bp.view.microscope(model, X[:3], y[:3], images=images[:3]).save(tmp_path / "images.html")
    found = opened(browser, file)
    shown = found.page.locator(".thumbnail .input-image")
    assert shown.count() == 3
    assert shown.first.get_attribute("aria-label") == "row 0 as an image, 2 × 3, in colours from 0 to 200"
    shown.first.hover()
    drawn = found.page.locator(".card .input-image canvas").evaluate(
        """canvas => {
          const { width, height } = canvas;
          const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
          const at = (row, column) =>
            4 * (width * Math.floor((row + 0.5) * height / 2) + Math.floor((column + 0.5) * width / 3));
          const places = [0, 1].flatMap(row => [0, 1, 2].map(column => at(row, column)));
          return places.map(place => data.slice(place, place + 3).join());
        }"""
    )
    assert len(set(drawn[:5])) == 1
    assert drawn[5] != drawn[0]
    assert found.said == []
    found.page.close()


def test_the_longest_gradient_lies_in_front_and_a_pointed_sheet_stays(page: Page, model: Any) -> None:
    X, y = table("multiclass")
    longest = int(np.argmax(model.backprop(X[:ROWS], y[:ROWS]).gradient.squared_norms()))
    go_to(page, "collapse-1")
    stack = page.locator('figure[data-name="DW1"]')
    stack.locator("summary").click()
    assert stack.locator("table").get_attribute("data-example") == str(longest)
    canvas = stack.locator("canvas")
    box = canvas.bounding_box()
    assert box is not None
    # The strips of the sheets behind show at the upper edge, the rearmost highest.
    pointed = []
    for up in (14, 24, 36, 48):
        page.locator("h1").hover()
        page.keyboard.press("Escape")
        for along in (0.5, 0.52, 0.54):
            canvas.hover(position={"x": box["width"] * along, "y": up})
            pointed.append(page.locator("tr.lit").get_attribute("data-example"))
    assert [len(set(pointed[n : n + 3])) for n in range(0, 12, 3)] == [1, 1, 1, 1], pointed
    assert len(set(pointed)) > 2


def test_the_mean_loss_and_the_words_of_the_collapse_say_what_counts(page: Page, model: Any) -> None:
    losses = the_librarys(model)["losses"][0]
    formula = page.locator('[data-line="collapse-2"] annotation').first
    go_to(page, "loss")
    note = page.locator(".equation-note")
    assert note.inner_text() == f"The mean of the 6 losses is {losses.mean():.4g}."
    assert r"\tfrac1m" in (formula.text_content() or "")
    page.locator('tr[data-example="1"] input').uncheck()
    assert (
        note.inner_text() == f"The mean of the 5 losses of those kept is {np.delete(losses, 1).mean():.4g}."
    )
    assert "frac1m" not in (formula.text_content() or "")
    assert r"\operatorname{diag}(c)" in (formula.text_content() or "")
    go_to(page, "collapse-2")
    spoken = page.locator(".stage .sign .sr-only").all_inner_texts()
    assert not [words for words in spoken if "mean" in words or "divided by m" in words], spoken
    page.locator("button.all-back").click()
    assert "their mean is" in page.locator(".stage .sign .sr-only").all_inner_texts()
    assert r"\tfrac1m" in (formula.text_content() or "")


def test_the_mean_loss_is_weighted_as_the_batch_is(browser: Browser, tmp_path: Path) -> None:
    X, y = table("binary")
    y = np.where(np.arange(len(y)) < 4, y, "yes")
    model = estimator("binary", class_weight="balanced").fit(X, y)
    file = bp.view.microscope(model, X[:4], y[:4]).save(tmp_path / "weights.html")
    weights = model.network_and_batch(X[:4], y[:4])[1].weights
    losses = model.backprop(X[:4], y[:4]).losses
    found = opened(browser, file)
    go_to(found.page, "loss")
    expected = f"The weighted mean of the 4 losses is {np.average(losses, weights=weights):.4g}."
    assert found.page.locator(".equation-note").inner_text() == expected
    assert len(set(weights)) > 1
    found.page.close()


def rows_in_order(page: Page) -> list[int]:
    """The examples, as the table has them."""
    rows: list[str] = page.eval_on_selector_all("tr[data-example]", "all => all.map(r => r.dataset.example)")
    return [int(row) for row in rows]


def test_numbers_are_sorted_as_numbers_and_stay_sorted(browser: Browser, tmp_path: Path) -> None:
    X, y = table("single")
    model = estimator("single").fit(X, y, record_examples=True)
    y = np.array([10.0, -3.5, 9.5, -12.0, 0.25, 1e-7])
    file = bp.view.microscope(model, X[:ROWS], y).save(tmp_path / "numbers.html")
    found = opened(browser, file)
    for key, values in (("label", y), ("prediction", model.predict(X[:ROWS]))):
        head = found.page.locator(f'th[data-key="{key}"]')
        head.locator("button").click()
        assert rows_in_order(found.page) == np.argsort(values).tolist(), key
    found.page.locator("#checkpoint").focus()
    found.page.keyboard.press("Home")
    early = model.at_checkpoint(model.checkpoints_[0]).predict(X[:ROWS])
    assert rows_in_order(found.page) == np.argsort(early).tolist()
    assert head.get_attribute("aria-sort") == "ascending"
    found.page.locator('th[data-key="kept"] button').click()
    box = found.page.locator('tr[data-example="0"] input')
    box.focus()
    found.page.keyboard.press("Space")
    assert rows_in_order(found.page) == [1, 2, 3, 4, 5, 0]
    assert box.evaluate("box => box === document.activeElement")
    found.page.close()


def test_what_is_no_number_is_sorted_last_both_ways(browser: Browser, tmp_path: Path, model: Any) -> None:
    X, y = table("multiclass")
    X = X[:4].copy()
    X[1] *= 1e308
    with np.errstate(all="ignore"):
        file = bp.view.microscope(model, X, y[:4]).save(tmp_path / "odd.html")
    found = opened(browser, file)
    head = found.page.locator('th[data-key="norm"] button')
    values = found.page.eval_on_selector_all(
        'td[data-key="norm"]', "all => all.map(one => Number(one.dataset.value))"
    )
    odd = [n for n, value in enumerate(values) if np.isnan(value)]
    assert odd
    for _ in range(2):
        head.click()
        assert rows_in_order(found.page)[4 - len(odd) :] == odd
    found.page.close()


def test_a_folded_stack_tells_of_the_mean(page: Page, model: Any) -> None:
    go_to(page, "collapse-1")
    stack = page.locator('figure[data-name="DW1"]')
    expected = the_librarys(model)
    fanned = stack.locator(".legend-numbers").inner_text()
    stack.locator("button.collapse-button").click()
    assert_allclose(numbers_of(page, "DW1"), expected["dW1"], rtol=2e-5, atol=2e-6)
    mean = expected["dW1"]
    assert f"from {mean.min():.3g} to {mean.max():.3g}".replace("-", "−") in (
        stack.get_attribute("aria-label") or ""
    )
    whole = page.locator('figure[data-name="dW1"]').first
    assert stack.locator(".legend-numbers").inner_text() == whole.locator(".legend-numbers").inner_text()
    stack.locator("button.collapse-button").click()
    assert stack.locator(".legend-numbers").inner_text() == fanned


def test_a_wrong_length_to_clip_at_is_put_back(page: Page) -> None:
    page.locator("#clip-on").check()
    number = page.locator("#clip-number")
    before = number.input_value()
    number.fill("-3")
    number.press("Enter")
    assert number.input_value() == before


def test_arrow_keys_step_from_a_button_inside_a_figure(page: Page) -> None:
    go_to(page, "collapse-2")
    page.locator('figure[data-name="DW2"] .collapse-button').focus()
    page.keyboard.press("ArrowRight")
    assert current(page) == "collapse-1"
    page.locator("figure summary").first.focus()
    page.keyboard.press("ArrowLeft")
    assert current(page) == "collapse-2"


def test_what_is_drawn_in_part_says_its_shape_first_and_one_example_is_one(
    browser: Browser, tmp_path: Path
) -> None:
    X, y = table("binary")
    model = estimator("binary", hidden_layer_sizes=(100,), max_iter=2).fit(X, y)
    found = opened(browser, bp.view.microscope(model, X[:1], y[:1]).save(tmp_path / "part.html"))
    assert found.page.locator(".dw-change").inner_text().endswith("the 1 example in it.")
    go_to(found.page, "forward-1")
    for name, shape in (("W1", "100 × 5, 64 × 5 drawn"), ("b1", "100 × 1, 64 × 1 drawn"), ("B", "5 × 1")):
        figure = found.page.locator(f'figure[data-name="{name}"]')
        assert figure.locator(".figure-shape").inner_text() == shape
    found.page.close()


def test_the_terms_of_a_poisson_loss_add_up(browser: Browser, tmp_path: Path) -> None:
    X, y = table("counts")
    model = estimator("counts", loss="poisson").fit(X, y)
    found = opened(browser, bp.view.microscope(model, X, y, rows=4).save(tmp_path / "poisson.html"))
    go_to(found.page, "loss")
    found.page.locator('figure[data-name="losses"]').focus()
    found.page.keyboard.press("ArrowDown")
    for _ in range(4):
        steps = found.page.locator(".arithmetic .steps .value")
        values = steps.evaluate_all("all => all.map(one => Number(one.dataset.value))")
        assert len(values) == 2
        assert_allclose(values[0], values[1], rtol=1e-4, atol=1e-6)
        found.page.keyboard.press("ArrowRight")
    found.page.close()


def test_predictions_share_colours_with_targets_only_where_both_stand(
    browser: Browser, tmp_path: Path
) -> None:
    X, y = table("single")
    found = opened(
        browser,
        bp.view.microscope(estimator("single").fit(X, y), X[:4], 1000 + y[:4]).save(tmp_path / "p.html"),
    )
    legend = found.page.locator('figure[data-name="P"] .legend-numbers')
    go_to(found.page, "forward-2")
    alone = legend.inner_text()
    for line in ("loss", "backward-2"):
        go_to(found.page, line)
        assert legend.inner_text() != alone
        assert "100" in legend.inner_text()
    found.page.close()
