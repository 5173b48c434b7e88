"""Out to others: a model as an ONNX graph, and weights alone as safetensors, there and back."""

from batchprop.export.onnx import to_onnx
from batchprop.export.weights import read_weights, save_weights

__all__ = ["read_weights", "save_weights", "to_onnx"]
