"""The base of the callbacks that log: an epoch's metrics, the step they belong to, and failures to log."""

import math
from typing import Any

from batchprop.errors import BatchpropError, warn
from batchprop.training import EpochRecord

_MIN_SECONDS = 1e-9


def epoch_metrics(epoch: EpochRecord) -> dict[str, float]:
    """Return the metrics of an epoch that are finite or infinite numbers, by name.

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
    metrics = {
        "loss": epoch.loss,
        "learning_rate": epoch.learning_rate,
        # A coarse clock may measure 0 seconds for an epoch of a few rows.
        "rows_per_second": epoch.rows / max(epoch.seconds, _MIN_SECONDS),
        "validation_loss": epoch.validation_loss,
        "validation_score": epoch.validation_score,
    }
    # NaN means "withheld" (the loss of a private fit) or "none" (the learning rate of L-BFGS). MLflow
    # refuses it, and TensorBoard draws it as a point at 0.
    return {name: float(x) for name, x in metrics.items() if x is not None and not math.isnan(x)}


class LoggerCallback:
    """A callback that logs each epoch; ``clone`` and ``pickle`` copy its settings, not its open log.

    A fit opens a log when it starts and closes it when it ends. A resumed fit (``partial_fit`` or
    ``warm_start``) continues the log of the fit before. A failure to open the log is an error; a later
    failure is a warning, and training continues without the log.
    """

    # The state of a log lives in the class, so that copies, which take no private attribute, start afresh.
    _has_started = _failed = _open = False
    _first_step = _step = 0

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def __repr__(self) -> str:
        params = ", ".join(f"{name}={value!r}" for name, value in self._init_params())
        return f"{type(self).__name__}({params})"

    def _init_params(self) -> list[tuple[str, Any]]:
        return [(name, value) for name, value in vars(self).items() if not name.startswith("_")]

    # ---- called by an estimator

    def on_fit_begin(self, estimator: Any, *, resumed: bool) -> None:
        """Open the log; ``estimator`` is None if a loop over the core calls this.

        Raises:
            BatchpropError: the log cannot be opened.
        """
        resumed = resumed and self._has_started
        # The epochs of a resumed fit count from 1 again, and its log continues after the last step.
        self._first_step = self._step if resumed else 0
        self._step, self._failed = self._first_step, False
        try:
            self._start(estimator, resumed=resumed)
        except self._failures() as error:
            raise BatchpropError(f"{self!r} cannot log: {_reason(error)}") from error
        self._has_started = self._open = True

    def __call__(self, epoch: EpochRecord) -> None:
        """Log an epoch."""
        if not self._open:
            # A loop over the core calls the callback with epochs alone, and announces no fit.
            self.on_fit_begin(None, resumed=True)
        self._step = self._first_step + epoch.number
        if not self._failed:
            self._try(lambda: self._log(self._step, epoch_metrics(epoch)))

    def on_fit_end(self, estimator: Any, error: BaseException | None) -> None:
        """Close the log; ``error`` is what ended the fit early, if anything did."""
        if not self._open:
            return
        self._open = False
        # The estimators catch Ctrl-C and keep the trained weights: it sets an attribute, and is no error.
        interrupted = isinstance(error, KeyboardInterrupt) or getattr(estimator, "interrupted_", False)
        self._try(lambda: self._end("KILLED" if interrupted else "FAILED" if error else "FINISHED"))

    # ---- implemented by a subclass

    def _start(self, estimator: Any, *, resumed: bool) -> None:
        raise NotImplementedError

    def _log(self, step: int, metrics: dict[str, float]) -> None:
        raise NotImplementedError

    def _end(self, status: str) -> None:
        raise NotImplementedError

    def _failures(self) -> tuple[type[Exception], ...]:
        return (OSError,)

    def _try(self, write: Any) -> None:
        try:
            write()
        except self._failures() as error:
            # A training of hours is worth more than its log: warn once, and log nothing more.
            self._failed = True
            warn(
                f"{self!r} stopped logging after epoch {self._step - 1}: {_reason(error)}; training continues"
            )


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
