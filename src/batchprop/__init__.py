"""batchprop: batch backpropagation that keeps every example's own gradient within reach.

``backprop`` runs a batch forward and back; its gradient stays in factors, a ``BatchGradient``, and is
collapsed only as far as you ask. ``MLPClassifier`` and ``MLPRegressor`` have scikit-learn's interface and
more; they, and scikit-learn, are imported at their first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from batchprop import (
    activations,
    batches,
    errors,
    heads,
    objective,
    optimizers,
    schedules,
    training,
)
from batchprop.backprop import Step, backprop
from batchprop.engines import forking as _forking  # noqa: F401 registers its hook before any fork
from batchprop.gradcheck import check_gradient
from batchprop.gradient import BatchGradient
from batchprop.influence import influence
from batchprop.network import WEIGHT_LOADERS, Network
from batchprop.params import Layer

if TYPE_CHECKING:
    from batchprop import callbacks, data, export, microscope, plots, privacy, tabular
    from batchprop.estimators import Checkpoints, MLPClassifier, MLPRegressor

__version__ = "0.1.0"

__all__ = [
    "BatchGradient",
    "Checkpoints",
    "Layer",
    "MLPClassifier",
    "MLPRegressor",
    "Network",
    "Step",
    "__version__",
    "activations",
    "backprop",
    "batches",
    "callbacks",
    "check_gradient",
    "data",
    "errors",
    "export",
    "heads",
    "influence",
    "microscope",
    "objective",
    "optimizers",
    "plots",
    "privacy",
    "schedules",
    "tabular",
    "training",
]

_ESTIMATORS = ("Checkpoints", "MLPClassifier", "MLPRegressor")
_SHELLS = ("callbacks", "data", "export", "microscope", "plots", "privacy", "tabular")

WEIGHT_LOADERS[".safetensors"] = lambda path: __getattr__("export").load_weights(path)


def __getattr__(name: str) -> Any:
    # scikit-learn takes longer to import than everything here together.
    if name in _SHELLS:
        return import_module(f"batchprop.{name}")
    if name in _ESTIMATORS:
        return getattr(import_module("batchprop.estimators"), name)
    raise AttributeError(f"module 'batchprop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
