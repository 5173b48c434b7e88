"""The time to make, open and step through the microscope's largest page.

`python -m benchmarks.opening` needs what `pip install -e ".[dev]"` installs, and Chromium.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

import batchprop as bp

WIDTHS, ROWS, ROUNDS = (1000,) * 5, 64, 5
OPTIONS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
WANTED_SECONDS, WANTED_BYTES = 2.0, 5e6

_DRAWN = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


def main() -> None:
    """Make the page, open it several times, and print the times."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(ROWS, WIDTHS[0])).astype("float32"), np.arange(ROWS) % 10
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clf = bp.MLPClassifier(WIDTHS, max_iter=8, batch_size=ROWS, random_state=0)
        clf.fit(X, y, record_examples=True)
    began = time.perf_counter()
    page = bp.microscope.look(clf, X, y, rows=ROWS)
    made, size = time.perf_counter() - began, len(page.html.encode())
    with tempfile.TemporaryDirectory() as folder:
        opened, stepped = opening(page.save(Path(folder) / "page.html"))
    print(f"made in {made:.2f} s, {size / 1e6:.1f} MB (wanted: under {WANTED_BYTES / 1e6:.0f})")
    wanted = f"(wanted: under {WANTED_SECONDS:.0f})"
    print(f"open in {statistics.median(opened):.2f} s, at most {max(opened):.2f} {wanted}")
    print(f"a step in {statistics.median(stepped):.2f} s, at most {max(stepped):.2f}")


def opening(file: Path) -> tuple[list[float], list[float]]:
    """Time opening the page and showing each step."""
    opened, stepped = list[float](), list[float]()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=OPTIONS)
        for _ in range(ROUNDS):
            page = browser.new_page(viewport={"width": 1440, "height": 1000})
            began = time.perf_counter()
            page.goto(file.as_uri())
            page.wait_for_selector("figure")
            page.evaluate(_DRAWN)
            opened.append(time.perf_counter() - began)
            stepped += steps(page)
            page.close()
        browser.close()
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


if __name__ == "__main__":
    main()
