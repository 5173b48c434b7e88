"""A callback that logs epochs and parameters to MLflow."""

from __future__ import annotations

import sys
from time import time
from types import ModuleType
from typing import TYPE_CHECKING, Any

from batchprop.callbacks.base import LoggerCallback
from batchprop.errors import require_extra

if TYPE_CHECKING:
    from mlflow import MlflowClient

_MAX_PARAM_LENGTH = 500
"""Characters of a parameter's value; some servers refuse a longer one."""

_DEFAULT_EXPERIMENT = "0"
"""The id of MLflow's own experiment, for runs that name none."""


class MlflowLogger(LoggerCallback):
    """Log each epoch as metrics of an MLflow run, and the estimator's parameters.

    Inside an active run, and without arguments, the callback logs to that run and leaves it active.
    Otherwise each fit starts a run of its own, nested in the active one if there is one, and ends it as
    FINISHED, KILLED (Ctrl-C) or FAILED. The step is the number of the epoch. The metrics are ``loss``,
    ``learning_rate`` and ``rows_per_second``, and with validation ``validation_loss`` and
    ``validation_score``. Needs the extra ``batchprop[mlflow]``, or MLflow itself.

    Args:
        tracking_uri: the tracking server or a local store; None takes MLflow's own setting.
        experiment: the name of the experiment, created if it does not exist; None takes the active one.
        run_name: the name of the run; None lets MLflow choose one.

    Attributes:
        run_id: the id of the last fit's run, or None.

    Example:
        >>> import batchprop as bp
        >>> clf = bp.MLPClassifier(callbacks=[bp.callbacks.MlflowLogger(run_name="first")])
        >>> clf.callbacks
        [MlflowLogger(run_name='first')]
    """

    _run_id: str | None = None
    _owns_run = False
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
        """The id of the last fit's run, or None."""
        return self._run_id

    def _start(self, estimator: Any, *, resumed: bool) -> None:
        mlflow = _import_mlflow()
        self._client = mlflow.MlflowClient(tracking_uri=self.tracking_uri)
        if not (resumed and self._resume_run(mlflow)):
            active = mlflow.active_run()
            self._owns_run = active is None or bool(self._init_params())
            self._run_id = self._start_run(mlflow) if self._owns_run else active.info.run_id
        if estimator is not None:
            self._log_parameters(estimator.get_params(deep=False))

    def _resume_run(self, mlflow: ModuleType) -> bool:
        """Reopen the run of the last fit if this callback started it."""
        if not self._owns_run or self._run_id is None:
            return False
        if self.tracking_uri is None:
            mlflow.start_run(run_id=self._run_id, nested=True)
        else:
            self._client.update_run(self._run_id, status="RUNNING")
        return True

    def _start_run(self, mlflow: ModuleType) -> str:
        experiment = None if self.experiment is None else self._experiment_id(self.experiment)
        if self.tracking_uri is None:
            # The fluent API adds the active experiment, the parent run, the user and the source file.
            run = mlflow.start_run(run_name=self.run_name, experiment_id=experiment, nested=True)
        else:
            run = self._client.create_run(experiment or _DEFAULT_EXPERIMENT, run_name=self.run_name)
        return str(run.info.run_id)

    def _experiment_id(self, name: str) -> str:
        experiment = self._client.get_experiment_by_name(name)
        if experiment is not None:
            return str(experiment.experiment_id)
        try:
            return str(self._client.create_experiment(name))
        except self._failures():
            # Another process may have created it in the meantime.
            experiment = self._client.get_experiment_by_name(name)
            if experiment is None:
                raise
            return str(experiment.experiment_id)

    def _log_parameters(self, parameters: dict[str, Any]) -> None:
        """Log the parameters that the run does not have yet: MLflow refuses to change one."""
        from mlflow.entities import Param

        assert self._run_id is not None  # noqa: S101 the run has started
        logged = {"callbacks", *self._client.get_run(self._run_id).data.params}
        params = [
            Param(name, str(value)[:_MAX_PARAM_LENGTH])
            for name, value in parameters.items()
            if name not in logged
        ]
        self._client.log_batch(self._run_id, params=params)

    def _log(self, step: int, metrics: dict[str, float]) -> None:
        from mlflow.entities import Metric

        assert self._run_id is not None  # noqa: S101 the run has started
        now = int(1000 * time())
        # One request an epoch, not one a metric: the training waits for the server.
        batch = [Metric(name, value, now, step) for name, value in metrics.items()]
        self._client.log_batch(self._run_id, metrics=batch)

    def _end(self, status: str) -> None:
        if not self._owns_run or self._run_id is None:
            return
        mlflow = _import_mlflow()
        active = mlflow.active_run()
        if active is not None and active.info.run_id == self._run_id:
            mlflow.end_run(status)
        else:
            # The user may have started another run on top of this one: end_run would end that one.
            self._client.set_terminated(self._run_id, status)

    def _failures(self) -> tuple[type[Exception], ...]:
        # Not imported here: if MLflow is missing, the ImportError has its own message.
        mlflow = sys.modules.get("mlflow")
        return (OSError, mlflow.exceptions.MlflowException) if mlflow else (OSError,)


def _import_mlflow() -> ModuleType:
    with require_extra("mlflow", "logging to MLflow"):
        import mlflow
    return mlflow
