"""Numbers and files for a web page, as the microscope, the reports and the playground need them."""

import base64
import json
from importlib.resources import files
from typing import Any

import numpy as np


def encode_matrix(values: Any) -> dict[str, Any]:
    """Return a matrix as ``{"shape": [rows, columns], "data": float32 by rows, in base64}``."""
    # Beyond float32 a number becomes infinite, and the page shows it so.
    with np.errstate(over="ignore"):
        numbers = np.asarray(values).astype("<f4")
    return {"shape": list(numbers.shape), "data": encode_base64(numbers)}


def encode_base64(numbers: Any) -> str:
    """Return the bytes of an array in base64."""
    return base64.b64encode(numbers.tobytes()).decode("ascii")


def read_asset(package: str, name: str) -> str:
    """Return a built file of a package's web page."""
    return files(f"batchprop.{package}").joinpath("static", name).read_text(encoding="utf-8")


def json_script(value: Any) -> str:
    """Return JSON that is safe inside a script element."""
    # A text in it may contain "</script>", which would end the element.
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
