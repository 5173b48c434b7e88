"""The converter of each kind of step, and their registration with skl2onnx.

A step is looked up by the name of its class, so that nothing of ``tabular`` or the estimators is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from batchprop.errors import InputError
from batchprop.export.onnx_graph import Graph
from batchprop.export.onnx_network import (
    activation_names,
    class_sizes,
    is_binary,
    label_type,
    write_classifier,
    write_regressor,
)
from batchprop.export.onnx_target import check_target, write_target
from batchprop.export.onnx_transformers import (
    INPUTS,
    check_imputer,
    check_one_hot,
    write_column_caster,
    write_date_parts,
    write_imputer,
    write_one_hot,
    write_piecewise_linear,
    write_smooth_clip,
)

Outputs: TypeAlias = list[tuple[str, Any, int | None]]
"""The name, type and width of each output; the width is None for a vector."""


class Converter(NamedTuple):
    """The conversion of one kind of step to ONNX operators.

    Attributes:
        check: raises InputError for a step that has no ONNX form.
        outputs: returns the outputs of a step, for inputs of a type.
        write: adds the operators of a step to the graph.
    """

    check: Callable[[Any], object]
    outputs: Callable[[Any, Any], Outputs]
    write: Callable[[Graph, Any, ConversionContext], None]


@dataclass(frozen=True)
class ConversionContext:
    """The information on the whole model that the converters need.

    Attributes:
        dtype: the type of the network's numbers.
        known_empty: the columns in which empty text is a category, not a missing value.
    """

    dtype: Any
    known_empty: frozenset[str] = frozenset()


def converter_key(step: object) -> str:
    """Return the key in ``CONVERTERS`` of a step's class or base class, or "" if there is none.

    Example:
        >>> from sklearn.impute import SimpleImputer
        >>> converter_key(SimpleImputer()), converter_key(3)
        ('sklearn SimpleImputer', '')
    """
    names = (f"{kind.__module__.partition('.')[0]} {kind.__name__}" for kind in type(step).__mro__)
    return next((name for name in names if name in CONVERTERS), "")


def iter_steps(model: Any) -> Iterator[Any]:
    """Yield the fitted steps of a model in order, nested ones too."""
    if hasattr(model, "steps"):
        nested: Iterable[Any] = [step for _, step in model.steps]
    elif hasattr(model, "transformers_"):
        nested = [step for _, step, _ in model.transformers_]
    elif hasattr(model, "transformer_list"):
        nested = [step for _, step in model.transformer_list]
    elif hasattr(model, "best_estimator_"):
        nested = [model.best_estimator_]
    else:
        # scikit-learn writes "drop", "passthrough" and None in place of a step.
        if not isinstance(model, str) and model is not None:
            yield model
        nested = [model.regressor_] if hasattr(model, "regressor_") else []
    for step in nested:
        yield from iter_steps(step)


def make_context(steps: list[Any], dtype: Any) -> ConversionContext:
    """Return the context of a model from its ``iter_steps`` and the type of the network's inputs."""
    known_empty = [
        str(name)
        for step in steps
        if converter_key(step) == "sklearn OneHotEncoder"
        for name, words in zip(getattr(step, "feature_names_in_", ()), step.categories_, strict=False)
        if "" in list(words)
    ]
    return ConversionContext(dtype, frozenset(known_empty))


def _classifier_outputs(estimator: Any, dtype: Any) -> Outputs:
    kind, sizes = label_type(estimator), class_sizes(estimator)
    if not sizes and not is_binary(estimator):
        return [("label", np.int64, estimator.n_outputs_), ("probabilities", dtype, estimator.n_outputs_)]
    if isinstance(estimator.classes_, list):
        blocks: Outputs = [(f"probabilities_{t}", dtype, size) for t, size in enumerate(sizes)]
        return [("label", kind, len(sizes)), *blocks]
    return [("label", kind, None), ("probabilities", dtype, len(estimator.classes_))]


def _column_caster_outputs(step: Any, _: Any) -> Outputs:
    return [(name, INPUTS[kind][0], 1) for name, kind in step.kinds.items()]


def _imputer_outputs(imputer: Any, dtype: Any) -> Outputs:
    n_indicators = 0 if imputer.indicator_ is None else len(imputer.indicator_.features_)
    return [("variable", dtype, len(imputer.statistics_) + n_indicators)]


def _one_hot_outputs(encoder: Any, _: Any) -> Outputs:
    return [("variable", np.dtype(encoder.dtype).type, len(encoder.get_feature_names_out()))]


def _check_classifier(estimator: Any) -> None:
    activation_names(estimator)
    label_type(estimator)


def _check_target(model: Any) -> None:
    check_target(model)
    if converter_key(model.regressor_) != "batchprop MLPRegressor":
        raise InputError(
            f"TransformedTargetRegressor holds a {type(model.regressor_).__name__}, which has no ONNX form "
            "there: let it hold only an MLPRegressor, and put the preprocessing of X before it in a pipeline"
        )


def _accept(_: Any) -> None:
    pass


CONVERTERS: dict[str, Converter] = {
    "batchprop MLPClassifier": Converter(
        _check_classifier,
        _classifier_outputs,
        lambda graph, operator, context: write_classifier(graph, operator, dtype=context.dtype),
    ),
    "batchprop MLPRegressor": Converter(
        activation_names,
        lambda estimator, dtype: [("prediction", dtype, estimator.n_outputs_)],
        lambda graph, operator, context: write_regressor(graph, operator, dtype=context.dtype),
    ),
    "batchprop ColumnCaster": Converter(
        _accept,
        _column_caster_outputs,
        lambda graph, operator, context: write_column_caster(
            graph, operator, known_empty=context.known_empty
        ),
    ),
    "batchprop DateParts": Converter(
        _accept,
        lambda step, _: [("variable", np.float64, 6 * len(step.first_))],
        lambda graph, operator, _: write_date_parts(graph, operator),
    ),
    "batchprop PiecewiseLinear": Converter(
        _accept,
        lambda step, _: [("variable", np.float32, len(step.low_))],
        lambda graph, operator, _: write_piecewise_linear(graph, operator),
    ),
    "batchprop SmoothClip": Converter(
        _accept,
        lambda step, _: [("variable", np.float32, len(step.scale_))],
        lambda graph, operator, _: write_smooth_clip(graph, operator),
    ),
    "sklearn SimpleImputer": Converter(
        check_imputer,
        _imputer_outputs,
        lambda graph, operator, _: write_imputer(
            graph, operator, dtype=number_type(operator.outputs[0].type)
        ),
    ),
    "sklearn OneHotEncoder": Converter(
        check_one_hot, _one_hot_outputs, lambda graph, operator, _: write_one_hot(graph, operator)
    ),
    "sklearn TransformedTargetRegressor": Converter(
        _check_target,
        # Not the network's type: a target with a large offset needs more digits than float32 has.
        lambda model, _: [("prediction", np.float64, model.regressor_.n_outputs_)],
        lambda graph, operator, _: write_target(graph, operator),
    ),
}
"""The converter of each kind of step, by its package and class."""


def converter_options(steps: list[Any], context: ConversionContext) -> dict[str, dict[type, Any]]:
    """Return the arguments ``custom_...`` of ``skl2onnx.convert_sklearn`` for a model's ``iter_steps``."""
    converters = {type(step): CONVERTERS[name] for step in steps if (name := converter_key(step))}
    return {
        "custom_conversion_functions": {
            kind: partial(_convert, converters[kind], context) for kind in converters
        },
        # The parser declares the outputs with their shapes already.
        "custom_shape_calculators": dict.fromkeys(converters, _accept),
        "custom_parsers": {kind: partial(_parse, converters[kind], context) for kind in converters},
    }


def _convert(
    converter: Converter, context: ConversionContext, scope: Any, operator: Any, container: Any
) -> None:
    converter.write(Graph(scope, container), operator, context)


def _parse(
    converter: Converter, context: ConversionContext, scope: Any, step: Any, inputs: Any, **_: Any
) -> Any:
    """Declare a step to skl2onnx, with its inputs and outputs."""
    if hasattr(step, "regressor_"):
        # A meta-estimator: skl2onnx's parser does not look inside custom ones.
        regressor = step.regressor_
        inputs = _parse(CONVERTERS[converter_key(regressor)], context, scope, regressor, inputs)
    operator = scope.declare_local_operator(f"Batchprop{type(step).__name__}", step)
    operator.inputs = list(inputs)
    dtype = context.dtype if hasattr(step, "predict") else number_type(inputs[0].type)
    for name, kind, width in converter.outputs(step, dtype):
        operator.outputs.append(scope.declare_local_variable(name, tensor_type(kind, width)))
    return operator.outputs


def tensor_type(dtype: Any, width: int | None) -> Any:
    """Return skl2onnx's type of a matrix ``(n, width)``, or of a vector ``(n,)`` for ``width=None``."""
    from skl2onnx.common import data_types

    names = {"f4": "Float", "f8": "Double", "i8": "Int64", "b1": "Boolean"}
    kind = np.dtype(dtype)
    name = "String" if kind.kind in "OU" else names[kind.str[1:]]
    return getattr(data_types, f"{name}TensorType")([None] if width is None else [None, width])


def number_type(tensor: Any) -> Any:
    """Return float64 for a tensor of doubles, and float32, as skl2onnx does, for any other."""
    from skl2onnx.common.data_types import DoubleTensorType

    return np.float64 if isinstance(tensor, DoubleTensorType) else np.float32
