"""The privacy settings: validated, immutable, and usable as an estimator parameter."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.base import BaseEstimator, clone

from batchprop.errors import ParameterError
from batchprop.privacy import Privacy

SOME = [
    Privacy(epsilon=3, delta=1e-5),
    Privacy(1.5, 1e-6, 0.3),
    Privacy(delta=1e-5, noise_multiplier=0),
    Privacy(
        delta=1e-12,
        noise_multiplier=1.1,
        max_norm=2,
        clipping="per_layer",
        accountant="rdp",
        sampling="shuffled",
    ),
    Privacy(epsilon=8, delta=1e-5, clipping="automatic"),
]


class Holder(BaseEstimator):
    """An estimator with the settings as a parameter."""

    def __init__(self, privacy: Privacy | None = None) -> None:
        self.privacy = privacy


@pytest.mark.parametrize("asked", SOME, ids=str)
def test_repr_evaluates_to_an_equal_record(asked: Privacy) -> None:
    assert eval(repr(asked), {"Privacy": Privacy}) == asked  # noqa: S307 our own repr


@pytest.mark.parametrize("asked", SOME, ids=str)
def test_copies_are_equal(asked: Privacy) -> None:
    assert copy.deepcopy(asked) == pickle.loads(pickle.dumps(asked)) == asked
    assert hash(copy.deepcopy(asked)) == hash(asked)
    assert len({repr(one) for one in SOME}) == len(set(SOME)) == len(SOME)


@pytest.mark.parametrize("asked", SOME, ids=str)
def test_record_works_as_an_estimator_parameter(asked: Privacy) -> None:
    holder = Holder(privacy=asked)
    assert clone(holder).get_params() == {"privacy": asked}
    assert holder.set_params(privacy=SOME[0]).privacy == SOME[0]
    assert repr(asked)[:20] in repr(Holder(privacy=asked))


@pytest.mark.parametrize("asked", SOME, ids=str)
def test_skops_round_trip(asked: Privacy) -> None:
    stored = skops.io.dumps(asked)
    assert skops.io.get_untrusted_types(data=stored) == ["batchprop.privacy.settings.Privacy"]
    assert skops.io.loads(stored, trusted=["batchprop.privacy.settings.Privacy"]) == asked


def test_record_is_immutable() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(SOME[0], "epsilon", 10.0)  # noqa: B010 mypy refuses the plain assignment


def test_numpy_numbers_become_python_numbers() -> None:
    numbers: Any = np.float32(2), np.float64(1e-5), np.int64(3)
    asked = Privacy(*numbers)
    assert repr(asked) == repr(Privacy(2.0, 1e-5, 3.0))
    assert {type(asked.epsilon), type(asked.delta), type(asked.max_norm)} == {float}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "epsilon=None and noise_multiplier=None: give exactly one"),
        ({"epsilon": 1, "noise_multiplier": 1}, "epsilon=1 and noise_multiplier=1: give exactly one"),
        ({"epsilon": 0}, "epsilon=0 must be a finite number > 0"),
        ({"epsilon": -1.0}, "epsilon=-1.0"),
        ({"epsilon": math.inf}, "epsilon=inf"),
        ({"epsilon": math.nan}, "epsilon=nan"),
        ({"epsilon": "3"}, "epsilon='3'"),
        ({"epsilon": True}, "epsilon=True"),
        ({"noise_multiplier": -0.1}, "noise_multiplier=-0.1 must be a finite number >= 0; 0 adds no noise"),
        ({"noise_multiplier": math.inf}, "noise_multiplier=inf"),
        ({"epsilon": 1, "delta": None}, r"delta=None must be a number in \(0, 1\), well below 1 / rows"),
        ({"epsilon": 1, "delta": 0}, "delta=0 "),
        ({"epsilon": 1, "delta": 1}, "delta=1 "),
        ({"epsilon": 1, "delta": 1e-11}, "delta=1e-11 is below 1e-10.*accountant='rdp'"),
        (
            {"epsilon": 1, "max_norm": 0},
            "max_norm=0 must be a finite number > 0; a large number clips nothing",
        ),
        ({"epsilon": 1, "max_norm": math.inf}, "max_norm=inf"),
        ({"epsilon": 1, "clipping": "Flat"}, "clipping='Flat' is unknown: .*; did you mean 'flat'"),
        ({"epsilon": 1, "accountant": "prv"}, "accountant='prv' is unknown: choose one of pld, rdp"),
        ({"epsilon": 1, "sampling": ["poisson"]}, "sampling=.* is unknown: choose one of poisson, shuffled"),
    ],
    ids=str,
)
def test_invalid_settings_are_refused_on_construction(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        Privacy(**({"delta": 1e-5} | arguments))


@pytest.mark.parametrize(("delta", "rows"), [(0.01, 100), (0.5, 100), (1e-5, 100_000), (1 / 3, 3), (0.9, 2)])
def test_delta_of_a_row_or_more_warns_when_a_fit_starts_or_goes_on(delta: float, rows: int) -> None:
    asked = Privacy(delta=delta, noise_multiplier=0)
    with pytest.warns(
        UserWarning, match=rf"delta=.* is not below 1 / {rows} rows: .*; give a smaller delta, as"
    ):
        engine = asked.start(rows, 1, 5, None, seeded=False)
    with pytest.warns(UserWarning, match="is not below 1 /"):
        asked.resume(rows, 1, 5, engine.compute_spent(5), seeded=False)
    Privacy(delta=0.9 / rows, noise_multiplier=0).start(rows, 1, 5, None, seeded=False)


@pytest.mark.parametrize(("rows", "noise", "steps"), [(1000, 1e6, 10), (1000, 1e300, 1000), (10**8, 50.0, 3)])
def test_noise_that_leaves_an_epsilon_of_zero_warns(rows: int, noise: float, steps: int) -> None:
    asked = Privacy(delta=1e-9 if rows > 1000 else 1e-5, noise_multiplier=noise)
    with pytest.warns(
        UserWarning, match=rf"epsilon is 0 after {steps} steps .* give a smaller noise_multiplier"
    ):
        engine = asked.start(rows, 1, steps, None, seeded=False)
    assert engine.compute_spent(steps).epsilon == 0
    asked.start(rows, 1, 0, None, seeded=False)  # no step, no noise
    Privacy(delta=1e-5, noise_multiplier=1.0).start(1000, 100, steps, None, seeded=False)
