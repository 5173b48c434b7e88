"""Hypothesis strategies, named by their axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from batchprop.gradient import BatchGradient

WIDTHS = st.integers(1, 4)
EXAMPLES = st.integers(1, 6)

numbers = st.floats(-10, 10, allow_subnormal=False).map(lambda x: round(x, 4))


def rows_by_columns(rows: int, columns: int, elements: Any = numbers) -> Any:
    """A matrix ``(rows, columns)``."""
    return hnp.arrays(np.float64, (rows, columns), elements=elements)


def per_example(m: int, elements: Any = numbers) -> Any:
    """One number per example ``(m,)``."""
    return hnp.arrays(np.float64, (m,), elements=elements)


@st.composite
def outputs_by_examples(draw: Any, elements: Any = numbers) -> Any:
    """Scores Z ``(K, m)``."""
    return draw(rows_by_columns(draw(WIDTHS), draw(EXAMPLES), elements))


@st.composite
def layers_of_factors(draw: Any) -> BatchGradient:
    """The gradient of a batch: for each layer dZ ``(n_l, m)`` and H ``(n_{l-1}, m)``."""
    m, widths = draw(EXAMPLES), draw(st.lists(WIDTHS, min_size=2, max_size=4))
    return BatchGradient(
        dZ=tuple(draw(rows_by_columns(n, m)) for n in widths[1:]),
        H=tuple(draw(rows_by_columns(n, m)) for n in widths[:-1]),
    )
