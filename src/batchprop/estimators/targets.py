"""Targets: how labels are encoded as the matrix Y, and how P is decoded into labels.

A target is of one of four kinds, named as scikit-learn names them. Rows are examples here, as in all of
scikit-learn.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from batchprop.data.frames import to_exact
from batchprop.errors import InputError, short_repr
from batchprop.heads import Head, log_sigmoid, log_softmax, sigmoid_cross_entropy, softmax, softmax_groups

BINARY, MULTICLASS = "binary", "multiclass"
MULTILABEL, MULTIOUTPUT = "multilabel-indicator", "multiclass-multioutput"


MAX_LOSS = -math.log(np.finfo(np.float64).eps)
"""36.04, the largest loss of a wrong answer: scikit-learn clips P at float64's epsilon; L-BFGS uses it."""


class TargetEncoding(NamedTuple):
    """The classes of a target.

    Attributes:
        kind: ``binary``, ``multiclass``, ``multilabel-indicator`` or ``multiclass-multioutput``.
        labels: the sorted classes; for several targets a list of such arrays.
    """

    kind: str
    labels: Any

    @classmethod
    def fit(cls, y: Any) -> TargetEncoding:
        """Determine the kind and the classes of a target.

        Args:
            y: labels ``(n,)``, an indicator matrix ``(n, K)`` (sparse too), or several targets ``(n, T)``.

        Returns:
            The classes.

        Raises:
            InputError: a target has a single class.
            ValueError: y holds no labels (scikit-learn's message).

        Example:
            >>> TargetEncoding.fit(np.array(["no", "yes", "no"]))
            TargetEncoding(kind='binary', labels=array(['no', 'yes'], dtype='<U3'))
        """
        check_labels(y)
        kind = type_of_target(y, input_name="y")
        if kind == MULTILABEL:
            return cls(kind, np.arange(y.shape[1]))
        if kind == MULTIOUTPUT:
            return cls(kind, [_unique_labels(column, f"column {t} of y") for t, column in enumerate(y.T)])
        return cls._from_labels(_unique_labels(y, "y"))

    @classmethod
    def from_classes(cls, classes: Any, y: Any) -> TargetEncoding:
        """Take the classes from the caller, for a target that comes in parts.

        Args:
            classes: all classes; a list of arrays for several targets; None is enough for an indicator
                matrix.
            y: the first part.

        Returns:
            The classes.

        Raises:
            InputError: they are missing, or fewer than two, or they or y are no labels.

        Example:
            >>> TargetEncoding.from_classes([2, 0, 1], np.array([0, 1])).kind
            'multiclass'
        """
        several = np.ndim(y) == 2 and y.shape[1] > 1
        # Of a frame the first entry is a name, not a column.
        if several and (classes is None or np.ndim(next(iter(classes), 0)) == 0):
            labels = np.arange(y.shape[1])
            if type_of_target(y) != MULTILABEL or not np.array_equal(
                labels, labels if classes is None else classes
            ):
                given = " ".join(repr(classes).split())
                raise InputError(
                    f"classes={given:.80} does not say the classes of the {len(labels)} columns of y: on the "
                    "first call give a list with one array of classes for each; labels of 0 and 1 need none"
                )
            return cls(MULTILABEL, labels)
        if classes is None:
            raise InputError(
                "classes must be passed on the first call to partial_fit: classes=None; "
                "give all the classes that may come, as np.unique(y_all)"
            )
        if several:
            return cls(MULTIOUTPUT, [_unique_labels(each, f"classes[{t}]") for t, each in enumerate(classes)])
        labels = _unique_labels(classes, "classes")
        for each in (labels, y):
            check_labels(each)
        return cls._from_labels(labels)

    @classmethod
    def _from_labels(cls, labels: NDArray[Any]) -> TargetEncoding:
        return cls(BINARY if len(labels) == 2 else MULTICLASS, labels)

    def equals(self, other: TargetEncoding) -> bool:
        """Whether other classes are of the same kind and, in any order, the same."""
        if self.kind != other.kind:
            return False
        if self.kind == MULTIOUTPUT:
            return len(self.labels) == len(other.labels) and all(
                np.array_equal(one, np.unique(to_exact(another)))
                for one, another in zip(self.labels, other.labels, strict=True)
            )
        return np.array_equal(self.labels, np.unique(to_exact(other.labels)))

    def targets(self, y: NDArray[Any]) -> list[tuple[NDArray[Any], NDArray[Any]]]:
        """Return each target's column of y with its classes; each of several labels is a target of 0 and 1.

        Example:
            >>> len(TargetEncoding("multilabel-indicator", np.arange(3)).targets(np.eye(3)))
            3
        """
        if self.kind == MULTILABEL:
            return [(column, np.array([0, 1])) for column in y.T]
        return list(zip(y.T, self.labels, strict=True)) if self.kind == MULTIOUTPUT else [(y, self.labels)]

    @property
    def sizes(self) -> list[int]:
        """The number of classes of each target, one target unless there are several."""
        return [len(labels) for labels in (self.labels if self.kind == MULTIOUTPUT else [self.labels])]

    def head(self, label_smoothing: float) -> Head:
        """Return the head that fits: softmax, sigmoid, or one softmax for each target."""
        if self.kind == MULTICLASS:
            return softmax(label_smoothing, MAX_LOSS)
        if self.kind == MULTIOUTPUT:
            return softmax_groups(self.sizes, label_smoothing, MAX_LOSS)
        return sigmoid_cross_entropy(label_smoothing, MAX_LOSS)

    def encode(self, y: Any, dtype: Any) -> NDArray[np.floating]:
        """Turn labels into the rows of Y.

        Args:
            y: the target.
            dtype: of Y.

        Returns:
            ``(n, K)``: one column for two classes or for each label, one-hot for more, blocks for several
            targets.

        Raises:
            InputError: y holds a label that is not among the classes.

        Example:
            >>> TargetEncoding("multiclass", np.array([1, 3, 5])).encode(np.array([5, 1]), "float32")
            array([[0., 0., 1.],
                   [1., 0., 0.]], dtype=float32)
        """
        if self.kind == MULTILABEL:
            Y = np.asarray(to_dense(y), dtype=dtype)
            if Y.ndim != 2 or Y.shape[1] != len(self.labels):
                raise InputError(
                    f"y has shape {Y.shape}: the labels before were {len(self.labels)} columns of 0 and 1"
                )
            if not np.isin(Y, (0, 1)).all():
                raise InputError("y holds values other than 0 and 1: the labels before were columns of these")
            return Y
        if self.kind == MULTIOUTPUT:
            if np.ndim(y) != 2 or y.shape[1] != len(self.labels):
                raise InputError(
                    f"y has shape {np.shape(y)}: give one column for each of {len(self.labels)} targets"
                )
            return np.hstack(
                [_one_hot(column, labels) for column, labels in zip(y.T, self.labels, strict=True)]
            ).astype(dtype)
        if np.ndim(y) != 1:
            raise InputError(f"y has shape {np.shape(y)}: the target before was one column of classes")
        one_hot = _one_hot(y, self.labels)
        return (one_hot[:, 1:] if self.kind == BINARY else one_hot).astype(dtype)

    def decode(self, P: NDArray[np.floating]) -> NDArray[Any]:
        """Turn rows of P ``(n, K)`` into labels, in the shape of the training y."""
        if self.kind == MULTILABEL:
            return (P > 0.5).astype(int)
        if self.kind == MULTIOUTPUT:
            blocks = zip(self.labels, self._blocks(P), strict=True)
            return np.stack([labels[block.argmax(axis=1)] for labels, block in blocks], axis=1)
        best = P[:, 0] > 0.5 if self.kind == BINARY else P.argmax(axis=1)
        return np.asarray(self.labels[best.astype(int)])

    def probabilities(self, P: NDArray[np.floating]) -> Any:
        """Return a column of P for each class; a list of such matrices for several targets."""
        if self.kind == BINARY:
            return np.hstack([1 - P, P])
        return self._blocks(P) if self.kind == MULTIOUTPUT else P

    def log_probabilities(self, Z: NDArray[np.floating]) -> Any:
        """Return the logarithms of ``probabilities``, from the scores Z ``(n, K)``; finite where P is 0."""
        if self.kind == MULTICLASS:
            return log_softmax(Z.T).T
        if self.kind == MULTIOUTPUT:
            return [log_softmax(block.T).T for block in self._blocks(Z)]
        return np.hstack([log_sigmoid(-Z), log_sigmoid(Z)]) if self.kind == BINARY else log_sigmoid(Z)

    def _blocks(self, P: NDArray[np.floating]) -> list[NDArray[np.floating]]:
        return np.split(P, np.cumsum(self.sizes)[:-1], axis=1)


def to_dense(y: Any) -> Any:
    """Return a target, possibly a sparse indicator matrix, as an ordinary array."""
    return y.toarray() if hasattr(y, "toarray") else y


def _one_hot(y: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.bool_]:
    check_label_kinds(y)
    unknown = np.setdiff1d(y, labels)
    if len(unknown):
        raise InputError(
            f"`y` has classes not in `self.classes_`. `self.classes_` has {labels}. 'y' has {np.unique(y)}. "
            f"y holds {', '.join(map(repr, unknown[:5].tolist()))}, not among the classes {labels.tolist()}: "
            "name every class on the first call, or fit again"
        )
    return np.equal(np.searchsorted(labels, y)[:, None], np.arange(len(labels)))


def check_labels(y: Any) -> None:
    """Refuse a target that holds no labels, or labels of several kinds.

    Raises:
        InputError: as numbers with decimals; the message begins with scikit-learn's.
        TypeError: labels are bytes (scikit-learn's message).

    Example:
        >>> check_labels(np.array([0.5, 1.0]))
        Traceback (most recent call last):
        batchprop.errors.InputError: Unknown label type: continuous. ... y holds 0.5, ...
    """
    if np.ndim(y) == 1:
        check_label_kinds(y)
    try:
        check_classification_targets(y)
    except ValueError as error:
        if not str(error).startswith("Unknown label type"):
            raise
        values = np.ravel(y).tolist()
        fractions = [value for value in values if isinstance(value, float) and not value.is_integer()]
        remedy = "give text, as y.astype(str)"
        if isinstance(values[0], float):
            remedy = f"predict such numbers by a regressor, or {remedy}"
        shown = short_repr((fractions or values)[0], 60)
        raise InputError(
            f"{error} y holds {shown}, of the type {type(values[0]).__name__}: {remedy}"
        ) from error


def check_label_kinds(labels: Any) -> None:
    """Refuse text beside labels of another kind, with which it has no order, in one column or list."""
    if isinstance(labels, np.ndarray) and labels.dtype != object:
        return
    kinds = {type(label).__name__ for label in labels}
    if "str" in kinds and len(kinds) > 1:
        raise InputError(f"y mixes {' and '.join(sorted(kinds))}: give labels of one kind, as y.astype(str)")


def _unique_labels(values: Any, where: str) -> NDArray[Any]:
    """The sorted distinct labels; there must be at least two."""
    check_label_kinds(values)
    labels: NDArray[Any] = np.unique(to_exact(values))
    if len(labels) < 2:
        raise InputError(
            f"{where} holds one class only ({short_repr(labels.tolist())}): "
            "a classifier needs rows of at least two classes"
        )
    return labels
