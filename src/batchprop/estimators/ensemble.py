"""Several networks of one fit, their answers averaged: each with its own seed and its own validation rows.

Index legend: n rows, K classes or outputs.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold
from sklearn.utils.validation import check_is_fitted

from batchprop.batches import Indices
from batchprop.errors import InputError, ParameterError, TargetScaleWarning
from batchprop.training import EpochRecord

MIN_FOLDS, MAX_FOLDS = 4, 8
"""A member holds out a quarter of the rows at most, and an eighth at least: enough to find its best epoch."""

_LOG_TEMPERATURES = (-math.log(3.0), math.log(3.0))
"""A few held-out rows that are all answered well would ask for boundless certainty."""


class Fold(NamedTuple):
    """The rows that a member is trained on, and those that tell its best epoch."""

    train: Indices
    held_out: Indices


def member_folds(n_members: int, n_rows: int, labels: Any | None, random_state: int) -> list[Fold]:
    """Divide the rows for each member into those that it learns from and those that it holds out.

    From 4 to 8 members hold out a part each of one division, so that every row is held out once; more go on
    with further divisions, and fewer hold out an eighth each.

    Args:
        n_members: at least 1.
        n_rows: n.
        labels: the class of each row (n,), or None. A class of fewer rows than parts is in every training
            part, and never held out: no member may lack a class.
        random_state: shuffles.

    Raises:
        InputError: there are not two rows, of one class.

    Example:
        >>> folds = member_folds(4, 12, None, random_state=0)
        >>> sorted(row for fold in folds for row in fold.held_out.tolist()) == list(range(12))
        True
    """
    n_folds = n_members if MIN_FOLDS <= n_members <= MAX_FOLDS else MAX_FOLDS
    codes, counts = np.unique(
        np.zeros(n_rows) if labels is None else labels, return_inverse=True, return_counts=True
    )[1:]
    n_folds = min(n_folds, counts.max(initial=0))
    if n_folds < 2:
        raise InputError(
            f"n_samples = {n_rows}: no class has two rows, one to learn from and one to hold out; add rows"
        )
    is_rare = counts[codes] < n_folds
    rows, rare, codes = np.flatnonzero(~is_rare), np.flatnonzero(is_rare), codes[~is_rare]
    folds = list[Fold]()
    while len(folds) < n_members:
        division = StratifiedKFold(n_folds, shuffle=True, random_state=random_state + len(folds))
        folds += [
            Fold(np.sort(np.concatenate([rows[train], rare])), rows[held_out])
            for train, held_out in division.split(rows, codes)
        ]
    return folds[:n_members]


class _StopAt(NamedTuple):
    """A callback that ends a training at a time of the monotonic clock."""

    end: float

    def __call__(self, _: EpochRecord) -> bool:
        return monotonic() >= self.end


class _Ensemble(BaseEstimator):
    """What both ensembles share.

    Args:
        estimator: the network to train several of, with ``early_stopping``.
        n_members: how many.
        time_limit: after so many seconds no further epoch begins, and no further member; None for no limit.
    """

    members_: list[Any]

    def __init__(self, estimator: Any, n_members: int = 4, time_limit: float | None = None) -> None:
        self.estimator = estimator
        self.n_members = n_members
        self.time_limit = time_limit

    def _choose_folds(self, n_rows: int, labels: Any | None, folds: Sequence[Fold] | None) -> Sequence[Fold]:
        """Return the folds that are given, one for each member, or those of ``member_folds``."""
        if folds is None:
            return member_folds(self.n_members, n_rows, labels, self.estimator.random_state or 0)
        if len(folds) != self.n_members:
            raise ParameterError(
                f"n_members={self.n_members} differs from the {len(folds)} folds: give a fold for each"
            )
        return folds

    def _fit_members(
        self, X: Any, y: NDArray[Any], sample_weight: Any, folds: Sequence[Fold]
    ) -> Iterator[tuple[Fold, Any]]:
        """Train the members one after the other, and yield each with its rows."""
        seed, end = self.estimator.random_state or 0, monotonic() + (self.time_limit or math.inf)
        given = tuple(self.estimator.callbacks or ())
        self.members_ = []
        for number, fold in enumerate(folds):
            left = end - monotonic()
            if number and left <= 0:
                return
            # The members yet to come share the time that is left.
            stop = _StopAt(monotonic() + left / (len(folds) - number))
            member = clone(self.estimator).set_params(random_state=seed + number, callbacks=(*given, stop))
            weights, weights_val = (None if sample_weight is None else sample_weight[rows] for rows in fold)
            with warnings.catch_warnings():
                # Held-out rows tell the best epoch, though the loss may still fall at the last.
                warnings.simplefilter("ignore", ConvergenceWarning)
                # The target is standardised over all rows, and that of one fold is near to it.
                warnings.simplefilter("ignore", TargetScaleWarning)
                member.fit(
                    X[fold.train],
                    y[fold.train],
                    weights,
                    X_val=X[fold.held_out],
                    y_val=y[fold.held_out],
                    sample_weight_val=weights_val,
                )
            # It answers in the type of X: float64 gives the digits that an average deserves.
            self.members_.append(member.set_params(callbacks=self.estimator.callbacks, dtype=None))
            yield fold, member

    @property
    def n_iter_(self) -> int:
        """The most epochs of a member."""
        return max(int(member.n_iter_) for member in self.members_)

    @property
    def n_features_in_(self) -> int:
        """The number of columns of X."""
        check_is_fitted(self, "members_")
        return int(self.members_[0].n_features_in_)


class MLPEnsembleClassifier(ClassifierMixin, _Ensemble):
    """Several ``MLPClassifier`` of one fit, their probabilities averaged.

    Attributes:
        members_: the fitted networks.
        classes_: the classes (K,).
        temperature_: what the logits of every member are divided by, so that the probabilities of the rows
            that they held out have the smallest log loss (Guo et al. 2017, arXiv 1706.04599).
        out_of_fold_: the probabilities of each row (n, K) by the members that held it out; NaN if none did.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, folds: Sequence[Fold] | None = None) -> Self:
        """Train the members.

        Args:
            X: inputs ``(n, n_0)``.
            y: their labels (n,).
            sample_weight: (n,) or None.
            folds: the rows of each member; every class in each training part. None for ``member_folds``.

        Returns:
            The estimator.
        """
        y = np.asarray(y)
        folds = self._choose_folds(len(y), y, folds)
        self.classes_, codes = np.unique(y, return_inverse=True)
        held_out = [
            (fold.held_out, member.predict_log_proba(X[fold.held_out]))
            for fold, member in self._fit_members(X, y, sample_weight, folds)
        ]
        rows, logs = (np.concatenate(parts) for parts in zip(*held_out, strict=True))
        weights = None if sample_weight is None else sample_weight[rows]
        self.temperature_ = fit_temperature(logs, codes[rows], weights)
        self.out_of_fold_ = _mean_by_row(rows, softmax(logs / self.temperature_, axis=1), len(y))
        return self

    def predict_proba(self, X: Any) -> NDArray[np.floating]:
        """Return the mean probability of each class (n, K), in the order of ``classes_``."""
        check_is_fitted(self, "members_")
        logs = (member.predict_log_proba(X) for member in self.members_)
        mean: NDArray[np.floating] = np.mean(
            [softmax(each / self.temperature_, axis=1) for each in logs], axis=0
        )
        return mean

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most likely label of each row (n,)."""
        labels: NDArray[Any] = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return labels


class MLPEnsembleRegressor(RegressorMixin, _Ensemble):
    """Several ``MLPRegressor`` of one fit, their answers averaged.

    Attributes:
        members_: the fitted networks.
        out_of_fold_: the answer for each row (n,) by the members that held it out; NaN where none did. Of
            members with several quantiles it is (n, q).
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, folds: Sequence[Fold] | None = None) -> Self:
        """Train the members.

        Args:
            X: inputs ``(n, n_0)``.
            y: their targets (n,).
            sample_weight: (n,) or None.
            folds: the rows of each member; None for ``member_folds``.

        Returns:
            The estimator.
        """
        y = np.asarray(y)
        folds = self._choose_folds(len(y), None, folds)
        held_out = [
            (fold.held_out, member.predict(X[fold.held_out]))
            for fold, member in self._fit_members(X, y, sample_weight, folds)
        ]
        rows, answers = (np.concatenate(parts) for parts in zip(*held_out, strict=True))
        self.out_of_fold_ = _mean_by_row(rows, answers, len(y))
        return self

    def predict(self, X: Any) -> NDArray[np.floating]:
        """Return the mean of the members' answers (n,), or (n, q) of several quantiles; these never cross."""
        check_is_fitted(self, "members_")
        mean: NDArray[np.floating] = np.mean([member.predict(X) for member in self.members_], axis=0)
        return mean


def fit_temperature(
    logs: NDArray[np.floating], codes: NDArray[np.intp], weights: NDArray[np.floating] | None = None
) -> float:
    """Return the temperature T whose ``softmax(logs / T)`` has the smallest log loss.

    Args:
        logs: log-probabilities of rows that were held out (n, K).
        codes: the class of each (n,).
        weights: (n,) or None.

    Returns:
        From 1/3 to 3.

    Source:
        Guo, Pleiss, Sun and Weinberger, arXiv 1706.04599.

    Example:
        >>> sure = np.log([[0.99, 0.01]] * 10)
        >>> fit_temperature(sure, np.repeat([0, 1], [8, 2])) > 2
        True
    """
    rows = np.arange(len(codes))

    def log_loss(log_temperature: float) -> float:
        losses = -log_softmax(logs / np.exp(log_temperature), axis=1)[rows, codes]
        return float(np.average(losses, weights=weights))

    return float(np.exp(minimize_scalar(log_loss, bounds=_LOG_TEMPERATURES, method="bounded").x))


def _mean_by_row(rows: Indices, values: NDArray[np.floating], n_rows: int) -> NDArray[np.float64]:
    """Return the mean of the values of each row (n, ...), NaN where it has none."""
    total, times = np.zeros((n_rows, *values.shape[1:])), np.bincount(rows, minlength=n_rows)
    np.add.at(total, rows, values)
    with np.errstate(invalid="ignore"):
        mean: NDArray[np.float64] = (total.T / times).T
    return mean
