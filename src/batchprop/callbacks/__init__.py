"""Callbacks of ``MLPClassifier`` and ``MLPRegressor`` that log each epoch to an experiment tracker."""

from batchprop.callbacks.mlflow import MlflowLogger
from batchprop.callbacks.tensorboard import TensorBoardLogger

__all__ = ["MlflowLogger", "TensorBoardLogger"]
