"""The microscope: one batch in every matrix, as a page to open, mail or show in a notebook."""

import html
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchprop.errors import InputError, ParameterError
from batchprop.microscope.document import DisplayNames, Snapshot, document
from batchprop.microscope.page import page
from batchprop.plots.validation import check_fitted, n_rows

MAX_ROWS = 64
"""Examples in a microscope at most: more columns than that nobody can tell apart."""

MAX_MOMENTS = 6

_IMAGES = 3  # dimensions


@dataclass(frozen=True)
class Microscope:
    """A page that shows a batch; in a notebook it shows itself.

    Attributes:
        html: the whole file, which needs no other.
    """

    html: str

    def save(self, path: str | Path) -> Path:
        """Write the page to a file.

        Args:
            path: of the file; one that is there is replaced.

        Returns:
            The path.
        """
        path = Path(path)
        path.write_text(self.html, encoding="utf-8")
        return path

    def open(self, path: str | Path) -> bool:
        """Write the page to a file and open it in the browser.

        Args:
            path: of the file.

        Returns:
            Whether there is a browser.
        """
        return webbrowser.open(self.save(path).resolve().as_uri())

    def _repr_html_(self) -> str:
        framed = html.escape(self.html)
        return f'<iframe title="batchprop microscope" srcdoc="{framed}" width="100%" height="900"></iframe>'


def look(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    rows: int = 8,
    images: Any = None,
    learning_rate: float | None = None,
    about: str | None = None,
    random_state: int = 0,
) -> Microscope:
    """Show every matrix of one batch, forward, back, collapsed and updated, in a page of its own.

    ``Z = W H + b``, ``P``, ``dZ``, the tensor ``DW`` with a sheet for each example, its mean
    ``dW = dZ Hᵀ / m``, and ``W − α dW``: at the end of training, and where the fit recorded its checkpoints
    (``record_examples=True``) on the way there.

    Args:
        estimator: a fitted ``MLPClassifier`` or ``MLPRegressor``.
        X: inputs ``(n, n_0)``, an array, a sparse matrix, or a frame, whose index then names the rows.
        y: their targets, as for ``fit``; a series or a frame names them.
        rows: how many of them make up the batch, up to 64: drawn at random, in the order of X, with all
            labels in turn; all, where there are no more.
        images: what the rows look like, where they are images: ``(n, height, width)``, in any unit, the
            largest number drawn darkest.
        learning_rate: α of the update; the estimator's ``learning_rate_init`` if None.
        about: what the examples are, in a few words.
        random_state: of the draw.

    Returns:
        A ``Microscope``: ``save(path)`` it, ``open(path)`` it, or let a notebook show it.

    Raises:
        NotFittedError: the estimator is not fitted.
        ValueError: X or y do not fit the network (``InputError`` where X, y and images do not, or where the
            estimator is no network, as a pipeline).
        ParameterError: ``rows`` is not from 1 to 64, ``learning_rate`` not a number above 0, or
            ``random_state`` no whole number from 0.

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
    chosen = _chosen(X, y, rows, random_state, by_label=hasattr(estimator, "classes_"))
    pictures = None if images is None else _pictures(images, len(y))[chosen]
    names, features = _row_names(X, chosen), _features(estimator, X)
    X, y = _taken(estimator, X, chosen), _some(y, chosen)
    network, batch = estimator.network_and_batch(X, y)
    widths = "-".join(map(str, network.sizes))
    words = DisplayNames(
        title=f"{about or 'A batch'} through {widths}",
        about=(_told(network, len(chosen)),),
        features=features or [f"x{k}" for k in range(network.sizes[0])],
        outputs=_outputs(estimator, y, network.sizes[-1]),
        rows=names,
        labels=_in_words(np.asarray(y)),
        images=pictures,
    )
    rate = estimator.learning_rate_init if learning_rate is None else learning_rate
    return Microscope(page(document(words, batch, _moments(estimator, X, y), _positive(rate))))


def _moments(estimator: Any, X: Any, y: Any) -> list[Snapshot]:
    """The network at a few points of its training, the fitted one last."""
    found = [(f"after epoch {one.epoch}", estimator.at_snapshot(one)) for one in _checkpoints(estimator)]
    if not found:
        found = [("as fitted: the training was not recorded", estimator)]
    elif _same(found[-1][1].coefs_, estimator.coefs_):
        found[-1] = (f"{found[-1][0]}, the last", estimator)
    else:
        found.append(("as fitted, the best epoch", estimator))
    if found[0][0] == "after epoch 0":
        found[0] = ("before the first epoch", found[0][1])
    places = np.unique(np.linspace(0, len(found) - 1, MAX_MOMENTS).round().astype(int))
    return [
        Snapshot(name, then.network_and_batch(X, y)[0], _in_words(then.predict(X)))
        for name, then in (found[place] for place in places)
    ]


def _same(ours: list[Any], kept: list[Any]) -> bool:
    # A small table is trained in float64 whatever the weights are kept in.
    return all(np.array_equal(W.astype(V.dtype), V) for W, V in zip(ours, kept, strict=True))


def _checkpoints(estimator: Any) -> list[Any]:
    return list(getattr(estimator, "weight_snapshots_", []))


def _chosen(X: Any, y: Any, rows: int, seed: int, *, by_label: bool) -> NDArray[np.intp]:
    if isinstance(rows, bool) or not isinstance(rows, int | np.integer) or not 1 <= rows <= MAX_ROWS:
        raise ParameterError(f"rows={rows!r} is not allowed: give a number from 1 to {MAX_ROWS}, as 8")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ParameterError(f"random_state={seed!r} is not allowed: give a whole number from 0, as 0")
    n, of_y = n_rows("X", X), n_rows("y", y)
    if n == 0 or of_y != n:
        raise InputError(f"X has {n} rows and y {of_y}: give one target for each row, and one row at least")
    if n <= rows:
        return np.arange(n)
    order = np.random.default_rng(seed).permutation(n)
    labels = np.asarray(y)
    if labels.ndim > 1 or not by_label:
        return np.sort(order[:rows])
    # Every label has its turn, so that a small batch shows several.
    turn = np.empty(n, dtype=int)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        turn[members] = np.arange(len(members))
    return np.sort(order[np.argsort(turn[order], kind="stable")][:rows])


def _taken(estimator: Any, X: Any, rows: NDArray[np.intp]) -> Any:
    """Some rows; without the names of the columns where the estimator was fitted without."""
    some = _some(X, rows)
    nameless = hasattr(some, "iloc") and not hasattr(estimator, "feature_names_in_")
    return some.to_numpy() if nameless else some


def _some(values: Any, rows: NDArray[np.intp]) -> Any:
    if hasattr(values, "iloc"):
        return values.iloc[rows]
    values = values.tocsr() if hasattr(values, "tocsr") else values
    return values[rows] if hasattr(values, "shape") else [values[row] for row in rows]


def _row_names(X: Any, rows: NDArray[np.intp]) -> list[str]:
    index = getattr(X, "index", None)
    named = rows if index is None or callable(index) else index[rows]
    return [f"{getattr(named, 'name', None) or 'row'} {name}" for name in named]


def _features(estimator: Any, X: Any) -> list[str]:
    return [str(name) for name in getattr(estimator, "feature_names_in_", getattr(X, "columns", ()))]


def _outputs(estimator: Any, y: Any, K: int) -> list[str]:
    """The classes, or the names of the targets where they have some."""
    classes = getattr(estimator, "classes_", None)
    if isinstance(classes, list):
        return [f"{t + 1}: {label}" for t, labels in enumerate(classes) for label in _in_words(labels)]
    if isinstance(classes, np.ndarray) and estimator.out_activation_ == "softmax":
        return _in_words(classes)
    if isinstance(classes, np.ndarray) and K == 1:
        return [f"is {_in_words(classes)[-1]}"]
    names = getattr(y, "columns", [getattr(y, "name", None)])
    named = len(names) == K and all(name is not None for name in names)
    return [str(name) if named else f"output {k}" for k, name in enumerate(names if named else range(K))]


def _in_words(y: NDArray[Any]) -> list[str]:
    """Each row's target: a label as it is, a number in 6 digits, several with commas between."""
    rows = (y[:, None] if y.ndim == 1 else y).tolist()
    return [
        ", ".join(f"{value:.6g}" if isinstance(value, float) else str(value) for value in row) for row in rows
    ]


def _pictures(images: Any, n: int) -> NDArray[Any]:
    pictures = np.asarray(images)
    fits = pictures.ndim == _IMAGES and len(pictures) == n and 0 not in pictures.shape
    if not fits or pictures.dtype.kind not in "biuf":
        raise InputError(
            f"images has shape {pictures.shape} of {pictures.dtype}: give a picture in numbers for each of "
            f"the {n} rows, (n, height, width), as X.reshape(-1, 8, 8)"
        )
    return pictures


def _positive(rate: float) -> float:
    if not (isinstance(rate, int | float | np.number) and 0 < rate < np.inf):
        raise ParameterError(f"learning_rate={rate!r} is not allowed: give a number above 0, as 0.1")
    return float(rate)


def _told(network: Any, m: int) -> str:
    hidden = ", ".join(dict.fromkeys(activation.name for activation in network.activations))
    between = hidden or "no hidden layer"
    widths = "-".join(map(str, network.sizes))
    examples = "1 example, a column," if m == 1 else f"{m} examples, each a column,"
    return f"{examples} through a network of {widths} units ({between}; {network.head.name})."
