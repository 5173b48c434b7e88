"""The data of the microscope's page: every matrix of a batch, at several snapshots of the training.

Levels are counted as in the text: level 0 is the batch, levels 1 to L are hidden, L + 1 is the output. Only
some units of a large level are drawn. Norms and cosines stay exact: they come from the Gram matrix of the
whole gradients.
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
from batchprop.microscope.source_table import SourceTable
from batchprop.network import Network
from batchprop.webdata import encode_matrix

MAX_NUMBERS = 800_000
"""At 4 bytes each, a third more in base64, this keeps a page under 5 MB."""

_UNITS = (64, 48, 32, 24, 16, 8)
# With more inputs than this, the page gets only the drawn ones and each example's largest.
_MAX_INPUTS = 2000
_TOP_INPUTS = 12
_MAX_SIDE = 64  # pixels of an image

Units = tuple[NDArray[np.intp], ...]
"""The drawn units of each level, ascending."""


@dataclass(frozen=True)
class DisplayNames:
    """The texts of a page, and the examples as images ``(m, height, width)`` or rows of a table, if known."""

    title: str
    description: tuple[str, ...]
    features: Sequence[str]
    outputs: Sequence[str]
    rows: Sequence[str]
    labels: Sequence[str]
    images: NDArray[Any] | None = None
    source: SourceTable | None = None


@dataclass(frozen=True)
class Snapshot:
    """A network at one point of its training, and its predictions for the batch as text."""

    name: str
    network: Network
    predictions: Sequence[str]


def document(
    names: DisplayNames, batch: Batch, snapshots: Sequence[Snapshot], learning_rate: float
) -> dict[str, Any]:
    """Return the page's data as JSON values, with matrices in base64; the last snapshot selects the units."""
    steps = [backprop(snapshot.network, *batch) for snapshot in snapshots]
    network, last = snapshots[-1].network, steps[-1]
    units = select_units(last, len(snapshots))
    Y = np.asarray(effective_targets(network, last, batch.Y))
    m = batch.B.shape[1]
    inputs, images = select_inputs(batch.B, units[0]), downsample_images(names.images)
    unit_names = [
        names.features,
        *([f"unit {j + 1}" for j in range(n)] for n in network.sizes[1:-1]),
        names.outputs,
    ]
    return {
        "title": names.title,
        "description": [
            *names.description,
            *_describe_subset(network.sizes, units),
            *_describe_targets(Y, batch),
        ],
        "sizes": list(network.sizes),
        "activations": [activation_tex(activation)._asdict() for activation in network.activations],
        "head": head_tex(network.head)._asdict(),
        "learningRate": learning_rate,
        "levels": [
            {"index": index.tolist(), "names": [str(level_names[j]) for j in drawn]}
            for index, drawn, level_names in zip(
                (np.searchsorted(inputs, units[0]), *units[1:]), units, unit_names, strict=True
            )
        ],
        "imageShape": None if images is None else list(images.shape[1:]),
        "images": None if images is None else encode_matrix(images.reshape(m, -1).T),
        "source": None if names.source is None else names.source.encode(units[0]),
        "features": [names.features[k] for k in inputs],
        "outputs": list(names.outputs),
        "examples": [
            {"row": row, "label": label} for row, label in zip(names.rows, names.labels, strict=True)
        ],
        "inputs": encode_matrix(batch.B[inputs]),
        "weights": encode_matrix(
            np.ones((1, m)) if batch.weights is None else np.asarray(batch.weights)[None, :]
        ),
        "Y": encode_matrix(Y[units[-1]]),
        "snapshots": [
            _encode_snapshot(snapshot, step, units) for snapshot, step in zip(snapshots, steps, strict=True)
        ],
    }


def _encode_snapshot(snapshot: Snapshot, step: Step, units: Units) -> dict[str, Any]:
    net, hidden, upper = snapshot.network, units[1:-1], units[1:]
    dH = [layer.W.T @ dZ for layer, dZ in zip(net.layers[1:], step.dZ[1:], strict=True)]
    derivatives = [act.derivative(Z) for act, Z in zip(net.activations, step.Z[:-1], strict=True)]
    return {
        "name": snapshot.name,
        "layers": [
            {"W": encode_matrix(layer.W[np.ix_(rows, columns)]), "b": encode_matrix(layer.b[rows, None])}
            for layer, columns, rows in zip(net.layers, units[:-1], upper, strict=True)
        ],
        "Z": _encode_units(step.Z, upper),
        "H": _encode_units(step.H[1:], hidden),
        "P": encode_matrix(step.P[units[-1]]),
        "dZ": _encode_units(step.dZ, upper),
        "derivatives": _encode_units(derivatives, hidden),
        "dH": _encode_units(dH, hidden),
        "losses": encode_matrix(step.losses[None, :]),
        "predictions": list(snapshot.predictions),
        "gram": encode_matrix(step.gradient.gram()),
    }


def select_units(step: Step, n_snapshots: int) -> Units:
    """Return the units to draw: those that differ most between examples, and outputs with the largest |dZ|.

    Example:
        >>> from batchprop.backprop import backprop
        >>> net = Network.create([3, 2], random_state=0)
        >>> step = backprop(net, np.ones((3, 4), "float32"), np.eye(2, 4, dtype="float32"))
        >>> [len(units) for units in select_units(step, 1)]
        [3, 2]
    """
    measures = [*(np.std(H, axis=1) for H in step.H), np.abs(step.dZ[-1]).mean(axis=1)]
    sizes, m = [len(measure) for measure in measures], step.P.shape[1]
    n_units = next((n for n in _UNITS if _count_numbers(sizes, m, n_snapshots, n) <= MAX_NUMBERS), _UNITS[-1])
    # A unit that overflowed ranks first, as the reader looks for it.
    finite = (np.nan_to_num(measure, nan=np.inf, posinf=np.inf) for measure in measures)
    return tuple(np.sort(np.argsort(-measure, kind="stable")[:n_units]) for measure in finite)


def _count_numbers(sizes: Sequence[int], m: int, n_snapshots: int, n_units: int) -> int:
    """Count the numbers of a page that draws up to ``n_units`` units per level."""
    drawn = [min(n, n_units) for n in sizes]
    weights = sum((a + 1) * b for a, b in pairwise(drawn))
    activations = m * (sum(5 * n for n in drawn[1:]) + m)
    return m * min(sizes[0], _MAX_INPUTS) + n_snapshots * (weights + activations)


def select_inputs(B: Any, drawn: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the inputs to send: all, or if there are very many, the drawn ones and each example's largest.

    Example:
        >>> select_inputs(np.ones((3, 2)), np.array([1]))
        array([0, 1, 2])
    """
    if len(B) <= _MAX_INPUTS:
        return np.arange(len(B))
    largest = np.argpartition(-np.abs(B), _TOP_INPUTS, axis=0)[:_TOP_INPUTS]
    return np.union1d(drawn, largest)


def downsample_images(images: NDArray[Any] | None) -> NDArray[np.floating] | None:
    """Average images down to at most 64 pixels a side.

    Example:
        >>> downsample_images(np.ones((1, 128, 100))).shape
        (1, 64, 50)
    """
    if images is None:
        return None
    height, width = images.shape[1:]
    step = -(-max(height, width) // _MAX_SIDE)
    edges = [np.arange(0, side, step) for side in (height, width)]
    sums = np.add.reduceat(np.add.reduceat(images.astype(float), edges[0], axis=1), edges[1], axis=2)
    counts = [np.diff([*starts, side]) for starts, side in zip(edges, (height, width), strict=True)]
    means: NDArray[np.floating] = sums / np.multiply.outer(*counts)
    return means


def effective_targets(net: Network, step: Step, Y: Any) -> Any:
    """Return the targets that dZ was computed from: label smoothing makes them differ from Y."""
    return step.P - step.dZ[-1] if head_tex(net.head).dZTex == "P - Y" else Y


def _encode_units(matrices: Iterable[Any], units: Units) -> list[dict[str, Any]]:
    return [encode_matrix(values[rows]) for values, rows in zip(matrices, units, strict=True)]


def _describe_subset(sizes: Sequence[int], units: Units) -> list[str]:
    names = ["inputs", *(f"units of layer {level}" for level in range(1, len(sizes) - 1)), "outputs"]
    parts = [
        f"{len(drawn):,} of {n:,} {name}" if len(drawn) < n else ""
        for drawn, n, name in zip(units, sizes, names, strict=True)
    ]
    *below, outputs = parts
    below = list(filter(None, below))
    sentences = (
        [f"Shown are {', '.join(below)}: those that differ most between the examples."] if below else []
    )
    return [*sentences, *([f"Shown are {outputs}: those with the largest gradients."] if outputs else [])]


def _describe_targets(targets: Any, batch: Batch) -> list[str]:
    sentences = []
    if np.isfinite(targets).all() and not np.allclose(targets, batch.Y, atol=1e-5):
        sentences.append("The labels are smoothed: the targets Y are not exactly 0 and 1.")
    if batch.weights is not None and np.ptp(batch.weights) > 0:
        sentences.append("The examples have different weights, by class.")
    return sentences
