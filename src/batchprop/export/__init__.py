"""Out to others: a model as an ONNX graph, and weights alone as safetensors, there and back."""

from batchprop.export.onnx import onnx
from batchprop.export.weights import read_weights, weights

__all__ = ["onnx", "read_weights", "weights"]
