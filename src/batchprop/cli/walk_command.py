"""One batch through the algorithm, line by line: the text of `batchprop walk`.

Index legend: m examples, one a column; n_l units in layer l; layers count from 1, the input is layer 0.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

import batchprop as bp
from batchprop.cli.matrices import MAX_ROWS, format_matrices, format_tensor
from batchprop.format import format_count, format_number, superscript
from batchprop.params import Layer

_ROUNDING = 1e-12


Part: TypeAlias = str | Callable[..., Iterator[str]]
"""A line, or what makes lines of a given width."""


@dataclass(frozen=True)
class ExampleBatch:
    """A batch to walk through.

    Attributes:
        about: its description.
        B: the examples (n_0, m), a column each.
        Y: the targets (K, m).
        outputs: the names of the rows of Y (K,).
        head: "softmax" or "squared_error".
    """

    about: str
    B: npt.NDArray[np.float64]
    Y: npt.NDArray[np.float64]
    outputs: tuple[str, ...]
    head: str


def iris(rows: int, seed: int) -> ExampleBatch:
    """Take flowers from scikit-learn's iris, with standardised measurements."""
    from sklearn.datasets import load_iris

    flowers = load_iris()
    X = (flowers.data - flowers.data.mean(axis=0)) / flowers.data.std(axis=0)
    names = tuple(str(name) for name in flowers.target_names)
    return sample("flowers of iris (4 measurements, standardised)", X, flowers.target, names, rows, seed)


def sample(
    what: str,
    X: npt.NDArray[np.float64],
    codes: npt.NDArray[np.intp],
    names: tuple[str, ...],
    rows: int,
    seed: int,
) -> ExampleBatch:
    """Draw a batch of examples with their classes.

    Args:
        what: the examples, in words.
        X: all examples (n, features).
        codes: each one's class as a position in `names` (n,).
        names: the classes (K,).
        rows: how many examples to draw, at most n.
        seed: of the draw.
    """
    order = np.random.default_rng(seed).permutation(len(X))
    turn = np.empty(len(X), dtype=int)
    for code in range(len(names)):
        members = order[codes[order] == code]
        turn[members] = np.arange(len(members))
    # The classes alternate, so that a small batch shows several.
    chosen = order[np.argsort(turn[order], kind="stable")][:rows]
    Y = np.eye(len(names))[:, codes[chosen]]
    return ExampleBatch(f"{sample_note(len(chosen), rows)} {what}", X[chosen].T, Y, names, "softmax")


def sample_note(count: int, wanted: int) -> str:
    """Return a note on the number of examples, and on fewer than requested.

    >>> sample_note(5, 5), sample_note(150, 9999)
    ('5', 'all 150 (of 9,999 asked for)')
    """
    return str(count) if count == wanted else f"all {count:,} (of {wanted:,} asked for)"


def steps(
    batch: ExampleBatch, hidden: tuple[int, ...], activation: str, rate: float, seed: int, width: int
) -> Iterator[str]:
    """Walk through the batch: each line of the algorithm, and its result.

    Args:
        batch: the examples and their targets.
        hidden: the widths of the hidden layers.
        activation: its name.
        rate: α of the update.
        seed: of the first weights.
        width: how many characters a line may have.

    Yields:
        The lines.
    """
    for part in _parts(batch, hidden, activation, rate, seed):
        yield from [part] if isinstance(part, str) else part(width=width)


def _parts(
    batch: ExampleBatch, hidden: tuple[int, ...], activation: str, rate: float, seed: int
) -> Iterator[Part]:
    sizes = [len(batch.B), *hidden, len(batch.Y)]
    net = bp.Network.create(sizes, activation=activation, head=batch.head, random_state=seed, dtype="float64")
    step = bp.backprop(net, batch.B, batch.Y)
    yield f"The batch: {batch.about}, one a column."
    widths = "-".join(map(str, sizes))
    between = activation if hidden else "no hidden layer"
    yield f"The network: {widths}, {between}; {format_count(net.n_parameters)} parameters, seed {seed}."
    yield from _forward(net, step, batch)
    yield from _loss(step, batch)
    yield from _backward(net, step, activation)
    yield from _update(net, step, batch, rate)


def _title(text: str, width: int) -> Iterator[str]:
    yield ""
    yield f"── {text} ".ljust(width, "─")


def _formula(text: str) -> Iterator[str]:
    yield ""
    yield f"▸ {text}"


def _forward(net: bp.Network, step: bp.Step, batch: ExampleBatch) -> Iterator[Part]:
    yield partial(_title, "Forward")
    yield from _formula("H⁰ = B")
    yield partial(format_matrices, ("B", batch.B))
    for k, layer in enumerate(net.layers):
        this, below = superscript(k + 1), superscript(k)
        yield from _formula(f"Z{this} = W{this} H{below} + b{this}")
        yield partial(format_matrices, (f"W{this}", layer.W), (f"b{this}", layer.b), (f"Z{this}", step.Z[k]))
        if k < len(net.activations):
            yield from _formula(f"H{this} = σ(Z{this}), σ = {net.activations[k].name}")
            yield partial(format_matrices, (f"H{this}", step.H[k + 1]))
    last = superscript(len(net.layers))
    softmax = batch.head == "softmax"
    yield from _formula(f"P = normalize(exp(Z{last})), column by column" if softmax else f"P = Z{last}")
    yield partial(format_matrices, ("P", step.P))
    yield f"  rows: {_join_names(batch.outputs)}"


def _join_names(outputs: tuple[str, ...]) -> str:
    more = len(outputs) - MAX_ROWS
    return ", ".join(outputs[:MAX_ROWS]) + (f" and {more} more" if more > 0 else "")


def _loss(step: bp.Step, batch: ExampleBatch) -> Iterator[Part]:
    yield partial(_title, "Loss")
    softmax = batch.head == "softmax"
    yield from _formula("loss = −(1/m) Σ Y ⊙ log P" if softmax else "loss = (1/2m) Σ (P − Y)²")
    yield partial(format_matrices, ("Y", batch.Y), ("of each example", step.losses[None, :]))
    yield f"  loss = {format_number(float(step.loss), 6, zeros=True)}, their mean"
    yield partial(_title, "Backward")
    yield from _formula(f"dZ{superscript(len(step.dZ))} = P − Y, each example's own: not divided by m")
    yield partial(format_matrices, (f"dZ{superscript(len(step.dZ))}", step.dZ[-1]))


def _backward(net: bp.Network, step: bp.Step, activation: str) -> Iterator[Part]:
    for k in reversed(range(len(net.layers))):
        this, above = superscript(k + 1), superscript(k + 2)
        if k < len(net.activations):
            dH = net.layers[k + 1].W.T @ step.dZ[k + 1]
            yield from _formula(f"dH{this} = (W{above})ᵀ dZ{above}")
            yield partial(format_matrices, (f"dH{this}", dH))
            yield from _formula(f"dZ{this} = dH{this} ⊙ σ′(Z{this}), σ = {activation}")
            slope = net.activations[k].derivative(step.Z[k])
            yield partial(format_matrices, (f"σ′(Z{this})", slope), (f"dZ{this}", step.dZ[k]))
        yield from _collapse(step, k)


def _collapse(step: bp.Step, k: int) -> Iterator[Part]:
    this, below, m = superscript(k + 1), superscript(k), step.dZ[k].shape[1]
    gradient = step.gradient
    T, dW, db = gradient.tensor(k), *gradient.mean()[k]
    yield from _formula(f"DW{this}[:, :, i] = dZ{this}[:, i] (H{below}[:, i])ᵀ, a slice for each example")
    yield partial(format_tensor, f"DW{this}", T)
    yield from _formula(f"dW{this} = (1/m) dZ{this} (H{below})ᵀ, the tensor collapsed by one product")
    yield partial(format_matrices, (f"dW{this}", dW))
    # The same number computed in two ways, the purpose of the walk.
    difference = float(np.max(np.abs(T.mean(axis=-1) - dW)))
    agrees = "the same" if difference < _ROUNDING else "NOT the same"
    yield f"  the mean of the {m} slices is {agrees}, largest difference {format_number(difference, 2)}"
    yield from _formula(
        f"Db{this} = dZ{this}, a column for each example;  db{this} = (1/m) Σ_i Db{this}[:, i]"
    )
    yield partial(format_matrices, (f"Db{this}", gradient.bias_matrix(k)), (f"db{this}", db))


def _update(net: bp.Network, step: bp.Step, batch: ExampleBatch, rate: float) -> Iterator[Part]:
    yield partial(_title, "Update")
    layers = tuple(
        Layer(layer.W - rate * slope.W, layer.b - rate * slope.b)
        for layer, slope in zip(net.layers, step.gradient.mean(), strict=True)
    )
    for k, layer in enumerate(layers):
        this = superscript(k + 1)
        yield from _formula(
            f"W{this} ← W{this} − α dW{this},  b{this} ← b{this} − α db{this},  α = {format_number(rate)}"
        )
        yield partial(format_matrices, (f"W{this}", layer.W), (f"b{this}", layer.b))
    after = bp.backprop(net.replace_layers(layers), batch.B, batch.Y)
    yield ""
    before, now = (format_number(float(loss), 6, zeros=True) for loss in (step.loss, after.loss))
    yield f"Loss of this batch: {before} before the update, {now} after it."
