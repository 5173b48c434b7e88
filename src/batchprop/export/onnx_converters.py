"""The converter of each kind of step, and their registration with skl2onnx.

A step is looked up by the name of its class, so that nothing of ``tabular`` or the estimators is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from batchprop.errors import InputError
from batchprop.export.onnx_graph import Graph
from batchprop.export.onnx_network import (
    activation_names,
    class_sizes,
    is_multilabel,
    label_type,
    networks_of,
    write_classifier,
    write_ensemble_classifier,
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
    write_level_means,
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


def iter_parts(model: Any) -> Iterator[Any]:
    """Yield a fitted model, and the parts that it is made of in order, nested ones too."""
    # scikit-learn writes "drop", "passthrough" and None in place of a step.
    if isinstance(model, str) or model is None:
        return
    yield model
    for part in _inner_parts(model):
        yield from iter_parts(part)


def iter_steps(model: Any) -> Iterator[Any]:
    """Yield the fitted steps of a model in order, nested ones too, without what only holds others."""
    return (part for part in iter_parts(model) if hasattr(part, "regressor_") or not _inner_parts(part))


def _inner_parts(model: Any) -> list[Any]:
    for attribute in ("steps", "transformers_", "transformer_list"):
        if hasattr(model, attribute):
            return [part for _, part, *_ in getattr(model, attribute)]
    return [getattr(model, name) for name in ("best_estimator_", "regressor_") if hasattr(model, name)]


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
    kind = label_type(estimator)
    if is_multilabel(estimator):
        return [("label", np.int64, estimator.n_outputs_), ("probabilities", dtype, estimator.n_outputs_)]
    if isinstance(estimator.classes_, list):
        sizes = class_sizes(estimator)
        blocks: Outputs = [(f"probabilities_{t}", dtype, size) for t, size in enumerate(sizes)]
        return [("label", kind, len(sizes)), *blocks]
    return [("label", kind, None), ("probabilities", dtype, len(estimator.classes_))]


def _column_caster_outputs(step: Any, _: Any) -> Outputs:
    words = [(name, INPUTS["category"][0], 1) for name in step.code_names.values()]
    return [*((name, INPUTS[kind][0], 1) for name, kind in step.kinds.items()), *words]


def _imputer_outputs(imputer: Any, dtype: Any) -> Outputs:
    n_indicators = 0 if imputer.indicator_ is None else len(imputer.indicator_.features_)
    return [("variable", dtype, len(imputer.statistics_) + n_indicators)]


def _one_hot_outputs(encoder: Any, _: Any) -> Outputs:
    return [("variable", np.dtype(encoder.dtype).type, len(encoder.get_feature_names_out()))]


def _check_networks(estimator: Any) -> None:
    for network in networks_of(estimator):
        activation_names(network)


def _check_classifier(estimator: Any) -> None:
    _check_networks(estimator)
    label_type(estimator)


def _check_target(model: Any) -> None:
    check_target(model)
    if converter_key(model.regressor_) not in {"batchprop MLPRegressor", "batchprop MLPEnsembleRegressor"}:
        raise InputError(
            f"TransformedTargetRegressor holds a {type(model.regressor_).__name__}, which has no ONNX form "
            "there: let it hold only an MLPRegressor, or an ensemble of them, and put the preprocessing of X "
            "before it in a pipeline"
        )


def _accept(_: Any) -> None:
    pass


_REGRESSOR = Converter(
    _check_networks,
    lambda estimator, dtype: [("prediction", dtype, estimator.n_outputs_)],
    lambda graph, operator, context: write_regressor(graph, operator, dtype=context.dtype),
)

CONVERTERS: dict[str, Converter] = {
    "batchprop MLPClassifier": Converter(
        _check_classifier,
        _classifier_outputs,
        lambda graph, operator, context: write_classifier(graph, operator, dtype=context.dtype),
    ),
    "batchprop MLPEnsembleClassifier": Converter(
        _check_classifier,
        _classifier_outputs,
        lambda graph, operator, context: write_ensemble_classifier(graph, operator, dtype=context.dtype),
    ),
    **dict.fromkeys(("batchprop MLPRegressor", "batchprop MLPEnsembleRegressor"), _REGRESSOR),
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
    "batchprop LevelMeans": Converter(
        _accept,
        lambda step, _: [("variable", np.float64, len(step.means_) * len(step.prior_))],
        lambda graph, operator, _: write_level_means(graph, operator),
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
