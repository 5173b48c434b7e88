"""The microscope: one batch in every matrix, as a page to open, mail or show in a notebook."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from batchprop.backprop import resolved_outputs
from batchprop.errors import InputError, ParameterError
from batchprop.format import pluralize
from batchprop.microscope.document import DisplayNames, Snapshot, document
from batchprop.microscope.page import Page, page
from batchprop.microscope.source_table import SourceTable
from batchprop.plots.validation import check_fitted, n_rows

MAX_ROWS = 64
"""More columns than this are indistinguishable on a page."""

MAX_SNAPSHOTS = 6

_IMAGE_DIMENSIONS = 3
_TITLE = "batchprop microscope"
_DIGITS = (6, 9, 12, 17)


@dataclass(frozen=True)
class Microscope(Page):
    """A page that shows a batch; a notebook displays it.

    The traits of its ``widget`` are ``selected``, the example pointed at, or None; ``step``, such as
    ``"collapse-1"``; and ``left_out``, the examples left out of the batch. Examples count from 0, in the
    order of the page.

    Attributes:
        html: the page, one file that loads nothing else.
    """

    title: ClassVar[str] = "batchprop microscope"
    shared: ClassVar[dict[str, Any]] = {"selected": None, "step": "", "left_out": []}


def look(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    rows: int = 8,
    images: Any = None,
    source: SourceTable | None = None,
    learning_rate: float | None = None,
    about: str | None = None,
    random_state: int = 0,
) -> Microscope:
    """Show every matrix of one batch on one page: forward, backward, collapse and update.

    The page shows ``Z = W H + b``, ``P``, ``dZ``, the tensor ``DW`` with a slice for each example, its mean
    ``dW = dZ Hᵀ / m``, and ``W − α dW``, for the fitted network. If the fit recorded snapshots of the weights
    (``record_examples=True``), it also shows the network at earlier points of the training.

    Args:
        estimator: a fitted ``MLPClassifier`` or ``MLPRegressor``.
        X: inputs ``(n, n_0)``: an array, a sparse matrix, or a data frame, whose index names the rows.
        y: targets, as for ``fit``; a series or data frame names them.
        rows: size of the batch, up to 64. The rows are drawn at random, balanced over the labels, and keep
            their order in X; a smaller X is shown whole.
        images: the rows as images ``(n, height, width)``, in any unit; the largest number is drawn darkest.
        source: the table that X was encoded from, shown beside it; labels and predictions are then shown in
            the unit of its target.
        learning_rate: α of the update; ``learning_rate_init`` of the estimator if None.
        about: a short description of the examples, for the title.
        random_state: seed of the draw.

    Returns:
        A ``Microscope``: call ``save(path)`` or ``open(path)``, or let a notebook display it.

    Raises:
        NotFittedError: the estimator is not fitted.
        ValueError: X or y do not fit the network (``InputError`` if X, y, images and source do not fit each
            other, or if the estimator is not a network, for example a pipeline).
        ParameterError: ``rows`` is not from 1 to 64, ``learning_rate`` is not a number above 0, or
            ``random_state`` is not a whole number from 0.

    Source:
        The batch algorithm of the text that this comes from.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from batchprop import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> clf = MLPClassifier((4,), max_iter=20, tol=1.0, random_state=0).fit(X, y)
        >>> look(clf, X, y, rows=6).html[:15]
        '<!doctype html>'
    """
    check_fitted(estimator)
    y = y.toarray() if hasattr(y, "toarray") else y
    indices = _sample_rows(X, y, rows, random_state, by_label=hasattr(estimator, "classes_"))
    images = None if images is None else _check_images(images, len(y))[indices]
    if source is not None:
        source.check(len(y), estimator.n_features_in_)
        source = source.take(indices)
    row_names, features = _row_names(X, indices), _features(estimator, X)
    X, y = _take_inputs(estimator, X, indices), _take(y, indices)
    network, batch = estimator.network_and_batch(X, y)
    widths = "-".join(map(str, network.sizes))
    names = DisplayNames(
        title=f"{about or 'A batch'} through {widths}",
        description=(_describe(network, len(indices)), *_describe_unit(source)),
        features=features or [f"x{k}" for k in range(network.sizes[0])],
        outputs=_outputs(estimator, y, network.sizes[-1]),
        rows=row_names,
        labels=_format_targets(_restore_unit(np.asarray(y), source)),
        images=images,
        source=source,
    )
    rate = estimator.learning_rate_init if learning_rate is None else learning_rate
    snapshots = _snapshots(estimator, X, y, source)
    return Microscope(page(document(names, batch, snapshots, _check_learning_rate(rate))))


def _snapshots(estimator: Any, X: Any, y: Any, source: SourceTable | None) -> list[Snapshot]:
    """The network at a few points of its training, the fitted one last."""
    recorded = getattr(estimator, "weight_snapshots_", [])
    models = [(f"after epoch {one.epoch}", estimator.at_snapshot(one)) for one in recorded]
    if not models:
        models = [("as fitted: the training was not recorded", estimator)]
    elif _same_weights(models[-1][1].coefs_, estimator.coefs_):
        models[-1] = (f"{models[-1][0]}, the last", estimator)
    else:
        models.append(("as fitted, the best epoch", estimator))
    if models[0][0] == "after epoch 0":
        models[0] = ("before the first epoch", models[0][1])
    indices = np.unique(np.linspace(0, len(models) - 1, MAX_SNAPSHOTS).round().astype(int))
    chosen = [models[index] for index in indices]
    return [
        Snapshot(name, model.network_and_batch(X, y)[0], _predictions(model, X, y, source))
        for name, model in chosen
    ]


def _predictions(model: Any, X: Any, y: Any, source: SourceTable | None = None) -> list[str]:
    """Format the prediction for each row; the page shows how a row overflows, where `predict` refuses it."""
    network, batch = model.network_and_batch(X, y)
    with np.errstate(over="ignore", invalid="ignore"):
        is_finite = np.isfinite(resolved_outputs(network, batch.B)).all(axis=0)
    labels = np.full(len(is_finite), "not finite", dtype=object)
    if is_finite.any():
        predicted = model.predict(_take(X, np.flatnonzero(is_finite)))
        labels[is_finite] = _format_targets(_restore_unit(predicted, source))
    return [str(label) for label in labels]


def _restore_unit(y: NDArray[Any], source: SourceTable | None) -> NDArray[Any]:
    return y if source is None else source.restore_unit(y)


def _same_weights(recorded: list[Any], fitted: list[Any]) -> bool:
    # A small table is trained in float64, and its weights may be stored in float32.
    return all(np.array_equal(W.astype(V.dtype), V) for W, V in zip(recorded, fitted, strict=True))


def _sample_rows(X: Any, y: Any, rows: int, seed: int, *, by_label: bool) -> NDArray[np.intp]:
    if isinstance(rows, bool) or not isinstance(rows, int | np.integer) or not 1 <= rows <= MAX_ROWS:
        raise ParameterError(f"rows={rows!r} is not allowed: give a number from 1 to {MAX_ROWS}, as 8")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ParameterError(f"random_state={seed!r} is not allowed: give a whole number from 0, as 0")
    n, n_targets = n_rows("X", X), n_rows("y", y)
    if n == 0 or n_targets != n:
        raise InputError(
            f"X has {pluralize(n, 'row')} and y {n_targets:,}: give one target for each row, and one row at "
            "least"
        )
    if n <= rows:
        return np.arange(n)
    order = np.random.default_rng(seed).permutation(n)
    labels = np.asarray(y)
    if labels.ndim > 1 or not by_label:
        return np.sort(order[:rows])
    # Alternate the labels, so that even a small batch shows several.
    turn = np.empty(n, dtype=int)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        turn[members] = np.arange(len(members))
    return np.sort(order[np.argsort(turn[order], kind="stable")][:rows])


def _take_inputs(estimator: Any, X: Any, rows: NDArray[np.intp]) -> Any:
    """Take some rows, without column names if the estimator was fitted without."""
    selected = _take(X, rows)
    unnamed = hasattr(selected, "iloc") and not hasattr(estimator, "feature_names_in_")
    return selected.to_numpy() if unnamed else selected


def _take(values: Any, rows: NDArray[np.intp]) -> Any:
    if hasattr(values, "iloc"):
        return values.iloc[rows]
    values = values.tocsr() if hasattr(values, "tocsr") else values
    return values[rows] if hasattr(values, "shape") else [values[row] for row in rows]


def _row_names(X: Any, rows: NDArray[np.intp]) -> list[str]:
    index = getattr(X, "index", None)
    names = rows if index is None or callable(index) else index[rows]
    return [f"{getattr(names, 'name', None) or 'row'} {name}" for name in names]


def _features(estimator: Any, X: Any) -> list[str]:
    return [str(name) for name in getattr(estimator, "feature_names_in_", getattr(X, "columns", ()))]


def _outputs(estimator: Any, y: Any, K: int) -> list[str]:
    """The classes, or the names of the targets if they have some."""
    classes = getattr(estimator, "classes_", None)
    if isinstance(classes, list):
        return [f"{t + 1}: {label}" for t, labels in enumerate(classes) for label in _format_targets(labels)]
    if isinstance(classes, np.ndarray) and estimator.out_activation_ == "softmax":
        return _format_targets(classes)
    if isinstance(classes, np.ndarray) and K == 1:
        return [f"is {_format_targets(classes)[-1]}"]
    names = getattr(y, "columns", [getattr(y, "name", None)])
    is_named = len(names) == K and all(name is not None for name in names)
    return [
        str(name) if is_named else f"output {k}" for k, name in enumerate(names if is_named else range(K))
    ]


def _format_targets(y: NDArray[Any]) -> list[str]:
    """Format each row's target: a class as it is, a number with 6 digits or more, several with commas."""
    rows = (y[:, None] if y.ndim == 1 else y).tolist()
    numbers = {value for row in rows for value in row if isinstance(value, float)}
    # As many digits as tell the numbers apart: they may share the first six.
    for digits in _DIGITS:
        if len({f"{value:.{digits}g}" for value in numbers}) == len(numbers):
            break
    return [
        ", ".join(f"{value:.{digits}g}" if isinstance(value, float) else str(value) for value in row)
        for row in rows
    ]


def _check_images(images: Any, n: int) -> NDArray[Any]:
    array: NDArray[Any] = np.asarray(images)
    is_valid = array.ndim == _IMAGE_DIMENSIONS and len(array) == n and 0 not in array.shape
    if not is_valid or array.dtype.kind not in "biuf":
        raise InputError(
            f"images has shape {array.shape} of {array.dtype}: give an image in numbers for each of "
            f"the {n} rows, (n, height, width), as X.reshape(-1, 8, 8)"
        )
    return array


def _check_learning_rate(rate: float) -> float:
    if not (isinstance(rate, int | float | np.number) and 0 < rate < np.inf):
        raise ParameterError(f"learning_rate={rate!r} is not allowed: give a number above 0, as 0.1")
    return float(rate)


def _describe_unit(source: SourceTable | None) -> list[str]:
    if source is None or source.scaler is None:
        return []
    return ["Labels and predictions are in their own unit; Y and P hold them standardised."]


def _describe(network: Any, m: int) -> str:
    activations = ", ".join(dict.fromkeys(activation.name for activation in network.activations))
    hidden = activations or "no hidden layer"
    widths = "-".join(map(str, network.sizes))
    examples = "1 example, one column," if m == 1 else f"{m} examples, one column each,"
    return f"{examples} through a network with {widths} units ({hidden}; {network.head.name})."
