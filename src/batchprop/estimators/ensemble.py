"""Several networks of one fit, their answers averaged: each with its own seed and its own validation rows.

Index legend: n rows, K classes or outputs.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from copy import copy
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.utils.validation import check_is_fitted

from batchprop.batches import Indices
from batchprop.errors import InputError, ParameterError, TargetScaleWarning
from batchprop.estimators.checkpoints import Checkpoints
from batchprop.estimators.recording import (
    check_record_examples,
    label_records,
    number_records,
    relabel_records,
    to_frame,
)
from batchprop.estimators.sharing import own_rows
from batchprop.format import pluralize
from batchprop.processes import current
from batchprop.training import EpochRecord

MIN_FOLDS, MAX_FOLDS = 4, 8
"""A member holds out a quarter of the rows at most, and an eighth at least: enough to find its best epoch."""

_LOG_TEMPERATURES = (-math.log(3.0), math.log(3.0))
"""A few held-out rows that are all answered well would ask for boundless certainty."""


_TINY = np.finfo(np.float64).tiny


class Fold(NamedTuple):
    """The rows that a member is trained on, and those that tell its best epoch."""

    train: Indices
    held_out: Indices


def member_folds(
    n_members: int, n_rows: int, labels: Any | None, random_state: int, groups: Any | None = None
) -> list[Fold]:
    """Divide the rows for each member into those that it learns from and those that it holds out.

    From 4 to 8 members hold out a part each of one division, so that every row is held out once; more go on
    with further divisions, and fewer hold out an eighth each.

    Args:
        n_members: at least 1.
        n_rows: n.
        labels: the class of each row (n,), or None. A class of fewer rows than parts is in every training
            part, and never held out: no member may lack a class.
        random_state: shuffles.
        groups: the group of each row (n,), or None; none is in both parts of a fold.

    Raises:
        InputError: there are not two rows, of one class; there are not two groups, or the groups of each part
            have a class of their own.

    Example:
        >>> folds = member_folds(4, 12, None, random_state=0)
        >>> sorted(row for fold in folds for row in fold.held_out.tolist()) == list(range(12))
        True
    """
    n_folds = n_members if MIN_FOLDS <= n_members <= MAX_FOLDS else MAX_FOLDS
    labels = np.zeros(n_rows) if labels is None else np.asarray(labels)
    if groups is not None:
        return _group_folds(n_members, n_folds, labels, np.asarray(groups), random_state)
    codes, counts = np.unique(labels, return_inverse=True, return_counts=True)[1:]
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


def _group_folds(
    n_members: int, n_folds: int, labels: NDArray[Any], groups: NDArray[Any], random_state: int
) -> list[Fold]:
    """Return the folds of whole groups."""
    n_folds = min(n_folds, len(np.unique(groups)), np.unique(labels, return_counts=True)[1].max(initial=0))
    folds = list[Fold]()
    while n_folds > 1 and len(folds) < n_members:
        division = StratifiedGroupKFold(n_folds, shuffle=True, random_state=random_state + len(folds))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)
            parts = list(division.split(labels, labels, groups))
        kept = [_keep_classes(train, held_out, labels, groups) for train, held_out in parts]
        if not any(len(fold.held_out) for fold in kept):
            break
        folds += [fold for fold in kept if len(fold.held_out)]
    if len(folds) < n_members:
        raise InputError(
            f"{pluralize(len(np.unique(groups)), 'group leaves', 'groups leave')} no group to hold out "
            "without the last rows of a class: give more groups of each class"
        )
    return folds[:n_members]


def _keep_classes(train: Indices, held_out: Indices, labels: NDArray[Any], groups: NDArray[Any]) -> Fold:
    """Return a fold without held-out groups that hold a class which no row to learn from has."""
    lost = groups[held_out][~np.isin(labels[held_out], labels[train])]
    moves = np.isin(groups[held_out], lost)
    return Fold(np.sort(np.concatenate([train, held_out[moves]])), held_out[~moves])


class StopAt(NamedTuple):
    """A callback that ends a training at a time of the monotonic clock, after the epoch nearest to it."""

    end: float

    def __call__(self, epoch: EpochRecord) -> bool:
        """Return whether the end of the next epoch would be farther from that time."""
        return monotonic() + epoch.seconds / 2 >= self.end


class EnsembleFit(NamedTuple):
    """What the fits of all members share, besides their rows."""

    folds: Sequence[Fold]
    sample_weight: Any = None
    checkpoint: Checkpoints | None = None
    resume: bool = False


def _fit_member(member: Any, X: Any, y: NDArray[Any], number: int, call: EnsembleFit) -> None:
    # Every process has all rows, and trains on its part of them.
    fold, checkpoint = Fold(*map(own_rows, call.folds[number])), call.checkpoint
    weights = [None if call.sample_weight is None else call.sample_weight[rows] for rows in fold]
    if checkpoint is not None:
        checkpoint = Checkpoints(member_folder(checkpoint.folder, number), checkpoint.every)
    with warnings.catch_warnings():
        # Held-out rows tell the best epoch, though the loss may still fall at the last.
        warnings.simplefilter("ignore", ConvergenceWarning)
        # The target is standardised over all rows, and that of one fold is near to it.
        warnings.simplefilter("ignore", TargetScaleWarning)
        # A member that had ended is read back as it was.
        warnings.filterwarnings("ignore", "this fit ended after")
        member.fit(
            X[fold.train],
            y[fold.train],
            weights[0],
            X_val=X[fold.held_out],
            y_val=y[fold.held_out],
            sample_weight_val=weights[1],
            checkpoint=checkpoint,
            resume=call.resume,
        )


def member_folder(folder: Path, number: int) -> Path:
    """Return the folder of the checkpoints of one member, counted from 0."""
    return folder / f"member-{number + 1}"


class _Ensemble(BaseEstimator):
    """What both ensembles share.

    Args:
        estimator: the network to train several of, with ``early_stopping``.
        n_members: how many.
        time_limit: seconds; training ends with the epoch that ends nearest to them. None for no limit.
    """

    members_: list[Any]
    interrupted_: bool
    _records: dict[str, Any] | None = None

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

    def _fit_members(self, X: Any, y: NDArray[Any], call: EnsembleFit) -> Iterator[tuple[Fold, Any]]:
        """Train the members one after the other, and yield each with its rows and its answers for them."""
        if self.estimator.privacy is not None:
            raise ParameterError(
                f"privacy={self.estimator.privacy!r} is not allowed in an ensemble: each member would spend "
                "the whole budget again, and held-out rows choose its best epoch; train one network, as "
                "MLPClassifier(privacy=...)"
            )
        seed, end = self.estimator.random_state or 0, monotonic() + (self.time_limit or math.inf)
        given = tuple(self.estimator.callbacks or ())
        self.members_, self.interrupted_ = [], False
        for number, fold in enumerate(call.folds):
            left = end - monotonic()
            # Where the clock of one process says so, all end.
            if self.members_ and current().largest([int(left <= 0)])[0]:
                return
            # The members yet to come share the time that is left.
            stop = StopAt(monotonic() + left / (len(call.folds) - number))
            member = clone(self.estimator).set_params(random_state=seed + number, callbacks=(*given, stop))
            try:
                _fit_member(member, X, y, number, call)
                # It answers in the type of X: float64 gives the digits that an average deserves.
                member.set_params(callbacks=None, dtype=None)
                answers = getattr(member, "predict_log_proba", member.predict)(X[fold.held_out])
            except KeyboardInterrupt:
                if not self.members_:
                    raise
                self.interrupted_ = True
                return
            self.interrupted_ = member.interrupted_
            if member.n_iter_ or not self.members_:
                self.members_.append(member)
                yield fold, answers
            if self.interrupted_:
                return

    @property
    def engine_(self) -> str:
        """The engine that trained the members, "numpy" or "jax"."""
        return str(self.members_[0].engine_)

    @property
    def n_iter_(self) -> int:
        """The most epochs of a member."""
        return max(int(member.n_iter_) for member in self.members_)

    @property
    def n_features_in_(self) -> int:
        """The number of columns of X."""
        check_is_fitted(self, "members_")
        return int(self.members_[0].n_features_in_)

    @property
    def n_outputs_(self) -> int:
        """The number of outputs of each member."""
        check_is_fitted(self, "members_")
        return int(self.members_[0].n_outputs_)

    @property
    def examples_(self) -> Any:
        """What the members that held a row out say of it: a pandas DataFrame (see ``docs/examples.md``).

        Raises:
            AttributeError: the fit ran without ``record_examples=True``.
        """
        return to_frame(self._records)


class MLPEnsembleClassifier(ClassifierMixin, _Ensemble):
    """Several ``MLPClassifier`` of one fit, their probabilities averaged.

    Attributes:
        members_: the fitted networks.
        classes_: the classes (K,).
        temperature_: what the logits of every member are divided by, so that the probabilities of the rows
            that they held out have the smallest log loss (Guo et al. 2017, arXiv 1706.04599).
        out_of_fold_: the probabilities of each row (n, K) by the members that held it out; NaN if none did.
    """

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        folds: Sequence[Fold] | None = None,
        checkpoint: Checkpoints | None = None,
        resume: bool = False,
        record_examples: bool = False,
    ) -> Self:
        """Train the members.

        Args:
            X: inputs ``(n, n_0)``.
            y: their labels (n,).
            sample_weight: (n,) or None.
            folds: the rows of each member; every class in each training part. None for ``member_folds``.
            checkpoint: where each member keeps its state, in a folder of its own in that folder; or None.
            resume: whether members resume from there: one that had ended is read back.
            record_examples: whether to keep what the members that held a row out say of it, as ``examples_``.

        Returns:
            The estimator.
        """
        check_record_examples(record_examples)
        y = np.asarray(y)
        folds = self._choose_folds(len(y), y, folds)
        self.classes_, codes = np.unique(y, return_inverse=True)
        call = EnsembleFit(folds, sample_weight, checkpoint, resume)
        held_out = [(fold.held_out, logs) for fold, logs in self._fit_members(X, y, call)]
        rows, logs = (np.concatenate(parts) for parts in zip(*held_out, strict=True))
        weights = None if sample_weight is None else sample_weight[rows]
        self.temperature_ = fit_temperature(logs, codes[rows], weights)
        P = self.out_of_fold_ = _mean_by_row(rows, softmax(logs / self.temperature_, axis=1), len(y))
        self._records = label_records(y, self.classes_, P) if record_examples else None
        return self

    def relabel(self, labels: Any) -> Self:
        """Give the classes other labels, in the same order, in every member too; see ``MLPClassifier``."""
        check_is_fitted(self, "members_")
        for member in self.members_:
            member.relabel(labels)
        before, self.classes_ = self.classes_, self.members_[0].classes_
        if self._records is not None:
            relabel_records(self._records, before, self.classes_)
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

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        folds: Sequence[Fold] | None = None,
        checkpoint: Checkpoints | None = None,
        resume: bool = False,
        record_examples: bool = False,
    ) -> Self:
        """Train the members.

        Args:
            X: inputs ``(n, n_0)``.
            y: their targets (n,).
            sample_weight: (n,) or None.
            folds: the rows of each member; None for ``member_folds``.
            checkpoint: where each member keeps its state, in a folder of its own in that folder; or None.
            resume: whether members resume from there: one that had ended is read back.
            record_examples: whether to keep what the members that held a row out say of it, as ``examples_``.

        Returns:
            The estimator.
        """
        check_record_examples(record_examples)
        y = np.asarray(y)
        folds = self._choose_folds(len(y), None, folds)
        call = EnsembleFit(folds, sample_weight, checkpoint, resume)
        held_out = [(fold.held_out, answers) for fold, answers in self._fit_members(X, y, call)]
        rows, answers = (np.concatenate(parts) for parts in zip(*held_out, strict=True))
        answers = self.out_of_fold_ = _mean_by_row(rows, answers, len(y))
        self._records = None
        if record_examples:
            self._records = number_records(y, answers, self.losses(y, answers))
        return self

    def losses(self, y: NDArray[np.floating], answers: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the loss of each answer (n,), as the members' training takes it."""
        head = self.members_[0]._head()
        Z, Y = np.atleast_2d(answers.T), np.atleast_2d(y.T)
        # A head computes its loss from Z.
        if head.name == "poisson":
            Z = np.log(np.maximum(Z, _TINY))
        if head.name == "quantiles":
            steps = np.maximum(np.diff(Z, axis=0), _TINY)
            Z, Y = np.concatenate([Z[:1], steps + np.log(-np.expm1(-steps))]), np.broadcast_to(Y, Z.shape)
        losses: NDArray[np.floating] = head.losses(Z, Y)
        return losses

    def predict(self, X: Any) -> NDArray[np.floating]:
        """Return the mean of the members' answers (n,), or (n, q) of several quantiles; these never cross."""
        check_is_fitted(self, "members_")
        mean: NDArray[np.floating] = np.mean([member.predict(X) for member in self.members_], axis=0)
        return mean


def make_ensemble(estimator: Any, n_members: int, time_limit: float | None = None) -> Any:
    """Make the ensemble of several of a network, for classes or for numbers as the network is."""
    ensemble = MLPEnsembleClassifier if is_classifier(estimator) else MLPEnsembleRegressor
    return ensemble(estimator, n_members, time_limit)


def merge_ensembles(ensembles: Sequence[Any]) -> Any:
    """Return one ensemble of the members of several that were fitted to the same rows, in equal shares.

    Args:
        ensembles: of one class, each with as many members as any other. The temperature of a classifier goes
            into the last layers of its members.

    Returns:
        The ensemble; its answers are the mean of theirs, also ``out_of_fold_``.

    Example:
        >>> from batchprop import MLPRegressor
        >>> X, y = np.arange(12.0)[:, None], np.arange(12.0)
        >>> network = MLPRegressor(hidden_layer_sizes=(), early_stopping=True, max_iter=3)
        >>> both = [MLPEnsembleRegressor(network, n_members=n).fit(X, y) for n in (1, 1)]
        >>> merge_ensembles(both).n_members
        2
    """
    merged = copy(ensembles[0])
    merged.members_ = [member for each in ensembles for member in _members_at_temperature_1(each)]
    merged.n_members = len(merged.members_)
    merged.out_of_fold_ = np.mean([each.out_of_fold_ for each in ensembles], axis=0)
    if hasattr(merged, "temperature_"):
        merged.temperature_ = 1.0
    return merged


def _members_at_temperature_1(ensemble: Any) -> list[Any]:
    """Return copies of the members, whose logits are divided by the temperature."""
    members = [copy(member) for member in ensemble.members_]
    for member in members:
        T = getattr(ensemble, "temperature_", 1.0)
        # The logits are linear in the last layer.
        member.coefs_ = [*member.coefs_[:-1], member.coefs_[-1] / T]
        member.intercepts_ = [*member.intercepts_[:-1], member.intercepts_[-1] / T]
    return members


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
