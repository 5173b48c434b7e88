"""The errors of batchprop: few classes; every message names the value, what is allowed, and the remedy."""

from collections.abc import Iterable
from difflib import get_close_matches


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


def unknown_name(parameter: str, value: object, known: Iterable[str]) -> ParameterError:
    """Return the error for a name that is not in a table, with the table's names and the nearest of them.

    Args:
        parameter: what the name was given for.
        value: what was given.
        known: the names that would do.

    Returns:
        The error, to be raised by the caller.

    Example:
        >>> str(unknown_name("activation", "rely", ["relu", "tanh"]))
        "activation='rely' is unknown: choose one of relu, tanh; did you mean 'relu'?"
    """
    names = list(known)
    near = get_close_matches(str(value), names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return ParameterError(f"{parameter}={value!r} is unknown: choose one of {', '.join(names)}{hint}")
