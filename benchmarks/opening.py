"""The time to make, open and step through the microscope's largest page; the playground's speed and frames.

`python -m benchmarks.opening` needs what `pip install -e ".[dev]"` installs, and Chromium on Linux.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

import batchprop as bp

WIDTHS, ROWS, ROUNDS = (1000,) * 5, 64, 5
OPTIONS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
WANTED_SECONDS, WANTED_BYTES = 2.0, 5e6

LARGE = "data=spirals&rows=5000&hidden=64,64,64,64,64,64&learningRate=0.003&optimizer=adam&speed=fast"
WATCHED_SECONDS = 5

_DRAWN = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
_PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN"
_FRAMES = """seconds => new Promise(done => {
  const times = [];
  const began = performance.now();
  requestAnimationFrame(function frame(now) {
    times.push(now);
    if (now - began < 1000 * seconds) requestAnimationFrame(frame);
    else done(times.slice(1).map((time, n) => time - times[n]));
  });
})"""
# The page's own worker, that nobody draws: it is asked for a frame four times a second, as it stops without.
_UNDRAWN = """seconds => new Promise(done => {
  const text = document.getElementById("playground-worker").textContent;
  const worker = new Worker(URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
  const counts = [];
  worker.onmessage = ({ data }) => {
    if (data.kind === "state") counts.push([performance.now(), data.state.step]);
  };
  const recording = { settings: { speed: "fast" } };
  worker.postMessage({ kind: "open", table: null, formulas: null, recording });
  worker.postMessage({ kind: "request", id: 1, name: "command", payload: "start" });
  const asking = setInterval(() => worker.postMessage({ kind: "frame" }), 250);
  setTimeout(() => {
    clearInterval(asking);
    worker.terminate();
    const [[began, first], [ended, last]] = [counts[1], counts.at(-1)];
    done((1000 * (last - first)) / (ended - began));
  }, 1000 * seconds);
})"""


def main() -> None:
    """Make the pages, open them several times, and print the times."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=OPTIONS)
        measure_microscope(browser, Path(folder))
        measure_playground(browser, Path(folder))
        browser.close()


def measure_microscope(browser: Browser, folder: Path) -> None:
    """Print the times of the microscope's largest page."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(ROWS, WIDTHS[0])).astype("float32"), np.arange(ROWS) % 10
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clf = bp.MLPClassifier(WIDTHS, max_iter=8, batch_size=ROWS, random_state=0)
        clf.fit(X, y, record_examples=True)
    began = time.perf_counter()
    page = bp.microscope.look(clf, X, y, rows=ROWS)
    made, size = time.perf_counter() - began, len(page.html.encode())
    opened, stepped = opening(browser, page.save(folder / "page.html"))
    print("The microscope")
    print(f"made in {made:.2f} s, {size / 1e6:.1f} MB (wanted: under {WANTED_BYTES / 1e6:.0f})")
    wanted = f"(wanted: under {WANTED_SECONDS:.0f})"
    print(f"open in {statistics.median(opened):.2f} s, at most {max(opened):.2f} {wanted}")
    print(f"a step in {statistics.median(stepped):.2f} s, at most {max(stepped):.2f}")


def opening(browser: Browser, file: Path) -> tuple[list[float], list[float]]:
    """Time opening the page and showing each step."""
    opened, stepped = list[float](), list[float]()
    for _ in range(ROUNDS):
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        began = time.perf_counter()
        page.goto(file.as_uri())
        page.wait_for_selector("figure")
        page.evaluate(_DRAWN)
        opened.append(time.perf_counter() - began)
        stepped += steps(page)
        page.close()
    return opened, stepped


def steps(page: Page) -> list[float]:
    """Time showing each step after the first."""
    seconds = list[float]()
    for _ in range(page.locator("[data-step]").count() - 1):
        began = time.perf_counter()
        page.keyboard.press("ArrowRight")
        page.evaluate(_DRAWN)
        seconds.append(time.perf_counter() - began)
    return seconds


class Watched(NamedTuple):
    """A training that was watched: its steps a second, the frames' milliseconds, its memory in bytes."""

    rate: float
    frames: list[float]
    memory: int


def measure_playground(browser: Browser, folder: Path) -> None:
    """Print the playground's size, its first paint, its speed, and its frames while it trains."""
    file = bp.playground().save(folder / "playground.html")
    painted, undrawn = list[float](), list[float]()
    for _ in range(ROUNDS):
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(file.as_uri())
        page.wait_for_selector(".copy-link:enabled")
        painted.append(page.evaluate(_PAINTED))
        undrawn.append(page.evaluate(_UNDRAWN, 2))
        page.close()
    print("The playground")
    print(f"{file.stat().st_size / 1e3:.0f} kB (wanted: under 700)")
    first, last, rate = statistics.median(painted), max(painted), statistics.median(undrawn)
    print(f"first paint in {first:.0f} ms, at most {last:.0f} (wanted: under 300)")
    print(f"2-8-8-2, batch 16, not drawn: {rate:,.0f} steps a second (wanted: 20,000)")
    for name, fragment in (("2-8-8-2, 300 points", "speed=fast"), ("6 x 64, 5,000 points", LARGE)):
        seen = watch(browser, f"{file.as_uri()}#{fragment}")
        slow, frames = float(np.quantile(seen.frames, 0.95)), 1000 / statistics.mean(seen.frames)
        print(
            f"{name}: {seen.rate:,.0f} steps a second, {frames:.0f} frames a second (wanted: 60), "
            f"95% within {slow:.0f} ms, {seen.memory / 1e6:.0f} MB (wanted: under 100)"
        )


def watch(browser: Browser, address: str) -> Watched:
    """Let a training run as fast as it can, and watch its frames."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(address)
    page.wait_for_selector(".copy-link:enabled")
    page.locator(".start").click()
    page.wait_for_timeout(1000)
    before, began = _read_step(page), time.perf_counter()
    frames = page.evaluate(_FRAMES, WATCHED_SECONDS)
    rate = (_read_step(page) - before) / (time.perf_counter() - began)
    memory = max(map(_private_bytes, _renderers(browser)))
    page.close()
    return Watched(rate, frames, memory)


def _read_step(page: Page) -> int:
    return int(page.locator('dd[data-name="step"]').inner_text().replace(",", ""))


def _renderers(browser: Browser) -> list[int]:
    info: dict[str, Any] = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")
    return [process["id"] for process in info["processInfo"] if process["type"] == "renderer"]


def _private_bytes(process: int) -> int:
    """What a process has for itself, without what it shares with the browser's others."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Private"))


if __name__ == "__main__":
    main()
