"""The errors: few, with one base class, and compatible with Python's own."""

from __future__ import annotations

import pytest

from batchprop import errors


@pytest.mark.parametrize(
    ("kind", "families"),
    [
        (errors.InputError, [ValueError]),
        (errors.ParameterError, [errors.InputError, ValueError]),
        (errors.DataError, [errors.InputError, ValueError]),
        (errors.ModelError, []),
        (errors.DivergedError, [ArithmeticError]),
        (errors.GradientCheckError, [AssertionError]),
    ],
)
def test_every_error_has_its_base_classes(kind: type, families: list[type]) -> None:
    assert all(issubclass(kind, family) for family in [errors.BatchpropError, *families])


def test_dissimilar_name_gets_no_suggestion() -> None:
    message = str(errors.unknown_option_error("solver", "qqq", ["adam", "sgd"]))
    assert message == "solver='qqq' is unknown: choose one of adam, sgd"


def test_near_name_is_suggested() -> None:
    message = str(errors.unknown_option_error("activation", "rely", ["relu", "tanh"]))
    assert message == "activation='rely' is unknown: choose one of relu, tanh; did you mean 'relu'?"
    assert errors.did_you_mean("speceis", ["species", "petal"]) == "; did you mean 'species'?"
    assert errors.did_you_mean("zzz", ["species", "petal"]) == ""


def test_missing_module_of_our_own_is_no_missing_extra() -> None:
    with pytest.raises(ModuleNotFoundError, match="ours"), errors.require_extra("onnx", "ONNX"):
        raise ModuleNotFoundError("ours", name="batchprop.nowhere")


def test_long_list_of_names_is_truncated() -> None:
    assert errors.join_truncated(["a", "b", "c", "d"], shown=2) == "a, b and 2 more"
    assert errors.join_truncated(["a", "b"], shown=2) == "a, b"


def test_value_is_written_as_text() -> None:
    assert errors.format_value(0.5) == "0.5"


@pytest.mark.parametrize("value", [2.5, 0, "3"])
def test_count_is_a_positive_integer(value: object) -> None:
    with pytest.raises(errors.ParameterError, match=r"^top=.* is not allowed: give at least 1 image, as 50$"):
        errors.check_positive_int("top", value, "at least 1 image, as 50")
