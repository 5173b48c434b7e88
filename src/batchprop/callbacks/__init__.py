"""Callbacks for ``MLPClassifier`` and ``MLPRegressor`` that log each epoch where people look."""

from batchprop.callbacks.mlflow import MlflowLogger
from batchprop.callbacks.tensorboard import TensorBoardLogger

__all__ = ["MlflowLogger", "TensorBoardLogger"]
