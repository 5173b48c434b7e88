"""Callbacks for ``MLPClassifier`` and ``MLPRegressor`` that log each epoch where people look."""

from batchprop.callbacks.mlflow import MLflow
from batchprop.callbacks.tensorboard import TensorBoard

__all__ = ["MLflow", "TensorBoard"]
