"""The data map: each training row as a point, by how the network predicts its label."""

from dataclasses import dataclass
from typing import Any, Self

from numpy.typing import ArrayLike

from batchprop.errors import InputError
from batchprop.plots.style import get_axes, style_axes

_METRICS = ("confidence", "variability", "correctness")
_SIZE = (8.0, 5.0)


@dataclass(kw_only=True, eq=False, repr=False)
class DataMapDisplay:
    """Each training row by the mean and the standard deviation of its label's probability over the epochs.

    Rows at the top left are easy from the start. Rows at the right are ambiguous: the network's prediction
    changes. Rows at the bottom left are hard: the network does not believe their label, and mislabelled rows
    gather there.

    Args:
        confidence: the mean probability of the given label ``(n,)``, the y axis.
        variability: its standard deviation ``(n,)``, the x axis.
        correctness: the share of epochs with a correct prediction ``(n,)``, the colour.

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
        'confidence: mean probability of the given label'
    """

    confidence: ArrayLike
    variability: ArrayLike
    correctness: ArrayLike

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> Self:
        """Draw the map of a classifier fitted with ``record_examples=True``.

        Args:
            estimator: a fitted classifier.
            ax: matplotlib axes to draw on; None creates a figure.

        Returns:
            The display, drawn.

        Raises:
            AttributeError: nothing was recorded.
            InputError: the targets are numbers, not labels.
        """
        return cls.from_examples(estimator.examples_, ax=ax)

    @classmethod
    def from_examples(cls, examples: Any, *, ax: Any = None) -> Self:
        """Draw the map of a table like ``examples_``, without the rows held out for validation.

        Args:
            examples: a DataFrame with ``confidence``, ``variability`` and ``correctness``.
            ax: matplotlib axes to draw on; None creates a figure.

        Returns:
            The display, drawn.

        Raises:
            InputError: a column is missing, as it is where the targets are numbers.
        """
        missing = [name for name in _METRICS if name not in examples.columns]
        if missing and "confidence" in examples.columns:
            raise InputError(
                f"the examples have no {missing[0]!r}: a data map shows how one network's answers change in "
                "its epochs, and these are of networks that held the rows out; give the examples_ of an "
                "MLPClassifier"
            )
        if missing:
            raise InputError(
                f"the examples have no {missing[0]!r}: a data map is of labels, and numbers have no "
                "probability; give the examples_ of a classifier"
            )
        trained = examples.dropna(subset=list(_METRICS))
        return cls(**{name: trained[name].to_numpy() for name in _METRICS}).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> Self:
        """Draw the map.

        Args:
            ax: matplotlib axes to draw on; None creates a figure.

        Returns:
            The display.
        """
        ax = get_axes(ax, _SIZE)
        # Cividis looks the same to colour-blind readers, and in greyscale.
        points = ax.scatter(
            self.variability, self.confidence, c=self.correctness, cmap="cividis", vmin=0, vmax=1, s=12
        )
        ax.figure.colorbar(points, ax=ax, label="correctness: share of epochs with a correct prediction")
        ax.set(
            xlim=(0, 0.52),
            ylim=(-0.02, 1.02),
            xlabel="variability: its standard deviation",
            ylabel="confidence: mean probability of the given label",
        )
        style_axes(ax)
        self.ax_, self.figure_, self.scatter_ = ax, ax.figure, points
        return self
