"""The playground's settings, toy data sets and decision surface."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from batchprop.backprop import predict
from batchprop.errors import DataError, ParameterError
from batchprop.network import Network
from batchprop.playground.data import PlaygroundData, check_size
from batchprop.playground.settings import (
    LEARNING_RATE_RANGE,
    MAX_HIDDEN_LAYERS,
    MAX_UNITS,
    ROWS_RANGE,
    Settings,
)
from batchprop.playground.surface import GRID_SIZE, MAX_POINTS, decision_surface, make_plane
from batchprop.playground.toy_datasets import TOY_DATASETS, make_toy

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = list(Settings.__dataclass_fields__)


def table(n: int, features: int) -> PlaygroundData:
    X: Any = np.random.default_rng(0).normal(size=(n, features))
    names = tuple(f"f{k}" for k in range(features))
    return PlaygroundData(
        "a table", "classes", X, np.arange(n, dtype=float) % 2, names, ("a", "b"), tuple(map(str, range(n)))
    )


@given(st.dictionaries(st.sampled_from(NAMES) | st.text(), ANY, max_size=4))
def test_any_json_is_within_limits_or_rejected(changes: dict[str, Any]) -> None:
    try:
        settings = Settings().replace(changes)
    except ParameterError:
        return
    assert ROWS_RANGE[0] <= settings.rows <= ROWS_RANGE[1]
    assert LEARNING_RATE_RANGE[0] <= settings.learning_rate <= LEARNING_RATE_RANGE[1]
    assert len(settings.hidden) <= MAX_HIDDEN_LAYERS
    assert all(1 <= width <= MAX_UNITS for width in settings.hidden)
    assert settings.batch_size == "full" or settings.batch_size >= 1
    assert 0 <= settings.noise <= 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": 10**9}, "rows=1000000000 is not allowed: give a whole number from 20 to 5,000"),
        ({"rows": True}, "rows=True is not allowed"),
        ({"rows": 30.0}, "rows=30.0 is not allowed"),
        ({"learning_rate": 10**400}, "learning_rate=1000"),
        (
            {"learning_rate": float("nan")},
            "learning_rate=nan is not allowed: give a number from 0.000001 to 100",
        ),
        ({"learning_rate": "0.1"}, "learning_rate='0.1' is not allowed"),
        ({"hidden": [8] * 7}, "give up to 6 widths, each from 1 to 64"),
        ({"hidden": [0]}, "hidden=[0] is not allowed"),
        ({"hidden": "8"}, "hidden='8' is not allowed"),
        ({"batch_size": 0}, "batch_size=0 is not allowed: give a whole number from 1, or 'full'"),
        ({"batch_size": True}, "batch_size=True is not allowed"),
        ({"axes": [0]}, "axes=[0] is not allowed: give the numbers of two features"),
        ({"axes": [0, -1]}, "axes=[0, -1] is not allowed"),
        ({"axes": [0, True]}, "axes=[0, True] is not allowed"),
        ({"target": 3}, "target=3 is not allowed: give the name of a column"),
        ({"data": "moon"}, "data='moon' is unknown: choose one of moons"),
        ({"speed": None}, "speed='None' is unknown"),
        ({"colour": "red"}, "the setting='colour' is unknown"),
    ],
)
def test_error_names_the_value_and_what_is_allowed(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError) as refused:
        Settings().replace(changes)
    assert message in str(refused.value)


def test_settings_round_trip_through_json() -> None:
    settings = Settings().replace({"hidden": [3], "batch_size": "full", "axes": [1, None], "noise": 0})
    again = Settings().replace(json.loads(json.dumps(settings.__dict__)))
    assert again == settings


@pytest.mark.parametrize("name", TOY_DATASETS)
def test_toy_datasets_are_standardised_and_reproducible(name: str) -> None:
    toy, again, other = make_toy(name, 100, 0.3, 1), make_toy(name, 100, 0.3, 1), make_toy(name, 100, 0.3, 2)
    assert toy.X.shape == (100, 2)
    assert_allclose(toy.X.mean(axis=0), 0, atol=1e-12)
    assert_allclose(toy.X.std(axis=0), 1)
    assert (toy.X == again.X).all()
    assert (toy.X != other.X).any()
    if toy.task == "classes":
        assert set(toy.values) == set(range(len(toy.outputs)))
        assert (toy.dataset.Y.argmax(axis=1) == toy.values).all()
    else:
        assert_allclose(toy.dataset.Y[:, 0], toy.values, rtol=1e-6)


@pytest.mark.parametrize("name", ["moons", "circles", "spirals", "quarters"])
def test_toy_datasets_without_noise_are_separable_but_not_linearly(name: str) -> None:
    """A nearest neighbour classifies them without errors; a linear model does not."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    toy, fresh = make_toy(name, 1000, 0.0, 0), make_toy(name, 300, 0.0, 1)
    near = KNeighborsClassifier(1).fit(toy.X, toy.values)
    assert near.score(fresh.X, fresh.values) > 0.95
    assert LogisticRegression().fit(toy.X, toy.values).score(toy.X, toy.values) < 0.9


@pytest.mark.parametrize(
    ("rows", "features", "classes", "message"),
    [
        (4, 1, 2, "has too few rows (4): the playground needs at least 5"),
        (20_001, 1, 2, "has 20,001 rows: the playground takes up to 20,000; `batchprop train`"),
        (9, 501, 2, "has 501 features"),
        (99, 2, 11, "has 11 classes"),
    ],
)
def test_size_limits_raise(rows: int, features: int, classes: int, message: str) -> None:
    with pytest.raises(DataError, match=r"t\.csv") as refused:
        check_size("t.csv", rows, features, classes)
    assert message in str(refused.value)


def test_surface_equals_the_networks_predictions() -> None:
    examples = table(50, 4)
    net = Network.create([4, 6, 2], random_state=0)
    plane = make_plane(examples, (3, 1))
    P = decision_surface(net, plane)
    assert P.shape == (2, GRID_SIZE * GRID_SIZE)
    row, column = 5, 60  # from the lowest y, from the least x
    point = examples.X.mean(axis=0)
    point[3] = np.linspace(*plane.x_range, GRID_SIZE)[column]
    point[1] = np.linspace(*plane.y_range, GRID_SIZE)[row]
    expected = predict(net, point[:, None].astype(np.float32))
    assert_allclose(P[:, row * GRID_SIZE + column], expected[:, 0], rtol=1e-5)


def test_points_lie_inside_the_plane_and_their_number_is_limited() -> None:
    plane = make_plane(table(MAX_POINTS + 5, 2), (1, 0))
    assert plane.points.shape == (2, MAX_POINTS)
    for ends, values in zip((plane.x_range, plane.y_range), plane.points, strict=True):
        assert ends[0] < values.min() < values.max() < ends[1]


def test_single_feature_has_a_plane() -> None:
    examples = table(30, 1)
    plane = make_plane(examples, (0, None))
    assert (np.diff(plane.points[1]) > 0).all()
    P = decision_surface(Network.create([1, 2], random_state=0), plane).reshape(2, GRID_SIZE, GRID_SIZE)
    assert np.array_equal(P, np.repeat(P[:, :1], GRID_SIZE, axis=1))
    assert np.ptp(P[0, 0]) > 0


@pytest.mark.parametrize("axes", [(0, 2), (1, 1), (5, 0), (0, None)])
def test_invalid_axes_raise(axes: tuple[int, int | None]) -> None:
    with pytest.raises(ParameterError, match="axes="):
        make_plane(table(9, 2), axes)
