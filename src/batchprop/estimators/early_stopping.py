"""After each epoch: validation, the next state of the fit, and whether to stop."""

from __future__ import annotations

import copy
import inspect
import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import check_scoring

from batchprop.errors import DivergedError, InputError, warn
from batchprop.estimators.fit_state import FitState, publish
from batchprop.estimators.interface import FitInterface
from batchprop.estimators.validation import LabelledRows, describe_unresolved
from batchprop.files import defer_signals
from batchprop.format import pluralize
from batchprop.network import Network
from batchprop.processes import current
from batchprop.schedules import ReduceOnPlateau, Schedule
from batchprop.training import Engine, EpochRecord, TrainProgress


def count_no_improve(n_no_improve: int, score: float, best: float, tol: float) -> int:
    """Return the number of epochs in a row without progress, after another score; higher is better.

    Example:
        >>> (
        ...     count_no_improve(1, 1.05, best=1.0, tol=0.1),
        ...     count_no_improve(1, 1.2, best=1.0, tol=0.1),
        ... )
        (2, 0)
    """
    # Written so that NaN counts as no progress.
    return 0 if score >= best + tol else n_no_improve + 1


class ValidationCallback:
    """Takes the state of a fit from epoch to epoch: validation, history, best weights, and whether to stop.

    Args:
        estimator: its attributes show the state, and its callbacks get each epoch.
        valid: the validation rows, or None.
        schedule: reduced before training stops, if it is a ``ReduceOnPlateau``.
        engine: predicts the validation rows.
        state: the initial state of the fit.

    Attributes:
        state: after the last epoch.
        last: the last epoch; None before the first one since the fit began, was resumed or rewound.
    """

    def __init__(
        self,
        estimator: FitInterface,
        valid: LabelledRows | None,
        schedule: Schedule | None,
        engine: Engine,
        state: FitState,
    ) -> None:
        self.estimator = estimator
        self.valid = valid
        self.schedule = schedule
        self.engine = engine
        self.last: EpochRecord | None = None
        rate = schedule.learning_rate if isinstance(schedule, ReduceOnPlateau) else None
        self.state = replace(state, plateau_rate=rate)
        self._scorer = _scorer(estimator) if valid is not None and estimator.early_stopping else None
        estimator.interrupted_ = False
        publish(estimator, self.state)

    def on_epoch_end(self, epoch: EpochRecord) -> bool:
        """Process an epoch; return whether training should end."""
        epoch = self._validate(epoch)
        # Otherwise Ctrl-C could interrupt between two curves of one epoch.
        with defer_signals():
            self.state, stop = self._advance(epoch)
            self.last = epoch = replace(epoch, fit_state=self.state)
            publish(self.estimator, self.state)
            if self.estimator.verbose and current().index == 0:
                print(_format_epoch(epoch))
        # Every callback gets every epoch, even if an earlier callback ends training.
        error: BaseException | None = None
        try:
            answers = [callback(epoch) for callback in self.estimator.callbacks or ()]
            stop = stop or any(isinstance(answer, bool | np.bool_) and answer for answer in answers)
        except BaseException as raised:  # noqa: BLE001 it is raised again
            error = raised
        # What ends training in one process, as its clock, ends it in all.
        return current().agree(flag=stop, error=error)

    def end_with_best(self, error: DivergedError) -> bool:
        """Where there are best weights, record the epoch that diverged, and warn that they are kept.

        Args:
            error: what happened.

        Returns:
            Whether there are.
        """
        state = self.state
        if not self.estimator.early_stopping or state.best_layers is None:
            return False
        n_epochs, rate = state.progress.epochs + 1, state.history.learning_rate_curve[-1]
        self.state = replace(
            state,
            progress=TrainProgress(state.progress.state, n_epochs),
            history=state.history.append(math.nan, rate, math.nan, math.nan),
            epochs=(*state.epochs, (0, 0.0)),
        )
        publish(self.estimator, self.state)
        what, _, remedy = str(error).partition(": ")
        # The category of the overflow that scikit-learn, which goes on, warns of.
        warn(
            f"{what}: training ends with the best weights so far, those of epoch {state.best_iteration}; "
            f"{remedy}",
            RuntimeWarning,
        )
        return True

    def restore(self, state: FitState) -> None:
        """Set the state, after a resume or a rewind."""
        self.state, self.last = state, None
        if isinstance(self.schedule, ReduceOnPlateau) and state.plateau_rate is not None:
            self.schedule.learning_rate = state.plateau_rate
        publish(self.estimator, state)

    def _validate(self, epoch: EpochRecord) -> EpochRecord:
        if self.valid is None:
            return epoch
        estimator, valid = self.estimator, self.valid
        P, loss = estimator._evaluate(self.engine, epoch.network, valid)
        if not estimator.early_stopping:
            return replace(epoch, validation_loss=loss)
        score = self._score(epoch.network, P, loss, valid)
        self._check_defined(score, P)
        return replace(epoch, validation_loss=loss, validation_score=score)

    def _score(self, net: Network, P: NDArray[np.floating], loss: float, valid: LabelledRows) -> float:
        """The validation score; NaN, whatever the scorer, if the outputs P ``(n, K)`` are not finite."""
        estimator = self.estimator
        if not np.isfinite(P).all():
            return math.nan
        if estimator.scoring == "loss":
            return -loss
        if self._scorer is None:
            return float(estimator._default_score(valid.y, P, valid.weights))
        weigh = valid.weights is not None and _accepts_weights(self._scorer)
        kwargs = {"sample_weight": valid.weights} if weigh else {}
        return float(self._scorer(copy_with_weights(estimator, net), valid.X, valid.y, **kwargs))

    def _check_defined(self, score: float, P: NDArray[np.floating]) -> None:
        """Refuse NaN if no epoch so far had a score: early stopping would end with untrained weights."""
        if not math.isnan(score) or self.state.best_layers is not None:
            return
        if (unresolved := describe_unresolved(P)) is not None:
            raise InputError(f"in the rows to validate on: {unresolved[1]}")
        raise InputError(
            f"the validation score (scoring={self.estimator.scoring!r}) is nan on the "
            f"{pluralize(len(P), 'row')} to validate on: validate on more rows, or use scoring='loss'"
        )

    def _advance(self, epoch: EpochRecord) -> tuple[FitState, bool]:
        """The state after an epoch, and whether training should end."""
        state = self.state
        history = state.history.append(
            epoch.loss, epoch.learning_rate, epoch.validation_loss, epoch.validation_score
        )
        # L-BFGS uses its rows many times in an iteration; as in scikit-learn, they are not counted.
        rows = 0 if self.estimator.solver == "lbfgs" else epoch.rows
        state = replace(
            state,
            progress=TrainProgress(epoch.state, epoch.number),
            rng_state=self.engine.rng_state(),
            history=history,
            epochs=(*state.epochs, (epoch.rows, epoch.seconds)),
            rows_seen=state.rows_seen + rows,
        )
        if state.best_score is None:
            return state, False
        score = -epoch.loss if epoch.validation_score is None else epoch.validation_score
        n_no_improve = count_no_improve(state.n_no_improve, score, state.best_score, self.estimator.tol)
        if score > state.best_score:
            state = replace(
                state,
                best_score=score,
                best_iteration=len(history.loss_curve),
                best_layers=epoch.network.layers,
            )
        if n_no_improve <= self.estimator.n_iter_no_change:
            return replace(state, n_no_improve=n_no_improve), False
        if isinstance(self.schedule, ReduceOnPlateau) and self.schedule.reduce():
            return replace(state, n_no_improve=0, plateau_rate=self.schedule.learning_rate), False
        return replace(state, n_no_improve=n_no_improve), True


def mark_interrupted(estimator: FitInterface) -> None:
    """Note that Ctrl-C ended the fit, and warn."""
    estimator.interrupted_ = True
    warn(
        f"Training interrupted by user. Ctrl-C ended training after {pluralize(estimator.n_iter_, 'epoch')}: "
        "the weights so far are kept"
    )


def copy_with_weights(estimator: FitInterface, net: Network) -> FitInterface:
    """Return a shallow copy of an estimator with another network's weights, for a scorer to call."""
    fitted = copy.copy(estimator)
    fitted._set_weights(net, net.layers[0].W.dtype)
    # A scorer passes validated arrays, which no longer have names.
    if hasattr(fitted, "feature_names_in_"):
        del fitted.feature_names_in_
    return fitted


def _scorer(estimator: FitInterface) -> Any:
    if estimator.scoring is None or estimator.scoring == "loss":
        return None
    return check_scoring(estimator, scoring=estimator.scoring)


def _accepts_weights(scorer: Any) -> bool:
    # A scikit-learn scorer passes them to its metric, which may not accept them.
    return "sample_weight" in inspect.signature(getattr(scorer, "_score_func", scorer)).parameters


def _format_epoch(epoch: EpochRecord) -> str:
    # As scikit-learn prints it, whose line ends with the loss.
    loss = "withheld" if math.isnan(epoch.loss) else f"{epoch.loss:.8f}"
    parts = [f"Iteration {epoch.number}, loss = {loss}"]
    if epoch.validation_loss is not None:
        parts.append(f"validation loss = {epoch.validation_loss:.8f}")
    if epoch.validation_score is not None:
        parts.append(f"Validation score: {epoch.validation_score:.6f}")
    return ", ".join(parts)
