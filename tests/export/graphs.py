"""Single-step graphs, for tests of one converter."""

import numpy as np
import onnxruntime
from skl2onnx import convert_sklearn

from batchprop.export.onnx_converters import tensor_type
from batchprop.export.onnx_graph import OPSET, Graph


def written(write, step, inputs, dtype, width):
    """Run a single-step graph; returns a matrix (n, width)."""

    def parse(scope, model, variables, **_):
        operator = scope.declare_local_operator("Step", model)
        operator.inputs = variables
        operator.outputs.append(scope.declare_local_variable("answer", tensor_type(dtype, width)))
        return operator.outputs

    proto = convert_sklearn(
        step,
        initial_types=[(name, tensor_type(x.dtype, x.shape[1])) for name, x in inputs.items()],
        target_opset=dict(OPSET),
        custom_parsers={type(step): parse},
        custom_shape_calculators={type(step): bool},
        custom_conversion_functions={
            type(step): lambda scope, operator, container: write(Graph(scope, container), operator)
        },
    )
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    return np.asarray(session.run(None, inputs)[0])
