"""Numbers on their way into a page: what the microscope and the playground share."""

import base64
import json
from importlib.resources import files
from typing import Any

import numpy as np


def encode_matrix(values: Any) -> dict[str, Any]:
    """Return a matrix as its shape and its numbers, float32 by rows, in base64.

    Example:
        >>> encode_matrix(np.array([[1.0, 2.0]]))
        {'shape': [1, 2], 'data': 'AACAPwAAAEA='}
    """
    with np.errstate(over="ignore"):
        numbers = np.asarray(values).astype("<f4")
    return {"shape": list(numbers.shape), "data": encode_base64(numbers)}


def encode_base64(numbers: Any) -> str:
    """Return the bytes of an array in base64.

    Example:
        >>> encode_base64(np.array([0, 255], dtype=np.uint8))
        'AP8='
    """
    return base64.b64encode(numbers.tobytes()).decode("ascii")


def read_asset(package: str, name: str) -> str:
    """Return a file of the front end, as it was built."""
    return files(f"batchprop.{package}").joinpath("static", name).read_text(encoding="utf-8")


def json_script(value: Any) -> str:
    """Return JSON that may stand inside a script element, whatever text it holds.

    Example:
        >>> json_script({"label": "</script>"}).count("<")
        0
    """
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
