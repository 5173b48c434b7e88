"""The names of columns, spelled one way."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unicodedata import normalize

if TYPE_CHECKING:
    import pandas as pd


INDEX = "Unnamed: 0"
"""The first column if it has no name: the index of a table that pandas wrote, which reads it by this name."""


def normalize_name(name: object) -> str:
    r"""Return a name as text in Unicode's composed form, NFC: files spell an ö as one character or as two.

    >>> normalize_name("Gro\u0308\u00dfe") == "Gr\u00f6\u00dfe"
    True
    """
    return normalize("NFC", str(name))


def normalize_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose columns have normalized names."""
    names = [normalize_name(name) for name in frame.columns]
    # Where nothing changes, nothing is copied.
    return frame if names == list(frame.columns) else frame.set_axis(names, axis=1)
