"""What a page holds, read back without a browser."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import numpy as np


def document_of(html: str) -> Any:
    """The document inside a page."""
    found = re.search(r'<script type="application/json" id="document">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def numbers(matrix: dict[str, Any]) -> np.ndarray:
    """A matrix of the document."""
    flat = np.frombuffer(base64.b64decode(matrix["data"]), dtype="<f4")
    return flat.reshape(matrix["shape"])
