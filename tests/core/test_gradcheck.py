"""The public gradient check: correct gradients pass, wrong ones are detected."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from batchprop import check_gradient
from batchprop.activations import ACTIVATIONS, Activation
from batchprop.errors import GradientCheckError, ParameterError
from batchprop.heads import HEADS, Head
from batchprop.network import Network
from tests.core.problems import ACTIVATION_NAMES, problems_of_every_head


@pytest.mark.untraced
@pytest.mark.parametrize("activation", ACTIVATION_NAMES)
def test_every_record_passes(activation: str) -> None:
    for case in problems_of_every_head(activation):
        assert check_gradient(case.net, case.B, case.Y, case.weights, step=1e-6) < 1e-6


def run_check(activation: Activation | str = "tanh", head: Head | str = "softmax", **settings: Any) -> float:
    net = Network.create([3, 4, 2], activation=activation, head=head, random_state=0)
    B = np.random.default_rng(0).normal(size=(3, 6))
    return check_gradient(net, B, np.eye(2)[:, [0, 1, 1, 0, 0, 1]], **settings)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_wrong_activation_derivative_is_detected(name: str) -> None:
    right = ACTIVATIONS[name]
    wrong = right._replace(derivative=lambda Z: 1.001 * right.derivative(Z))
    with pytest.raises(GradientCheckError, match=r"differs from finite differences by .*check σ'"):
        run_check(activation=wrong)


@pytest.mark.parametrize("name", HEADS)
def test_wrong_head_derivative_is_detected(name: str) -> None:
    right = HEADS[name]
    wrong = replace(right, dZ=lambda P, Y: 1.001 * right.dZ(P, Y))
    with pytest.raises(GradientCheckError, match="dZ of the head"):
        run_check(head=wrong)


def test_gradient_divided_by_m_twice_is_detected() -> None:
    right = HEADS["softmax"]
    with pytest.raises(GradientCheckError):
        run_check(head=replace(right, dZ=lambda P, Y: (P - Y) / P.shape[1]))


def test_nan_is_detected() -> None:
    with pytest.raises(GradientCheckError, match="differences by NaN"):
        run_check(head=replace(HEADS["softmax"], dZ=lambda P, _: np.nan * P))


def test_custom_activation_passes() -> None:
    cube = Activation("cube", lambda Z: Z**3, lambda Z: 3 * Z**2)
    assert run_check(activation=cube) < 1e-6


def test_tolerance_and_number_of_directions_can_be_set() -> None:
    with pytest.raises(GradientCheckError, match="more than the 1·10⁻¹⁸ allowed"):
        run_check(tolerance=1e-18)
    assert run_check(directions=1, random_state=np.random.RandomState(3)) < 1e-6
    with pytest.raises(ParameterError, match=r"directions=0 .*at least 1"):
        run_check(directions=0)
