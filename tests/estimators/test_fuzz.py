"""Some hundred cases of the search for arguments that hurt, the same ones in every run."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from fuzz.estimators import draw, run


@pytest.mark.parametrize("first", range(0, 150, 30))
def test_drawn_arguments_give_finite_answers_or_an_error_with_a_sentence(first: int) -> None:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        wrong = {seed: told for seed in range(first, first + 30) if (told := run(draw(seed))) is not None}
    assert wrong == {}
