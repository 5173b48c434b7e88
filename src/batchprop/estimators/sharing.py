"""A fit of several processes: what they must have in common, and what each tells the others of its rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchprop.batches import rescale_weights
from batchprop.data.sources import DataSource
from batchprop.errors import InputError, ParameterError, short_repr
from batchprop.estimators.interface import FitInterface
from batchprop.estimators.source_summary import SourceSummary, checksum_arrays
from batchprop.estimators.targets import to_dense
from batchprop.estimators.validation import FitArgs, check_nonzero_weight
from batchprop.format import pluralize
from batchprop.processes import current

_OWN = {"callbacks", "random_state", "verbose"}
"""Parameters that may differ between processes: random numbers are process 0's."""


def check_sharable(estimator: FitInterface) -> None:
    """Refuse what several processes cannot run.

    Raises:
        ParameterError: it is asked for.
    """
    if estimator.engine == "numpy":
        raise ParameterError(
            "engine='numpy' does not go with several processes, whose sums JAX exchanges: use engine='jax' "
            "or 'auto'"
        )


def check_same_everywhere(
    estimator: FitInterface, call: FitArgs, X: Any, y: NDArray[Any], weights: Any
) -> None:
    """Refuse to train with processes that have other settings or another table.

    Raises:
        InputError: they differ; the message names the process, the setting and both values.
    """
    kind = "i" if y.dtype.kind in "iub" else y.dtype.kind
    rows = {
        "the columns of X": _columns(X, estimator),
        "the type of X": X.dtype.name,
        "the shape of a target": [*y.shape[1:]],
        "the kind of the targets": kind,
        "sample_weight": "given" if weights is not None else "not given",
    }
    check_same(_settings(estimator, call) | rows)


def check_same_source(
    estimator: FitInterface, call: FitArgs, source: DataSource, summary: SourceSummary
) -> None:
    """Refuse to train with processes that have other settings, or read another table.

    Raises:
        InputError: they differ.
    """
    rows = {
        "the rows of the table's parts": [*source.partitions],
        "the number of columns": summary.n_features,
        "the type of X": np.dtype(summary.dtype).name,
        "the first row": checksum_arrays(summary.y[:1]),
    }
    check_same(_settings(estimator, call) | rows)


def _settings(estimator: FitInterface, call: FitArgs) -> dict[str, Any]:
    parameters = estimator.get_params(deep=False)
    given = {
        name: "given" if getattr(call, name) is not None else "not given"
        for name in ("X_val", "sample_weight_val", "coefs_init", "intercepts_init", "checkpoint")
    }
    return {
        "estimator": type(estimator).__name__,
        **{name: _in_words(value) for name, value in parameters.items() if name not in _OWN},
        **given,
        "monitor": sorted(call.monitor),
        "record_examples": bool(call.record_examples),
        "number of rows in earlier fits": int(getattr(estimator, "t_", 0)),
    }


def check_same(settings: dict[str, Any]) -> None:
    """Refuse settings, plain data by name, that another process has otherwise.

    Raises:
        InputError: some differ.
    """
    everywhere = current().gather(settings)
    for process, other in enumerate(everywhere):
        for name, value in everywhere[0].items():
            if other.get(name) != value:
                raise InputError(
                    f"process {process} and process 0 differ in {name}, {short_repr(other.get(name))} and "
                    f"{short_repr(value)}: start all with the same settings and table"
                )


def _columns(X: Any, estimator: FitInterface) -> Any:
    names = getattr(estimator, "feature_names_in_", None)
    return int(X.shape[1]) if names is None else [str(name) for name in names]


def _in_words(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple | np.ndarray):
        return [_in_words(entry) for entry in value]
    if isinstance(value, dict):
        return {str(key): _in_words(entry) for key, entry in value.items()}
    if isinstance(value, np.generic):
        return value.item()
    return getattr(value, "__qualname__", type(value).__qualname__)


def own_rows(rows: Any) -> Any:
    """Return this process's part of rows that all processes have; None stays None.

    Raises:
        InputError: there are fewer rows than processes.
    """
    processes = current()
    if rows is None or processes.count == 1:
        return rows
    n = int(rows.shape[0])
    if n < processes.count:
        raise InputError(
            f"{pluralize(n, 'row is', 'rows are')} too few for {processes.count} processes: start at most {n}"
        )
    return rows[processes.own_part(n)]


def gather_labels(y: NDArray[Any]) -> NDArray[Any]:
    """Return the targets of all processes ``(n, ...)``.

    Raises:
        InputError: labels are objects that are no text.
    """
    processes = current()
    with processes.guard():
        as_text = y.dtype == object
        if as_text and not all(isinstance(label, str) for label in y.flat):
            raise InputError(
                "y holds labels of several types, which processes do not exchange: give text, or numbers"
            )
    parts = processes.gather_rows(y.astype(str) if as_text else y)
    joined = np.concatenate(parts)
    return joined.astype(object) if as_text else joined


def gather_validation_rows(
    X: Any, y: NDArray[Any], weights: NDArray[np.float64] | None
) -> tuple[Any, NDArray[Any], NDArray[np.float64] | None]:
    """Return the validation rows of all processes, each of which gave its own."""
    processes = current()
    rows = np.concatenate(processes.gather_rows(np.asarray(to_dense(X))))
    return rows, gather_labels(y), gather_weights(weights, "sample_weight_val")


def gather_weights(
    weights: NDArray[np.float64] | None, name: str = "sample_weight"
) -> NDArray[np.float64] | None:
    """Return the weights of the rows of all processes in their unit, or None.

    Raises:
        InputError: all are zero.
    """
    if weights is None:
        return None
    joined = np.concatenate(current().gather_rows(weights))
    check_nonzero_weight(joined, "row", name)
    return rescale_weights(joined)
