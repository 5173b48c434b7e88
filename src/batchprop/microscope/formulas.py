"""The formulas of activations and heads as TeX."""

from typing import Any, NamedTuple

from batchprop.activations import Activation
from batchprop.heads import Head

_SIGMOID, _RELU = r"\frac{1}{1 + e^{-z}}", r"\max(0, z)"

_ACTIVATIONS = {
    "identity": ("z", "1"),
    "sigmoid": (_SIGMOID, r"\sigma(z)\,(1 - \sigma(z))"),
    "tanh": (r"\tanh z", r"1 - \tanh^2 z"),
    "relu": (_RELU, r"[z > 0]"),
    "leaky_relu": (r"\max(0, z) + 0.01 \min(0, z)", r"[z > 0] + 0.01\,[z \le 0]"),
    "elu": (r"\max(0, z) + e^{\min(0, z)} - 1", r"\min(1, e^z)"),
    "selu": (
        r"1.0507 \max(0, z) + 1.7581\,(e^{\min(0, z)} - 1)",
        r"1.0507\,[z > 0] + 1.7581\,e^z\,[z \le 0]",
    ),
    "gelu": (r"\tfrac{z}{2} \left(1 + \tanh u\right),\ u = 0.7979\,(z + 0.0447 z^3)", r"\sigma'(z)"),
    "silu": (rf"z \cdot {_SIGMOID}", r"s(z)\,(1 + z\,(1 - s(z))),\ s(z) = \frac{1}{1 + e^{-z}}"),
    "mish": (r"z \tanh \ln(1 + e^z)", r"\sigma'(z)"),
    "softplus": (r"\ln(1 + e^z)", _SIGMOID),
}
_CUSTOM = (r"\sigma(z)", r"\sigma'(z)")

_IDENTITY, _EXP, _LOGISTIC = "Z", r"e^{Z}", r"\frac{1}{1 + e^{-Z}}"
_HEADS = {
    "softmax": (r"\frac{e^{Z}}{\sum e^{Z}}", r"-\sum Y \odot \log P", "P - Y"),
    "softmax_groups": (
        r"\frac{e^{Z}}{\sum e^{Z}} \text{ for each target}",
        r"-\sum Y \odot \log P",
        "P - Y",
    ),
    "sigmoid": (_LOGISTIC, r"-\sum \left( Y \odot \log P + (1 - Y) \odot \log(1 - P) \right)", "P - Y"),
    "squared_error": (_IDENTITY, r"\tfrac{1}{2} \sum (P - Y)^2", "P - Y"),
    "absolute_error": (_IDENTITY, r"\sum |P - Y|", r"\operatorname{sign}(P - Y)"),
    "huber": (
        _IDENTITY,
        r"\sum dZ \odot (P - Y - \tfrac12\, dZ)",
        r"\operatorname{clip}(P - Y, -\delta, \delta)",
    ),
    "quantile": (
        _IDENTITY,
        r"\sum \max(q\,(Y - P),\, (q - 1)(Y - P))",
        r"(1 - q)\,[P > Y] - q\,[P < Y]",
    ),
    "quantiles": (
        r"T \begin{pmatrix} Z_0 \\ \ln(1 + e^{Z_{1:}}) \end{pmatrix}",
        r"\tfrac{1}{K} \sum \max(q\,(Y - P),\, (q - 1)(Y - P))",
        r"S \odot T^\top G,\ G = \tfrac{1}{K} \left((1 - q)\,[P > Y] - q\,[P < Y]\right)",
    ),
    "poisson": (_EXP, r"\sum \left( P - Y + Y \odot \log \tfrac{Y}{P} \right)", "P - Y"),
}
_CUSTOM_HEAD = (r"\operatorname{head}(Z)", r"\operatorname{loss}(Z, Y)", r"\partial \text{loss} / \partial Z")


class ActivationTex(NamedTuple):
    """σ(z) and σ'(z)."""

    name: str
    tex: str
    derivativeTex: str


class HeadTex(NamedTuple):
    """P of Z, the loss of an example, and dZ of P and Y."""

    name: str
    tex: str
    lossTex: str
    dZTex: str


def activation_tex(activation: Activation) -> ActivationTex:
    """Return an activation's formulas; a custom one is σ.

    Example:
        >>> from batchprop.activations import ACTIVATIONS
        >>> activation_tex(ACTIVATIONS["identity"])
        ActivationTex(name='identity', tex='z', derivativeTex='1')
    """
    return ActivationTex(activation.name, *_ACTIVATIONS.get(activation.name, _CUSTOM))


def head_tex(head: Head) -> HeadTex:
    """Return a head's formulas; a custom one is named, not written out.

    Example:
        >>> from batchprop.heads import HEADS
        >>> head_tex(HEADS["squared_error"]).dZTex
        'P - Y'
    """
    return HeadTex(head.name, *_HEADS.get(head.name, _CUSTOM_HEAD))


def formula_table() -> dict[str, Any]:
    """Return the formulas of all activations and heads by name, as JSON values.

    Example:
        >>> formula_table()["activations"]["relu"]["derivativeTex"]
        '[z > 0]'
    """
    return {
        "activations": {
            name: ActivationTex(name, *formulas)._asdict() for name, formulas in _ACTIVATIONS.items()
        },
        "heads": {name: HeadTex(name, *formulas)._asdict() for name, formulas in _HEADS.items()},
    }
