"""A model as one ONNX graph, the preprocessing in it: skl2onnx walks it, and our chapters write our steps."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from batchprop.errors import BatchpropError, InputError, ParameterError
from batchprop.export.columns import INPUTS
from batchprop.export.files import extra, put
from batchprop.export.graphs import OPSET
from batchprop.export.steps import CHAPTERS, leaves, name_of, plan_of, tensor_type, told

if TYPE_CHECKING:
    from onnx import ModelProto

_GIVES_UP = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


class Input(NamedTuple):
    """One input of the graph: its name, the type of its entries, its width, and the kind of column it is."""

    name: str
    dtype: Any
    width: int
    kind: str = ""


def onnx(model: Any, path: str | os.PathLike[str], *, dtype: str | None = None) -> None:
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
        >>> bp.export.onnx(clf, file)
        >>> file.stat().st_size > 0
        True
    """
    put(converted(model, dtype).SerializeToString(), path)


def converted(model: Any, dtype: str | None = None) -> ModelProto:
    """Return the graph that ``onnx`` writes.

    Args:
        model: as for ``onnx``.
        dtype: as for ``onnx``.

    Returns:
        The ``onnx.ModelProto``, checked by ONNX's own checker.

    Raises:
        BatchpropError: as ``onnx``.
    """
    with extra("onnx", "bp.export.onnx"):
        import skl2onnx
        from onnx.checker import check_model
    from sklearn.utils.validation import check_is_fitted

    _check_asked(model, dtype)
    check_is_fitted(model)
    steps = list(leaves(model))
    for step in steps:
        if name := name_of(step):
            CHAPTERS[name].check(step)
    inputs = _inputs(steps, dtype)
    plan = plan_of(steps, np.float32 if inputs[0].kind else inputs[0].dtype)
    types = [(f"input_{i}", tensor_type(each.dtype, each.width)) for i, each in enumerate(inputs)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # skl2onnx warns of its own future
            proto: ModelProto = skl2onnx.convert_sklearn(
                model,
                "batchprop",
                types,
                target_opset=dict(OPSET),
                options=_as_tensors(steps),
                **told(steps, plan),
            )
    except BatchpropError:
        raise
    except _GIVES_UP as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"this pipeline has no ONNX form ({type(error).__name__}: {reason}): export its last step alone, "
            "and do what stands before it where the model is used"
        ) from error
    _name_inputs(proto, inputs)
    check_model(proto)
    return proto


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
    if name_of(steps[0]) == "batchprop ByKind":
        return [Input(name, INPUTS[kind][0], 1, kind) for name, kind in steps[0].kinds.items()]
    weights = next((step.coefs_[0].dtype for step in steps if hasattr(step, "coefs_")), "float32")
    width = next(int(step.n_features_in_) for step in steps if hasattr(step, "n_features_in_"))
    return [Input("X", np.dtype(dtype or weights).type, width)]


def _as_tensors(steps: list[Any]) -> dict[int, dict[str, bool]]:
    """Have probabilities as tensors, where skl2onnx would make dicts of them."""
    return {
        id(step): {} if name_of(step) else {"zipmap": False} for step in steps if hasattr(step, "classes_")
    }


def _name_inputs(proto: ModelProto, inputs: list[Input]) -> None:
    """Name the inputs as the columns are, in place: skl2onnx takes no name with a blank in it."""
    graph = proto.graph
    names = {found.name: asked.name for found, asked in zip(graph.input, inputs, strict=True)}
    taken = set(names.values())
    for made in [*graph.initializer, *(output for node in graph.node for output in node.output)]:
        name = made if isinstance(made, str) else made.name
        names[name] = _free(name, taken)
        taken.add(names[name])
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names[name] for name in node.output]
    for tensor in [*graph.input, *graph.output, *graph.initializer]:
        tensor.name = names[tensor.name]
    for tensor, asked in zip(graph.input, inputs, strict=True):
        tensor.doc_string = INPUTS[asked.kind][1] if asked.kind else ""


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name
