"""A model as one ONNX graph, the preprocessing in it: skl2onnx walks it, and our chapters write our steps."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from batchprop.errors import BatchpropError, InputError, ParameterError
from batchprop.export.files import atomic_write, require_extra
from batchprop.export.onnx_converters import (
    CONVERTERS,
    ConversionContext,
    converter_key,
    converter_options,
    iter_steps,
    plan_of,
    tensor_type,
)
from batchprop.export.onnx_graph import OPSET
from batchprop.export.onnx_transformers import INPUTS

if TYPE_CHECKING:
    from onnx import ModelProto

_GIVES_UP = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


class Input(NamedTuple):
    """One input of the graph: its name, the type of its entries, its width, and the kind of column it is."""

    name: str
    dtype: Any
    width: int
    kind: str = ""


def to_onnx(model: Any, path: str | os.PathLike[str], *, dtype: str | None = None) -> None:
    """Write a fitted estimator, or a whole pipeline with its preprocessing, as an ONNX file.

    A pipeline of ``batchprop train`` has one input ``(n, 1)`` for each column, of the column's name: float64
    for numbers (NaN where missing), text for categories and booleans (empty where missing), int64
    microseconds since 1970 for dates (−2⁶³ where missing). Any other model has one input ``X`` ``(n, n_0)``.
    A classifier gives ``label`` ``(n,)`` and ``probabilities`` ``(n, K)``; for several targets ``label``
    ``(n, T)`` and ``probabilities_0``, ``probabilities_1``, ...; a regressor gives ``variable`` ``(n, K)``.

    Args:
        model: a fitted ``MLPClassifier`` or ``MLPRegressor``, or a pipeline that ends in one.
        path: the file; one that is there is replaced.
        dtype: of ``X`` and of the network behind it, ``"float32"`` or ``"float64"``; None for that of the
            weights. Says nothing to a pipeline of a table.

    Raises:
        NotFittedError: the model is not fitted.
        ParameterError: an activation is a function of your own, or ``dtype`` is unknown.
        InputError: a step has no ONNX form.
        BatchpropError: skl2onnx is not installed. Nothing is written in any of these cases.
        OSError: the system refuses to write.

    Example:
        >>> import batchprop as bp, pathlib, tempfile
        >>> clf = bp.MLPClassifier((3,), max_iter=500, tol=0.01, random_state=0)
        >>> clf = clf.fit([[0.0], [1.0]] * 5, [0, 1] * 5)
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "model.onnx"
        >>> bp.export.to_onnx(clf, file)
        >>> file.stat().st_size > 0
        True
    """
    atomic_write(converted(model, dtype).SerializeToString(), path)


def converted(model: Any, dtype: str | None = None) -> ModelProto:
    """Return the graph that ``to_onnx`` writes.

    Args:
        model: as for ``to_onnx``.
        dtype: as for ``to_onnx``.

    Returns:
        The ``onnx.ModelProto``, checked by ONNX's own checker.

    Raises:
        BatchpropError: as ``to_onnx``.
    """
    with require_extra("onnx", "bp.export.onnx"):
        import skl2onnx
        from onnx.checker import check_model
    from sklearn.utils.validation import check_is_fitted

    _check_asked(model, dtype)
    check_is_fitted(model)
    steps = list(iter_steps(model))
    for step in steps:
        if name := converter_key(step):
            CONVERTERS[name].check(step)
    inputs = _inputs(steps, dtype)
    of_table = bool(inputs[0].kind)
    plan = plan_of(steps, np.float32 if of_table else inputs[0].dtype)
    with _explained():
        proto: ModelProto = skl2onnx.convert_sklearn(
            model,
            "batchprop",
            [(f"input_{i}" if of_table else "X", tensor_type(*each[1:3])) for i, each in enumerate(inputs)],
            target_opset=dict(OPSET),
            options=_as_tensors(steps),
            model_optim=False,  # which takes minutes for a thousand columns; we do it below
            **converter_options(steps, plan),
        )
    if of_table:
        _name_columns(proto, inputs, _outputs(steps[-1], plan))
    check_model(proto)
    return proto


@contextmanager
def _explained() -> Iterator[None]:
    """Have skl2onnx's many ways to give up as one error, and not its warnings about its own future."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except BatchpropError:
        raise
    except _GIVES_UP as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"this pipeline has no ONNX form ({type(error).__name__}: {reason}): export its last step alone, "
            "and do what stands before it where the model is used"
        ) from error


def _check_asked(model: Any, dtype: str | None) -> None:
    if dtype not in {None, "float32", "float64"}:
        raise ParameterError(f"dtype={dtype!r} is not allowed: give 'float32', 'float64' or None")
    if not hasattr(model, "predict"):
        raise ParameterError(
            f"a {type(model).__name__} has no ONNX form: give a fitted estimator, or a pipeline that ends in "
            "one"
        )


def _inputs(steps: list[Any], dtype: str | None) -> list[Input]:
    """The inputs of the graph: the columns of a table, or one matrix."""
    if converter_key(steps[0]) == "batchprop ColumnCaster":
        return [Input(name, INPUTS[kind][0], 1, kind) for name, kind in steps[0].kinds.items()]
    weights = next((step.coefs_[0].dtype for step in steps if hasattr(step, "coefs_")), "float32")
    width = next(int(step.n_features_in_) for step in steps if hasattr(step, "n_features_in_"))
    return [Input("X", np.dtype(dtype or weights).type, width)]


def _as_tensors(steps: list[Any]) -> dict[int, dict[str, bool]]:
    """Have probabilities as tensors, where skl2onnx would make dicts of them."""
    return {
        id(step): {} if converter_key(step) else {"zipmap": False}
        for step in steps
        if hasattr(step, "classes_")
    }


def _outputs(last: Any, plan: ConversionContext) -> list[str]:
    """The names of the outputs of a model, by its last step; none where skl2onnx knows them."""
    name = converter_key(last)
    return [output for output, _, _ in CONVERTERS[name].outputs(last, plan.dtype)] if name else []


def _name_columns(proto: ModelProto, inputs: list[Input], outputs: list[str]) -> None:
    """Name the inputs as the columns are, and leave out operators that do nothing; in place.

    skl2onnx takes no name with a blank in it.
    """
    graph = proto.graph
    names = {found.name: asked.name for found, asked in zip(graph.input, inputs, strict=True)}
    taken, given_out = set(names.values()), [tensor.name for tensor in graph.output]

    def name(made: str, wanted: str) -> None:
        names[made] = _free(wanted, taken)
        taken.add(names[made])

    for made, wanted in zip(given_out, outputs or given_out, strict=True):
        name(made, wanted)
    for tensor in graph.initializer:
        name(tensor.name, tensor.name)
    kept = []
    for node in graph.node:
        node.input[:] = [names.get(value, value) for value in node.input]
        if node.op_type == "Identity" and node.output[0] not in given_out:
            names[node.output[0]] = node.input[0]
            continue
        for value in node.output:
            if value not in given_out:
                name(value, value)
        node.output[:] = [names[value] for value in node.output]
        kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)
    for tensor in [*graph.input, *graph.output, *graph.initializer]:
        tensor.name = names[tensor.name]
    for tensor, asked in zip(graph.input, inputs, strict=True):
        tensor.doc_string = INPUTS[asked.kind][1]


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name
