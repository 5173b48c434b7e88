"""Some cases of the search by altered structures, the same ones in every run."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fuzz.structures import Search

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("kind", "cases"), [("checkpoint", 40), ("model", 6), ("training", 4), ("trials", 8)]
)
def test_altered_content_with_valid_checksums_is_refused_or_used_rightly(
    kind: str, cases: int, tmp_path: Path
) -> None:
    search = Search(kind, tmp_path)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for parts in {id(parts): parts for parts in search.files.originals}.values():
            search.files.write(parts)
            search.files.check()
        wrong = {case: told for case in range(cases) if (told := search.run(case)) is not None}
    assert wrong == {}
    assert search.refused > cases // 4
