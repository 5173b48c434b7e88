"""What ``fit`` is given: the rows, their weights, and those held out to validate on."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import check_array

from batchprop.batches import Rows
from batchprop.errors import InputError
from batchprop.estimators.explaining import explaining


class Call(NamedTuple):
    """What ``fit`` or ``partial_fit`` was given besides X and y, as the user gave it.

    Attributes:
        sample_weight: see ``fit``; so are ``X_val``, ``y_val``, ``coefs_init`` and ``intercepts_init``.
        classes: see ``MLPClassifier.partial_fit``.
        partial: whether it was ``partial_fit``.
        monitor: see ``fit``; so are ``record_examples``, ``checkpoint`` and ``resume``.
        counts: how often each label of each column of y occurs, where y is only some rows of it.
    """

    sample_weight: Any = None
    X_val: Any = None
    y_val: Any = None
    coefs_init: Any = None
    intercepts_init: Any = None
    classes: Any = None
    partial: bool = False
    monitor: Collection[str] = ()
    record_examples: bool = False
    checkpoint: Any = None
    resume: bool = False
    counts: Sequence[Mapping[Any, int]] | None = None


class Examples(NamedTuple):
    """Rows to train or to validate on.

    Attributes:
        X: inputs, validated.
        y: targets as the user gave them, for scorers.
        Y: targets as the network sees them ``(n, K)``.
        weights: of the rows, or None.
    """

    X: Any
    y: Any
    Y: NDArray[np.floating]
    weights: NDArray[np.floating] | None

    def part(self, rows: Rows) -> Examples:
        """Return some of the rows."""
        weights = None if self.weights is None else self.weights[rows]
        return Examples(self.X[rows], self.y[rows], self.Y[rows], weights)


def check_weights(
    sample_weight: Any, n_rows: int, dtype: Any, *, some: bool = True
) -> NDArray[np.floating] | None:
    """Return the sample weights as an array, or say what is wrong with them.

    Args:
        sample_weight: one number for each row, one for all, or None.
        n_rows: n.
        dtype: of the result.
        some: whether one at least has to be positive.

    Returns:
        ``(n,)``, or None.

    Raises:
        InputError: the length is wrong, one is negative or not finite, or all are zero.

    Example:
        >>> check_weights([1, 2], 2, "float32")
        array([1., 2.], dtype=float32)
    """
    if sample_weight is None:
        return None
    if isinstance(sample_weight, Real):
        sample_weight = np.full(n_rows, sample_weight)
    with explaining(sample_weight=sample_weight):
        weights: NDArray[np.floating] = check_array(
            sample_weight, ensure_2d=False, dtype=dtype, input_name="sample_weight"
        )
    if weights.shape != (n_rows,):
        raise InputError(
            f"sample_weight has shape {weights.shape}: give one number for each of the {n_rows} rows"
        )
    if weights.min() < 0:
        first = int(np.argmin(weights))
        raise InputError(f"sample_weight[{first}]={weights[first]:g} is negative: give 0 to leave a row out")
    if some:
        require_weight(weights, "row")
    return weights


def require_weight(weights: NDArray[np.floating] | None, kind: str) -> None:
    """Refuse rows none of which counts.

    Args:
        weights: of the rows, or None.
        kind: which rows they are, for the message.

    Raises:
        InputError: all weights are zero.
    """
    if weights is not None and not weights.any():
        raise InputError(
            f"sample_weight is zero in every {kind}, so nothing is left: give some of them a positive weight"
        )


def split_rows(
    n_rows: int, fraction: float, labels: Any | None, random_state: np.random.RandomState
) -> tuple[Rows, Rows]:
    """Split the row numbers into those to train on and those to validate on, as scikit-learn's MLPs do.

    Args:
        n_rows: n.
        fraction: of the rows, for validation.
        labels: to stratify by, or None.
        random_state: shuffles.

    Returns:
        Two arrays of row numbers.

    Raises:
        InputError: a class has one row only, or a part would be too small.
    """
    n_classes = 1 if labels is None else _require_twice(labels)
    n_held = math.ceil(fraction * n_rows)
    if n_held < max(2, n_classes) or n_rows - n_held < n_classes:
        raise InputError(
            f"validation_fraction={fraction} of {n_rows} rows "
            f"leaves {n_held} to validate on and {n_rows - n_held} to train on, where there must be at least "
            f"2 and one of each class; give another fraction or more rows"
        )
    train, held = train_test_split(
        np.arange(n_rows), test_size=fraction, random_state=random_state, stratify=labels
    )
    return train, held


def _require_twice(labels: Any) -> int:
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2:
        raise InputError(
            f"class {classes[counts.argmin()].item()!r} has one row only, which cannot be in both parts "
            "of a split: add rows of it, drop it, or validate on rows of your own with X_val and y_val"
        )
    return len(classes)
