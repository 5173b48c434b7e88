"""The state of a fit: one immutable record of all that it needs to resume or to rewind.

``to_plain`` and ``from_plain`` turn it into dicts, lists, numbers and arrays and back, field by field by
their declared types: a new field is saved, restored and checked without another line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from itertools import repeat
from numbers import Real
from types import UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from batchprop.errors import CheckpointError
from batchprop.estimators.interface import FitInterface
from batchprop.params import Layers, tree_flatten
from batchprop.training import TrainProgress, TrainState

MAX_REWINDS = 3
"""How often a diverging fit rewinds before it gives up."""


class History(NamedTuple):
    """The curves of an estimator, a number for each epoch, including those of the fits that it continues.

    Attributes:
        loss_curve: see ``MLPClassifier``; so are the others.
        learning_rate_curve: likewise.
        validation_loss_curve: likewise; None without validation rows.
        validation_scores: likewise; None without a monitored score.
    """

    loss_curve: tuple[float, ...]
    learning_rate_curve: tuple[float, ...]
    validation_loss_curve: tuple[float, ...] | None
    validation_scores: tuple[float, ...] | None

    def append(self, *values: float | None) -> History:
        """Return the curves with another epoch's values, in their order."""
        curves = zip(self, values, strict=True)
        longer: list[Any] = [
            curve if curve is None or value is None else (*curve, value) for curve, value in curves
        ]
        return History(*longer)


@dataclass(frozen=True)
class FitState:
    """The state of a fit, after an epoch or within one.

    Attributes:
        progress: weights, optimiser state, steps and epochs done, losses of the current epoch.
        rng_state: of the engine's generator; None if the step number determines its draws.
        history: the curves up to the last epoch done.
        epochs: rows and seconds of each epoch of this fit.
        rows_seen: by this fit and those that it continues.
        best_score: the highest score so far, the reference of early stopping; None without a score.
        best_iteration: the epoch of that score, counted from 1.
        best_layers: the weights of that epoch; None before one.
        n_no_improve: the number of epochs in a row without progress.
        plateau_rate: the current learning rate of ``"adaptive"``; None with other schedules.
        rewinds: how often the fit diverged and was rewound.
        ended: whether it ended before the last epoch.
    """

    progress: TrainProgress
    rng_state: dict[str, Any] | None
    history: History
    epochs: tuple[tuple[int, float], ...]
    rows_seen: int
    best_score: float | None
    best_iteration: int
    best_layers: Layers | None
    n_no_improve: int
    plateau_rate: float | None
    rewinds: int
    ended: bool


# ---- from and to an estimator


def initial_fit_state(estimator: FitInterface, state: TrainState, *, validates: bool) -> FitState:
    """Return the initial state of a fit, with the history of the estimator, which a new fit has emptied.

    Args:
        estimator: its history, and whether a monitored score or loss may end the fit.
        state: of the training.
        validates: whether there are rows to validate on.
    """
    # L-BFGS decides itself when to stop.
    stochastic = estimator.solver != "lbfgs"
    watches_score = estimator.early_stopping and stochastic
    best = estimator.best_validation_score_ if watches_score else estimator.best_loss_
    best_score = -math.inf if best is None else best if watches_score else -best
    # The length of a private fit must not reveal whether the training loss still falls.
    watches = watches_score or (stochastic and estimator.privacy is None)
    return FitState(
        progress=TrainProgress(state),
        rng_state=None,
        history=History(
            tuple(estimator.loss_curve_),
            tuple(estimator.learning_rate_curve_),
            _curve(estimator.validation_loss_curve_, begins=validates),
            _curve(estimator.validation_scores_, begins=watches_score),
        ),
        epochs=(),
        rows_seen=estimator.t_,
        best_score=best_score if watches else None,
        best_iteration=estimator.best_iteration_,
        best_layers=None,
        n_no_improve=estimator._extra_state.get("n_no_improve", 0),
        plateau_rate=None,
        rewinds=0,
        ended=False,
    )


def _curve(curve: list[float] | None, *, begins: bool) -> tuple[float, ...] | None:
    if curve is None:
        return () if begins else None
    return tuple(curve)


def publish(estimator: FitInterface, state: FitState) -> None:
    """Set the attributes of scikit-learn that hold the history of a fit."""
    for name, curve in state.history._asdict().items():
        setattr(estimator, f"{name}_", None if curve is None else list(curve))
    if state.history.loss_curve:
        estimator.loss_ = state.history.loss_curve[-1]
    estimator.n_iter_, estimator.t_ = len(state.epochs), state.rows_seen
    estimator.best_iteration_ = state.best_iteration
    if not state.epochs or state.best_score is None:
        return
    if estimator.early_stopping:
        estimator.best_validation_score_ = state.best_score
    else:
        estimator.best_loss_ = -state.best_score


def get_extra_state(state: FitState, records: dict[str, Any] | None) -> dict[str, Any]:
    """Return what ``partial_fit`` and ``warm_start`` need beyond the public attributes.

    Args:
        state: the final state.
        records: see ``recording.recording_result``.

    Returns:
        Plain data and arrays, which every file format can hold.
    """
    # A saved model holds this dict: no class of the library, which a file format would have to allow, and no
    # weights, which are in coefs_ and intercepts_.
    return {
        "optimizer": [to_plain(leaf) for leaf in tree_flatten(state.progress.state.optimizer)],
        "steps": state.progress.state.steps,
        "plateau_rate": state.plateau_rate,
        "n_no_improve": state.n_no_improve,
        "records": records,
    }


# ---- to plain data and back


def to_plain(value: Any) -> Any:
    """Return a record and its content as dicts, lists, numbers and NumPy arrays.

    Example:
        >>> from batchprop.params import Layer
        >>> to_plain(((Layer(1.5, 2), True), {"a": None}))
        [[{'W': 1.5, 'b': 2}, True], {'a': None}]
    """
    if is_dataclass(value):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {name: to_plain(entry) for name, entry in value.items()}
    if isinstance(value, tuple | list):
        return [to_plain(entry) for entry in value]
    return np.asarray(value) if hasattr(value, "shape") else value


def split_arrays(plain: Any, path: str = "") -> tuple[dict[str, NDArray[Any]], Any]:
    """Return the arrays in plain data by their paths, and the data with None in their places.

    Example:
        >>> split_arrays({"a": [np.zeros(1), 2]})
        ({'a.0': array([0.])}, {'a': [None, 2]})
    """
    if isinstance(plain, np.ndarray):
        return {path: plain}, None
    if not isinstance(plain, dict | list):
        return {}, plain
    names = plain if isinstance(plain, dict) else range(len(plain))
    parts = {name: split_arrays(plain[name], f"{path}.{name}" if path else str(name)) for name in names}
    arrays = {key: array for inner, _ in parts.values() for key, array in inner.items()}
    rest = {name: part for name, (_, part) in parts.items()}
    return arrays, rest if isinstance(plain, dict) else list(rest.values())


def join_arrays(arrays: Mapping[str, NDArray[Any]], plain: Any, path: str = "") -> Any:
    """Return plain data with its arrays in their places: the inverse of ``split_arrays``.

    Example:
        >>> join_arrays({"a.0": np.zeros(1)}, {"a": [None, 2]})
        {'a': [array([0.]), 2]}
    """
    prefix = f"{path}." if path else ""
    if isinstance(plain, Mapping):
        return {name: join_arrays(arrays, entry, f"{prefix}{name}") for name, entry in plain.items()}
    if isinstance(plain, list):
        return [join_arrays(arrays, entry, f"{prefix}{i}") for i, entry in enumerate(plain)]
    return arrays.get(path) if plain is None else plain


def from_plain(plain: Any, template: FitState) -> FitState:
    """Return the state that plain data describes; as it may come from any file, every field is checked.

    Args:
        plain: from ``to_plain``.
        template: the initial state of the fit, which determines the shapes of weights and optimiser state.

    Raises:
        CheckpointError: an array has another shape or type than this fit's.
        LookupError: a field is missing; likewise TypeError and ValueError, if it has another type.
    """
    train_state = template.progress.state
    state: FitState = _read(FitState, plain, {"state": train_state, "best_layers": train_state.layers})
    if state.progress.losses.shape != state.progress.sizes.shape:
        raise ValueError("losses and sizes of the batches do not match")
    optional = ("best_score", "plateau_rate")
    if state.rewinds > MAX_REWINDS:
        raise ValueError(
            f"it was rewound {state.rewinds:.3g} times, and no fit is more than {MAX_REWINDS} times"
        )
    if any((getattr(state, name) is None) != (getattr(template, name) is None) for name in optional):
        raise ValueError("it stops, or slows down, by another rule")
    _check_history(state, template)
    return state


def _check_history(state: FitState, template: FitState) -> None:
    """Check that the curves tell of as many epochs as the state, after those of earlier fits."""
    epochs, seen = len(state.epochs), sum(rows for rows, _ in state.epochs)
    if state.progress.epochs != epochs:
        raise ValueError(f"it is after epoch {state.progress.epochs:.3g}, and tells of {epochs}")
    if state.ended and not epochs:
        raise ValueError("it ended before its first epoch")
    if state.rows_seen != template.rows_seen + seen:
        raise ValueError(f"it has seen {state.rows_seen:.3g} rows, and its epochs {seen:.3g}")
    for name, curve in state.history._asdict().items():
        begun = getattr(template.history, name)
        if curve is None and begun is None:
            continue
        lengths = {len(begun or ()) + epochs}
        if begun and name.startswith("validation"):
            # A fit without validation rows leaves the curves of earlier fits as they are.
            lengths.add(len(begun))
        if curve is None or begun is None or len(curve) not in lengths:
            raise ValueError(f"its {name} is not that of {epochs} epochs")
    if state.best_iteration > len(state.history.loss_curve):
        raise ValueError(f"its best epoch, {state.best_iteration:.3g}, is yet to come")


def _read(hint: Any, plain: Any, like: Mapping[str, Any]) -> Any:
    """A value of the declared type; fields that ``like`` has are read with its shapes."""
    if hint in _READERS:
        return _READERS[hint](plain)
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return None if plain is None else _read(args[0], plain, like)
    if origin is dict:
        return {str(name): entry for name, entry in dict(plain).items()}
    if origin is np.ndarray:
        return _read_vector(plain, np.dtype(get_args(args[1])[0]))
    if origin is tuple:
        types = repeat(args[0], len(plain)) if args[-1] is ... else args
        return tuple(_read(type_, entry, like) for type_, entry in zip(types, plain, strict=True))
    values = {
        name: _read_like(like[name], plain[name], name)
        if name in like and plain[name] is not None
        else _read(field, plain[name], like)
        for name, field in _field_types(hint).items()
    }
    return hint(**values)


@cache
def _field_types(record: Any) -> dict[str, Any]:
    return get_type_hints(record)


def _read_like(template: Any, plain: Any, path: str) -> Any:
    """A tree with the structure of another: its layers, arrays and numbers."""
    if hasattr(template, "_asdict"):
        parts = template._asdict().items()
        return type(template)(*(_read_like(part, plain[name], f"{path}.{name}") for name, part in parts))
    if isinstance(template, tuple):
        pairs = zip(template, plain, strict=True)
        return tuple(_read_like(part, entry, f"{path}.{i}") for i, (part, entry) in enumerate(pairs))
    array, wanted = np.asarray(plain), np.asarray(template)
    # A counter may come back from a compiled step as an array of fewer bits.
    is_array = isinstance(template, np.ndarray)
    same = array.dtype == wanted.dtype if is_array else array.dtype.kind == wanted.dtype.kind
    if array.shape != wanted.shape or not same:
        actual = "is missing" if plain is None else f"has shape {array.shape} and type {array.dtype}"
        raise CheckpointError(
            f"the checkpoint is of another fit: its {path} {actual}, not {wanted.shape} and {wanted.dtype}"
        )
    return array if is_array else _READERS[type(template)](array.item())


def _read_vector(plain: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    if not isinstance(plain, np.ndarray) or plain.ndim != 1 or plain.dtype != dtype:
        raise TypeError(f"{plain!r:.40} is no vector of {dtype}")
    return plain


def read_number(value: Any) -> float:
    """Return a number from a file.

    Raises:
        TypeError: it is not one.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{value!r:.40} is no number")
    return float(value)


def read_count(value: Any) -> int:
    """Return an integer of at least 0 from a file.

    Raises:
        TypeError: it is not one.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError(f"{value!r:.40} is no whole number")
    return value


def _read_flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r:.40} is neither true nor false")
    return value


_READERS: dict[Any, Any] = {int: read_count, float: read_number, bool: _read_flag}
