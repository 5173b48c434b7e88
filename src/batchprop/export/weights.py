"""Weights alone, as a safetensors file: arrays by name, and in its metadata what acts on them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchprop import heads
from batchprop.activations import ACTIVATIONS
from batchprop.errors import InputError, ModelError, ParameterError
from batchprop.export.files import atomic_write, require_extra
from batchprop.export.onnx_converters import converter_key
from batchprop.export.onnx_network import activations_of, class_sizes, known_activation
from batchprop.heads import HEADS, Head
from batchprop.network import Network
from batchprop.params import Layer, Layers

FORMAT = 1
"""The number in every file, which changes when older versions could not read it."""

_KEY = "batchprop"
_MAX_HEADER = 1 << 20
_PREFIX = 8  # bytes, which tell the header's length
_TYPES = {"F32", "F64"}
_SHOWN = 60

_MAKERS: dict[str, Callable[..., Head]] = {
    "softmax": heads.softmax,
    "softmax_groups": heads.softmax_groups,
    "sigmoid": heads.sigmoid_cross_entropy,
    "squared_error": heads.squared_error,
    "absolute_error": heads.absolute_error,
    "huber": heads.huber,
    "quantile": heads.quantile,
    "poisson": heads.poisson,
}
# The one number that a head has, and what it is in `HEADS`; groups have their sizes beside it.
_SETTINGS = {
    "softmax": ("label_smoothing", 0.0),
    "softmax_groups": ("label_smoothing", 0.0),
    "sigmoid": ("label_smoothing", 0.0),
    "huber": ("delta", 1.0),
    "quantile": ("q", 0.5),
}


def save_weights(model: Any, path: str | os.PathLike[str]) -> None:
    """Write the weights of a network as safetensors, with the names of its activations and its head.

    The arrays are ``layers.0.W (n_1, n_0)``, ``layers.0.b (n_1,)`` and so on; the metadata's entry
    ``batchprop`` is JSON: ``{"format": 1, "activations": [...], "head": {"name": ..., ...}}``, the head's
    settings beside its name.

    Args:
        model: a ``Network``, or a fitted ``MLPClassifier`` or ``MLPRegressor``. Classes are not kept.
        path: the file; one that is there is replaced.

    Raises:
        ParameterError: the model is neither, an activation is a function of your own, or the head of a bare
            network is not one of ``heads.HEADS`` as it stands there.
        InputError: a weight is not finite.
        NotFittedError: the estimator is not fitted.
        BatchpropError: safetensors is not installed. Nothing is written in any of these cases.
        OSError: the system refuses to write.

    Example:
        >>> import batchprop as bp, pathlib, tempfile
        >>> net = bp.Network.create([4, 3, 2], activation="tanh", random_state=0)
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "net.safetensors"
        >>> bp.export.save_weights(net, file)
        >>> bp.export.read_weights(file).activations[0].name
        'tanh'
    """
    with require_extra("safetensors", "bp.export.weights"):
        from safetensors.numpy import save
    net, head = _network_and_head(model)
    arrays = {
        name: _stored(array)
        for k, layer in enumerate(net.layers)
        for name, array in zip(_names(k), layer, strict=True)
    }
    about = {
        "format": FORMAT,
        "activations": [known_activation(record) for record in net.activations],
        "head": head,
    }
    atomic_write(save(arrays, metadata={_KEY: json.dumps(about)}), path)


def read_weights(path: str | os.PathLike[str]) -> Network:
    """Read a network from a file that ``save_weights`` wrote; nothing in the file can run code.

    Args:
        path: the file.

    Returns:
        The network, in the precision of the file.

    Raises:
        ModelError: there is no such file; it is damaged, or no network's; names, shapes, types or numbers in
            it are wrong. No more memory is taken than the file is long.
        BatchpropError: safetensors is not installed.
    """
    with require_extra("safetensors", "bp.export.read_weights"):
        from safetensors import SafetensorError, safe_open
    path = Path(path)
    _check_header(path)
    try:
        with safe_open(path, framework="numpy") as file:
            about = _about(file.metadata() or {})
            layers = _layers(file)
        head = _head(about["head"], len(layers[-1].b))
        return Network.from_weights(layers, activation=_activations(about["activations"]), head=head)
    except (SafetensorError, OSError, InputError) as error:
        raise ModelError(f"{path} holds no network that batchprop wrote: {error}") from error


def _stored(array: Any) -> NDArray[np.floating]:
    """An array of any library in one of the two types that a file has."""
    plain = np.asarray(array)
    return np.ascontiguousarray(
        plain, dtype=plain.dtype if plain.dtype.str[1:] in {"f4", "f8"} else np.float32
    )


def _names(k: int) -> tuple[str, str]:
    return f"layers.{k}.W", f"layers.{k}.b"


# ---- what is written


def _network_and_head(model: Any) -> tuple[Network, dict[str, Any]]:
    if isinstance(model, Network):
        return Network.from_weights(model.layers, activation=model.activations, head=model.head), _bare_head(
            model.head
        )
    if converter_key(model) not in {"batchprop MLPClassifier", "batchprop MLPRegressor"}:
        raise ParameterError(
            f"{type(model).__name__}: its weights cannot be exported; give a Network, or a fitted "
            "MLPClassifier or MLPRegressor (of a pipeline its last step)"
        )
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(model)
    pairs = [(coef.T, b) for coef, b in zip(model.coefs_, model.intercepts_, strict=True)]
    return Network.from_weights(pairs, activation=activations_of(model)), _head_of(model)


def _bare_head(head: Head) -> dict[str, Any]:
    # A record does not tell its settings; those of the table are known to have none.
    if HEADS.get(head.name) != head:
        raise ParameterError(
            f"the head {head.name!r} of this network has settings of its own, which its record does not "
            "tell: export the estimator that it is from, or a Network with a head of batchprop.heads.HEADS"
        )
    return {"name": head.name}


def _head_of(estimator: Any) -> dict[str, Any]:
    """The head of an estimator, by name and settings."""
    if hasattr(estimator, "classes_"):
        smoothing = {"label_smoothing": float(estimator.label_smoothing)}
        sizes = class_sizes(estimator)
        if isinstance(estimator.classes_, list):
            return {"name": "softmax_groups", "sizes": list(sizes), **smoothing}
        return {"name": "softmax" if sizes else "sigmoid", **smoothing}
    settings = {"huber": {"delta": estimator.huber_delta}, "quantile": {"q": estimator.quantile}}
    return {"name": estimator.loss, **settings.get(estimator.loss, {})}


# ---- what is read


def _check_header(path: Path) -> None:
    """Refuse a file whose header is longer than any network's, before it is read."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(_PREFIX), "little")
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read: {error.strerror}; name a file that `weights` wrote"
        ) from error
    if length > _MAX_HEADER:
        raise ModelError(
            f"{path} holds no network that batchprop wrote: it begins with a header of {length:,} bytes, "
            f"where {_MAX_HEADER:,} is the longest"
        )


def _about(metadata: Mapping[str, str]) -> dict[str, Any]:
    try:
        about = json.loads(metadata.get(_KEY, "null"))
    except (ValueError, RecursionError) as error:
        raise InputError("its metadata is not JSON") from error
    wanted = {"format", "activations", "head"}
    if not isinstance(about, dict) or set(about) != wanted:
        raise InputError(f"its metadata lacks the entry {_KEY!r} with {', '.join(sorted(wanted))}")
    if about["format"] != FORMAT:
        raise InputError(f"it is of format {str(about['format'])[:20]!r}, and this version reads {FORMAT}")
    return about


def _layers(file: Any) -> Layers:
    """The layers of a file, whose names and types are looked at before an array is read."""
    found = set(file.keys())
    wanted = {name for k in range((len(found) + 1) // 2) for name in _names(k)}
    if found != wanted or not found:
        raise InputError(
            "its arrays are to be layers.0.W, layers.0.b, layers.1.W, ... without a gap, and nothing else: "
            f"look at {_short(sorted(found ^ wanted)[:4])}"
        )
    for name in sorted(found):
        if (kind := file.get_slice(name).get_dtype()) not in _TYPES:
            raise InputError(f"its array {name!r} is of type {kind}, where F32 or F64 is expected")
    return tuple(Layer(*(file.get_tensor(name) for name in _names(k))) for k in range(len(found) // 2))


def _activations(names: Any) -> list[str]:
    if not isinstance(names, list) or not all(
        isinstance(name, str) and name in ACTIVATIONS for name in names
    ):
        raise InputError(f"its activations are {_short(names)}: each is one of {', '.join(ACTIVATIONS)}")
    return names


def _head(told: Any, n_outputs: int) -> Head:
    """The head that the metadata tells, for so many outputs."""
    name = told.get("name") if isinstance(told, dict) else None
    if not isinstance(name, str) or name not in _MAKERS:
        raise InputError(f"its head is {_short(told)}: the name is one of {', '.join(_MAKERS)}")
    settings = {key: value for key, value in told.items() if key != "name"}
    sizes = settings.pop("sizes", None) if name == "softmax_groups" else None
    setting, default = _SETTINGS.get(name, ("", 0.0))
    value = settings.pop(setting, default)
    if settings or not _is_number(value):
        raise InputError(f"its head {name!r} has settings that it does not know: {_short(told)}")
    if name != "softmax_groups":
        # By position, and the table's own where it is the same: one object for equal settings.
        return HEADS[name] if value == default else _MAKERS[name](value)
    if not isinstance(sizes, list) or not all(map(_is_size, sizes)) or sum(sizes) != n_outputs:
        raise InputError(f"its head {name!r} has sizes {_short(sizes)}, which are to add up to {n_outputs}")
    return heads.softmax_groups(sizes, value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
