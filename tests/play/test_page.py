"""The playground in a real browser: it trains, pauses, steps, and does what its controls say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tests.browsers import violations
from tests.play.playing import PETS
from tests.view.browsing import go_to, numbers_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.play.playing import Playing

expect = pytest.importorskip("playwright.sync_api", reason="pip install playwright").expect
expect.set_options(timeout=30_000)

REFUSED = "Failed to load resource: the server responded with a status of 422 (Unprocessable Entity)"
"""What Chromium itself says on its console of an answer that refuses."""


def start(playing: Playing) -> None:
    playing.at(".start").click()
    expect(playing.at(".start")).to_have_text("Pause")


def pause(playing: Playing) -> None:
    playing.at(".start").click()
    expect(playing.at(".start")).to_have_text("Start")


def test_it_trains_pauses_and_steps_one_batch_at_a_time(playing: Playing) -> None:
    expect(playing.readout("step")).to_have_text("0")
    expect(playing.at(".open-microscope")).to_be_disabled()
    start(playing)
    expect(playing.readout("epoch")).to_have_text(re.compile(r"^[1-9]"))
    pause(playing)
    before = playing.steps()
    assert before == playing.served.ask(lambda it: it.training.steps)
    for n, take in enumerate(
        (playing.at("button.step").click, lambda: playing.page.keyboard.press("ArrowRight"))
    ):
        take()
        expect(playing.readout("step")).to_have_text(str(before + n + 1))
        loss = float(playing.last_step().loss)
        expect(playing.readout("loss")).to_have_text(f"{loss:.4g}")
        assert_allclose(playing.newest("Loss")[0], loss, rtol=1e-6)
    assert playing.served.ask(lambda it: it.training.steps) == before + 2
    noise = playing.served.ask(lambda it: it.training.noise_scales[-1])
    assert_allclose(playing.newest("Gradient noise scale"), [noise, 16], rtol=1e-6)
    held = playing.served.ask(lambda it: it.training.held_out())
    expect(playing.readout("held-out loss")).to_have_text(f"{held.loss:.4g}")
    expect(playing.readout("held-out accuracy")).to_have_text(f"{100 * held.score:.3g} %")
    playing.at("button.reset").click()
    expect(playing.readout("step")).to_have_text("0")
    expect(playing.at(".open-microscope")).to_be_disabled()


def test_what_changes_while_it_runs_takes_effect_at_once(playing: Playing) -> None:
    start(playing)
    expect(playing.at(".advice")).to_contain_text("Batches of 16 are")
    playing.type("#batch-size", "1")
    expect(playing.at(".advice")).to_contain_text("A batch of one cannot tell")
    playing.at("#batch-size-slider").press("End")
    expect(playing.at(".advice")).to_contain_text("All 240 examples at once are")
    expect(playing.at(".batch-size-field")).to_contain_text("Batch descent: all 240 rows, one step an epoch")
    playing.at("#optimizer").select_option("adam")
    playing.type("#learning-rate", "0.01")
    playing.at('.speeds input[value="fast"]').check(force=True)
    expect(playing.at("#learning-rate")).to_have_value("0.01")
    expect(playing.at(".start")).to_have_text("Pause")
    steps = playing.steps()
    expect(playing.readout("step")).not_to_have_text(str(steps))
    pause(playing)
    settings = playing.served.ask(lambda it: it.settings)
    assert (settings.batch_size, settings.optimizer, settings.learning_rate, settings.speed) == (
        "full", "adam", 0.01, "fast",
    )  # fmt: skip
    sizes = playing.served.ask(lambda it: np.array(it.training.sizes))
    assert {16, 1, 240} <= set(sizes)
    assert playing.served.ask(lambda it: it.run) == 0


def test_another_network_or_other_points_begin_anew(playing: Playing) -> None:
    playing.at("button.step").click()
    expect(playing.readout("step")).to_have_text("1")
    playing.at(".add-layer").click()
    expect(playing.readout("step")).to_have_text("0")
    expect(playing.at(".diagram svg")).to_have_attribute("aria-label", "The network: 2 – 8 – 8 – 8 – 2 units")
    playing.at('[aria-label="Remove hidden layer 1"]').click()
    playing.type('[aria-label="Units of hidden layer 2"]', "3")
    expect(playing.at(".diagram svg")).to_have_attribute("aria-label", "The network: 2 – 8 – 3 – 2 units")
    playing.at("#data").select_option("hills")
    playing.type("#rows", "100")
    expect(playing.at(".plane-about")).to_have_text("80 points to learn from, 20 held out")
    playing.at("#noise").fill("0")  # not finished with Enter: taken a moment later
    playing.at(".another").click()
    playing.at("#activation").select_option("relu")
    expect(playing.at("#seed")).to_have_value("1")
    expect(playing.at(".plane-legend")).to_contain_text("height")
    playing.at("button.step").click()
    expect(playing.readout("held-out R²")).to_have_text(re.compile(r"^−?\d"))
    settings = playing.served.ask(lambda it: it.settings)
    assert (settings.hidden, settings.rows, settings.noise, settings.seed) == ((8, 3), 100, 0, 1)
    assert settings.activation == "relu"


def test_a_file_is_learned_and_its_batch_opened_in_the_microscope(playing: Playing) -> None:
    playing.load("pets.csv", PETS)
    expect(playing.at("#target")).to_have_value("kind")
    expect(playing.at(".plane-legend")).to_contain_text("cat")
    playing.at("#target").select_option("weight")
    expect(playing.readout("held-out R²")).to_be_visible()
    playing.at("#target").select_option("kind")
    expect(playing.readout("held-out accuracy")).to_be_visible()
    playing.at("#axis-0").select_option(label="height")
    expect(playing.at("#axis-1")).to_have_value("0")  # the two changed places
    playing.type("#batch-size", "5")
    for n in range(3):
        playing.at("button.step").click()
        expect(playing.readout("step")).to_have_text(str(n + 1))
    expect(playing.at(".plane canvas")).to_have_attribute(
        "aria-label", re.compile("5 points of the last batch are ringed")
    )
    playing.at(".open-microscope").click()
    microscope = playing.at("dialog iframe").content_frame
    microscope.locator("figure").first.wait_for()
    frame = next(one for one in playing.page.frames if one.url.endswith("/microscope"))
    assert_allclose(numbers_of(frame, "B"), playing.last_step().H[0], rtol=2e-5, atol=2e-6)
    go_to(frame, "loss")
    assert_allclose(numbers_of(frame, "losses")[0], playing.last_step().losses, rtol=2e-5)
    assert playing.at("dialog a").get_attribute("target") == "_blank"
    assert not violations(playing.page)
    playing.at("dialog .close").click()
    expect(playing.at("dialog")).to_have_count(0)
    expect(playing.at(".open-microscope")).to_be_focused()
    playing.page.keyboard.press("Enter")
    expect(playing.at("dialog .close")).to_be_visible()
    playing.at("dialog .close").focus()
    playing.page.keyboard.press("ArrowRight")  # nothing happens behind the dialog
    playing.page.keyboard.press("Escape")
    expect(playing.at(".open-microscope")).to_be_focused()
    assert playing.steps() == 3


def test_what_cannot_be_is_told_beside_its_control_and_the_page_goes_on(
    playing: Playing, tmp_path: Path
) -> None:
    def told(field: str, words: str) -> None:
        expect(playing.at(f"{field} [role=alert]")).to_contain_text(words)

    for field, control, value, words, stays in (
        (".rows-field", "#rows", "1000000000", "a whole number from 20 to 5,000", "300"),
        (".learning-rate-field", "#learning-rate", "-1", "a number from 1e-06 to 100", "0.1"),
        (".batch-size-field", "#batch-size", "100000", "batch_size=100000", "16"),
        (".layers-field", ".units >> nth=0", "9999", "each from 1 to 64", "8"),
    ):
        playing.type(control, value)
        told(field, words)
        expect(playing.at(control)).to_have_value(stays)
        expect(playing.at(".refused:not(:empty)")).to_have_count(1)
    for name, content, words in (
        ("bad.csv", "a,b\n1,\x00\n", "bad.csv is not text"),
        ("empty.csv", "", "empty.csv is empty: choose a table with names in its first row"),
        ("song.mp3", "la", "song.mp3 is no table"),
    ):
        playing.load(name, content)
        told(".file", words)
    long = tmp_path / "long.csv"
    with long.open("wb") as file:
        file.truncate(20_000_001)
    playing.at("#file").set_input_files(long)
    told(".file", "long.csv has 20.1 MB: the playground takes files of up to 20 MB")
    playing.at("#data").select_option("hills")
    playing.at("#activation").select_option("relu")
    playing.type("#learning-rate", "100")
    expect(playing.at(".refused:not(:empty)")).to_have_count(0)
    playing.at(".start").click()
    expect(playing.at(".notice")).to_contain_text("choose a smaller learning rate, then reset")
    expect(playing.at(".start")).to_be_disabled()
    playing.type("#learning-rate", "0.01")
    playing.at("button.reset").click()
    expect(playing.at(".notice")).to_be_empty()
    playing.at("button.step").click()
    expect(playing.readout("step")).to_have_text("1")
    assert set(playing.seen.said) == {REFUSED}
    playing.seen.said.clear()


@pytest.mark.parametrize("how", ["in the page", "in its terminal"])
def test_its_end_is_told(playing: Playing, how: str) -> None:
    if how == "in the page":
        playing.at(".end").click()
    else:
        playing.served.stage.close()
        playing.served.listener.should_exit = True
    expect(playing.at(".over")).to_have_text(
        "The playground has ended. Start it again in the terminal: batchprop play"
    )
    expect(playing.at(".start")).to_be_disabled()
    expect(playing.at("button.step")).to_be_disabled()
    if how == "in its terminal":  # Chromium's word for a server that is gone
        assert all("ERR_" in word for word in playing.seen.said)
        playing.seen.said.clear()


def test_numbers_over_a_table_of_one_feature(playing: Playing) -> None:
    playing.load("square.csv", "x,y\n" + "".join(f"{i / 8},{i * i / 64}\n" for i in range(40)))
    expect(playing.at(".plane-title")).to_contain_text("square.csv")
    label = re.compile("What the network answers over x: 32 points to learn from and 8 held out")
    expect(playing.at(".plane canvas")).to_have_attribute("aria-label", label)
    expect(playing.at("#axis-0")).to_be_hidden()


def test_a_table_is_dropped_on_the_plane(playing: Playing) -> None:
    dropped = playing.page.evaluate_handle(
        """text => {
          const carried = new DataTransfer();
          carried.items.add(new File([text], "pets.csv", { type: "text/csv" }));
          return carried;
        }""",
        PETS,
    )
    plane = playing.at(".plane")
    plane.dispatch_event("dragover", {"dataTransfer": dropped})
    expect(plane).to_have_class(re.compile(r"\bdrop\b"))
    plane.dispatch_event("drop", {"dataTransfer": dropped})
    expect(playing.at("#target")).to_have_value("kind")
    expect(plane).not_to_have_class(re.compile(r"\bdrop\b"))
