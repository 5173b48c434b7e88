"""The playground by keyboard, with a screen reader, on a phone and in dark mode."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.browsers import violations

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.playground.pages import Playing

expect = pytest.importorskip("playwright.sync_api", reason="pip install playwright").expect
expect.set_options(timeout=30_000)

FOCUSED = """() => {
  const at = document.activeElement;
  const name = at.id || at.name || at.classList[0] || at.tagName.toLowerCase();
  const ring = [at, at.nextElementSibling].filter(Boolean).map(one => getComputedStyle(one));
  return [name, ring.some(style => style.outlineStyle === "solid" && parseFloat(style.outlineWidth) >= 2)];
}"""


def test_every_control_is_reached_by_keyboard_with_a_visible_focus(
    open_playground: Callable[..., Playing],
) -> None:
    playing = open_playground("step=1")
    expect(playing.readout("step")).to_have_text("1")
    playing.at(".more summary").click()
    playing.at("h1").click()
    reached: dict[str, bool] = {}
    while True:
        playing.page.keyboard.press("Tab")
        name, ringed = playing.page.evaluate(FOCUSED)
        if name == "body" or (name == "copy-link" and reached):
            break
        reached[name] = ringed and reached.get(name, True)
    wanted = {
        "theme-button", "copy-link", "copy-python", "download-weights", "preset", "start", "step", "reset",
        "speed", "open-microscope", "data", "rows", "rows-slider", "noise", "noise-slider", "file", "fewer",
        "more-units", "remove", "add-layer", "activation", "seed", "next-seed", "batch-size", "edges",
        "batch-size-slider", "learning-rate", "learning-rate-slider", "optimizer", "loss-scale", "summary",
        "l2", "dropout", "max-norm", "discretize", "showHeldOut", "canvas",
    }  # fmt: skip
    assert wanted <= set(reached), wanted - set(reached)
    assert all(reached.values()), [name for name, ringed in reached.items() if not ringed]


def test_training_by_keyboard_alone(playing: Playing) -> None:
    keyboard = playing.page.keyboard
    keyboard.press("Space")
    expect(playing.at(".start")).to_have_text("Pause")
    expect(playing.readout("step")).not_to_have_text("0")
    keyboard.press("Space")
    expect(playing.at(".start")).to_have_text("Start")
    steps = playing.steps()
    # In a field, keys keep their own meaning; on a button, space presses the button.
    for selector in ("#seed", "#learning-rate-slider", '.speeds input[value="steady"]'):
        playing.at(selector).focus()
        keyboard.press("ArrowRight")
        keyboard.press("ArrowLeft")
    playing.at(".theme-button").focus()
    keyboard.press("Space")
    expect(playing.at(".theme-button")).to_have_text("Light theme")
    expect(playing.readout("step")).to_have_text(str(steps))
    keyboard.press("ArrowRight")
    expect(playing.readout("step")).to_have_text(str(steps + 1))
    # A radio or a slider that was clicked has no use for the space bar.
    playing.at('.speeds input[value="fast"]').focus()
    keyboard.press("Space")
    expect(playing.at(".start")).to_have_text("Pause")


def test_screen_readers_get_announcements(playing: Playing) -> None:
    live = playing.at('main > [aria-live="polite"]')
    playing.at("button.step").click()
    expect(live).to_have_text(re.compile(r"^Step 1, loss [\d.]+\.$"))
    playing.at(".start").click()
    expect(live).to_have_text("Started.")
    playing.at(".start").click()
    expect(live).to_have_text(re.compile(r"^Paused at step \d+, loss [\d.]+\.$"))
    step = playing.steps()
    loss = playing.readout("held-out loss").inner_text()
    for panel, words in (
        ("Loss", rf"^Loss by step, {step} steps: .* held out {re.escape(loss)}\.$"),
        (
            "Gradient noise scale",
            rf"^Gradient noise scale by step, {step} steps: now \S+ examples, batch size 16\.$",
        ),
        ("Decision plot", rf"After step {step}: [\d.]+% correct on the points held out\."),
    ):
        canvas = playing.at(f'section[aria-label="{panel}"] canvas')
        expect(canvas).to_have_attribute("role", "img")
        expect(canvas).to_have_attribute("aria-label", re.compile(words))
    playing.at("button.reset").click()
    expect(live).to_have_text("New training from the initial weights.")


# Colours depend on the scheme, and places on the width.
@pytest.mark.parametrize(("scheme", "width", "height"), [("light", 1440, 1000), ("dark", 390, 844)])
def test_page_is_accessible_and_fits(
    open_playground: Callable[..., Playing], scheme: str, width: int, height: int
) -> None:
    playing = open_playground("batchSize=4&step=2", width=width, height=height, color_scheme=scheme)
    expect(playing.readout("step")).to_have_text("2")
    for details in playing.at("details").all():
        if details.get_attribute("open") is None:
            details.locator("summary").first.click()
    playing.type("#rows", "1")
    expect(playing.at(".rows-field .field-error")).not_to_be_empty()
    expect(playing.at(".history-table tbody tr")).to_have_count(4)
    assert not violations(playing.page)
    for wide in {width, min(width, 1280)}:
        playing.page.set_viewport_size({"width": wide, "height": 720})
        assert playing.page.evaluate("document.scrollingElement.scrollWidth") <= wide
        canvas = playing.at(".decision-plot canvas").bounding_box()
        assert canvas is not None
        assert min(canvas["width"], canvas["height"]) > 250


def test_on_a_phone_the_plot_comes_first_and_settings_are_closed(
    open_playground: Callable[..., Playing],
) -> None:
    playing = open_playground(width=390, height=844)
    tops = [
        playing.at(selector).first.evaluate("one => one.getBoundingClientRect().top")
        for selector in (".readouts", ".decision-plot", ".network", ".chart", ".group")
    ]
    assert tops == sorted(tops)
    assert playing.at("details.group[open]").count() == 0
    # What starts and pauses is in reach wherever the page stands.
    playing.page.mouse.wheel(0, 2000)
    expect(playing.at(".start")).to_be_in_viewport()
    # The width of a wide window at 400% zoom.
    playing.page.set_viewport_size({"width": 320, "height": 256})
    assert playing.page.evaluate("document.scrollingElement.scrollWidth") <= 320
