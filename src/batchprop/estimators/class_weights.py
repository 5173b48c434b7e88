"""``class_weight``: computed once from the target, then looked up for any rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchprop.batches import rescale_weights
from batchprop.data.frames import to_python
from batchprop.errors import InputError, ParameterError, short_repr
from batchprop.estimators.parameters import interval
from batchprop.estimators.targets import TargetEncoding
from batchprop.format import pluralize

_POSITIVE_OR_ZERO = interval(0)


def compute_class_weights(
    class_weight: Any,
    y: NDArray[Any],
    classes: TargetEncoding,
    counts: Sequence[Mapping[Any, int]] | None = None,
) -> list[NDArray[np.floating]]:
    """Return the weight of each class.

    ``"balanced"`` is ``n / (K n_k)`` for a class of n_k rows, K the number of classes that occur.

    Args:
        class_weight: ``"balanced"``, a dict ``{class: weight}``, or a list of dicts, one for each target.
        y: the target, from which ``"balanced"`` is counted.
        classes: its classes.
        counts: how often each occurs in each column of y, if y holds only some of the rows.

    Returns:
        For each target (or label) the weights of its classes, from ``rescale_weights``.

    Raises:
        InputError: a key is no class, or there is not one dict for each target.
        ParameterError: a weight is not a number of at least 0, or all are 0.

    Example:
        >>> y = np.array(["no", "no", "no", "yes"])
        >>> compute_class_weights("balanced", y, TargetEncoding.fit(y))[0].round(2)
        array([0.67, 2.  ])
    """
    targets = classes.targets(y)
    if isinstance(class_weight, str):
        if counts is None:
            return [_balanced_weights(_class_counts(column, labels)) for column, labels in targets]
        pairs = zip(counts, targets, strict=True)
        return [
            _balanced_weights(np.array([of[label] for label in labels.tolist()])) for of, (_, labels) in pairs
        ]
    dicts = class_weight if isinstance(class_weight, list) else [class_weight]
    if len(dicts) != len(targets):
        raise InputError(
            f"class_weight={class_weight!r} does not fit the {pluralize(len(targets), 'column')} of y: "
            'give a list with one dict {class: weight} for each, or "balanced"'
        )
    return [
        rescale_weights(_weights_from_dict(each, labels))
        for each, (_, labels) in zip(dicts, targets, strict=True)
    ]


def class_sample_weight(
    weights: list[NDArray[np.floating]], y: Any, classes: TargetEncoding
) -> NDArray[np.floating]:
    """Return the weight of each row ``(n,)``: that of its class, multiplied over the targets.

    Example:
        >>> y = np.array(["no", "yes"])
        >>> class_sample_weight([np.array([0.5, 2.0])], y, TargetEncoding.fit(y))
        array([0.5, 2. ])
    """
    looked_up = [
        each[np.searchsorted(labels, column)]
        for each, (column, labels) in zip(weights, classes.targets(y), strict=True)
    ]
    return np.asarray(np.prod(looked_up, axis=0))


def _class_counts(y: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.intp]:
    return np.bincount(np.searchsorted(labels, y), minlength=len(labels))


def _balanced_weights(counts: NDArray[np.intp]) -> NDArray[np.floating]:
    # A class that does not occur has no rows to weight.
    return np.asarray(counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1)))


def _weights_from_dict(class_weight: Any, labels: NDArray[Any]) -> NDArray[np.floating]:
    if not isinstance(class_weight, Mapping):
        raise ParameterError(f"class_weight holds {class_weight!r}, which is not a dict {{class: weight}}")
    known, class_weight = labels.tolist(), {to_python(label): each for label, each in class_weight.items()}
    for label, weight in class_weight.items():
        if label not in known:
            raise InputError(f"class_weight has a weight for {label!r}, not among the classes {known}")
        if not _POSITIVE_OR_ZERO.is_valid(weight):
            raise ParameterError(
                f"class_weight holds {short_repr(weight)}, which is not a number of at least 0"
            )
    weights = np.array([class_weight.get(label, 1.0) for label in known], dtype=float)
    if not weights.any():
        raise ParameterError(
            f"class_weight={class_weight!r} is not allowed: give at least one class a positive weight"
        )
    return weights
