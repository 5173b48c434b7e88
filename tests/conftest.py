"""Settings and fixtures of all tests. Helpers are in their folders: `from tests.core.oracle import ...`."""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from collections import Counter, defaultdict
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING
from unittest.mock import patch

import hypothesis
import pytest
import skops.io._utils
import typer

from tests.browsers import chromium
from tests.presets import train_one_by_default, train_several_by_default

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from types import ModuleType

    from playwright.sync_api import Browser

    from tests.cli.forks import Origin

# Must run before matplotlib is imported; commands started by tests inherit it.
os.environ["MPLBACKEND"] = "Agg"

# The matrices of tests are too small for several threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# XLA compiles the small programs of tests six times faster without optimisation. Flags from the
# environment come last and win: XLA_FLAGS=--xla_backend_optimization_level=3 tests optimised programs.
QUICK_TO_COMPILE = (
    "--xla_backend_optimization_level=0",
    "--xla_cpu_use_fusion_emitters=false",
    "--xla_cpu_parallel_codegen_split_count=1",
)
os.environ["XLA_FLAGS"] = " ".join([*QUICK_TO_COMPILE, os.environ.get("XLA_FLAGS", "")]).rstrip()

# Files of tests stay in memory where there is room, as a disk takes 3 ms to remove a folder.
MEMORY = "/dev/shm"  # noqa: S108 pytest makes a private folder in it
if sys.platform == "linux" and os.access(MEMORY, os.W_OK):
    room = os.statvfs(MEMORY)
    if room.f_bavail * room.f_frsize >= 2**32 and not room.f_flag & os.ST_NOEXEC:
        os.environ.setdefault("TMPDIR", MEMORY)

# Background jobs of a shell ignore SIGINT, and nohup ignores SIGHUP; child processes would inherit that. They
# do not inherit handlers, and start with the default action.
for name, handler in {"SIGINT": signal.default_int_handler, "SIGHUP": lambda *_: None}.items():
    if signal.getsignal(number := getattr(signal, name, signal.SIGINT)) is signal.SIG_IGN:
        signal.signal(number, handler)

# What tests would do thousands of times, for nothing: wait until files would outlive a power cut; build the
# commands before each call; and, when a model is stored, search all modules for that of a function and
# indent the JSON, which Python does in its slow encoder.
patch("os.fsync", lambda _: None).start()
patch("typer.testing._get_command", cache(typer.main.get_command)).start()
patch("skops.io._utils.whichmodule", cache(skops.io._utils.whichmodule)).start()
patch("skops.io._persist.json", SimpleNamespace(dumps=lambda state, **_: json.dumps(state))).start()

# The same examples on every machine and in every run; no deadline, so that busy machines do not fail.
same_everywhere = hypothesis.settings(derandomize=True, deadline=None, max_examples=25)
hypothesis.settings.register_profile("batchprop", same_everywhere)
# The first few examples reach every branch that all of them reach.
hypothesis.settings.register_profile("traced", same_everywhere, max_examples=8)
hypothesis.settings.load_profile("batchprop")


# What collecting the tests makes stays: looking for garbage among it would be in vain, while it is made and,
# once it is frozen, in every test.
gc.disable()


def pytest_collection_finish() -> None:
    """Look for garbage from now on, and only among what tests make; of that little is garbage in circles."""
    gc.freeze()
    gc.set_threshold(10_000)
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Train one plain network by default, but in the examples of docstrings."""
    if isinstance(item, pytest.DoctestItem):
        return (yield)
    train_one_by_default()
    try:
        return (yield)
    finally:
        train_several_by_default()


SLOWEST = 20
"""How many files the table of times lists."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the slowest test files."""
    seconds: dict[str, float] = defaultdict(float)
    tests = Counter[str]()
    for report in (one for reports in terminalreporter.stats.values() for one in reports):
        if isinstance(report, pytest.TestReport):
            file = report.nodeid.partition("::")[0]
            seconds[file] += report.duration
            tests[file] += report.when == "call"
    if len(seconds) <= 1:
        return
    terminalreporter.section(f"time by file, of {sum(seconds.values()):.0f} s in all processes", sep="=")
    for file, taken in sorted(seconds.items(), key=lambda one: -one[1])[:SLOWEST]:
        terminalreporter.write_line(f"{taken:8.1f} s {tests[file]:6d} tests  {file}")


@pytest.fixture(autouse=True)
def no_figure_stays() -> Iterator[None]:
    """Close pyplot's figures after each test, which otherwise warns about many open figures."""
    yield
    if (pyplot := sys.modules.get("matplotlib.pyplot")) is not None:
        pyplot.close("all")


@pytest.fixture
def several_networks() -> Iterator[None]:
    """The default preset, for the duration of one test."""
    train_several_by_default()
    yield
    train_one_by_default()


@pytest.fixture
def jnp64() -> Iterator[ModuleType]:
    """`jax.numpy` with 64-bit floats, for the duration of one test."""
    import jax

    with jax.enable_x64(True):
        yield jax.numpy


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, started once for all tests of a process."""
    yield from chromium()


@pytest.fixture(scope="session")
def origin() -> Iterator[Origin]:
    """A process with everything imported, that others fork from; only tests of imports need a fresh one."""
    from tests.cli.forks import Origin

    origin = Origin()
    yield origin
    origin.close()
