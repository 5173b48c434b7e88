"""Export: a model as an ONNX graph, and weights alone as safetensors, which can be loaded again."""

from batchprop.export.onnx import to_onnx
from batchprop.export.weights import load_ensemble, load_weights, save_weights

__all__ = ["load_ensemble", "load_weights", "save_weights", "to_onnx"]
