"""Epochs as metrics of an MLflow run, and the estimator's parameters as its parameters."""

from __future__ import annotations

import sys
from time import time
from types import ModuleType
from typing import TYPE_CHECKING, Any

from batchprop.callbacks.base import LoggerCallback
from batchprop.errors import BatchpropError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_MAX_LENGTH = 500
"""Letters of a parameter's value: more than this, some servers refuse."""

_DEFAULT = "0"
"""The experiment of runs that name none."""


class MlflowLogger(LoggerCallback):
    """Log each epoch as metrics of an MLflow run, and the estimator's parameters.

    Within an active run, and with no argument here, all goes into that run, which stays active. Else every
    fit is a run of its own, beneath the active one if there is one; it ends with the fit: finished, killed
    by Ctrl-C, or failed. The step is the number of the epoch; the metrics are ``loss``, ``learning_rate``,
    ``rows_per_second``, and where there are any ``validation_loss`` and ``validation_score``. Needs the extra
    ``batchprop[mlflow]``, or MLflow itself.

    Args:
        tracking_uri: of the server, or a local store; None for what MLflow was told.
        experiment: the name of the experiment, made if there is none; None for the active one.
        run_name: of the run; None for one that MLflow thinks up.

    Attributes:
        run_id: of the last fit's run, or None.

    Example:
        >>> import batchprop as bp
        >>> clf = bp.MLPClassifier(callbacks=[bp.callbacks.MlflowLogger(run_name="first")])
        >>> clf.callbacks
        [MlflowLogger(run_name='first')]
    """

    _run_id: str | None = None
    _ours = False
    _client: MlflowClient

    def __init__(
        self,
        *,
        tracking_uri: str | None = None,
        experiment: str | None = None,
        run_name: str | None = None,
    ) -> None:
        self.tracking_uri = tracking_uri
        self.experiment = experiment
        self.run_name = run_name

    def _init_params(self) -> list[tuple[str, Any]]:
        return [pair for pair in super()._init_params() if pair[1] is not None]

    @property
    def run_id(self) -> str | None:
        """The run of the last fit, or None."""
        return self._run_id

    def _start(self, estimator: Any, *, goes_on: bool) -> None:
        mlflow = _mlflow()
        self._client = mlflow.MlflowClient(tracking_uri=self.tracking_uri)
        if not (goes_on and self._goes_on(mlflow)):
            active = mlflow.active_run()
            self._ours = active is None or bool(self._init_params())
            self._run_id = self._new_run(mlflow) if self._ours else active.info.run_id
        if estimator is not None:
            self._log_parameters(estimator.get_params(deep=False))

    def _goes_on(self, mlflow: ModuleType) -> bool:
        """Take up the run of the last fit, where that was our own."""
        if not self._ours or self._run_id is None:
            return False
        if self.tracking_uri is None:
            mlflow.start_run(run_id=self._run_id, nested=True)
        else:
            self._client.update_run(self._run_id, status="RUNNING")
        return True

    def _new_run(self, mlflow: ModuleType) -> str:
        experiment = None if self.experiment is None else self._experiment_id(self.experiment)
        if self.tracking_uri is None:
            # MLflow adds what it knows: the experiment that was set, the run above, who and where.
            run = mlflow.start_run(run_name=self.run_name, experiment_id=experiment, nested=True)
        else:
            run = self._client.create_run(experiment or _DEFAULT, run_name=self.run_name)
        return str(run.info.run_id)

    def _experiment_id(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        try:
            return str(self._client.create_experiment(name))
        except self._failures():
            # Another process may have made it in between.
            found = self._client.get_experiment_by_name(name)
            if found is None:
                raise
            return str(found.experiment_id)

    def _log_parameters(self, parameters: dict[str, Any]) -> None:
        """Log those that the run does not have: MLflow lets nobody change one."""
        from mlflow.entities import Param

        assert self._run_id is not None  # noqa: S101 a run was begun
        known = {"callbacks", *self._client.get_run(self._run_id).data.params}
        new = [
            Param(name, str(value)[:_MAX_LENGTH]) for name, value in parameters.items() if name not in known
        ]
        self._client.log_batch(self._run_id, params=new)

    def _log(self, step: int, found: dict[str, float]) -> None:
        from mlflow.entities import Metric

        assert self._run_id is not None  # noqa: S101 a run was begun
        now = int(1000 * time())
        metrics = [Metric(name, value, now, step) for name, value in found.items()]
        self._client.log_batch(self._run_id, metrics=metrics)

    def _end(self, status: str) -> None:
        if not self._ours or self._run_id is None:
            return
        mlflow = _mlflow()
        active = mlflow.active_run()
        if active is not None and active.info.run_id == self._run_id:
            mlflow.end_run(status)
        else:
            self._client.set_terminated(self._run_id, status)

    def _failures(self) -> tuple[type[Exception], ...]:
        mlflow = sys.modules.get("mlflow")
        return (OSError, mlflow.exceptions.MlflowException) if mlflow else (OSError,)


def _mlflow() -> ModuleType:
    try:
        import mlflow
    except ModuleNotFoundError as error:
        raise BatchpropError(
            f'logging to MLflow needs {error.name}, which is not installed: pip install "batchprop[mlflow]"'
        ) from error
    return mlflow
