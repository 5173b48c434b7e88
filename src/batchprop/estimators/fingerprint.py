"""What must be the same for a fit to resume from a checkpoint: rows, parameters, functions, first weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count, islice, takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchprop.activations import ACTIVATIONS, Activation
from batchprop.errors import ParameterError
from batchprop.estimators.descriptions import describe
from batchprop.estimators.interface import FitInterface
from batchprop.estimators.privacy import is_continuation
from batchprop.estimators.solvers import HORIZON_SCHEDULES
from batchprop.estimators.validation import FitArgs
from batchprop.network import Network
from batchprop.schedules import ReduceOnPlateau

_MAY_DIFFER = {"callbacks", "max_iter", "n_iter_no_change", "random_state", "tol", "verbose", "warm_start"}
"""Parameters that may differ when a fit resumes."""

SAMPLES_PER_OCTAVE = 1024
"""A schedule is sampled at each of the first steps, then every second, fourth, ..., after so many samples."""

MAX_TEXT = 80
"""A message shows so many characters of a value."""

RATE_TOLERANCE = 1e-9
"""Rates that differ by less, as a part of them, are equal: another machine rounds a cosine otherwise."""


def fingerprint(
    estimator: FitInterface,
    net: Network,
    engine: str,
    dataset: Mapping[str, Any],
    batch_size: int,
    total_steps: int,
    call: FitArgs,
) -> dict[str, Any]:
    """Return what must be the same for a fit to resume, as plain data and arrays by name.

    Args:
        estimator: its parameters.
        net: the initial network.
        engine: runs the fit.
        dataset: the fingerprint of its rows.
        batch_size: the first batch size.
        total_steps: of all epochs, over which a schedule is sampled.
        call: the arguments of ``fit``, for the initial weights.

    Raises:
        ParameterError: a function or an object among the parameters cannot be compared.
    """
    rate = estimator.learning_rate
    # Schedules that plan all epochs fix their number.
    planned = isinstance(rate, str) and rate in HORIZON_SCHEDULES
    free = (_MAY_DIFFER - {"max_iter"} if planned else _MAY_DIFFER) | {"engine"}
    parameters = estimator.get_params(deep=False)
    # What may be spelled in several ways, as what it means.
    special: dict[str, Any] = {"hidden_layer_sizes": list(net.sizes[1:-1])}
    if callable(rate):
        special["learning_rate"] = _describe_schedule(rate, total_steps)
    for name in ("activation", "dropout"):
        special[name] = _describe(name, _one_for_all(parameters[name]))
    return {
        "estimator": _describe_class(type(estimator)),
        "network": f"{list(net.sizes)} in {net.layers[0].b.dtype}",
        "engine": engine,
        **_describe_start(estimator, call),
        **{
            name: _describe(name, value)
            for name, value in parameters.items()
            if name not in {*free, *special, "batch_size"}
        },
        **special,
        # Where a parameter, as class_weight, changes what the rows count, its name says more.
        **dataset,
        # Last: of fewer rows a batch may be smaller.
        "batch_size": batch_size,
    }


def first_difference(saved: Any, current: Any, path: str = "") -> tuple[str, str, str] | None:
    """Return where two fingerprints differ first, and both values as text; None if they are equal.

    Example:
        >>> first_difference(
        ...     {"scoring": {"keywords": {"beta": "1"}}}, {"scoring": {"keywords": {"beta": "2"}}}
        ... )
        ('scoring.keywords.beta', '1', '2')
    """
    if isinstance(saved, Mapping) and isinstance(current, Mapping):
        pairs = [(name, saved.get(name), current.get(name)) for name in {**saved, **current}]
    elif isinstance(saved, np.ndarray) and isinstance(current, np.ndarray):
        return _first_other_rate(saved, current, path)
    elif _are_lists_of_parts(saved, current):
        pairs = [(str(i), *pair) for i, pair in enumerate(zip(saved, current, strict=True))]
    else:
        arrays = isinstance(saved, np.ndarray) or isinstance(current, np.ndarray)
        differ = arrays or saved != current
        return (_as_line(path), _as_text(saved), _as_text(current)) if differ else None
    inner = (first_difference(was, now, f"{path}.{name}" if path else name) for name, was, now in pairs)
    return next((difference for difference in inner if difference is not None), None)


def _are_lists_of_parts(saved: Any, current: Any) -> bool:
    lists = isinstance(saved, list) and isinstance(current, list) and len(saved) == len(current)
    return lists and any(isinstance(part, dict | list) for part in saved)


def _first_other_rate(saved: NDArray[Any], current: NDArray[Any], path: str) -> tuple[str, str, str] | None:
    """Compare the steps that both sampled: with another ``max_iter`` one of them goes on for longer."""
    n = min(len(saved), len(current))
    equal = np.isclose(saved[:n], current[:n], rtol=RATE_TOLERANCE, atol=0.0, equal_nan=True)
    if n and equal.all():
        return None
    first = int(np.argmin(equal)) if n else 0
    step = next(islice(_sampled_steps(), first, None))
    was, now = (f"{rates[first]:g}" if n else "missing" for rates in (saved, current))
    return f"{path} at step {step}", was, now


def _as_text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        rates = ", ".join(f"{rate:g}" for rate in value[:3])
        return f"a function with the rates {rates}, ..."
    text = str(value)
    return _as_line(text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}...")


def _as_line(text: str) -> str:
    """Escape what is not printable: a saved fingerprint may come from any file, and an error is one line."""
    return text if text.isprintable() else ascii(text)[1:-1]


def _describe(name: str, value: Any) -> Any:
    """A parameter as plain data: numbers, text and collections of them as they are."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if name == "dtype":
        return np.dtype(value).name
    if isinstance(value, Sequence | np.ndarray) and not callable(value) and not hasattr(value, "_asdict"):
        return [_describe(name, entry) for entry in value]
    if isinstance(value, Mapping):
        return {str(key): _describe(name, entry) for key, entry in value.items()}
    ours = [known for known, activation in ACTIVATIONS.items() if activation == value]
    return ours[0] if ours else describe(name, value)


def _one_for_all(value: Any) -> Any:
    """Return the value of all layers, if a list of one for each has the same one throughout."""
    several = isinstance(value, Sequence | np.ndarray) and not isinstance(value, str | Activation)
    return value[0] if several and len(value) and all(each == value[0] for each in value) else value


def _describe_class(cls: type) -> Any:
    """The name of an estimator of ours; a class derived from it with its methods."""
    description = describe("estimator", cls)
    return cls.__name__ if isinstance(description, str) else description


def _describe_start(estimator: FitInterface, call: FitArgs) -> dict[str, Any]:
    """Where the initial weights come from: drawn ones move the generator that shuffles the rows on."""
    given = {"coefs_init": call.coefs_init, "intercepts_init": call.intercepts_init}
    arrays = {
        name: None if value is None else [describe(name, np.asarray(entry, np.float64)) for entry in value]
        for name, value in given.items()
    }
    if any(value is not None for value in given.values()):
        return {"initial_weights": "given", **arrays}
    continues = is_continuation(estimator, call)
    return {"initial_weights": "of the last fit (warm_start=True)" if continues else "drawn", **arrays}


def _describe_schedule(schedule: Callable[[int], float], total_steps: int) -> Any:
    """The rates of a schedule: two functions of the same rates train the same, however they are written."""
    if isinstance(schedule, ReduceOnPlateau):
        # A checkpoint holds its rate, which early stopping has lowered.
        return describe("learning_rate", type(schedule))
    rates = _sample(schedule, total_steps)
    if not np.array_equal(rates, _sample(schedule, total_steps), equal_nan=True):
        raise ParameterError(
            f"checkpoint does not go with learning_rate={schedule!r}: asked twice for the rates of the same "
            "steps, it gives others, so it has a state, and a checkpoint does not hold that: give a function "
            "of the step alone, or leave out checkpoint"
        )
    return rates


def _sample(schedule: Callable[[int], float], total_steps: int) -> NDArray[np.float64]:
    rates: list[float] = []
    for step in takewhile(lambda step: step < total_steps, _sampled_steps()):
        try:
            rates.append(float(schedule(step)))
        except Exception:  # noqa: BLE001 whatever the user's function raises
            # A list of rates may end before max_iter does, where early stopping ends the fit first. If the
            # fit comes here, its error is shown.
            break
    return np.array(rates)


def _sampled_steps() -> Iterator[int]:
    """Every one of the first steps, then every second, fourth, ...: the same ones for any number of steps."""
    step = 0
    for octave in count():
        for _ in range(SAMPLES_PER_OCTAVE):
            yield step
            step += 2**octave
