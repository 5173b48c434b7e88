"""The arguments of ``fit``: checks of rows and weights, the split for validation, clear errors."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Real
from operator import ne
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import check_array

from batchprop.batches import Indices, rescale_weights
from batchprop.data.frames import read_frame, read_native
from batchprop.errors import DivergedError, InputError, RowError, TargetScaleWarning, short_repr, warn
from batchprop.estimators.kinds import check_kinds
from batchprop.format import format_number, pluralize

VALIDATION_TOO_SMALL = (
    "The validation set is too small. Increase 'validation_fraction' or the size of your dataset"
)
"""scikit-learn's sentence, with which our message begins."""

NON_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be "
    "preprocessed"
)
"""scikit-learn's sentence about a divergence, with which ours begins."""

MIN_DEVIATION, MAX_DEVIATION, MAX_MEAN = 0.1, 10.0, 10.0
"""Of a regressor's target. At these the default fit already misses much, as measured in benchmarks/NOTES.md:
below the first its loss seems to stand still, and 200 epochs from weights near 0 do not reach the others."""

MIN_VALIDATION_ROWS = 2
_MIN_CLASS_ROWS = 2


class FitArgs(NamedTuple):
    """The arguments of ``fit`` or ``partial_fit`` besides X and y, as the user gave them.

    Attributes:
        sample_weight: see ``fit``; so are ``X_val``, ``y_val``, ``sample_weight_val``, ``coefs_init`` and
            ``intercepts_init``.
        classes: see ``MLPClassifier.partial_fit``.
        partial: whether it was ``partial_fit``.
        monitor: see ``fit``; so are ``record_examples``, ``checkpoint`` and ``resume``.
        counts: how often each label of each column of y occurs, if y holds only some of the rows.
    """

    sample_weight: Any = None
    X_val: Any = None
    y_val: Any = None
    sample_weight_val: Any = None
    coefs_init: Any = None
    intercepts_init: Any = None
    classes: Any = None
    partial: bool = False
    monitor: Collection[str] = ()
    record_examples: bool = False
    checkpoint: Any = None
    resume: bool = False
    counts: Sequence[Mapping[Any, int]] | None = None


class LabelledRows(NamedTuple):
    """Training or validation rows.

    Attributes:
        X: inputs, validated.
        y: targets as passed by the user, for scorers.
        Y: encoded targets ``(n, K)``.
        weights: of the rows, class weights among them, or None.
    """

    X: Any
    y: Any
    Y: NDArray[np.floating]
    weights: NDArray[np.floating] | None

    def subset(self, rows: Indices) -> LabelledRows:
        """Return some of the rows."""
        weights = None if self.weights is None else self.weights[rows]
        return LabelledRows(self.X[rows], self.y[rows], self.Y[rows], weights)

    def without_weightless(self) -> LabelledRows:
        """Return the rows of a weight above 0: the others count as absent, for any scorer."""
        if self.weights is None or self.weights.all():
            return self
        return self.subset(np.flatnonzero(self.weights))


def check_sample_weight(
    sample_weight: Any, n_rows: int, *, require_positive: bool = True, name: str = "sample_weight"
) -> NDArray[np.float64] | None:
    """Return the sample weights as an array, or raise an error that names the problem.

    Args:
        sample_weight: one number for each row, one for all, or None.
        n_rows: n.
        require_positive: whether at least one must be positive.
        name: of the argument, in errors.

    Returns:
        ``(n,)`` in float64, which holds weights of any size; or None.

    Raises:
        InputError: the length is wrong, one is negative or not finite, or all are zero.

    Example:
        >>> check_sample_weight([1, 2], 2)
        array([1., 2.])
    """
    if sample_weight is None:
        return None
    if isinstance(sample_weight, Real):
        sample_weight = np.full(n_rows, sample_weight)
    check_kinds(sample_weight, name)
    with clear_errors(**{name: sample_weight}):
        weights: NDArray[np.float64] = check_array(
            sample_weight, ensure_2d=False, dtype=np.float64, input_name=name
        )
    if weights.shape != (n_rows,):
        raise InputError(
            f"{name} has shape {weights.shape}: give {pluralize(n_rows, 'number')}, one for each row"
        )
    if weights.min() < 0:
        first = int(np.argmin(weights))
        raise InputError(f"{name}[{first}]={weights[first]:g} is negative: give 0 to leave a row out")
    if require_positive:
        check_nonzero_weight(weights, "row", name)
    return weights


def check_sparse(X: Any, name: str) -> Any:
    """Return a matrix of SciPy's whose indices are checked, and anything else as it is.

    SciPy trusts the indices of a matrix that was changed after it was made, and reads or writes beyond it.

    Args:
        X: of any type.
        name: of the argument, in errors.

    Raises:
        InputError: an index of a sparse matrix points out of it.

    Example:
        >>> from scipy.sparse import csr_array
        >>> X = csr_array(np.eye(2))
        >>> X.indices[0] = 5
        >>> check_sparse(X, "X")
        Traceback (most recent call last):
        batchprop.errors.InputError: X is a sparse matrix with wrong indices (...): ...
    """
    if not issparse(X):
        return X
    # Read as a matrix of any kind: the common parent of SciPy's kinds declares no attribute.
    matrix: Any = X
    make: Any = type(matrix)
    try:
        if matrix.format == "coo":
            coords = getattr(matrix, "coords", None) or (matrix.row, matrix.col)
            return make((matrix.data, coords), shape=matrix.shape)
        if matrix.format not in {"csr", "csc", "bsr"}:
            matrix, make = _to_csr(matrix), csr_array
        # Another matrix over the same arrays: the check trims what is beyond the last row.
        again = make((matrix.data, matrix.indices, matrix.indptr), shape=matrix.shape)
        again.check_format(full_check=True)
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise InputError(
            f"{name} is a sparse matrix with wrong indices ({' '.join(str(error).split())}): make it again"
        ) from error
    # SciPy takes a matrix that ends at 0 for an empty one, and leaves it at that.
    if (np.diff(again.indptr) < 0).any():
        raise InputError(
            f"{name} is a sparse matrix with wrong indices (a row ends before it begins): make it again"
        )
    return again


def _to_csr(matrix: Any) -> Any:
    """Return a sparse matrix of another format in rows; of a list of lists SciPy compares no lengths.

    Raises:
        ValueError: a row has more indices than values, or fewer.
    """
    if matrix.format == "lil" and any(map(ne, map(len, matrix.rows), map(len, matrix.data))):
        raise ValueError("a row has more indices than values, or fewer")
    return matrix.tocsr()


def describe_unresolved(outputs: NDArray[np.floating]) -> tuple[int, str] | None:
    """Return the first row whose outputs ``(n, K)`` are not finite, and a message; None if all are finite."""
    unresolved = np.flatnonzero(~np.isfinite(outputs).all(axis=1))
    if not len(unresolved):
        return None
    wider = ", or give X in float64" if outputs.dtype == np.float32 else ""
    return int(unresolved[0]), (
        f"the outputs of the network are not finite for {len(unresolved)} of {len(outputs)} rows, first for "
        f"row {unresolved[0]}: with the values in these rows its sums exceed what {outputs.dtype} holds; "
        "correct or leave out such rows, scale the columns before training, as with "
        f"make_pipeline(StandardScaler(), ...){wider}"
    )


def check_finite_outputs(outputs: NDArray[np.floating]) -> None:
    """Refuse to answer for rows whose outputs ``(n, K)`` overflowed: any class would be a guess.

    Raises:
        RowError: the outputs of a row are not finite; its ``row`` is the first.
    """
    if (unresolved := describe_unresolved(outputs)) is not None:
        row, message = unresolved
        raise RowError(message, row)


def check_nonzero_weight(
    weights: NDArray[np.floating] | None, kind: str, name: str = "sample_weight"
) -> None:
    """Refuse rows all of whose weights are zero; ``kind`` names the rows, and ``name`` the weights."""
    if weights is not None and not weights.any():
        raise InputError(
            f"{name} is zero in every {kind}, so nothing is left: give some of them a positive weight"
        )


def weighted_rows(
    sample_weight: Any, n_rows: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]] | tuple[None, None]:
    """Return which rows have a weight above 0, and their weights for a metric; None and None without weights.

    A metric must not see the other rows: where they hold a fill value, its square times 0 may be NaN.

    Args:
        sample_weight: as for ``check_sample_weight``.
        n_rows: n.

    Raises:
        InputError: as ``check_sample_weight``.

    Example:
        >>> weighted_rows([0, 1e-300, 1e-300], 3)
        (array([1, 2]), array([1., 1.]))
    """
    weights = check_sample_weight(sample_weight, n_rows)
    if weights is None:
        return None, None
    rows = np.flatnonzero(weights)
    return rows, rescale_weights(weights[rows])


def blank_weightless(y: Any, weights: NDArray[np.floating] | None) -> Any:
    """Return a target of numbers with 0 in its rows of weight 0, which may hold NaN or a fill value.

    Args:
        y: the target, not yet validated; returned as it is where it needs no change, or is no such target.
        weights: of the rows ``(n,)``, or None.

    Example:
        >>> blank_weightless([np.nan, 2.0], np.array([0.0, 1.0]))
        array([0., 2.])
    """
    if weights is None or weights.all():
        return y
    try:
        values = np.array(np.asarray(y))  # a copy, also of what only gives a view
        values = values.astype(float) if values.dtype == object else values
    except (TypeError, ValueError):
        return y  # whoever validates it says what is wrong
    if values.dtype.kind not in "iuf" or values.shape[:1] != weights.shape:
        return y
    values[weights == 0] = 0
    return values


def warn_unscaled_target(Y: NDArray[np.floating], weights: NDArray[np.floating] | None) -> None:
    """Warn if a column of a target of numbers is far from mean 0 and deviation 1.

    Args:
        Y: the target ``(n, K)``.
        weights: of the rows ``(n,)``, or None; rows of weight 0 do not count.
    """
    rows = Y if weights is None else Y[weights > 0]
    with np.errstate(all="ignore"):  # the squares of 1e200 overflow
        means, deviations = rows.mean(axis=0, dtype=np.float64), rows.std(axis=0, dtype=np.float64)
    for number, (mean, deviation) in enumerate(zip(means, deviations, strict=True)):
        if abs(mean) <= MAX_MEAN and (MIN_DEVIATION <= deviation <= MAX_DEVIATION or deviation == 0):
            continue
        name = "y" if len(means) == 1 else f"column {number} of y"
        warn(
            f"{name} has mean {format_number(mean, 3)} and standard deviation {format_number(deviation, 3)}, "
            "and a network starts near 0 and takes steps for a deviation of 1: standardise the target by "
            "TransformedTargetRegressor(MLPRegressor(...), transformer=StandardScaler()) of scikit-learn, or "
            "use bp.TabularRegressor, which does",
            TargetScaleWarning,
        )
        return


def weighted_mean(losses: NDArray[np.floating], weights: NDArray[np.floating] | None) -> float:
    """Return the mean loss of rows with weights; a row of weight 0 counts as absent, whatever its loss.

    Example:
        >>> weighted_mean(np.array([1.0, 4.0, np.inf]), np.array([2.0, 1.0, 0.0]))
        2.0
    """
    if weights is None:
        return float(np.mean(losses))
    counted = weights > 0
    return float(np.average(losses[counted], weights=weights[counted]))


def train_valid_split(
    n_rows: int, fraction: float, labels: Any | None, random_state: np.random.RandomState
) -> tuple[Indices, Indices]:
    """Split the row numbers into training and validation rows, as scikit-learn's MLPs do.

    Args:
        n_rows: n.
        fraction: of the rows, for validation.
        labels: two classes to stratify by, or None.
        random_state: shuffles.

    Raises:
        InputError: a class has one row only, or a part would be too small; the message begins with
            scikit-learn's.
    """
    n_held = math.ceil(fraction * n_rows)
    parts = (
        f"validation_fraction={fraction} of {pluralize(n_rows, 'row')} leaves {n_held} to validate on and "
        f"{n_rows - n_held} to train on, where there must be at least 2 and one of each class; give another "
        "fraction or more rows"
    )
    classes, codes, counts = (
        (np.empty(0), None, np.empty(0, dtype=int))
        if labels is None
        else np.unique(labels, return_inverse=True, return_counts=True)
    )
    # A column of booleans, as scikit-learn encodes two classes: its messages name True and False.
    stratify = None if codes is None else codes.astype(bool)[:, None]
    try:
        train, valid = train_test_split(
            np.arange(n_rows), test_size=fraction, random_state=random_state, stratify=stratify
        )
    except ValueError as error:
        if len(counts) and counts.min() < _MIN_CLASS_ROWS:
            rare = classes.tolist()[counts.argmin()]
            parts = (
                f"class {rare!r} has one row only, which cannot be in both parts of a split: add "
                "rows of it, drop it, or validate on rows of your own with X_val and y_val"
            )
        raise InputError(f"{str(error).rstrip('.')}: {parts}") from error
    if len(valid) < MIN_VALIDATION_ROWS:
        raise InputError(f"{VALIDATION_TOO_SMALL}: {parts}")
    return train, valid


_NOT_FINITE = re.compile(r"Input (?:(?P<name>\w+) )?contains (?P<what>NaN|infinity)")
_TEXT = re.compile(
    r"could not convert string to float: (np\.str_\()?(?P<value>b?(?P<quote>['\"]).*(?P=quote))\)?$"
)
_MAX_SHOWN = 80
_TOO_LARGE = "int too large to convert to float"
_COLUMNS = re.compile(r"has \d+ features, but \w+ is expecting \d+ features as input")


@contextmanager
def clear_errors(**arguments: Any) -> Iterator[None]:
    """Turn errors of scikit-learn's validation in the block into an ``InputError`` with value and remedy.

    Args:
        arguments: the validated values, by name; the first may be a table with named columns.

    Raises:
        InputError: for text, dates, NaN, infinity or a wrong number of columns; other errors pass unchanged.
    """
    try:
        yield
    except (TypeError, ValueError, OverflowError) as error:
        clearer = _translate_error(str(error), arguments)
        if clearer is None or isinstance(error, InputError):
            raise
        raise InputError(clearer) from None


@contextmanager
def non_finite_errors() -> Iterator[None]:
    """Let the error of a divergence in the block begin with scikit-learn's sentence.

    Raises:
        DivergedError: the loss or a weight is no longer finite.
    """
    try:
        yield
    except DivergedError as error:
        raise DivergedError(f"{NON_FINITE}: {error}") from error


def check_numeric_target(y: Any, family: str = "MLP") -> None:
    """Refuse a target of text if numbers are needed.

    Args:
        y: the target, not yet validated.
        family: what the names of the estimators for numbers and for classes begin with.

    Raises:
        InputError: it holds text that is not a number.

    Example:
        >>> check_numeric_target(["cheap", "dear"])
        Traceback (most recent call last):
        batchprop.errors.InputError: y holds 'cheap', which is not a number: MLPRegressor predicts ...
    """
    try:
        values = np.asarray(y)
    except ValueError as error:
        raise InputError(
            "y holds rows of several lengths: give one number, or as many, for each row"
        ) from error
    if values.dtype.kind not in "OUS":
        return
    for value in values.ravel().tolist():
        if isinstance(value, str | bytes) and not _is_number(value):
            raise InputError(
                f"y holds {value!r}, which is not a number: {family}Regressor predicts numbers; "
                f"use {family}Classifier for classes"
            )


def _translate_error(message: str, arguments: dict[str, Any]) -> str | None:
    name, X = next(iter(arguments.items()))
    if match := _NOT_FINITE.search(message):
        short, bad_name = "float32" in message, match["name"] or "y"
        where = _first_not_finite(arguments.get(bad_name), short=short)
        too_large = " or a value too large for float32" if short else ""
        what = "NaN" if match["what"] == "NaN" else f"infinity{too_large}"
        return f"{bad_name} contains {what}{where}: {_remedy(bad_name, match['what'])}"
    if match := _TEXT.search(message):
        encoder = "make_column_transformer((OneHotEncoder(), [...]), remainder='passthrough') in a Pipeline"
        remedy = f"encode text first, as with {encoder}" if name == "X" else "give numbers"
        value = match["value"]
        shown = value if len(value) <= _MAX_SHOWN else f"{value[: _MAX_SHOWN - 3]}..."
        return f"{name} holds {shown}{_in_columns(X)}, which is not a number: {remedy}"
    if message == _TOO_LARGE:
        return _describe_too_large(arguments)
    if _COLUMNS.search(message):
        return f"{message.rstrip('.')}: give the columns that it was fitted on, in the same order"
    if "DType" in message and _in_columns(X):
        return (
            f"{name} holds values that are not numbers{_in_columns(X)}: "
            "turn dates and the like into numbers first"
        )
    return None


def _describe_too_large(arguments: dict[str, Any]) -> str | None:
    """Return where the first of Python's integers stands that no float64 holds."""
    for name, values in arguments.items():
        objects = np.asarray(values, dtype=object)
        for place, value in np.ndenumerate(objects):
            if isinstance(value, int) and abs(value) > sys.float_info.max:
                where = f"row {place[0]}" + "".join(f", column {column}" for column in place[1:])
                return (
                    f"{name} holds {short_repr(value)}, first in {where}, which is beyond "
                    f"{format_number(sys.float_info.max, 3)}, the largest float64: correct or rescale "
                    "such values"
                )
    return None


def _remedy(name: str, what: str) -> str:
    if what == "infinity":
        return "correct or rescale such values"
    if name.startswith("X"):
        return "leave out such rows, or fill them in, as with make_pipeline(SimpleImputer(), ...)"
    return "leave out such rows"


def _in_columns(X: Any) -> str:
    frame = read_frame(X)
    schema = {} if frame is None else frame.schema
    names = [
        repr(name) for name, dtype in schema.items() if not dtype.is_numeric() and str(dtype) != "Boolean"
    ]
    return f" in column{'s' * (len(names) > 1)} {', '.join(names[:5])}" if names else ""


def _first_not_finite(values: Any, *, short: bool) -> str:
    """The position of the first value that is not finite, in float32 if ``short``; empty if unclear."""
    native = None
    try:
        if hasattr(values, "tocoo"):
            cells = values.tocoo()
            rows = np.column_stack([cells.row, cells.col])[~_finite(cells.data, short=short)]
        else:
            native = read_native(values)
            array = values if native is None else native
            array = array.to_numpy() if hasattr(array, "to_numpy") else array
            rows = np.argwhere(~_finite(np.asarray(array, dtype=float), short=short))
        row, *column = rows[0].tolist()
    except (IndexError, TypeError, ValueError):
        return ""
    if not column:
        return f", first in row {row}"
    named = f" ({native.columns[column[0]]!r})" if native is not None else ""
    return f", first in row {row}, column {column[0]}{named}"


def _finite(array: NDArray[Any], *, short: bool) -> NDArray[np.bool_]:
    with np.errstate(over="ignore"):
        return np.asarray(np.isfinite(array.astype("float32") if short else array))


def _is_number(text: str | bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
