"""scikit-learn's interface: ``MLPClassifier`` and ``MLPRegressor``, drop-in replacements that do more."""

from batchprop.estimators.checkpoints import Checkpoints
from batchprop.estimators.classifier import MLPClassifier
from batchprop.estimators.regressor import MLPRegressor

__all__ = ["Checkpoints", "MLPClassifier", "MLPRegressor"]
