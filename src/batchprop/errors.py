"""The errors of batchprop: few classes; every message names the value, what is allowed, and the remedy."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from numbers import Integral
from typing import Any


class BatchpropError(Exception):
    """Whatever batchprop raises on purpose."""


class InputError(BatchpropError, ValueError):
    """A value handed to batchprop cannot be used as it is."""


class ParameterError(InputError, TypeError):
    """A parameter has the wrong type or lies outside its bounds."""


class DataError(InputError):
    """A table, a column or a row cannot be trained on."""


class RowError(DataError):
    """A row of a table holds a value that it may not hold.

    Attributes:
        row: its number in the table, counted from 0.
    """

    def __init__(self, message: str, row: int = -1) -> None:
        super().__init__(message)
        self.row = row


class WriteError(BatchpropError):
    """A file cannot be written: the disk is full, say."""


class ModelError(BatchpropError):
    """A model file cannot be read, or is not to be trusted."""


class CheckpointError(BatchpropError):
    """A checkpoint cannot be written or read, or belongs to another fit."""


class DivergedError(BatchpropError, ArithmeticError, ValueError):
    """Training left the finite numbers."""


class GradientCheckError(BatchpropError, AssertionError):
    """A gradient disagrees with the finite differences of its loss."""


def unknown_option_error(parameter: str, value: object, known: Iterable[str]) -> ParameterError:
    """Return the error for a name that is not in a table, with the table's names and the nearest of them.

    Args:
        parameter: what the name was given for.
        value: what was given.
        known: the names that would do.

    Returns:
        The error, to be raised by the caller.

    Example:
        >>> str(unknown_option_error("activation", "rely", ["relu", "tanh"]))
        "activation='rely' is unknown: choose one of relu, tanh; did you mean 'relu'?"
    """
    names = list(known)
    near = get_close_matches(str(value), names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return ParameterError(f"{parameter}={value!r} is unknown: choose one of {', '.join(names)}{hint}")


def did_you_mean(name: str, names: Sequence[str]) -> str:
    """Suggest what a mistyped name was meant to be, as the end of an error message.

    >>> did_you_mean("speceis", ["species", "petal"])
    "; did you mean 'species'?"
    >>> did_you_mean("zzz", ["species", "petal"])
    ''
    """
    folded = {known.casefold(): known for known in names}
    near = get_close_matches(name.casefold(), folded, n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(folded[key]) for key in near)}?" if near else ""


def format_value(value: Any) -> str:
    """Write a value; of a moment beyond the year 9999, which pandas holds and cannot write, NumPy's form.

    >>> format_value(0.5)
    '0.5'
    """
    try:
        return str(value)
    except NotImplementedError:
        return str(value.asm8)


def join_truncated(names: Sequence[str], shown: int = 8) -> str:
    """List names, and say how many more there are.

    >>> join_truncated(["a", "b", "c", "d"], shown=2)
    'a, b and 2 more'
    """
    head = ", ".join(names[:shown])
    return f"{head} and {len(names) - shown:,} more" if len(names) > shown else head


def check_positive_int(name: str, value: object, remedy: str) -> None:
    """Check a parameter that counts.

    Args:
        name: of the parameter.
        value: what was given.
        remedy: what to give, for the message.

    Raises:
        ParameterError: it is no whole number, or below 1.

    Example:
        >>> check_positive_int("top", 2.5, "at least 1 image, as 50")
        Traceback (most recent call last):
        batchprop.errors.ParameterError: top=2.5 is not allowed: give at least 1 image, as 50
    """
    if not isinstance(value, Integral) or int(value) < 1:
        raise ParameterError(f"{name}={value!r} is not allowed: give {remedy}")
