"""The data map: every training row as a point, by what the network made of its label."""

from typing import Any, Self

from numpy.typing import ArrayLike

from batchprop.errors import InputError
from batchprop.plots.style import get_axes, style_axes

_FIGURES = ("confidence", "variability", "correctness")
_SIZE = (8.0, 5.0)


class DataMapDisplay:
    """Every training row by the mean and the spread of its label's probability over the epochs.

    Top left are rows that were easy from the start; at the right those that the network took for this and
    that; bottom left those whose label it did not believe, where mislabelled rows gather.

    Args:
        confidence: mean of the given label's probability ``(n,)``, the height.
        variability: its standard deviation ``(n,)``, the distance from the left.
        correctness: part of the epochs in which the answer was right ``(n,)``, the colour.

    Attributes:
        ax_: the axes drawn on.
        figure_: their figure.
        scatter_: the points.

    Source:
        Swayamdipta et al. 2020, arXiv 2009.10795.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from batchprop import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> clf = MLPClassifier(tol=0.01, random_state=0).fit(X, y, record_examples=True)
        >>> import matplotlib
        >>> matplotlib.use("Agg")
        >>> DataMapDisplay.from_estimator(clf).ax_.get_ylabel()
        "confidence: mean of the given label's probability"
    """

    def __init__(self, *, confidence: ArrayLike, variability: ArrayLike, correctness: ArrayLike) -> None:
        self.confidence = confidence
        self.variability = variability
        self.correctness = correctness

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> Self:
        """Draw the map of a classifier fitted with ``record_examples=True``.

        Args:
            estimator: fitted.
            ax: matplotlib axes to draw on; None makes a figure.

        Returns:
            The display, drawn.

        Raises:
            AttributeError: nothing was recorded.
            InputError: the targets are numbers, not labels.
        """
        return cls.from_examples(estimator.examples_, ax=ax)

    @classmethod
    def from_examples(cls, examples: Any, *, ax: Any = None) -> Self:
        """Draw the map of a table like ``examples_``; rows held out, which have no figures, are left out.

        Args:
            examples: DataFrame with ``confidence``, ``variability`` and ``correctness``.
            ax: matplotlib axes to draw on; None makes a figure.

        Returns:
            The display, drawn.

        Raises:
            InputError: a column is missing, as where the targets are numbers.
        """
        lacking = [name for name in _FIGURES if name not in examples.columns]
        if lacking:
            raise InputError(
                f"the examples have no {lacking[0]!r}: a data map is of labels, and numbers have no "
                "probability; give the examples_ of a classifier"
            )
        seen = examples.dropna(subset=list(_FIGURES))
        return cls(**{name: seen[name].to_numpy() for name in _FIGURES}).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> Self:
        """Draw the map.

        Args:
            ax: matplotlib axes to draw on; None makes a figure.

        Returns:
            The display.
        """
        ax = get_axes(ax, _SIZE)
        # Cividis reads the same to colour-blind eyes, and in grey.
        points = ax.scatter(
            self.variability, self.confidence, c=self.correctness, cmap="cividis", vmin=0, vmax=1, s=12
        )
        ax.figure.colorbar(points, ax=ax, label="correctness: part of the epochs with the right answer")
        ax.set(
            xlim=(0, 0.52),
            ylim=(-0.02, 1.02),
            xlabel="variability: standard deviation of the same",
            ylabel="confidence: mean of the given label's probability",
        )
        style_axes(ax)
        self.ax_, self.figure_, self.scatter_ = ax, ax.figure, points
        return self
