"""Encoding of numbers and texts for web pages."""

import numpy as np

from batchprop.webdata import encode_base64, encode_matrix, json_script


def test_matrix_becomes_its_shape_and_base64() -> None:
    assert encode_matrix(np.array([[1.0, 2.0]])) == {"shape": [1, 2], "data": "AACAPwAAAEA="}


def test_number_beyond_float32_becomes_infinite_without_a_warning() -> None:
    assert encode_matrix(np.array([[1e300]])) == encode_matrix(np.array([[np.inf]]))


def test_bytes_become_base64() -> None:
    assert encode_base64(np.array([0, 255], dtype=np.uint8)) == "AP8="


def test_json_cannot_end_its_script_element() -> None:
    text = json_script({"label": "</script>"})
    assert "<" not in text
    assert "/script>" in text
