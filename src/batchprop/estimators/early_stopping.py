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
from batchprop.estimators.interface import Estimator
from batchprop.estimators.validation import Examples
from batchprop.files import defer_signals
from batchprop.network import Network
from batchprop.schedules import ReduceOnPlateau, Schedule
from batchprop.training import Engine, EpochRecord


class Patience:
    """Counts the epochs without progress.

    Args:
        tol: what counts as progress.
        limit: how many epochs without it are borne.
        best: the best value so far, higher is better.
        stale: how many epochs without progress lie behind.

    Example:
        >>> patience = Patience(tol=0.1, limit=1)
        >>> [patience.improves(value) for value in (1.0, 1.05, 1.0)], patience.exhausted
        ([True, True, False], True)
    """

    def __init__(self, tol: float, limit: float, best: float = -math.inf, stale: int = 0) -> None:
        self.tol = tol
        self.limit = limit
        self.best = best
        self.stale = stale

    def improves(self, value: float) -> bool:
        """Take in an epoch's value; return whether it is the best so far, by however little."""
        # Written so that a score that is not a number is no progress.
        self.stale = 0 if value >= self.best + self.tol else self.stale + 1
        if not value > self.best:
            return False
        self.best = value
        return True

    @property
    def exhausted(self) -> bool:
        """Whether there were more epochs without progress than the limit."""
        return self.stale > self.limit


class Watch:
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
        estimator: Estimator,
        held: Examples | None,
        schedule: Schedule | None,
        patience: Patience | None,
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

    def after(self, epoch: EpochRecord) -> bool:
        """Take in an epoch; return whether training should end."""
        self.last = epoch = self._validated(epoch)
        # Else Ctrl-C could come between two curves of one epoch.
        with defer_signals():
            self._record(epoch)
            stop = self._loses_patience(epoch)
        # Every callback sees every epoch, also one that an earlier callback ends.
        answers = [callback(epoch) for callback in self.estimator.callbacks or ()]
        return stop or any(isinstance(answer, bool | np.bool_) and answer for answer in answers)

    def _validated(self, epoch: EpochRecord) -> EpochRecord:
        if self.held is None:
            return epoch
        estimator, held = self.estimator, self.held
        P, loss = estimator._judged(self.engine, epoch.network, held)
        if not estimator.early_stopping:
            return replace(epoch, validation_loss=loss)
        if estimator.scoring == "loss":
            return replace(epoch, validation_loss=loss, validation_score=-loss)
        if self._scorer is None:
            score = estimator._own_score(held.y, P, held.weights)
        else:
            weigh = held.weights is not None and _takes_weights(self._scorer)
            options = {"sample_weight": held.weights} if weigh else {}
            score = self._scorer(snapshot(estimator, epoch.network), held.X, held.y, **options)
        self._require_defined(score)
        return replace(epoch, validation_loss=loss, validation_score=float(score))

    def _require_defined(self, score: float) -> None:
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
            print(_line(epoch))

    def _loses_patience(self, epoch: EpochRecord) -> bool:
        if self.patience is None:
            return False
        watched = -epoch.loss if epoch.validation_score is None else epoch.validation_score
        if self.patience.improves(watched):
            self.best = epoch.network
            self.estimator.best_iteration_ = len(self.estimator.loss_curve_)
        if not self.patience.exhausted:
            return False
        if isinstance(self.schedule, ReduceOnPlateau) and self.schedule.reduce():
            self.patience.stale = 0
            return False
        return True


def begin_watching(
    estimator: Estimator, held: Examples | None, schedule: Schedule | None, engine: Engine
) -> Watch:
    """Return the ``Watch`` of a new fit, which goes on with the history that the estimator has.

    Args:
        estimator: whose history it is.
        held: the rows to validate on, or None.
        schedule: see ``Watch``; None with L-BFGS, which decides itself when to stop.
        engine: see ``Watch``.

    Returns:
        The watch.
    """
    stochastic = estimator.solver != "lbfgs"
    watches_score = estimator.early_stopping and stochastic
    best = estimator.best_validation_score_ if watches_score else estimator.best_loss_
    patience = Patience(
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
    return Watch(estimator, held, schedule, patience if patient else None, engine)


def interrupted(estimator: Estimator) -> None:
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


def snapshot(estimator: Estimator, net: Network) -> Estimator:
    """Return a shallow copy of an estimator with another network's weights, for a scorer to call."""
    fitted = copy.copy(estimator)
    fitted._take(net, net.layers[0].W.dtype)
    # A scorer hands over validated arrays, which no longer have names.
    if hasattr(fitted, "feature_names_in_"):
        del fitted.feature_names_in_
    return fitted


def _scorer(estimator: Estimator) -> Any:
    if estimator.scoring is None or estimator.scoring == "loss":
        return None
    return check_scoring(estimator, scoring=estimator.scoring)


def _takes_weights(scorer: Any) -> bool:
    # A scorer of scikit-learn's hands them to its metric, which need not know of them.
    return "sample_weight" in inspect.signature(getattr(scorer, "_score_func", scorer)).parameters


def _line(epoch: EpochRecord) -> str:
    loss = "withheld" if math.isnan(epoch.loss) else f"{epoch.loss:.6f}"
    parts = [f"Epoch {epoch.number}: loss {loss}"]
    if epoch.validation_loss is not None:
        parts.append(f"validation loss {epoch.validation_loss:.6f}")
    if epoch.validation_score is not None:
        parts.append(f"validation score {epoch.validation_score:.6f}")
    return ", ".join(parts)
