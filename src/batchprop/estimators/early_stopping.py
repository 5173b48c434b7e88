"""Watching a fit: after each epoch the validation, the history, the best weights, and whether to stop."""

from __future__ import annotations

import copy
import inspect
import math
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.metrics import check_scoring

from batchprop.errors import InputError
from batchprop.estimators.interface import FitInterface
from batchprop.estimators.validation import LabelledRows
from batchprop.files import defer_signals
from batchprop.network import Network
from batchprop.schedules import ReduceOnPlateau, Schedule
from batchprop.training import Engine, EpochRecord


class EarlyStopping:
    """Counts the epochs without progress.

    Args:
        tol: what counts as progress.
        limit: how many epochs without it are borne.
        best: the best value so far, higher is better.
        stale: how many epochs without progress lie behind.

    Example:
        >>> patience = EarlyStopping(tol=0.1, limit=1)
        >>> [patience.update(value) for value in (1.0, 1.05, 1.0)], patience.should_stop
        ([True, True, False], True)
    """

    def __init__(self, tol: float, limit: float, best: float = -math.inf, stale: int = 0) -> None:
        self.tol = tol
        self.limit = limit
        self.best = best
        self.stale = stale

    def update(self, value: float) -> bool:
        """Take in an epoch's value; return whether it is the best so far, by however little."""
        # Written so that a score that is not a number is no progress.
        self.stale = 0 if value >= self.best + self.tol else self.stale + 1
        if not value > self.best:
            return False
        self.best = value
        return True

    @property
    def should_stop(self) -> bool:
        """Whether there were more epochs without progress than the limit."""
        return self.stale > self.limit


class ValidationCallback:
    """Keeps a fit's history on the estimator, and says after each epoch whether to stop.

    Args:
        estimator: whose attributes are written.
        held: the rows to validate on, or None.
        schedule: reduced, where it is a ``Plateau``, before training stops.
        patience: None where nothing but ``max_iter`` and the callbacks stops training.
        engine: answers for the rows to validate on.
    """

    def __init__(
        self,
        estimator: FitInterface,
        held: LabelledRows | None,
        schedule: Schedule | None,
        patience: EarlyStopping | None,
        engine: Engine,
    ) -> None:
        self.estimator = estimator
        self.held = held
        self.schedule = schedule
        self.patience = patience
        self.engine = engine
        self.best: Network | None = None
        self.last: EpochRecord | None = None
        self._scorer = _scorer(estimator) if held is not None and estimator.early_stopping else None

    def on_epoch_end(self, epoch: EpochRecord) -> bool:
        """Take in an epoch; return whether training should end."""
        self.last = epoch = self._validate(epoch)
        # Else Ctrl-C could come between two curves of one epoch.
        with defer_signals():
            self._record(epoch)
            stop = self._should_stop(epoch)
        # Every callback sees every epoch, also one that an earlier callback ends.
        answers = [callback(epoch) for callback in self.estimator.callbacks or ()]
        return stop or any(isinstance(answer, bool | np.bool_) and answer for answer in answers)

    def _validate(self, epoch: EpochRecord) -> EpochRecord:
        if self.held is None:
            return epoch
        estimator, held = self.estimator, self.held
        P, loss = estimator._evaluate(self.engine, epoch.network, held)
        if not estimator.early_stopping:
            return replace(epoch, validation_loss=loss)
        if estimator.scoring == "loss":
            return replace(epoch, validation_loss=loss, validation_score=-loss)
        if self._scorer is None:
            score = estimator._default_score(held.y, P, held.weights)
        else:
            weigh = held.weights is not None and _accepts_weights(self._scorer)
            options = {"sample_weight": held.weights} if weigh else {}
            score = self._scorer(copy_with_weights(estimator, epoch.network), held.X, held.y, **options)
        self._check_defined(score)
        return replace(epoch, validation_loss=loss, validation_score=float(score))

    def _check_defined(self, score: float) -> None:
        """Refuse a score that no epoch so far has had: early stopping would end with untrained weights."""
        if math.isnan(score) and self.best is None and self.held is not None:
            raise InputError(
                f"the validation score (scoring={self.estimator.scoring!r}) is nan on the {len(self.held.y)} "
                "rows to validate on: validate on more rows, or use scoring='loss'"
            )

    def _record(self, epoch: EpochRecord) -> None:
        estimator = self.estimator
        estimator.n_iter_ = epoch.number
        estimator.loss_ = epoch.loss
        estimator.loss_curve_.append(epoch.loss)
        estimator.learning_rate_curve_.append(epoch.learning_rate)
        if estimator.validation_loss_curve_ is not None and epoch.validation_loss is not None:
            estimator.validation_loss_curve_.append(epoch.validation_loss)
        if estimator.validation_scores_ is not None and epoch.validation_score is not None:
            estimator.validation_scores_.append(epoch.validation_score)
        if estimator.verbose:
            print(_format_epoch(epoch))

    def _should_stop(self, epoch: EpochRecord) -> bool:
        if self.patience is None:
            return False
        watched = -epoch.loss if epoch.validation_score is None else epoch.validation_score
        if self.patience.update(watched):
            self.best = epoch.network
            self.estimator.best_iteration_ = len(self.estimator.loss_curve_)
        if not self.patience.should_stop:
            return False
        if isinstance(self.schedule, ReduceOnPlateau) and self.schedule.reduce():
            self.patience.stale = 0
            return False
        return True


def make_early_stopping(
    estimator: FitInterface, held: LabelledRows | None, schedule: Schedule | None, engine: Engine
) -> ValidationCallback:
    """Return the ``ValidationCallback`` of a new fit, which goes on with the history that the estimator has.

    Args:
        estimator: whose history it is.
        held: the rows to validate on, or None.
        schedule: see ``ValidationCallback``; None with L-BFGS, which decides itself when to stop.
        engine: see ``ValidationCallback``.

    Returns:
        The watch.
    """
    stochastic = estimator.solver != "lbfgs"
    watches_score = estimator.early_stopping and stochastic
    best = estimator.best_validation_score_ if watches_score else estimator.best_loss_
    patience = EarlyStopping(
        estimator.tol,
        estimator.n_iter_no_change,
        best=-math.inf if best is None else best if watches_score else -best,
        stale=estimator._stale_epochs,
    )
    if held is not None and estimator.validation_loss_curve_ is None:
        estimator.validation_loss_curve_ = []
    if watches_score and estimator.validation_scores_ is None:
        estimator.validation_scores_ = []
    estimator.n_iter_, estimator.interrupted_ = 0, False
    # Whether the training loss still falls is nothing that a private fit may tell by its length.
    patient = stochastic and (estimator.privacy is None or watches_score)
    return ValidationCallback(estimator, held, schedule, patience if patient else None, engine)


def mark_interrupted(estimator: FitInterface) -> None:
    """Note that Ctrl-C ended the fit, and warn."""
    estimator.interrupted_ = True
    warn(f"Ctrl-C ended training after {estimator.n_iter_} epochs: the weights so far are kept")


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line that called batchprop, however deep we are.

    Args:
        message: the warning.
        category: its class.
    """
    level, frame = 1, inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").startswith("batchprop."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def copy_with_weights(estimator: FitInterface, net: Network) -> FitInterface:
    """Return a shallow copy of an estimator with another network's weights, for a scorer to call."""
    fitted = copy.copy(estimator)
    fitted._set_weights(net, net.layers[0].W.dtype)
    # A scorer hands over validated arrays, which no longer have names.
    if hasattr(fitted, "feature_names_in_"):
        del fitted.feature_names_in_
    return fitted


def _scorer(estimator: FitInterface) -> Any:
    if estimator.scoring is None or estimator.scoring == "loss":
        return None
    return check_scoring(estimator, scoring=estimator.scoring)


def _accepts_weights(scorer: Any) -> bool:
    # A scorer of scikit-learn's hands them to its metric, which need not know of them.
    return "sample_weight" in inspect.signature(getattr(scorer, "_score_func", scorer)).parameters


def _format_epoch(epoch: EpochRecord) -> str:
    loss = "withheld" if math.isnan(epoch.loss) else f"{epoch.loss:.6f}"
    parts = [f"Epoch {epoch.number}: loss {loss}"]
    if epoch.validation_loss is not None:
        parts.append(f"validation loss {epoch.validation_loss:.6f}")
    if epoch.validation_score is not None:
        parts.append(f"validation score {epoch.validation_score:.6f}")
    return ", ".join(parts)
