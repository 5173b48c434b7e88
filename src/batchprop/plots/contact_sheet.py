"""A contact sheet of the most suspicious images of a data set."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchprop.errors import InputError, ParameterError, check_positive_int
from batchprop.format import pluralize
from batchprop.plots.style import get_axes

_COLUMNS = 10
_INCHES = 1.0
_CAPTION = 0.35
_NDIMS = (3, 4)


@dataclass(kw_only=True, eq=False, repr=False)
class ContactSheetDisplay:
    """The most suspicious images, each with its row, its given label and its predicted label.

    Args:
        images: ``(n, height, width)``, or ``(n, height, width, 3)`` in colour.
        rows: the row number of each image ``(n,)``.
        given_label: the labels in the data ``(n,)``.
        predicted_label: the labels that the network predicts ``(n,)``.

    Attributes:
        ax_: the axes drawn on.
        figure_: their figure.
        images_: the images drawn, in order.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> from batchprop import MLPClassifier
        >>> X, y = load_digits(return_X_y=True)
        >>> clf = MLPClassifier(max_iter=60, tol=0.01, random_state=0).fit(
        ...     X / 16, y, record_examples=True
        ... )
        >>> import matplotlib
        >>> matplotlib.use("Agg")
        >>> sheet = ContactSheetDisplay.from_estimator(clf, X, image_shape=(8, 8), top=20)
        >>> len(sheet.images_)
        20
    """

    images: ArrayLike
    rows: ArrayLike
    given_label: ArrayLike
    predicted_label: ArrayLike

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, *, image_shape: Sequence[int], top: int = 50, ax: Any = None
    ) -> Self:
        """Draw the most suspicious rows of an estimator fitted with ``record_examples=True``.

        Args:
            estimator: an estimator fitted on one target for each row.
            X: the training inputs, or the images they were made from: ``(n, pixels)``, or as images.
            image_shape: height and width, and a 3 behind them for colour: for example ``(8, 8)``.
            top: the number of images.
            ax: matplotlib axes to draw on; None creates a figure.

        Returns:
            The display, drawn.

        Raises:
            AttributeError: nothing was recorded.
            InputError: X has another number of rows than the training data, a row has another number of
                values than an image, or there are several targets.
            ParameterError: ``top`` is not an integer or below 1, or ``image_shape`` is not that of an image.
        """
        images = _reshape_images(X, image_shape)
        check_positive_int("top", top, "at least 1 image, as 50")
        examples = estimator.examples_
        if len(examples) != len(images):
            raise InputError(
                f"X has {pluralize(len(images), 'row')}, and the training data {len(examples)}: give all "
                "rows, in order"
            )
        if "given_label" not in examples.columns:
            raise InputError("a contact sheet shows one label for each row, and there are several targets")
        ranked = examples.nsmallest(top, "mislabel_rank")
        return cls(
            images=images[ranked.index],
            rows=ranked.index.to_numpy(),
            given_label=ranked["given_label"].to_numpy(),
            predicted_label=ranked["predicted_label"].to_numpy(),
        ).plot(ax=ax)

    def plot(self, *, ax: Any = None, columns: int = _COLUMNS) -> Self:
        """Draw the sheet, row by row from the top left.

        Args:
            ax: matplotlib axes to draw on; None creates a figure.
            columns: the number of images in a row of the sheet.

        Returns:
            The display.

        Raises:
            ParameterError: ``columns`` is not an integer, or below 1.
        """
        check_positive_int("columns", columns, f"at least 1 column, as {_COLUMNS}")
        images = np.asarray(self.images)
        columns = min(columns, len(images))
        lines = -(-len(images) // columns)
        ax = get_axes(ax, (_INCHES * columns, (_INCHES + _CAPTION) * lines))
        tops = np.arange(len(images)) // columns * (1 + _CAPTION)
        lefts = np.arange(len(images)) % columns
        drawn = []
        for image, top, left, *caption in zip(
            images,
            tops,
            lefts,
            *map(np.asarray, (self.rows, self.given_label, self.predicted_label)),
            strict=True,
        ):
            where = (left + 0.04, left + 0.96, top + _CAPTION + 0.96, top + _CAPTION + 0.04)
            drawn.append(ax.imshow(image, extent=where, cmap="gray_r", interpolation="nearest"))
            # A label may hold a $, which matplotlib would take for the start of a formula.
            ax.text(left + 0.5, top + _CAPTION, _caption(*caption), ha="center", fontsize=7, parse_math=False)
        ax.set(xlim=(0, columns), ylim=(lines * (1 + _CAPTION), 0), aspect="equal")
        ax.set_axis_off()
        self.ax_, self.figure_, self.images_ = ax, ax.figure, drawn
        return self


def _reshape_images(X: Any, shape: Sequence[int]) -> NDArray[Any]:
    if not _is_image_shape(shape):
        raise ParameterError(
            f"image_shape={shape!r} is not allowed: give height and width, as (8, 8), "
            "or (32, 32, 3) for colour"
        )
    flat = np.asarray(X)
    flat = flat.reshape(len(flat), -1)
    if flat.shape[1] != np.prod(shape):
        raise InputError(
            f"X has {flat.shape[1]} values in each row, and image_shape={tuple(shape)!r} needs "
            f"{np.prod(shape)}: give the shape of the images before they were flattened"
        )
    return flat.reshape(-1, *shape)


def _is_image_shape(shape: Any) -> bool:
    try:
        sizes = tuple(shape)
    except TypeError:
        return False
    are_sizes = all(isinstance(size, int | np.integer) and size > 0 for size in sizes)
    return are_sizes and len(sizes) + 1 in _NDIMS


def _caption(row: Any, given: Any, predicted: Any) -> str:
    return f"row {row}\n{given}" + (f" → {predicted}?" if predicted != given else "")
