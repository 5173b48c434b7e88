"""Which chapter writes which step, and what comes out of it: what skl2onnx is told of our steps.

The steps are known by their names, so that nothing of the tables or the estimators is imported here.
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
    activations_of,
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
    write_by_kind,
    write_date_parts,
    write_imputer,
    write_one_hot,
    write_smooth_clip,
)

Outputs: TypeAlias = list[tuple[str, Any, int | None]]
"""Of each output its name, its type, and its width where it is a matrix of a known one."""


class Converter(NamedTuple):
    """How one kind of step is written.

    Attributes:
        check: refuses a step that cannot be written.
        outputs: tells what comes out of a step, for inputs of a type.
        write: writes it; gets the graph, skl2onnx's operator, and the plan.
    """

    check: Callable[[Any], object]
    outputs: Callable[[Any, Any], Outputs]
    write: Callable[[Graph, Any, ConversionContext], None]


@dataclass(frozen=True)
class ConversionContext:
    """What the chapters have to know of the whole model.

    Attributes:
        dtype: of the network's numbers.
        known_empty: the columns for which empty text is a category, not a missing one.
    """

    dtype: Any
    known_empty: frozenset[str] = frozenset()


def converter_key(step: object) -> str:
    """Return the key of a step in ``CONVERTERS``, or of what it is a kind of; the empty text for neither.

    Example:
        >>> from sklearn.impute import SimpleImputer
        >>> converter_key(SimpleImputer()), converter_key(3)
        ('sklearn SimpleImputer', '')
    """
    names = (f"{kind.__module__.partition('.')[0]} {kind.__name__}" for kind in type(step).__mro__)
    return next((name for name in names if name in CONVERTERS), "")


def iter_steps(model: Any) -> Iterator[Any]:
    """Go through the fitted steps of a model, those within steps too, in their order."""
    if hasattr(model, "steps"):
        within: Iterable[Any] = [step for _, step in model.steps]
    elif hasattr(model, "transformers_"):
        within = [step for _, step, _ in model.transformers_]
    elif hasattr(model, "transformer_list"):
        within = [step for _, step in model.transformer_list]
    elif hasattr(model, "best_estimator_"):
        within = [model.best_estimator_]
    else:
        if not isinstance(model, str) and model is not None:
            yield model
        within = [model.regressor_] if hasattr(model, "regressor_") else []
    for step in within:
        yield from iter_steps(step)


def plan_of(steps: list[Any], dtype: Any) -> ConversionContext:
    """Return what the chapters have to know of a model.

    Args:
        steps: its ``iter_steps``.
        dtype: of the numbers that the network gets.

    Returns:
        The plan.
    """
    known = [
        str(name)
        for step in steps
        if converter_key(step) == "sklearn OneHotEncoder"
        for name, words in zip(getattr(step, "feature_names_in_", ()), step.categories_, strict=False)
        if "" in list(words)
    ]
    return ConversionContext(dtype, frozenset(known))


def _outputs_of_classifier(estimator: Any, dtype: Any) -> Outputs:
    kind, sizes = label_type(estimator), class_sizes(estimator)
    if not sizes and not is_binary(estimator):
        return [("label", np.int64, estimator.n_outputs_), ("probabilities", dtype, estimator.n_outputs_)]
    if isinstance(estimator.classes_, list):
        blocks: Outputs = [(f"probabilities_{t}", dtype, size) for t, size in enumerate(sizes)]
        return [("label", kind, len(sizes)), *blocks]
    return [("label", kind, None), ("probabilities", dtype, len(estimator.classes_))]


def _outputs_of_by_kind(step: Any, _: Any) -> Outputs:
    return [(name, INPUTS[kind][0], 1) for name, kind in step.kinds.items()]


def _outputs_of_imputer(imputer: Any, dtype: Any) -> Outputs:
    shown = 0 if imputer.indicator_ is None else len(imputer.indicator_.features_)
    return [("variable", dtype, len(imputer.statistics_) + shown)]


def _outputs_of_one_hot(encoder: Any, _: Any) -> Outputs:
    return [("variable", np.dtype(encoder.dtype).type, len(encoder.get_feature_names_out()))]


def _check_classifier(estimator: Any) -> None:
    activations_of(estimator)
    label_type(estimator)


def _check_target(model: Any) -> None:
    check_target(model)
    if converter_key(model.regressor_) != "batchprop MLPRegressor":
        raise InputError(
            f"TransformedTargetRegressor holds a {type(model.regressor_).__name__}, which has no ONNX form "
            "there: let it hold an MLPRegressor alone, with what prepares X before it in the pipeline"
        )


def _nothing(_: Any) -> None:
    pass


CONVERTERS: dict[str, Converter] = {
    "batchprop MLPClassifier": Converter(
        _check_classifier,
        _outputs_of_classifier,
        lambda graph, operator, plan: write_classifier(graph, operator, dtype=plan.dtype),
    ),
    "batchprop MLPRegressor": Converter(
        activations_of,
        lambda estimator, dtype: [("variable", dtype, estimator.n_outputs_)],
        lambda graph, operator, plan: write_regressor(graph, operator, dtype=plan.dtype),
    ),
    "batchprop ColumnCaster": Converter(
        _nothing,
        _outputs_of_by_kind,
        lambda graph, operator, plan: write_by_kind(graph, operator, known_empty=plan.known_empty),
    ),
    "batchprop DateParts": Converter(
        _nothing,
        lambda step, _: [("variable", np.float64, 6 * len(step.first_))],
        lambda graph, operator, _: write_date_parts(graph, operator),
    ),
    "batchprop SmoothClip": Converter(
        _nothing,
        lambda step, _: [("variable", np.float32, len(step.scale_))],
        lambda graph, operator, _: write_smooth_clip(graph, operator),
    ),
    "sklearn SimpleImputer": Converter(
        check_imputer,
        _outputs_of_imputer,
        lambda graph, operator, _: write_imputer(
            graph, operator, dtype=number_type(operator.outputs[0].type)
        ),
    ),
    "sklearn OneHotEncoder": Converter(
        check_one_hot, _outputs_of_one_hot, lambda graph, operator, _: write_one_hot(graph, operator)
    ),
    "sklearn TransformedTargetRegressor": Converter(
        _check_target,
        lambda model, dtype: [("variable", dtype, model.regressor_.n_outputs_)],
        lambda graph, operator, plan: write_target(graph, operator, dtype=plan.dtype),
    ),
}
"""The chapter of each kind of step, by the package and the class that it is of."""


def converter_options(steps: list[Any], plan: ConversionContext) -> dict[str, dict[type, Any]]:
    """Return what ``skl2onnx.convert_sklearn`` is told of a model's steps, beside what it knows itself.

    Args:
        steps: the model's ``iter_steps``.
        plan: of the model.

    Returns:
        Its arguments ``custom_conversion_functions``, ``custom_shape_calculators``, ``custom_parsers``.
    """
    chapters = {type(step): CONVERTERS[name] for step in steps if (name := converter_key(step))}
    return {
        "custom_conversion_functions": {kind: partial(_convert, chapters[kind], plan) for kind in chapters},
        # What comes out was said when the step was parsed.
        "custom_shape_calculators": dict.fromkeys(chapters, _nothing),
        "custom_parsers": {kind: partial(_parse, chapters[kind], plan) for kind in chapters},
    }


def _convert(chapter: Converter, plan: ConversionContext, scope: Any, operator: Any, container: Any) -> None:
    chapter.write(Graph(scope, container), operator, plan)


def _parse(chapter: Converter, plan: ConversionContext, scope: Any, step: Any, inputs: Any, **_: Any) -> Any:
    """Have skl2onnx take in a step: what goes in, what comes out."""
    if hasattr(step, "regressor_"):
        regressor = step.regressor_
        inputs = _parse(CONVERTERS[converter_key(regressor)], plan, scope, regressor, inputs)
    operator = scope.declare_local_operator(f"Batchprop{type(step).__name__}", step)
    operator.inputs = list(inputs)
    dtype = plan.dtype if hasattr(step, "predict") else number_type(inputs[0].type)
    for name, kind, width in chapter.outputs(step, dtype):
        operator.outputs.append(scope.declare_local_variable(name, tensor_type(kind, width)))
    return operator.outputs


def tensor_type(dtype: Any, width: int | None) -> Any:
    """Return skl2onnx's type of a matrix ``(n, width)``, or of a vector ``(n,)`` for no width."""
    from skl2onnx.common import data_types

    names = {"f4": "Float", "f8": "Double", "i8": "Int64", "b1": "Boolean"}
    kind = np.dtype(dtype)
    name = "String" if kind.kind in "OU" else names[kind.str[1:]]
    return getattr(data_types, f"{name}TensorType")([None] if width is None else [None, width])


def number_type(tensor: Any) -> Any:
    """Return the NumPy type of numbers that come in as such a tensor, float32 for what are no floats."""
    from skl2onnx.common.data_types import DoubleTensorType

    return np.float64 if isinstance(tensor, DoubleTensorType) else np.float32
