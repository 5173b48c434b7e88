"""What a resumed fit compares: a changed function is refused by name; an equal one resumes in any process."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import threading
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.metrics import fbeta_score, make_scorer

import batchprop as bp
from batchprop import schedules
from batchprop.activations import ACTIVATIONS, Activation
from batchprop.errors import CheckpointError, ParameterError
from batchprop.estimators.descriptions import describe
from batchprop.estimators.fingerprint import _describe_schedule, first_difference
from tests.estimators import functions
from tests.estimators.tables import estimator, quiet, table

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = quiet

ROOT = Path(__file__).resolve().parents[2]
X, Y = table("multiclass", 90)
STOPPING = {"early_stopping": True, "n_iter_no_change": 100}


def model(**parameters: Any) -> Any:
    return estimator("multiclass", **{"max_iter": 3, "batch_size": 32, **parameters})


def resume(folder: Path, first: dict[str, Any], then: dict[str, Any], **init: Any) -> Any:
    """Fit with some parameters, and resume with others."""
    model(**first).fit(X, Y, checkpoint=folder)
    return model(**{"max_iter": 5, **then}).fit(X, Y, checkpoint=folder, resume=True, **init)


def refused(message: str) -> Any:
    return pytest.raises(CheckpointError, match=f"the checkpoint is of another fit: {message}")


# ---- functions of every kind


@pytest.mark.parametrize("kind", functions.PAIRS)
def test_functions_that_differ_are_told_apart(kind: str) -> None:
    one, other = functions.PAIRS[kind]
    assert describe("scoring", one()) == describe("scoring", one())
    assert describe("scoring", one()) != describe("scoring", other())


def test_functions_are_the_same_in_every_process() -> None:
    """Neither addresses nor the seed of the hashes enter, nor what Python has compiled before."""
    environment = {**os.environ, "PYTHONHASHSEED": "77", "PYTHONDONTWRITEBYTECODE": "1"}
    result = subprocess.run(
        [sys.executable, "-m", "tests.estimators.functions"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    # This process has another seed, and compiled its modules long ago.
    assert result.stdout == json.dumps(dict(functions.descriptions()))
    described = json.loads(result.stdout)
    assert set(described) == {*functions.PAIRS, *functions.ALONE}
    assert all(one != other for one, other in (described[kind] for kind in functions.PAIRS))


@pytest.mark.parametrize("values", [[], [-0.0, float("nan"), 2**70], ["", "β", None, True]])
def test_closures_over_the_same_values_are_equal_and_others_are_not(values: list[Any]) -> None:
    first = describe("scoring", functions.weighing(list(values)))
    assert first == describe("scoring", functions.weighing(list(values)))
    assert first != describe("scoring", functions.weighing([*values, 1]))


def test_globals_and_helpers_of_a_function_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    before = describe("scoring", functions.plain)
    monkeypatch.setattr(functions, "POWER", 2.0)
    assert first_difference(before, describe("scoring", functions.plain)) == (
        "globals.helper.globals.POWER", "1.0", "2.0",
    )  # fmt: skip
    monkeypatch.undo()
    monkeypatch.setattr(functions, "helper", lambda value: value)
    assert describe("scoring", functions.plain) != before


def test_docstrings_file_names_and_line_numbers_are_not_compared() -> None:
    def compiled(source: str, name: str) -> Any:
        scope: dict[str, Any] = {"__name__": "mine"}
        exec(compile(source, name, "exec"), scope)  # noqa: S102 our own source
        return scope["score"]

    one = compiled("def score(f, X, y):\n    'Old words.'\n    return 1\n", "a.py")
    other = compiled("\n\n\ndef score(f, X, y):\n    'New words.'\n\n    return 1  # as before\n", "b.py")
    assert describe("scoring", one) == describe("scoring", other)


class WithLock:
    """A scorer whose state nobody can read."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __call__(self, *_: Any) -> float:
        return 1.0


def holding(value: Any) -> Callable[..., float]:
    return lambda *_: 1.0 if value else 0.0


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (WithLock, r"scoring\.state\.lock, of the type _thread\.lock"),
        (lambda: holding(threading.Lock()), r"scoring\.closure\.value, of the type _thread\.lock"),
        (lambda: partial(holding(1), lock=threading.Lock()), r"scoring\.keywords\.lock"),
        (lambda: holding(one for one in (1, 2)), r"scoring\.closure\.value, of the type builtins\.generator"),
        (lambda: holding(ctypes.CFUNCTYPE(None)(lambda: None)), r"scoring\.closure\.value"),
        (lambda: make_scorer(holding(threading.Lock())), r"scoring\..*closure\.value"),
    ],
)
def test_what_cannot_be_compared_is_refused_by_name_before_training(
    make: Callable[[], Any], part: str, tmp_path: Path
) -> None:
    with pytest.raises(
        ParameterError, match=f"checkpoint does not go with this scoring: its part {part}.*give a"
    ):
        model(scoring=make(), **STOPPING).fit(X, Y, checkpoint=tmp_path / "none")
    assert not list(tmp_path.glob("none/*.safetensors"))
    if make is WithLock:
        model(scoring=make(), **STOPPING).fit(X, Y)  # without checkpoints there is nothing to compare


def holding_itself(value: float) -> list[Any]:
    values: list[Any] = [value]
    values.append({"around": values})
    return values


def test_a_list_that_holds_itself_is_compared() -> None:
    one, again, other = (describe("scoring", functions.weighing(holding_itself(v))) for v in (1.0, 1.0, 2.0))
    assert one == again != other


def test_a_function_that_wraps_another_is_compared_by_its_own_globals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @wraps(fbeta_score)
    def wrapping(*args: Any) -> float:
        return functions.helper(fbeta_score(*args))

    before = describe("scoring", wrapping)
    monkeypatch.setattr(functions, "POWER", 2.0)
    assert describe("scoring", wrapping) != before


def test_too_many_parts_are_refused() -> None:
    with pytest.raises(
        ParameterError, match=r"scoring\.closure\.factor\.\d+, .* has more than 100,000 parts"
    ):
        describe("scoring", functions.weighing(list(range(200_000))))


# ---- resumed fits


@pytest.mark.parametrize(
    "kind", ["keyword of make_scorer", "constant", "closure", "argument of a partial", "slot"]
)
def test_resume_with_another_scorer_is_refused_and_with_an_equal_one_accepted(
    kind: str, tmp_path: Path
) -> None:
    one, other = functions.PAIRS[kind]
    first = {"scoring": one(), **STOPPING}
    with refused(r"scoring\.\S+ was .*, and now is .*; set it as it was, or start over"):
        resume(tmp_path, first, {"scoring": other(), **STOPPING})
    resumed = model(scoring=one(), max_iter=5, **STOPPING).fit(X, Y, checkpoint=tmp_path, resume=True)
    whole = model(scoring=one(), max_iter=5, **STOPPING).fit(X, Y)
    assert resumed.validation_scores_ == whole.validation_scores_


def test_the_part_that_differs_is_named(tmp_path: Path) -> None:
    first, then = (make_scorer(fbeta_score, beta=beta, average="macro") for beta in (0.5, 2.0))
    with refused(r"scoring\.state\._kwargs\.beta was 0\.5, and now is 2\.0"):
        resume(tmp_path, {"scoring": first, **STOPPING}, {"scoring": then, **STOPPING})
    with refused(r"scoring was \{.*\.\.\., and now is None"):
        model(max_iter=5, **STOPPING).fit(X, Y, checkpoint=tmp_path, resume=True)
    # What changes the rows' checksum or number, too.
    with refused("class_weight was balanced, and now is None"):
        resume(tmp_path / "weights", {"class_weight": "balanced"}, {})
    with refused(r"validation_fraction was 0\.1, and now is 0\.2"):
        resume(tmp_path / "rows", STOPPING, {**STOPPING, "validation_fraction": 0.2})


def decaying(factor: float) -> Callable[[int], float]:
    return lambda step: 0.01 * factor**step


class Decay:
    """A schedule with a state that is not read, only its rates are."""

    def __init__(self, factor: float) -> None:
        self.factor, self.lock = factor, threading.Lock()

    def __call__(self, step: int) -> np.float32:
        return np.float32(0.01 * self.factor**step)


SCHEDULES: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "one_cycle": (
        lambda: schedules.one_cycle(0.01, 15, warmup_fraction=0.3),
        lambda: schedules.one_cycle(0.01, 15, warmup_fraction=0.6),
    ),
    "steps of one_cycle": (lambda: schedules.one_cycle(0.01, 15), lambda: schedules.one_cycle(0.01, 30)),
    "lambda": (lambda: lambda step: 0.01 / (step + 1), lambda: lambda step: 0.01 / (step + 2)),
    "closure": (lambda: decaying(0.9), lambda: decaying(0.8)),
    "partial": (
        lambda: partial(lambda _, rate: rate, rate=0.01),
        lambda: partial(lambda _, rate: rate, rate=0.02),
    ),
    "object": (lambda: Decay(0.9), lambda: Decay(0.8)),
    "method": (lambda: Decay(0.9).__call__, lambda: Decay(0.8).__call__),
    "list": (lambda: [0.01] * 9 + [0.001] * 9, lambda: [0.01] * 8 + [0.001] * 10),
    "callable or name": (lambda: decaying(0.9), lambda: "constant"),
    "name or callable": (lambda: "constant", lambda: decaying(0.9)),
}


def as_schedule(made: Any) -> Any:
    return made.__getitem__ if isinstance(made, list) else made


@pytest.mark.parametrize("engine", ["numpy", "jax"])
@pytest.mark.parametrize("kind", SCHEDULES)
def test_resume_with_another_schedule_is_refused_and_with_an_equal_one_accepted(
    kind: str, engine: str, tmp_path: Path
) -> None:
    one, other = ({"learning_rate": as_schedule(make()), "engine": engine} for make in SCHEDULES[kind])
    with refused(r"learning_rate( at step \d+)? was .*, and now is"):
        resume(tmp_path, one, other)
    again = {"learning_rate": as_schedule(SCHEDULES[kind][0]()), "engine": engine, "max_iter": 5}
    resumed = model(**again).fit(X, Y, checkpoint=tmp_path, resume=True)
    assert resumed.loss_curve_ == model(**again).fit(X, Y).loss_curve_


def test_schedules_of_the_same_rates_are_equal_however_they_are_written(tmp_path: Path) -> None:
    resume(tmp_path, {"learning_rate": lambda step: 0.01 * 0.5**step}, {"learning_rate": decaying(0.5)})


@pytest.mark.parametrize("step", [0, 1, 700, 1023, 1024, 5000, 70_000])
def test_a_change_of_rate_from_any_step_on_is_seen(step: int) -> None:
    one = _describe_schedule(lambda _: 0.1, 100_000)
    other = _describe_schedule(lambda now: 0.1 if now < step else 0.05, 100_000)
    (difference,) = [first_difference({"learning_rate": one}, {"learning_rate": other})]
    assert difference is not None
    assert difference[1:] == ("0.1", "0.05")
    seen = int(difference[0].rpartition(" ")[2])
    assert step <= seen <= step * 1.002
    shorter = _describe_schedule(lambda _: 0.1, 90)
    assert first_difference({"learning_rate": one}, {"learning_rate": shorter}) is None


def test_a_schedule_with_a_state_of_its_own_is_refused(tmp_path: Path) -> None:
    rates = iter(np.linspace(0.1, 0.01, 10_000))
    with pytest.raises(
        ParameterError, match=r"learning_rate=.* asked twice .* give a function of the step alone"
    ):
        model(learning_rate=lambda _: next(rates)).fit(X, Y, checkpoint=tmp_path)


def test_a_plateau_schedule_of_ones_own_resumes_at_the_rate_that_it_had(tmp_path: Path) -> None:
    parameters = {"tol": 1.0, "n_iter_no_change": 1, "solver": "sgd"}
    schedule = schedules.ReduceOnPlateau(0.1)
    model(learning_rate=schedule, max_iter=6, **parameters).fit(X, Y, checkpoint=tmp_path)
    assert schedule.learning_rate < 0.1
    fresh = {"learning_rate": schedules.ReduceOnPlateau(0.1), "max_iter": 9, **parameters}
    resumed = model(**fresh).fit(X, Y, checkpoint=tmp_path, resume=True)
    whole = model(**{**fresh, "learning_rate": schedules.ReduceOnPlateau(0.1)}).fit(X, Y)
    assert resumed.learning_rate_curve_ == whole.learning_rate_curve_


def scaled(factor: float) -> Activation:
    return Activation("mine", lambda Z: factor * Z, lambda Z: 0 * Z + factor)


def test_resume_with_another_activation_of_the_same_name_is_refused(tmp_path: Path) -> None:
    with refused(r"activation\.function\.closure\.factor was 1\.0, and now is 2\.0|activation\.derivative"):
        resume(tmp_path, {"activation": scaled(1.0)}, {"activation": scaled(2.0)})
    model(activation=scaled(1.0)).fit(X, Y, checkpoint=tmp_path, resume=True)


def test_an_activation_in_a_list_is_compared(tmp_path: Path) -> None:
    layers = {"hidden_layer_sizes": (4, 4)}
    with refused(r"activation\.1\.derivative\.closure\.factor was 1\.0, and now is 2\.0"):
        resume(
            tmp_path,
            {"activation": ["relu", scaled(1.0)], **layers},
            {"activation": ["relu", scaled(2.0)], **layers},
        )


def test_parameters_that_mean_the_same_are_equal_however_they_are_spelled(tmp_path: Path) -> None:
    resume(
        tmp_path,
        {"activation": "relu", "batch_size": "full", "hidden_layer_sizes": 4, "dropout": 0.2},
        {
            "activation": [ACTIVATIONS["relu"]],
            "batch_size": len(X),
            "hidden_layer_sizes": np.array([4]),
            "dropout": [0.2],
        },
    )


def initial(seed: float) -> dict[str, Any]:
    rng = np.random.RandomState(int(seed))
    sizes = [(5, 8), (8, 3)]
    return {
        "coefs_init": [rng.randn(*size) for size in sizes],
        "intercepts_init": [rng.randn(n) for _, n in sizes],
    }


@pytest.mark.parametrize(
    ("first", "then", "message"),
    [
        ({}, initial(0), "initial_weights was drawn, and now is given"),
        (initial(0), {}, "initial_weights was given, and now is drawn"),
        (initial(0), initial(1), r"coefs_init was \['array \(5, 8\) .*, and now is"),
        (initial(0), {**initial(1), "coefs_init": initial(0)["coefs_init"]}, "intercepts_init was"),
    ],
)
def test_resume_with_other_initial_weights_is_refused(
    first: dict[str, Any], then: dict[str, Any], message: str, tmp_path: Path
) -> None:
    model().fit(X, Y, checkpoint=tmp_path, **first)
    with refused(message):
        model(max_iter=5).fit(X, Y, checkpoint=tmp_path, resume=True, **then)
    as_lists = {name: [array.tolist() for array in arrays] for name, arrays in first.items()}
    resumed = model(max_iter=5).fit(X, Y, checkpoint=tmp_path, resume=True, **as_lists)
    assert resumed.loss_curve_ == model(max_iter=5).fit(X, Y, **first).loss_curve_


def test_resume_from_the_weights_of_an_earlier_fit_is_refused(tmp_path: Path) -> None:
    """With warm_start no weights are drawn, so the same seed would order the rows otherwise."""
    warm = model(warm_start=True).fit(X, Y, checkpoint=tmp_path)
    with refused(r"initial_weights was drawn, and now is of the last fit \(warm_start=True\)"):
        warm.set_params(max_iter=5).fit(X, Y, checkpoint=tmp_path, resume=True)
    resumed = warm.set_params(warm_start=False).fit(X, Y, checkpoint=tmp_path, resume=True)
    assert resumed.loss_curve_ == model(max_iter=5).fit(X, Y).loss_curve_


def derived(factor: float) -> type:
    class Derived(bp.MLPClassifier):
        @property
        def _loss_scale(self) -> float:
            return factor

    return Derived


def test_resume_with_another_derived_class_of_the_same_name_is_refused(tmp_path: Path) -> None:
    derived(1.0)(max_iter=2).fit(X, Y, checkpoint=tmp_path)
    with refused(r"estimator\._loss_scale\.0\.closure\.factor was 1\.0, and now is 0\.5"):
        derived(0.5)(max_iter=2).fit(X, Y, checkpoint=tmp_path, resume=True)


def test_callbacks_may_differ_and_may_hold_anything(tmp_path: Path) -> None:
    lock = threading.Lock()
    resume(tmp_path, {"callbacks": [lambda _: lock.locked()]}, {"callbacks": None})


def fit_with_functions(folder: str, epochs: int) -> tuple[int, list[float]]:
    """Fit or resume with functions of every kind; the epochs and the sums of the weights."""
    made = model(
        max_iter=epochs, activation=scaled(1.5), learning_rate=Decay(0.9), early_stopping=True,
        n_iter_no_change=100, scoring=functions.PAIRS["keyword of make_scorer"][0](),
    )  # fmt: skip
    made.fit(X, Y, checkpoint=folder, resume=True, **initial(3))
    return made.n_iter_, [float(np.sum(coef)) for coef in made.coefs_]


RESUME = """
import sys, warnings
from tests.estimators.test_fingerprint import fit_with_functions

warnings.simplefilter("ignore")
print(fit_with_functions(sys.argv[1], 4))
"""


def test_a_new_process_resumes_with_the_same_functions(tmp_path: Path) -> None:
    fit_with_functions(str(tmp_path / "kept"), 2)
    # A seed that this process does not have: the hashes of text are others.
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    resumed = subprocess.run(
        [sys.executable, "-c", RESUME, str(tmp_path / "kept")],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert resumed.strip() == str(fit_with_functions(str(tmp_path / "whole"), 4))
