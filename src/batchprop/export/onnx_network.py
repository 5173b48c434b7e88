"""A fitted network as ONNX operators: its layers, activations, head, and labels.

Examples are rows here, as ONNX expects: ``H (n, n_l)``, and a layer is ``H Wᵀ + b``.
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

_MAX_INT64 = np.iinfo(np.int64).max
_LABEL_TYPES = {"i": np.int64, "u": np.int64, "b": np.bool_, "f": np.float64, "U": np.str_}


class TypedGraph(NamedTuple):
    """A graph whose formulas have constants of one type."""

    graph: Graph
    dtype: Any

    def __call__(self, operator: str, *inputs: Value | float, **attributes: Any) -> Value:
        """Add an operator; a Python number among its inputs becomes a constant."""
        values = [self.graph.constant(x, self.dtype) if isinstance(x, float) else x for x in inputs]
        return self.graph(operator, *values, **attributes)


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
    # As in batchprop.activations: the runtime has ONNX's own Softplus in float32 only.
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
"""Every built-in activation, by the name of its record."""


def activation_names(estimator: Any) -> tuple[str, ...]:
    """Return the activation of each hidden layer of a fitted estimator, as keys of ``FORMULAS``."""
    activation = estimator.activation
    activation = activation.tolist() if isinstance(activation, np.ndarray) else activation
    records = map(get_activation, broadcast_to_layers("activation", activation, len(estimator.coefs_) - 1))
    return tuple(builtin_activation_name(record) for record in records)


def builtin_activation_name(record: Any) -> str:
    """Return the name of a built-in activation; refuse a custom one, even of the same name.

    Example:
        >>> builtin_activation_name(get_activation("logistic"))
        'sigmoid'
    """
    if ACTIVATIONS.get(record.name) != record:
        raise ParameterError(
            f"activation={record.name!r} is a custom function, which a file cannot hold: use one of "
            f"{', '.join(FORMULAS)}"
        )
    return str(record.name)


def class_sizes(estimator: Any) -> tuple[int, ...]:
    """Return the number of classes of each target with a softmax; nothing for a sigmoid."""
    if estimator.out_activation_ != "softmax":
        return ()
    multioutput = isinstance(estimator.classes_, list)
    return tuple(map(len, estimator.classes_ if multioutput else [estimator.classes_]))


def write_logits(graph: Graph, x: Value, estimator: Any, dtype: Any) -> Value:
    """Write all layers for the input ``x (n, n_0)``, and return Z ``(n, K)`` of the output layer."""
    op = TypedGraph(graph, dtype)
    activations = [*activation_names(estimator), "identity"]
    for coef, b, name in zip(estimator.coefs_, estimator.intercepts_, activations, strict=True):
        product = graph("MatMul", x, graph.constant(coef, dtype))
        x = FORMULAS[name](op, graph("Add", product, graph.constant(b, dtype)))
    return x


def write_classifier(graph: Graph, operator: Any, *, dtype: Any) -> None:
    """Write an ``MLPClassifier``: its labels, and the probabilities of each target."""
    estimator = operator.raw_operator
    Z = write_logits(graph, as_matrix(graph, operator, dtype), estimator, dtype)
    label, *probabilities = operator.outputs
    blocks = _write_probabilities(graph, Z, estimator, dtype)
    if is_multilabel(estimator):
        above = graph("Greater", blocks[0], graph.constant(0.5, dtype))
        graph.output(graph.cast(above, np.int64), label)
    else:
        graph.output(_write_labels(graph, blocks, estimator), label)
    for P, variable in zip(blocks, probabilities, strict=True):
        graph.output(P, variable)


def write_ensemble_classifier(graph: Graph, operator: Any, *, dtype: Any) -> None:
    """Write an ``MLPEnsembleClassifier``: its labels, and the members' mean probabilities."""
    ensemble = operator.raw_operator
    x, T = as_matrix(graph, operator, dtype), graph.constant(ensemble.temperature_, dtype)
    each = list[Value]()
    for member in ensemble.members_:
        Z = graph("Div", write_logits(graph, x, member, dtype), T)
        each += _write_probabilities(graph, Z, member, dtype)
    P = _write_mean(graph, each, dtype)
    label, probabilities = operator.outputs
    graph.output(_write_labels(graph, [P], ensemble), label)
    graph.output(P, probabilities)


def write_regressor(graph: Graph, operator: Any, *, dtype: Any) -> None:
    """Write an ``MLPRegressor`` or an ``MLPEnsembleRegressor``: its numbers ``(n, K)``."""
    x = as_matrix(graph, operator, dtype)
    each = [_write_numbers(graph, x, member, dtype) for member in networks_of(operator.raw_operator)]
    graph.output(_write_mean(graph, each, dtype), operator.outputs[0])


def networks_of(estimator: Any) -> list[Any]:
    """Return the members of an ensemble, or the one network that an estimator is."""
    return list(getattr(estimator, "members_", [estimator]))


def _write_probabilities(graph: Graph, Z: Value, estimator: Any, dtype: Any) -> list[Value]:
    """Return P ``(n, K)`` of each target, from the logits Z of one network."""
    if estimator.out_activation_ == "softmax":
        return [graph("Softmax", block, axis=1) for block in _split_targets(graph, Z, class_sizes(estimator))]
    P = graph("Sigmoid", Z)
    return [_both_probabilities(graph, P, dtype) if is_binary(estimator) else P]


def _write_numbers(graph: Graph, x: Value, estimator: Any, dtype: Any) -> Value:
    Z = write_logits(graph, x, estimator, dtype)
    if estimator.out_activation_ == "quantiles":
        return _write_quantiles(TypedGraph(graph, dtype), Z, estimator.n_outputs_)
    if estimator.out_activation_ != "exp":
        return Z
    # The cap of the Poisson head itself, beyond which exp(Z)² overflows.
    cap = 0.5 * float(np.log(np.finfo(dtype).max))
    return graph("Exp", graph("Min", Z, graph.constant(cap, dtype)))


def _write_mean(graph: Graph, matrices: Sequence[Value], dtype: Any) -> Value:
    # The runtime has ONNX's own Mean in float32 only.
    if len(matrices) == 1:
        return matrices[0]
    return graph("Div", graph("Sum", *matrices), graph.constant(len(matrices), dtype))


def _write_quantiles(op: TypedGraph, Z: Value, n_levels: int) -> Value:
    """Return the quantiles ``(n, q)``: the first column of Z, and each other a softplus above the last."""
    first, *others = _split_targets(op.graph, Z, [1] * n_levels)
    steps = [first, *(_softplus(op, z) for z in others)]
    # As in the head: sums one after the other never descend.
    return concat_columns(op.graph, list(accumulate(steps, lambda below, step: op("Add", below, step))))


def as_matrix(graph: Graph, operator: Any, dtype: Any) -> Value:
    """Return an operator's inputs as one matrix of a type."""
    return graph.cast(concat_columns(graph, [variable.full_name for variable in operator.inputs]), dtype)


def concat_columns(graph: Graph, matrices: Sequence[Value]) -> Value:
    """Return matrices side by side as one."""
    return matrices[0] if len(matrices) == 1 else graph("Concat", *matrices, axis=1)


def is_binary(estimator: Any) -> bool:
    """Whether one output unit represents two classes."""
    return bool(
        estimator.out_activation_ == "logistic" and len(estimator.coefs_[-1].T) < len(estimator.classes_)
    )


def is_multilabel(estimator: Any) -> bool:
    """Whether each output unit is a label of its own, there or not."""
    return getattr(estimator, "out_activation_", "") == "logistic" and not is_binary(estimator)


def label_type(estimator: Any) -> Any:
    """Return the type of the labels in ONNX: int64, bool, float64 or text."""
    multioutput = isinstance(estimator.classes_, list)
    classes = estimator.classes_ if multioutput else [estimator.classes_]
    kinds = {_as_typed(labels).dtype.kind for labels in classes}
    if kinds == {"u"} and any(labels.max() > _MAX_INT64 for labels in classes):
        raise InputError(
            f"the classes {estimator.classes_!r} hold integers from 2⁶³ on, too large for int64, the type of "
            "labels in ONNX: train on their text, as y.astype(str)"
        )
    if len(kinds) != 1 or not kinds <= set(_LABEL_TYPES):
        raise InputError(
            f"the classes {estimator.classes_!r} do not have one type that ONNX supports: "
            "train on labels that are integers, numbers, booleans or text"
        )
    return _LABEL_TYPES[kinds.pop()]


def _as_typed(labels: NDArray[Any]) -> NDArray[Any]:
    """Return labels of dtype object, as pandas has them, in the type of their values."""
    return np.array(labels.tolist()) if labels.dtype == object else labels


def _write_labels(graph: Graph, probabilities: Sequence[Value], estimator: Any) -> Value:
    """Return the most likely label of each target."""
    dtype = label_type(estimator)
    multioutput = isinstance(estimator.classes_, list)
    classes = estimator.classes_ if multioutput else [estimator.classes_]
    columns = [
        graph(
            "Gather",
            graph.constant(_as_typed(labels).astype(dtype)),
            graph("ArgMax", P, axis=1, keepdims=1),
            axis=0,
        )
        for labels, P in zip(classes, probabilities, strict=True)
    ]
    if multioutput:
        return graph("Concat", *columns, axis=1)
    return graph("Squeeze", columns[0], graph.constant([1], np.int64))


def _both_probabilities(graph: Graph, P: Value, dtype: Any) -> Value:
    return graph("Concat", graph("Sub", graph.constant(1.0, dtype), P), P, axis=1)


def _split_targets(graph: Graph, Z: Value, sizes: Sequence[int]) -> list[Value]:
    """Return the columns of each target."""
    if len(sizes) == 1:
        return [Z]
    integer = partial(graph.constant, dtype=np.int64)
    return [
        graph("Slice", Z, integer([start]), integer([stop]), integer([1]))
        for start, stop in pairwise([0, *accumulate(sizes)])
    ]
