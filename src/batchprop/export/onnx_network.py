"""A fitted network as ONNX operators: its layers, its activations, its head, and the labels it stands for.

Rows are examples here, as ONNX has them: ``H (n, n_l)``, and a layer is ``H Wᵀ + b``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from batchprop.activations import (
    ACTIVATIONS,
    GELU_CUBIC,
    GELU_SLOPE,
    LEAKY_RELU_SLOPE,
    SELU_ALPHA,
    SELU_SCALE,
    get_activation,
)
from batchprop.errors import InputError, ParameterError
from batchprop.export.onnx_graph import Graph, Value
from batchprop.network import broadcast_to_layers

Formula = Callable[["TypedGraph", Value], Value]

_LABEL_TYPES = {"i": np.int64, "u": np.int64, "b": np.bool_, "f": np.float64, "U": np.str_}


class TypedGraph(NamedTuple):
    """A graph, and the type of its numbers: a constant in a formula is of that type."""

    graph: Graph
    dtype: Any

    def __call__(self, operator: str, *inputs: Value | float, **attributes: Any) -> Value:
        """Add an operator; a Python number among its inputs becomes a constant."""
        named = [self.graph.constant(x, self.dtype) if isinstance(x, float) else x for x in inputs]
        return self.graph(operator, *named, **attributes)


def _leaky_relu(op: TypedGraph, z: Value) -> Value:
    return op("Max", z, op("Mul", z, LEAKY_RELU_SLOPE))


def _elu(op: TypedGraph, z: Value) -> Value:
    return op("Add", op("Max", z, 0.0), op("Sub", op("Exp", op("Min", z, 0.0)), 1.0))


def _selu(op: TypedGraph, z: Value) -> Value:
    below = op("Mul", op("Sub", op("Exp", op("Min", z, 0.0)), 1.0), SELU_ALPHA)
    return op("Mul", op("Add", op("Max", z, 0.0), below), SELU_SCALE)


def _gelu(op: TypedGraph, z: Value) -> Value:
    cube = op("Mul", op("Mul", z, z), z)
    inner = op("Mul", op("Add", z, op("Mul", cube, GELU_CUBIC)), GELU_SLOPE)
    return op("Mul", op("Mul", z, 0.5), op("Add", op("Tanh", inner), 1.0))


def _softplus(op: TypedGraph, z: Value) -> Value:
    # As the library has it: ONNX's own Softplus is there in float32 alone.
    rest = op("Log", op("Add", op("Exp", op("Neg", op("Abs", z))), 1.0))
    return op("Add", op("Max", z, 0.0), rest)


FORMULAS: dict[str, Formula] = {
    "identity": lambda _, z: z,
    "sigmoid": lambda op, z: op("Sigmoid", z),
    "tanh": lambda op, z: op("Tanh", z),
    "relu": lambda op, z: op("Max", z, 0.0),
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "selu": _selu,
    "gelu": _gelu,
    "silu": lambda op, z: op("Mul", z, op("Sigmoid", z)),
    "mish": lambda op, z: op("Mul", z, op("Tanh", _softplus(op, z))),
    "softplus": _softplus,
}
"""Every activation of the library, by its record's name."""


def activations_of(estimator: Any) -> tuple[str, ...]:
    """Return the names of the hidden layers' activations.

    Args:
        estimator: a fitted ``MLPClassifier`` or ``MLPRegressor``.

    Returns:
        One name for each hidden layer, keys of ``FORMULAS``.

    Raises:
        ParameterError: one is not of the library.
    """
    given = estimator.activation
    given = given.tolist() if isinstance(given, np.ndarray) else given
    records = map(get_activation, broadcast_to_layers("activation", given, len(estimator.coefs_) - 1))
    return tuple(known_activation(record) for record in records)


def known_activation(record: Any) -> str:
    """Return the name of an activation of the library; refuse one that only bears such a name.

    Example:
        >>> known_activation(get_activation("logistic"))
        'sigmoid'
    """
    if ACTIVATIONS.get(record.name) != record:
        raise ParameterError(
            f"activation={record.name!r} is a function of your own, which a file cannot hold: use one of "
            f"{', '.join(FORMULAS)}"
        )
    return str(record.name)


def class_sizes(estimator: Any) -> tuple[int, ...]:
    """Return the number of classes of each target that has a softmax of its own; none for a sigmoid."""
    if estimator.out_activation_ != "softmax":
        return ()
    several = isinstance(estimator.classes_, list)
    return tuple(map(len, estimator.classes_ if several else [estimator.classes_]))


def scores(graph: Graph, x: Value, estimator: Any, dtype: Any) -> Value:
    """Write all layers, up to the scores Z ``(n, K)``.

    Args:
        graph: to write into.
        x: the input ``(n, n_0)``.
        estimator: whose network it is.
        dtype: of the numbers.

    Returns:
        Z's name.
    """
    op = TypedGraph(graph, dtype)
    activations = [*activations_of(estimator), "identity"]
    for coef, b, name in zip(estimator.coefs_, estimator.intercepts_, activations, strict=True):
        product = graph("MatMul", x, graph.constant(coef, dtype))
        x = FORMULAS[name](op, graph("Add", product, graph.constant(b, dtype)))
    return x


def write_classifier(graph: Graph, operator: Any, *, dtype: Any) -> None:
    """Write an ``MLPClassifier``: its labels, and the probabilities of each target."""
    estimator = operator.raw_operator
    Z = scores(graph, as_matrix(graph, operator, dtype), estimator, dtype)
    label, *probabilities = operator.outputs
    if estimator.out_activation_ == "softmax":
        sizes = class_sizes(estimator)
        blocks = [(graph("Softmax", block, axis=1)) for block in _blocks(graph, Z, sizes)]
        found = [graph("ArgMax", P, axis=1, keepdims=1) for P in blocks]
    else:
        P = graph("Sigmoid", Z)
        sure = graph("Greater", P, graph.constant(0.5, dtype))
        found = [graph.cast(sure, np.int64)]
        blocks = [_of_both(graph, P, dtype) if is_binary(estimator) else P]
    graph.output(_labels(graph, found, estimator), label)
    for P, variable in zip(blocks, probabilities, strict=True):
        graph.output(P, variable)


def write_regressor(graph: Graph, operator: Any, *, dtype: Any) -> None:
    """Write an ``MLPRegressor``: its numbers ``(n, K)``."""
    estimator = operator.raw_operator
    Z = scores(graph, as_matrix(graph, operator, dtype), estimator, dtype)
    if estimator.out_activation_ == "exp":
        # Where the head stops too, so that nothing overflows.
        cap = 0.5 * float(np.log(np.finfo(dtype).max))
        Z = graph("Exp", graph("Min", Z, graph.constant(cap, dtype)))
    graph.output(Z, operator.outputs[0])


def as_matrix(graph: Graph, operator: Any, dtype: Any) -> Value:
    """Return an operator's inputs side by side, as numbers of a type."""
    return graph.cast(concat_columns(graph, [variable.full_name for variable in operator.inputs]), dtype)


def concat_columns(graph: Graph, matrices: Sequence[Value]) -> Value:
    """Return matrices with the same rows as one."""
    return matrices[0] if len(matrices) == 1 else graph("Concat", *matrices, axis=1)


def is_binary(estimator: Any) -> bool:
    """Whether one output stands for two classes."""
    return bool(
        estimator.out_activation_ == "logistic" and len(estimator.coefs_[-1].T) < len(estimator.classes_)
    )


def label_type(estimator: Any) -> Any:
    """Return the type of the labels in ONNX: int64, bool, float64 or text.

    Raises:
        InputError: the classes are of no type that ONNX has, or of several.
    """
    several = isinstance(estimator.classes_, list)
    kinds = {
        _plain(labels).dtype.kind for labels in (estimator.classes_ if several else [estimator.classes_])
    }
    if len(kinds) != 1 or not kinds <= set(_LABEL_TYPES):
        raise InputError(
            f"the classes {estimator.classes_!r} are of no one type that ONNX has: "
            "train on labels that are integers, numbers, booleans or text"
        )
    return _LABEL_TYPES[kinds.pop()]


def _plain(labels: NDArray[Any]) -> NDArray[Any]:
    """Labels kept as objects, as those of pandas are, in the type that they are of."""
    return np.array(labels.tolist()) if labels.dtype == object else labels


def _labels(graph: Graph, found: Sequence[Value], estimator: Any) -> Value:
    dtype = label_type(estimator)
    if estimator.out_activation_ == "logistic" and not is_binary(estimator):
        return found[0]
    several = isinstance(estimator.classes_, list)
    classes = estimator.classes_ if several else [estimator.classes_]
    columns = [
        graph("Gather", graph.constant(_plain(labels).astype(dtype)), place, axis=0)
        for labels, place in zip(classes, found, strict=True)
    ]
    if several:
        return graph("Concat", *columns, axis=1)
    return graph("Squeeze", columns[0], graph.constant([1], np.int64))


def _of_both(graph: Graph, P: Value, dtype: Any) -> Value:
    return graph("Concat", graph("Sub", graph.constant(1.0, dtype), P), P, axis=1)


def _blocks(graph: Graph, Z: Value, sizes: Sequence[int]) -> list[Value]:
    """The columns of each target."""
    if len(sizes) == 1:
        return [Z]
    cut = partial(graph.constant, dtype=np.int64)
    return [
        graph("Slice", Z, cut([start]), cut([stop]), cut([1]))
        for start, stop in pairwise([0, *accumulate(sizes)])
    ]
