"""A ``TransformedTargetRegressor`` whose target was standardised, as ONNX operators."""

from __future__ import annotations

from typing import Any

import numpy as np

from batchprop.errors import InputError
from batchprop.export.onnx_graph import Graph

_SCALERS = ("StandardScaler", "TargetScaler")
"""The second is that of ``batchprop train``; names, so that nothing of ``tabular`` is imported."""


def check_target(model: Any) -> None:
    """Refuse a target with another transformer than a ``StandardScaler``."""
    transformer = model.transformer_
    if type(transformer).__name__ not in _SCALERS:
        raise InputError(
            f"the target is transformed by {transformer!r}, which has no ONNX form here: "
            "use a StandardScaler, or export model.regressor_ alone"
        )


def write_target(graph: Graph, operator: Any) -> None:
    """Write the inverse transform to the target's units, in float64: ``y = scale · prediction + mean``."""
    scaler = operator.raw_operator.transformer_
    y = graph.cast(operator.inputs[0].full_name, np.float64)
    if scaler.scale_ is not None:
        y = graph("Mul", y, graph.constant(scaler.scale_, np.float64))
    if getattr(scaler, "with_mean", True):
        y = graph("Add", y, graph.constant(scaler.mean_, np.float64))
    graph.output(y, operator.outputs[0])
