"""The errors: few, of one family, and catchable as what Python would raise."""

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
def test_every_error_belongs_to_its_families(kind: type, families: list[type]) -> None:
    assert all(issubclass(kind, family) for family in [errors.BatchpropError, *families])


def test_a_far_name_is_not_guessed_at() -> None:
    message = str(errors.unknown_option_error("solver", "qqq", ["adam", "sgd"]))
    assert message == "solver='qqq' is unknown: choose one of adam, sgd"
