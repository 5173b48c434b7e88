"""The activations: values, derivatives, and extreme inputs."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import special

from batchprop.activations import ACTIVATIONS, Activation, get_activation
from batchprop.errors import ParameterError
from tests.core import jax_oracle, oracle

RECORDS = list({record.name: record for record in ACTIVATIONS.values()}.values())
every_activation = pytest.mark.parametrize("activation", RECORDS, ids=lambda record: record.name)
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])

# No point lies on a kink; at the largest, exp² is already large.
POINTS = np.linspace(-9.05, 9.05, 182).reshape(2, 91)
FAR = np.array([[-1e4, -1e3, -745.2, -104.0, -88.8, -1e-30, 0.0, 1e-30, 88.8, 104.0, 709.8, 1e3, 1e4]])


@every_activation
def test_values_and_derivatives_match_the_textbook(activation: Activation) -> None:
    function, slope = oracle.SIGMA[activation.name]
    assert_allclose(activation.function(POINTS), function(POINTS), rtol=1e-10, atol=1e-12)
    assert_allclose(activation.derivative(POINTS), slope(POINTS), rtol=1e-8, atol=1e-12)


@pytest.mark.untraced
@pytest.mark.usefixtures("jnp64")
def test_values_and_derivatives_match_jax() -> None:
    Z = np.concatenate([POINTS.ravel(), 7 * POINTS.ravel()])

    @jax.jit  # one program of all, instead of one for each operation of each
    def references(Z: Any) -> Any:
        functions = {record.name: jax_oracle.SIGMA[record.name] for record in RECORDS}
        return {name: (one(Z), jax.vmap(jax.grad(one))(Z)) for name, one in functions.items()}

    for name, (value, slope) in references(Z).items():
        assert_allclose(ACTIVATIONS[name].function(Z), value, rtol=1e-12, atol=1e-14, err_msg=name)
        assert_allclose(ACTIVATIONS[name].derivative(Z), slope, rtol=1e-10, atol=1e-12, err_msg=name)


@pytest.mark.parametrize(("name", "slope"), [("relu", 0.0), ("leaky_relu", 0.01)])
def test_derivative_at_the_kink_is_the_left_derivative(name: str, slope: float) -> None:
    # A unit whose inputs are all zero, as of an empty image, gets no update.
    assert_allclose(ACTIVATIONS[name].derivative(np.zeros((1, 1))), slope, rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("sigmoid", special.expit),
        ("softplus", lambda z: np.logaddexp(0, z)),
        ("silu", lambda z: z * special.expit(z)),
        ("gelu", lambda z: z * special.expit(np.sqrt(8 / np.pi) * (z + 0.044715 * z**3))),
    ],
)
def test_values_match_scipy(name: str, reference: Any) -> None:
    assert_allclose(ACTIVATIONS[name].function(POINTS), reference(POINTS), rtol=1e-12, atol=1e-14)


def test_gelu_is_near_the_form_with_erf() -> None:
    Z = np.linspace(-8, 8, 10_001)
    assert np.max(np.abs(ACTIVATIONS["gelu"].function(Z) - Z * special.ndtr(Z))) < 5e-4


@every_activation
def test_derivative_matches_finite_differences(activation: Activation) -> None:
    far = 1e-6
    ahead, behind = (activation.function(POINTS + sign * far) for sign in (1, -1))
    assert_allclose(activation.derivative(POINTS), (ahead - behind) / (2 * far), rtol=1e-6, atol=1e-8)


@every_activation
@both_dtypes
def test_extreme_inputs_stay_finite_without_warnings(activation: Activation, dtype: str) -> None:
    Z = FAR.astype(dtype)
    with np.errstate(all="raise", under="ignore"):
        H, slope = activation.function(Z), activation.derivative(Z)
    assert np.isfinite(H).all()
    assert np.isfinite(slope).all()
    assert np.all(np.abs(H) <= 1.1 * np.abs(Z) + 2)
    assert np.all(np.abs(slope) <= 1.8)


@every_activation
@both_dtypes
def test_dtype_and_shape_are_preserved(activation: Activation, dtype: str) -> None:
    Z = POINTS.astype(dtype)
    for array in (activation.function(Z), activation.derivative(Z)):
        assert array.dtype == Z.dtype
        assert array.shape == Z.shape


@every_activation
def test_float32_is_near_float64(activation: Activation) -> None:
    Z = POINTS.astype("float32")
    wide = Z.astype("float64")
    assert_allclose(activation.function(Z), activation.function(wide), rtol=1e-5, atol=1e-5)
    assert_allclose(activation.derivative(Z), activation.derivative(wide), rtol=1e-5, atol=1e-5)


@every_activation
def test_input_is_not_modified(activation: Activation) -> None:
    Z = POINTS.copy()
    activation.function(Z)
    activation.derivative(Z)
    assert np.array_equal(Z, POINTS)


def test_every_record_has_its_registered_name() -> None:
    assert ACTIVATIONS["logistic"] is ACTIVATIONS["sigmoid"]
    assert {name for name, record in ACTIVATIONS.items() if record.name != name} == {"logistic"}


def test_get_activation_accepts_a_name_or_a_record() -> None:
    own = Activation("square", lambda Z: Z * Z, lambda Z: 2 * Z)
    assert get_activation(own) is own
    assert get_activation("relu") is ACTIVATIONS["relu"]


@pytest.mark.parametrize("name", ["rely", "", None, 3, ["relu"]])
def test_an_unknown_activation_is_refused(name: Any) -> None:
    with pytest.raises(ParameterError, match=r"activation=.* is unknown: choose one of identity, "):
        get_activation(name)


def test_misspelled_activation_suggests_the_nearest_name() -> None:
    with pytest.raises(ParameterError, match="did you mean 'softplus'"):
        get_activation("softplsu")
