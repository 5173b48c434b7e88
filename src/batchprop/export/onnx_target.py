"""``TransformedTargetRegressor`` with a ``StandardScaler``, as ONNX operators."""

from __future__ import annotations

from typing import Any

import numpy as np

from batchprop.errors import InputError
from batchprop.export.onnx_graph import Graph


def check_target(model: Any) -> None:
    """Refuse a target with another transformer than a ``StandardScaler``."""
    transformer = model.transformer_
    if type(transformer).__name__ != "StandardScaler":
        raise InputError(
            f"the target is transformed by {transformer!r}, which has no ONNX form here: "
            "use a StandardScaler, or export model.regressor_ alone"
        )


def write_target(graph: Graph, operator: Any, *, dtype: Any) -> None:
    """Write the inverse transform to the target's own units: ``y = scale · prediction + mean``."""
    scaler = operator.raw_operator.transformer_
    y = graph.cast(operator.inputs[0].full_name, np.float64)
    if scaler.scale_ is not None:
        y = graph("Mul", y, graph.constant(scaler.scale_, np.float64))
    if scaler.with_mean:
        y = graph("Add", y, graph.constant(scaler.mean_, np.float64))
    graph.output(graph.cast(y, dtype), operator.outputs[0])
