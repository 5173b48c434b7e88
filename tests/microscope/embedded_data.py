"""A page's data, read without a browser."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import numpy as np


def page_data(html: str) -> Any:
    """The data of a page."""
    match = re.search(r'<script type="application/json" id="batch-data">(.*?)</script>', html, re.DOTALL)
    assert match is not None
    return json.loads(match[1])


def numbers(matrix: dict[str, Any]) -> np.ndarray:
    """A matrix of the data."""
    flat = np.frombuffer(base64.b64decode(matrix["data"]), dtype="<f4")
    return flat.reshape(matrix["shape"])
