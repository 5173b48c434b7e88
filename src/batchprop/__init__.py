"""batchprop: batch backpropagation that keeps every example's own gradient within reach.

``backprop`` runs a batch forward and back; its gradient stays in factors, a ``BatchGradient``, and is
collapsed only as far as you ask. ``MLPClassifier`` and ``MLPRegressor`` have scikit-learn's interface and
more.

Every name is imported when it is first asked for: ``import batchprop`` takes a few milliseconds, and the
command line can handle Ctrl-C before NumPy is imported.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from batchprop.engines import forking as _forking  # noqa: F401 registers its hook before any fork

if TYPE_CHECKING:
    from batchprop import (
        activations,
        batches,
        callbacks,
        data,
        distributed,
        errors,
        export,
        heads,
        microscope,
        objective,
        optimizers,
        plots,
        privacy,
        schedules,
        tabular,
        training,
    )
    from batchprop.backprop import Step, backprop
    from batchprop.estimators import Checkpoints, MLPClassifier, MLPRegressor
    from batchprop.gradcheck import check_gradient
    from batchprop.gradient import BatchGradient
    from batchprop.influence import influence
    from batchprop.network import Network
    from batchprop.params import Layer
    from batchprop.playground import playground
    from batchprop.tabular import TabularClassifier, TabularRegressor, tune

__version__ = "0.1.0"

__all__ = [
    "BatchGradient",
    "Checkpoints",
    "Layer",
    "MLPClassifier",
    "MLPRegressor",
    "Network",
    "Step",
    "TabularClassifier",
    "TabularRegressor",
    "__version__",
    "activations",
    "backprop",
    "batches",
    "callbacks",
    "check_gradient",
    "data",
    "distributed",
    "errors",
    "export",
    "heads",
    "influence",
    "microscope",
    "objective",
    "optimizers",
    "playground",
    "plots",
    "privacy",
    "schedules",
    "tabular",
    "training",
    "tune",
]

_HOMES = {
    "BatchGradient": "gradient",
    "Checkpoints": "estimators",
    "Layer": "params",
    "MLPClassifier": "estimators",
    "MLPRegressor": "estimators",
    "Network": "network",
    "Step": "backprop",
    "TabularClassifier": "tabular",
    "TabularRegressor": "tabular",
    "backprop": "backprop",
    "check_gradient": "gradcheck",
    "influence": "influence",
    "playground": "playground",
    "tune": "tabular",
}
"""The module of each public name that is not itself a module."""


class _Package(ModuleType):
    """This package; three of its functions have the name of their own file or package."""

    def __setattr__(self, name: str, value: Any) -> None:
        # Python binds a submodule here when it is first imported, wherever that happens.
        if isinstance(value, ModuleType):
            if name == "network":
                value.WEIGHT_LOADERS[".safetensors"] = _load_safetensors
            if _HOMES.get(name) == name:
                value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def _load_safetensors(path: Any) -> Any:
    return import_module("batchprop.export").load_weights(path)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"batchprop.{_HOMES[name]}"), name)
    if name in __all__:
        return import_module(f"batchprop.{name}")
    raise AttributeError(f"module 'batchprop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
