"""A model as one ONNX graph, preprocessing included: the steps of batchprop have their own converters."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.pipeline import Pipeline

from batchprop.errors import BatchpropError, InputError, ParameterError, join_truncated, require_extra, warn
from batchprop.export.onnx_converters import (
    CONVERTERS,
    ConversionContext,
    converter_key,
    converter_options,
    iter_parts,
    iter_steps,
    make_context,
    tensor_type,
)
from batchprop.export.onnx_graph import OPSET
from batchprop.export.onnx_network import networks_of
from batchprop.export.onnx_transformers import INPUTS
from batchprop.files import atomic_write
from batchprop.format import format_number

if TYPE_CHECKING:
    from onnx import ModelProto

_OFFSETS = {
    "StandardScaler": ("mean_", "scale_"),
    "RobustScaler": ("center_", "scale_"),
    "MinMaxScaler": ("data_min_", "data_range_"),
}
"""The attributes of scikit-learn's scalers that hold the offset and the spread of each column."""

_HOLDERS = {
    "best_estimator_": ".best_estimator_",
    "calibrated_classifiers_": ".calibrated_classifiers_[0].estimator",
    "estimators_": ".estimators_[0]",
    "estimator_": ".estimator_",
    "estimator": ".estimator",
}
"""The attributes of scikit-learn's estimators that hold fitted ones, and the way to the first of these."""

_MAX_OFFSET = 1e-3 * 2.0**24
"""In spreads: beyond it, float32 rounds by more than a thousandth of the spread."""

_SKIPPED = (None, "passthrough")
"""What scikit-learn writes in a pipeline in place of a step."""

_CONVERSION_ERRORS = (
    ArithmeticError, AttributeError, LookupError, NameError, RuntimeError, TypeError, ValueError
)  # fmt: skip


class Input(NamedTuple):
    """One input of the graph: its name, the type of its entries, its width, and the type of its column."""

    name: str
    dtype: Any
    width: int
    kind: str = ""


def to_onnx(model: Any, path: str | os.PathLike[str], *, dtype: str | None = None) -> None:
    """Write a fitted estimator, or a whole pipeline with its preprocessing, as an ONNX file.

    The graph of a pipeline of ``batchprop train``, or of a ``TabularClassifier`` or ``TabularRegressor``, has
    one input ``(n, 1)`` for each column, with the name of the column: float64 for numbers (NaN where
    missing), text for categories and booleans (empty where missing), int64 microseconds since 1970 for dates
    (−2⁶³ where missing). Any other model has one input ``X`` ``(n, n_0)``. A classifier has the outputs
    ``label`` ``(n,)`` and ``probabilities`` ``(n, K)``, and for several targets ``label`` ``(n, T)``,
    ``probabilities_0``, ``probabilities_1``, ...; a regressor has the output ``prediction`` ``(n, K)``,
    float64 where the target was standardised.

    Args:
        model: a fitted ``MLPClassifier`` or ``MLPRegressor``, an ensemble of them, a pipeline that ends in
            one, or a ``TabularClassifier`` or ``TabularRegressor``.
        path: the file to write; an existing file is replaced.
        dtype: the type of ``X`` and of the network, ``"float32"`` or ``"float64"``; None takes that of the
            weights. A pipeline of ``batchprop train`` ignores it.

    Warns:
        UserWarning: ``X`` is float32, and a scaler takes an offset from a column that is so large beside the
            column's spread that float32 rounds most of it away.

    Raises:
        NotFittedError: the model is not fitted.
        ParameterError: an activation is a custom function, or ``dtype`` is unknown.
        InputError: a step has no ONNX form.
        BatchpropError: skl2onnx is not installed. In all these cases nothing is written.
        OSError: the file cannot be written.

    Example:
        >>> import batchprop as bp, pathlib, tempfile
        >>> clf = bp.MLPClassifier((3,), max_iter=500, tol=0.01, random_state=0)
        >>> clf = clf.fit([[0.0], [1.0]] * 5, [0, 1] * 5)
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "model.onnx"
        >>> bp.export.to_onnx(clf, file)
        >>> file.stat().st_size > 0
        True
    """
    atomic_write(convert_model(model, dtype).SerializeToString(), path)


def convert_model(model: Any, dtype: str | None = None) -> ModelProto:
    """Return the graph that ``to_onnx`` writes, checked by ONNX's own checker."""
    with require_extra("onnx", "bp.export.to_onnx"):
        import skl2onnx
        from onnx.checker import check_model
    from sklearn.utils.validation import check_is_fitted

    _check_model(model, dtype)
    check_is_fitted(model)
    _check_holder(model)
    # A tabular estimator is the pipeline that `batchprop train` would save.
    model = _simplify(model.to_pipeline() if hasattr(model, "to_pipeline") else model)
    steps = list(iter_steps(model))
    for step in steps:
        if name := converter_key(step):
            CONVERTERS[name].check(step)
    inputs = _graph_inputs(steps, dtype)
    is_table = bool(inputs[0].kind)
    if not is_table and inputs[0].dtype is np.float32:
        _warn_of_offsets(steps)
    context = make_context(steps, np.float32 if is_table else inputs[0].dtype)
    with _conversion_errors():
        proto: ModelProto = skl2onnx.convert_sklearn(
            model,
            "batchprop",
            # skl2onnx refuses names with a blank; _rename_tensors restores the column names.
            [(f"input_{i}" if is_table else "X", tensor_type(*each[1:3])) for i, each in enumerate(inputs)],
            target_opset=dict(OPSET),
            options=_zipmap_options(steps),
            model_optim=False,  # takes minutes for a thousand columns; _rename_tensors does what is needed
            **converter_options(steps, context),
        )
    if is_table:
        _rename_tensors(proto, inputs, _output_names(steps[-1], context))
    check_model(proto)
    return proto


def _simplify(model: Any) -> Any:
    """Return a model as skl2onnx knows it: without steps that make no feature or change none, and flat."""
    pipelines = [part for part in iter_parts(model) if isinstance(part, Pipeline)]
    steps = [step for pipeline in pipelines for _, step in pipeline.steps]
    skips = any(step in _SKIPPED or isinstance(step, Pipeline) for step in steps)
    if not skips and not any(map(_is_empty, iter_steps(model))):
        return model
    model = deepcopy(model)
    for part in iter_parts(model):
        if isinstance(part, Pipeline):
            part.steps = list(_flat_steps(part))
        if hasattr(part, "transformer_list"):
            part.transformer_list = [each for each in part.transformer_list if not _is_empty(each[1])]
    return model


def _flat_steps(pipeline: Pipeline) -> Iterator[tuple[str, Any]]:
    for name, step in pipeline.steps:
        if isinstance(step, Pipeline):
            yield from ((f"{name}__{inner}", each) for inner, each in _flat_steps(step))
        elif step not in _SKIPPED:
            yield name, step


def _is_empty(step: Any) -> bool:
    return converter_key(step) == "batchprop PiecewiseLinear" and not len(step.low_)


@contextmanager
def _conversion_errors() -> Iterator[None]:
    """Turn skl2onnx's many exceptions into one InputError, and silence its deprecation warnings."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except BatchpropError:
        raise
    except _CONVERSION_ERRORS as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"this pipeline has no ONNX form ({type(error).__name__}: {reason}): export its last step alone, "
            "and apply the earlier steps where the model is used"
        ) from error


def _check_model(model: Any, dtype: str | None) -> None:
    if dtype not in {None, "float32", "float64"}:
        raise ParameterError(f"dtype={dtype!r} is not allowed: give 'float32', 'float64' or None")
    if not hasattr(model, "predict"):
        raise ParameterError(
            f"a {type(model).__name__} has no ONNX form: give a fitted estimator, or a pipeline that ends in "
            "one"
        )


def _check_holder(model: Any) -> None:
    """Refuse an estimator of scikit-learn's that holds networks: skl2onnx knows its own estimators only."""
    holder = model[-1] if hasattr(model, "steps") else model
    path = _path_to_network(holder)
    if not path:
        return
    part = f"make_pipeline(*model[:-1], model[-1]{path})" if holder is not model else f"model{path}"
    name = type(holder).__name__
    if path.startswith(".best_estimator_"):
        raise InputError(f"a {name} has no ONNX form, but the estimator that it found has: export {part}")
    each = "the network in it has: export" if "[0]" not in path else "each network in it has: export"
    calibrated = "; a bp.TabularClassifier calibrates within its graph" if "calibrated" in path else ""
    raise InputError(
        f"a {name} has no ONNX form, but {each} {part}, and do what the {name} does with its answers "
        f"where the model is used{calibrated}"
    )


def _path_to_network(model: Any) -> str:
    """Return the attributes that lead to a network, or a pipeline of one, in an estimator; "" for others."""
    if converter_key(model):
        return ""
    for attribute, path in _HOLDERS.items():
        if not hasattr(model, attribute):
            continue
        part = getattr(model, attribute)
        part = part[0] if isinstance(part, list | tuple) else part
        part = getattr(part, "estimator", part) if "calibrated" in path else part
        last = part[-1] if hasattr(part, "steps") else part
        is_network = converter_key(last).startswith("batchprop") or hasattr(last, "to_pipeline")
        if is_network and last is not part and attribute == "best_estimator_":
            return ""  # skl2onnx knows a search that found a pipeline
        if is_network or (inner := _path_to_network(part)):
            return path if is_network else path + inner
    return ""


def _graph_inputs(steps: list[Any], dtype: str | None) -> list[Input]:
    """Return the inputs of the graph: the columns of a table, or one matrix."""
    if converter_key(steps[0]) == "batchprop ColumnCaster":
        return [Input(name, INPUTS[kind][0], 1, kind) for name, kind in steps[0].kinds.items()]
    networks = (network for step in steps for network in networks_of(step))
    weights = next((each.coefs_[0].dtype for each in networks if hasattr(each, "coefs_")), "float32")
    width = next(int(step.n_features_in_) for step in steps if hasattr(step, "n_features_in_"))
    return [Input("X", np.dtype(dtype or weights).type, width)]


def _warn_of_offsets(steps: list[Any]) -> None:
    """Warn of columns whose values, far from 0 beside their spread, float32 does not tell apart."""
    for step in steps:
        name = next((name for name in _OFFSETS if name == type(step).__name__), None)
        if name is None:
            continue
        offset, spread = (getattr(step, attribute) for attribute in _OFFSETS[name])
        if offset is None or spread is None:
            continue
        ratio = np.abs(offset) / np.where(spread == 0, np.inf, spread)
        if not (lost := np.flatnonzero(ratio > _MAX_OFFSET)).size:
            continue
        names = getattr(step, "feature_names_in_", None)
        columns = [str(index) if names is None else repr(str(names[index])) for index in lost]
        worst = lost[ratio[lost].argmax()]
        warn(
            f"X is float32 in the graph, which loses much of the spread of column"
            f"{'s' * (len(lost) > 1)} {join_truncated(columns)} before the {type(step).__name__} (about "
            f"{format_number(offset[worst], 6)} ± {format_number(spread[worst], 6)}): export "
            "with dtype='float64', or subtract it first"
        )


def _zipmap_options(steps: list[Any]) -> dict[int, dict[str, bool]]:
    """Return the options with which skl2onnx keeps probabilities as tensors, not dicts."""
    return {
        id(step): {} if converter_key(step) else {"zipmap": False}
        for step in steps
        if hasattr(step, "classes_")
    }


def _output_names(last: Any, context: ConversionContext) -> list[str]:
    """Return the output names of a last step of batchprop's, and none for one that skl2onnx converts."""
    name = converter_key(last)
    return [output for output, _, _ in CONVERTERS[name].outputs(last, context.dtype)] if name else []


def _rename_tensors(proto: ModelProto, inputs: list[Input], outputs: list[str]) -> None:
    """Name the inputs after the columns and drop Identity operators, in place."""
    graph = proto.graph
    names = {tensor.name: column.name for tensor, column in zip(graph.input, inputs, strict=True)}
    used, graph_outputs = set(names.values()), [tensor.name for tensor in graph.output]

    def rename(old: str, new: str) -> None:
        # A column may have the name of an inner tensor.
        names[old] = _unused_name(new, used)
        used.add(names[old])

    for old, new in zip(graph_outputs, outputs or graph_outputs, strict=True):
        rename(old, new)
    for tensor in graph.initializer:
        rename(tensor.name, tensor.name)
    nodes = []
    for node in graph.node:
        node.input[:] = [names.get(value, value) for value in node.input]
        if node.op_type == "Identity" and node.output[0] not in graph_outputs:
            names[node.output[0]] = node.input[0]
            continue
        for value in node.output:
            if value not in graph_outputs:
                rename(value, value)
        node.output[:] = [names[value] for value in node.output]
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    for tensor in [*graph.input, *graph.output, *graph.initializer]:
        tensor.name = names[tensor.name]
    for tensor, column in zip(graph.input, inputs, strict=True):
        tensor.doc_string = INPUTS[column.kind][1]


def _unused_name(name: str, used: set[str]) -> str:
    while name in used:
        name += "_"
    return name
