"""The errors and warnings of batchprop: every message names the value, what is allowed, and the remedy."""

import inspect
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from numbers import Integral
from typing import Any


class BatchpropError(Exception):
    """The base class of every error that batchprop raises on purpose."""


class InputError(BatchpropError, ValueError):
    """A value passed to batchprop cannot be used as it is."""


class ParameterError(InputError, TypeError):
    """A parameter has the wrong type or lies outside its bounds."""


class InputTypeError(InputError, TypeError):
    """A value is of a type that is neither a number nor a label."""


class DataError(InputError):
    """A table, a column or a row cannot be trained on."""


class RowError(DataError):
    """A row of a table holds a value that is not allowed, or one with which the network overflows.

    Attributes:
        row: the row's number in the table, from 0.
    """

    def __init__(self, message: str, row: int = -1) -> None:
        super().__init__(message)
        self.row = row


class WriteError(BatchpropError):
    """A file cannot be written, for example because the disk is full."""


class ModelError(BatchpropError):
    """A model file cannot be read, or does not hold what it must."""


class CheckpointError(BatchpropError):
    """A checkpoint cannot be written or read, or belongs to another fit."""


class DivergedError(BatchpropError, ArithmeticError, ValueError):
    """The loss or a parameter is no longer finite."""


class UnseenValueWarning(UserWarning):
    """Rows to predict hold values that the training had not."""


class GradientCheckError(BatchpropError, AssertionError):
    """A gradient disagrees with the finite differences of its loss."""


class OneClassWarning(UserWarning):
    """A trained network answers every test row with the same class."""


class TargetScaleWarning(UserWarning):
    """A regressor's target is far from mean 0 and deviation 1, and its network may miss it."""


def unknown_option_error(parameter: str, value: object, known: Iterable[str]) -> ParameterError:
    """Return the error for an unknown name; it lists the known names and suggests the nearest."""
    names = list(known)
    near = get_close_matches(str(value), names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return ParameterError(f"{parameter}={value!r} is unknown: choose one of {', '.join(names)}{hint}")


def did_you_mean(name: str, names: Sequence[str]) -> str:
    """Return ``; did you mean ...?`` for a mistyped name, or nothing where no name is near."""
    folded = {known.casefold(): known for known in names}
    near = get_close_matches(name.casefold(), folded, n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(folded[key]) for key in near)}?" if near else ""


def format_value(value: Any) -> str:
    """Return ``str(value)``, also for a date beyond the year 9999."""
    try:
        return str(value)
    except NotImplementedError:
        # pandas can hold such a date but not format it; NumPy can.
        return str(value.asm8)


def short_repr(value: object, longest: int = 80) -> str:
    """Return ``repr(value)`` in one line, cut after some characters.

    Example:
        >>> short_repr(10**5000), short_repr("a" * 100, 10)
        ('an integer of 16610 bits', "'aaaaaa...")
    """
    try:
        text = " ".join(repr(value).split())
    except ValueError:
        # Python writes integers of up to 4300 digits.
        return f"an integer of {value.bit_length()} bits" if isinstance(value, int) else type(value).__name__
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def join_truncated(names: Sequence[str], shown: int = 8) -> str:
    """Return the first names, separated by commas, and how many more there are."""
    head = ", ".join(names[:shown])
    return f"{head} and {len(names) - shown:,} more" if len(names) > shown else head


def check_positive_int(name: str, value: object, remedy: str) -> None:
    """Raise a ParameterError, with the remedy, unless a value is an integer of at least 1."""
    if not isinstance(value, Integral) or int(value) < 1:
        raise ParameterError(f"{name}={value!r} is not allowed: give {remedy}")


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line of the user's code that called batchprop, at any call depth."""
    level, frame = 1, inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").startswith("batchprop."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


@contextmanager
def require_extra(name: str, purpose: str) -> Iterator[None]:
    """Turn a failed import into one line that says which extra to install.

    Example:
        >>> with require_extra("onnx", "ONNX"):
        ...     raise ModuleNotFoundError("No module named 'skl2onnx'", name="skl2onnx")
        Traceback (most recent call last):
        batchprop.errors.BatchpropError: ONNX needs skl2onnx, ...: pip install "batchprop[onnx]"
    """
    try:
        yield
    except ModuleNotFoundError as error:
        # A module of our own that is missing is a bug, not a missing extra.
        if error.name is None or error.name.startswith("batchprop"):
            raise
        raise BatchpropError(
            f'{purpose} needs {error.name}, which is not installed: pip install "batchprop[{name}]"'
        ) from error
