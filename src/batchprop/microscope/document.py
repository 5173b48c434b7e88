"""What the microscope shows of a batch, in plain numbers and words: each matrix, at points of a training.

Layers are counted as in the text: level 0 is the batch, levels 1 to L are hidden, L + 1 is the output. Of a
level with many units some are drawn; sums over all of them stay exact, for whole gradients are told by their
Gram matrix.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchprop.backprop import Step, backprop
from batchprop.batches import Batch
from batchprop.microscope.formulas import activation_tex, head_tex
from batchprop.network import Network
from batchprop.webdata import encode_matrix

MAX_NUMBERS = 800_000
"""About so many numbers a document holds: 4 bytes each, a third more as text, and a page under 5 MB."""

_UNITS = (64, 48, 32, 24, 16, 8)
_INPUTS = 2000  # of more than that an example's card knows those that stand out
_OUTSTANDING = 12
_SIDE = 64  # pixels of an image

Units = tuple[NDArray[np.intp], ...]
"""For each level the units that are drawn, in their order."""


@dataclass(frozen=True)
class DisplayNames:
    """What numbers are called.

    Attributes:
        title: of the page.
        about: sentences on the data and the network.
        features: names of the inputs, ``n_0``.
        outputs: names of the outputs, ``K``.
        rows: names of the examples, ``m``.
        labels: their labels, ``m``.
        images: what the examples look like ``(m, height, width)``, where they are images; or None.
    """

    title: str
    about: tuple[str, ...]
    features: Sequence[str]
    outputs: Sequence[str]
    rows: Sequence[str]
    labels: Sequence[str]
    images: NDArray[Any] | None = None


@dataclass(frozen=True)
class Snapshot:
    """A network at one point of its training.

    Attributes:
        name: of the point.
        network: as it was.
        answers: its predictions of the batch in words, ``m``.
    """

    name: str
    network: Network
    answers: Sequence[str]


def document(
    words: DisplayNames, batch: Batch, moments: Sequence[Snapshot], learning_rate: float
) -> dict[str, Any]:
    """Return all that the page shows.

    Args:
        words: what numbers are called.
        batch: the examples.
        moments: the network, from the beginning of its training to the end; at least one.
        learning_rate: α of the update.

    Returns:
        Lists, dicts, numbers and text, as JSON holds them; matrices in base64.
    """
    steps = [backprop(moment.network, *batch) for moment in moments]
    network, last = moments[-1].network, steps[-1]
    units = select_units(last, len(moments))
    Y = np.asarray(effective_targets(network, last, batch.Y))
    m = batch.B.shape[1]
    inputs, pictures = select_inputs(batch.B, units[0]), downsample_images(words.images)
    names = [
        words.features,
        *([f"unit {j + 1}" for j in range(n)] for n in network.sizes[1:-1]),
        words.outputs,
    ]
    return {
        "title": words.title,
        "about": [*words.about, *_left_out(network.sizes, units), *_about_targets(Y, batch)],
        "sizes": list(network.sizes),
        "activations": [activation_tex(activation)._asdict() for activation in network.activations],
        "head": head_tex(network.head)._asdict(),
        "learningRate": learning_rate,
        "levels": [
            {"index": index.tolist(), "names": [str(named[j]) for j in drawn]}
            for index, drawn, named in zip(
                (np.searchsorted(inputs, units[0]), *units[1:]), units, names, strict=True
            )
        ],
        "image": None if pictures is None else list(pictures.shape[1:]),
        "pictures": None if pictures is None else encode_matrix(pictures.reshape(m, -1).T),
        "features": [words.features[k] for k in inputs],
        "outputs": list(words.outputs),
        "examples": [
            {"row": row, "label": label} for row, label in zip(words.rows, words.labels, strict=True)
        ],
        "inputs": encode_matrix(batch.B[inputs]),
        "weights": encode_matrix(
            np.ones((1, m)) if batch.weights is None else np.asarray(batch.weights)[None, :]
        ),
        "Y": encode_matrix(Y[units[-1]]),
        "checkpoints": [
            _checkpoint(moment, step, units) for moment, step in zip(moments, steps, strict=True)
        ],
    }


def _checkpoint(moment: Snapshot, step: Step, units: Units) -> dict[str, Any]:
    net, hidden, upper = moment.network, units[1:-1], units[1:]
    dH = [layer.W.T @ dZ for layer, dZ in zip(net.layers[1:], step.dZ[1:], strict=True)]
    slopes = [act.derivative(Z) for act, Z in zip(net.activations, step.Z[:-1], strict=True)]
    return {
        "name": moment.name,
        "layers": [
            {"W": encode_matrix(layer.W[np.ix_(rows, columns)]), "b": encode_matrix(layer.b[rows, None])}
            for layer, columns, rows in zip(net.layers, units[:-1], upper, strict=True)
        ],
        "Z": _drawn(step.Z, upper),
        "H": _drawn(step.H[1:], hidden),
        "P": encode_matrix(step.P[units[-1]]),
        "dZ": _drawn(step.dZ, upper),
        "slopes": _drawn(slopes, hidden),
        "dH": _drawn(dH, hidden),
        "losses": encode_matrix(step.losses[None, :]),
        "answers": list(moment.answers),
        "gram": encode_matrix(step.gradient.gram()),
    }


def select_units(step: Step, n_moments: int) -> Units:
    """Return which units of each level are drawn: all, or those that tell the examples apart most.

    Args:
        step: of the batch at the end of training.
        n_moments: how often all of it is to be shown.

    Returns:
        For each level the places of its units, ascending: of inputs and hidden units those whose values
        differ most between the examples, of outputs those with the largest ``|dZ|``.

    Example:
        >>> from batchprop.backprop import backprop
        >>> net = Network.create([3, 2], random_state=0)
        >>> step = backprop(net, np.ones((3, 4), "float32"), np.eye(2, 4, dtype="float32"))
        >>> [len(units) for units in select_units(step, 1)]
        [3, 2]
    """
    measures = [*(np.std(H, axis=1) for H in step.H), np.abs(step.dZ[-1]).mean(axis=1)]
    sizes, m = [len(measure) for measure in measures], step.P.shape[1]
    most = next((most for most in _UNITS if _numbers(sizes, m, n_moments, most) <= MAX_NUMBERS), _UNITS[-1])
    # A unit that overflowed is looked at first.
    known = (np.nan_to_num(measure, nan=np.inf, posinf=np.inf) for measure in measures)
    return tuple(np.sort(np.argsort(-measure, kind="stable")[:most]) for measure in known)


def _numbers(sizes: Sequence[int], m: int, n_moments: int, most: int) -> int:
    """How many numbers a document holds if so many units of a level are drawn."""
    drawn = [min(n, most) for n in sizes]
    weights = sum((a + 1) * b for a, b in pairwise(drawn))
    of_batch = m * (sum(5 * n for n in drawn[1:]) + m)
    return m * min(sizes[0], _INPUTS) + n_moments * (weights + of_batch)


def select_inputs(B: Any, drawn: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return which inputs the page knows: all, or of very many those drawn and each example's largest.

    Example:
        >>> select_inputs(np.ones((3, 2)), np.array([1]))
        array([0, 1, 2])
    """
    if len(B) <= _INPUTS:
        return np.arange(len(B))
    largest = np.argpartition(-np.abs(B), _OUTSTANDING, axis=0)[:_OUTSTANDING]
    return np.union1d(drawn, largest)


def downsample_images(images: NDArray[Any] | None) -> NDArray[np.floating] | None:
    """Return images of at most 64 pixels a side, each the mean of those that it stands for.

    Example:
        >>> downsample_images(np.ones((1, 128, 100))).shape
        (1, 64, 50)
    """
    if images is None:
        return None
    height, width = images.shape[1:]
    step = -(-max(height, width) // _SIDE)
    edges = [np.arange(0, side, step) for side in (height, width)]
    sums = np.add.reduceat(np.add.reduceat(images.astype(float), edges[0], axis=1), edges[1], axis=2)
    counts = [np.diff([*starts, side]) for starts, side in zip(edges, (height, width), strict=True)]
    found: NDArray[np.floating] = sums / np.multiply.outer(*counts)
    return found


def effective_targets(net: Network, step: Step, Y: Any) -> Any:
    """Return what P is compared with: ``P − dZ`` where that is how dZ is made, else Y.

    The same as Y, unless labels are smoothed.
    """
    return step.P - step.dZ[-1] if head_tex(net.head).dZTex == "P - Y" else Y


def _drawn(matrices: Iterable[Any], units: Units) -> list[dict[str, Any]]:
    return [encode_matrix(values[rows]) for values, rows in zip(matrices, units, strict=True)]


def _left_out(sizes: Sequence[int], units: Units) -> list[str]:
    """What of the layers is not drawn, and by what the rest was chosen."""
    names = ["inputs", *(f"units of layer {level}" for level in range(1, len(sizes) - 1)), "outputs"]
    parts = [
        f"{len(drawn)} of {n} {name}" if len(drawn) < n else ""
        for drawn, n, name in zip(units, sizes, names, strict=True)
    ]
    *below, outputs = parts
    below = list(filter(None, below))
    told = [f"Drawn are {', '.join(below)}: those that differ most between the examples."] if below else []
    return [*told, *([f"Drawn are {outputs}: those with the largest gradients."] if outputs else [])]


def _about_targets(learned: Any, batch: Batch) -> list[str]:
    """What is not as plain as it looks: smoothed labels, examples that count unequally."""
    told = []
    if np.isfinite(learned).all() and not np.allclose(learned, batch.Y, atol=1e-5):
        told.append("The labels are smoothed: Y is what the network is to answer, not quite 0 and 1.")
    if batch.weights is not None and np.ptp(batch.weights) > 0:
        told.append("The examples count unequally, by the weights of their classes.")
    return told
