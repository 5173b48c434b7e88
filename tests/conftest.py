"""What all tests share. Helpers of one folder live in it: `from tests.core.oracle import ...`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

# Before anybody imports matplotlib, and inherited by the commands that tests start.
os.environ["MPLBACKEND"] = "Agg"

# Threads that wait for each other cost the small matrices of tests more than they give.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# The same examples on every machine and in every run; a busy machine is not a failure.
hypothesis.settings.register_profile("batchprop", derandomize=True, deadline=None)
hypothesis.settings.load_profile("batchprop")


@pytest.fixture
def jnp64() -> Iterator[ModuleType]:
    """`jax.numpy` with 64-bit floats, for the length of one test."""
    import jax

    with jax.enable_x64(True):
        yield jax.numpy
