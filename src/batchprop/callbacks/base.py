"""What the callbacks that log have in common: the figures of an epoch, their step, and when logging fails."""

import math
import warnings
from typing import Any

from batchprop.errors import BatchpropError
from batchprop.training import EpochRecord

_TINY = 1e-9


def epoch_metrics(epoch: EpochRecord) -> dict[str, float]:
    """Return what is logged of an epoch, by name; what is not there, or withheld, is left out.

    Args:
        epoch: its record. The loss of a private fit is nan, and so is the learning rate of L-BFGS.

    Returns:
        Some of ``loss``, ``learning_rate``, ``rows_per_second``, ``validation_loss``, ``validation_score``.

    Example:
        >>> from types import SimpleNamespace
        >>> epoch = SimpleNamespace(
        ...     loss=math.nan,
        ...     learning_rate=0.1,
        ...     rows=100,
        ...     seconds=0.5,
        ...     validation_loss=0.3,
        ...     validation_score=None,
        ... )
        >>> epoch_metrics(epoch)
        {'learning_rate': 0.1, 'rows_per_second': 200.0, 'validation_loss': 0.3}
    """
    found = {
        "loss": epoch.loss,
        "learning_rate": epoch.learning_rate,
        "rows_per_second": epoch.rows / max(epoch.seconds, _TINY),
        "validation_loss": epoch.validation_loss,
        "validation_score": epoch.validation_score,
    }
    return {name: float(x) for name, x in found.items() if x is not None and not math.isnan(x)}


class LoggerCallback:
    """A callback that logs; its copies, also by ``clone`` and ``pickle``, have its settings and no open log.

    A fit opens a log when it begins, and closes it when it ends. One that goes on from the last, by
    ``partial_fit`` or ``warm_start``, goes on in its log. What fails at the beginning is an error; what fails
    later is a warning, and costs the log and not the training.
    """

    # What belongs to a log; in the class, so that copies begin with it.
    _begun = _lost = _open = False
    _before = _step = 0

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self._init_params())
        return f"{type(self).__name__}({given})"

    def _init_params(self) -> list[tuple[str, Any]]:
        return [(name, value) for name, value in vars(self).items() if not name.startswith("_")]

    # ---- what an estimator calls

    def on_fit_begin(self, estimator: Any, *, goes_on: bool) -> None:
        """Open the log.

        Args:
            estimator: that is about to be fitted; None where there is none.
            goes_on: whether it goes on from its last fit.

        Raises:
            BatchpropError: it cannot be opened.
        """
        goes_on = goes_on and self._begun
        self._before = self._step if goes_on else 0
        self._step, self._lost = self._before, False
        try:
            self._start(estimator, goes_on=goes_on)
        except self._failures() as error:
            raise BatchpropError(f"{self!r} cannot log: {_reason(error)}") from error
        self._begun = self._open = True

    def __call__(self, epoch: EpochRecord) -> None:
        """Log an epoch.

        Args:
            epoch: its record.
        """
        if not self._open:
            # Nobody announced a fit: somebody runs the core's loop.
            self.on_fit_begin(None, goes_on=True)
        self._step = self._before + epoch.number
        if not self._lost:
            self._try(lambda: self._log(self._step, epoch_metrics(epoch)))

    def on_fit_end(self, estimator: Any, error: BaseException | None) -> None:
        """Close the log.

        Args:
            estimator: as it was left.
            error: what ended the fit early; None where nothing did.
        """
        if not self._open:
            return
        self._open = False
        early = isinstance(error, KeyboardInterrupt) or getattr(estimator, "interrupted_", False)
        self._try(lambda: self._end("KILLED" if early else "FAILED" if error else "FINISHED"))

    # ---- what a kind of log does

    def _start(self, estimator: Any, *, goes_on: bool) -> None:
        raise NotImplementedError

    def _log(self, step: int, found: dict[str, float]) -> None:
        raise NotImplementedError

    def _end(self, status: str) -> None:
        raise NotImplementedError

    def _failures(self) -> tuple[type[Exception], ...]:
        return (OSError,)

    def _try(self, act: Any) -> None:
        try:
            act()
        except self._failures() as error:
            self._lost = True
            warnings.warn(
                f"{self!r} logs no more after epoch {self._step - 1}: {_reason(error)}; training goes on",
                stacklevel=3,
            )


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
