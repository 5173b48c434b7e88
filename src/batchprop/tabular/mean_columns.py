"""Which columns have the target's mean as a feature: words of many levels, and numbers that are codes.

Index legend: n rows.
"""

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from batchprop.data.text_rules import USUAL, TextRules
    scatter = ((Y - Y.mean(axis=0)) ** 2).sum()
    # Gaps are a level, too, as they will be among the words of codes.
    by_value = means.fit_transform(pd.DataFrame({"value": numbers.fillna(np.inf)}), y)
    most = ((Y - by_value) ** 2).sum() + _MIN_GAIN * scatter
    # Most numbers fail at the first: what their size leaves takes longer to find out.
    return bool(most < scatter) and _left_by_size(numbers, Y) > most


def _left_by_size(numbers: "pd.Series[float]", Y: Floats) -> float:
    """The sum of squares that least squares on the piecewise-linear features of a number leave."""
    gaps = numbers.isna().to_numpy()[:, None]
    bins = PiecewiseLinear().fit_transform(numbers.fillna(numbers.median()).to_numpy()[:, None])
    features = np.hstack([np.ones_like(gaps, np.float64), gaps, bins])
    # By its normal equations, which take a tenth of the time: the features lie between 0 and 1.
    weights = np.linalg.lstsq(features.T @ features, features.T @ Y, rcond=None)[0]
    return float(((Y - features @ weights) ** 2).sum())


def _may_be_codes(numbers: "pd.Series[float]") -> bool:
    """Whether numbers are whole, float64 tells them apart, and they are neither few nor mostly different."""
    are_whole = not (numbers % 1).any() and bool((numbers.abs() < MAX_CODE).all())
    return are_whole and _FEW < numbers.nunique() <= len(numbers) / 2
