"""A graph of ONNX operators that is written like NumPy code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

OPSET = {"": 17, "ai.onnx.ml": 3}
"""The versions of the operators: every runtime since ONNX 1.12 (2022) supports them."""

Value: TypeAlias = str
"""The name of a tensor in the graph."""


class Graph:
    """Adds operators to skl2onnx's container; each method returns the name of its result.

    Args:
        scope: skl2onnx's scope, which makes unique names.
        container: skl2onnx's container, which collects the nodes.
    """

    def __init__(self, scope: Any, container: Any) -> None:
        self._scope = scope
        self._container = container
        self._count = 0
        self._constants: dict[tuple[str, tuple[int, ...], bytes], Value] = {}

    def __call__(self, operator: str, *inputs: Value, domain: str = "", **attributes: Any) -> Value:
        """Add an operator with one output, as ``graph("MatMul", H, W)``."""
        output = self._name(operator)
        self._add(operator, inputs, [output], domain, attributes)
        return output

    def constant(self, values: ArrayLike, dtype: Any = None) -> Value:
        """Add an array of numbers, booleans or text, or a scalar ``()``."""
        # Equal constants are stored once: a table of a thousand columns needs the same few a thousand times.
        from onnx import TensorProto, numpy_helper

        array = np.asarray(values) if dtype is None else np.asarray(values, dtype)
        text = array.dtype.kind in "OU"
        words = [str(each).encode() for each in array.ravel()] if text else []
        key = (array.dtype.str, array.shape, b"\0".join(words) if text else array.tobytes())
        if key in self._constants:
            return self._constants[key]
        name = self._name("constant")
        if text:
            self._container.add_initializer(name, TensorProto.STRING, list(array.shape), words)
        else:
            tensor = numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape))
            self._container.add_initializer(name, tensor.data_type, list(array.shape), tensor)
        self._constants[key] = name
        return name

    def cast(self, x: Value, dtype: Any) -> Value:
        """Convert numbers to another type."""
        from onnx import helper

        return self("Cast", x, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def lookup(self, x: Value, indices: dict[str, int], default: int) -> Value:
        """Map each text to its integer, and an unknown one to the default."""
        keys = {"keys_strings": list(indices), "values_int64s": list(indices.values())}
        return self("LabelEncoder", x, domain="ai.onnx.ml", **keys, default_int64=default)

    def output(self, x: Value, variable: Any) -> None:
        """Make a tensor an output, under the name that skl2onnx declared."""
        self._add("Identity", [x], [variable.full_name], "", {})

    def split(self, x: Value, variables: Sequence[Any]) -> None:
        """Make each column of a matrix an output."""
        if len(variables) == 1:
            self.output(x, variables[0])
        else:
            self._add("Split", [x], [variable.full_name for variable in variables], "", {"axis": 1})

    def _name(self, seed: str) -> Value:
        # Numbered here: skl2onnx tries 1, 2, 3, ... again for each name, which is quadratic in the graph.
        self._count += 1
        name: str = self._scope.get_unique_variable_name(f"{seed.lower()}_{self._count}")
        return name

    def _add(
        self,
        operator: str,
        inputs: Sequence[Value],
        outputs: Sequence[Value],
        domain: str,
        attributes: dict[str, Any],
    ) -> None:
        self._container.add_node(
            operator,
            list(inputs),
            list(outputs),
            op_domain=domain,
            op_version=OPSET[domain] if domain else None,
            name=self._scope.get_unique_operator_name(f"{operator}_{outputs[0]}"),
            **attributes,
        )
