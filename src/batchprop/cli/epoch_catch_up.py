"""The one epoch that a command may not have been told of, because Ctrl-C came first."""

from dataclasses import replace
from typing import Any

from batchprop.cli.progress import History


def append_last_epoch(history: History, network: Any) -> None:
    """Add the last epoch to a history that lacks it: its weights may be the best, and are the ones kept.

    The estimator takes in an epoch before it tells anybody of it, and a signal may come in between. How long
    the epoch took is not known then; it is taken for as long as the one before.

    Args:
        history: of the fit; nothing happens to an empty one.
        network: the fitted MLPClassifier or MLPRegressor.

    Example:
        >>> from types import SimpleNamespace
        >>> from batchprop.cli.progress import EpochSummary
        >>> history = [EpochSummary(1, 0.9, 0.8, 0.1, 100, 2.0)]
        >>> network = SimpleNamespace(
        ...     n_iter_=2,
        ...     loss_curve_=[0.9, 0.5],
        ...     learning_rate_curve_=[0.1, 0.1],
        ...     validation_loss_curve_=[0.8, 0.6],
        ... )
        >>> append_last_epoch(history, network)
        >>> history[1]
        EpochSummary(epoch=2, loss=0.5, validation_loss=0.6, learning_rate=0.1, rows=100, seconds=2.0)
    """
    if not history or history[-1].epoch >= network.n_iter_:
        return
    curve = network.validation_loss_curve_
    history.append(
        replace(
            history[-1],
            epoch=network.n_iter_,
            loss=network.loss_curve_[-1],
            validation_loss=curve[-1] if curve else None,
            learning_rate=network.learning_rate_curve_[-1],
        )
    )
