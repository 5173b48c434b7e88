"""The playground from Python: arrays or a data frame, as a page to open, mail or show in a notebook."""

from typing import Any

import numpy as np
from sklearn.utils.multiclass import type_of_target

from batchprop.errors import InputError, ParameterError
from batchprop.format import pluralize
from batchprop.playground.page import Playground, make_page
from batchprop.playground.table import Table, encode_target, fit_table, standardize

_MATRIX = 2


def playground(
    X: Any = None, y: Any = None, *, about: str = "Your table", random_state: int = 0
) -> Playground:
    """Make a page on which a network learns in the browser, batch by batch; nothing runs but the page.

    Args:
        X: inputs ``(n, n_0)``, numbers in an array or a data frame, up to 500 columns; None for toy data. Of
            more than 5,000 rows a random sample is taken. Each column is standardised.
        y: the targets ``(n,)``: up to 10 classes, or numbers, which are standardised.
        about: what the page calls the table.
        random_state: the seed of the initial weights, of the batches, and of the sample.

    Returns:
        A ``Playground``: call ``save(path)`` or ``open(path)``, or let a notebook display it.

    Raises:
        InputError: X or y cannot be used, or one is missing.
        DataError: there are too few rows, or too many columns or classes.
        ParameterError: ``random_state`` is not a whole number from 0 to 2³² − 1.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> page = playground(*load_iris(return_X_y=True), about="Iris")
        >>> "<title>Iris: batchprop playground</title>" in page.html
        True
    """
    if (
        isinstance(random_state, bool)
        or not isinstance(random_state, int | np.integer)
        or not 0 <= random_state < 2**32
    ):
        raise ParameterError(
            f"random_state={random_state!r} is not allowed: give a whole number from 0 to 2**32 - 1"
        )
    if (X is None) != (y is None):
        raise InputError("X and y belong together: give both, or neither for toy data")
    table = None if X is None else fit_table(_make_table(X, y, about), int(random_state))
    return make_page(table, {"seed": int(random_state)})


def _make_table(X: Any, y: Any, about: str) -> Table:
    names = [str(name) for name in getattr(X, "columns", ())]
    index = getattr(X, "index", None)
    numbers = _as_numbers(X)
    n, k = numbers.shape
    targets = np.asarray(y)
    if targets.shape != (n,):
        raise InputError(f"y has shape {targets.shape}: give {pluralize(n, 'target')}, one for each row of X")
    kind = type_of_target(targets, input_name="y")
    if kind not in {"binary", "multiclass", "continuous"}:
        raise InputError(f"y is {kind}: give a class or a number for each row")
    is_classification = kind != "continuous"
    target = str(getattr(y, "name", None) or "target")
    values, outputs = encode_target(target, targets, is_classification=is_classification)
    rows = [f"row {place}" for place in (range(n) if index is None or callable(index) else index)]
    return Table(
        about if is_classification else f"{about}: {target}, standardised",
        "classes" if is_classification else "numbers",
        standardize(numbers).astype(np.float32),
        values,
        tuple(names or (f"x{j}" for j in range(k))),
        outputs,
        tuple(rows),
    )


def _as_numbers(X: Any) -> Any:
    try:
        numbers = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"X holds something that is no number ({error}): encode it, or give the file to `batchprop play`"
        ) from error
    if numbers.ndim != _MATRIX or 0 in numbers.shape:
        raise InputError(f"X has shape {numbers.shape}: give a row for each example, (n, k)")
    if not np.isfinite(numbers).all():
        raise InputError("X holds NaN or infinite numbers: fill them, or give the file to `batchprop play`")
    return numbers
