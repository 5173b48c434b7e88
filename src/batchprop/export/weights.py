"""Weights as a safetensors file: arrays by name, with the activations and the head in its metadata."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from batchprop import heads
from batchprop.activations import ACTIVATIONS
from batchprop.arrays import Array
from batchprop.backprop import logits
from batchprop.errors import InputError, ModelError, ParameterError, require_extra
from batchprop.export.onnx_converters import converter_key
from batchprop.export.onnx_network import (
    activation_names,
    builtin_activation_name,
    class_sizes,
    networks_of,
)
from batchprop.files import atomic_write, open_file
from batchprop.heads import HEADS, Head
from batchprop.network import Network
from batchprop.params import Layer, Layers

FORMAT = 1
"""The format number in every file; it changes when older versions cannot read the new files."""

_KEY = "batchprop"
_MAX_HEADER = 1 << 20
_LENGTH_BYTES = 8  # at the start of a safetensors file: the length of its header
_TYPES = {"F32", "F64"}
_MAX_SHOWN = 60

_HEAD_FACTORIES: dict[str, Callable[..., Head]] = {
    "softmax": heads.softmax,
    "softmax_groups": heads.softmax_groups,
    "sigmoid": heads.sigmoid_cross_entropy,
    "squared_error": heads.squared_error,
    "absolute_error": heads.absolute_error,
    "huber": heads.huber,
    "quantile": heads.quantile,
    "quantiles": heads.quantiles,
    "poisson": heads.poisson,
}
# The setting of each head, and its value in HEADS; softmax_groups has its sizes too.
_HEAD_SETTINGS = {
    "softmax": ("label_smoothing", 0.0),
    "softmax_groups": ("label_smoothing", 0.0),
    "sigmoid": ("label_smoothing", 0.0),
    "huber": ("delta", 1.0),
    "quantile": ("q", 0.5),
}


_ENSEMBLES = ("batchprop MLPEnsembleClassifier", "batchprop MLPEnsembleRegressor")
_ESTIMATORS = ("batchprop MLPClassifier", "batchprop MLPRegressor", *_ENSEMBLES)


class WeightsEnsemble(NamedTuple):
    """Several networks whose answers are averaged.

    Attributes:
        members: the networks.
        temperature: T, what their logits are divided by; 1 for numbers.
    """

    members: tuple[Network, ...]
    temperature: float = 1.0

    def predict(self, B: Array) -> Array:
        """Return the mean of the members' outputs P ``(n_{L+1}, m)``, each the head's of ``Z / T``.

        Args:
            B: the batch ``(n_0, m)``, an example in each column.
        """
        each = [net.head.output(logits(net, B) / self.temperature) for net in self.members]
        return sum(each[1:], start=each[0]) / len(each)


def save_weights(model: Any, path: str | os.PathLike[str]) -> None:
    """Write the weights of a network as safetensors, with the names of its activations and its head.

    The arrays are ``layers.0.W (n_1, n_0)``, ``layers.0.b (n_1,)`` and so on; of several networks,
    ``members.0.layers.0.W`` and so on. The entry ``batchprop`` of the metadata is JSON:
    ``{"format": 1, "activations": [...], "head": {"name": ..., ...}}``, with the settings of the head beside
    its name; of several networks also ``"n_members"`` and ``"temperature"``, and a list of activations for
    each if these differ. The file does not hold the classes of a classifier, nor what is done to columns and
    target.

    Args:
        model: a ``Network``, a fitted ``MLPClassifier`` or ``MLPRegressor``, an ensemble of them, or a
            ``TabularClassifier`` or ``TabularRegressor``, whose ``network_`` is written.
        path: the file to write; an existing file is replaced.

    Raises:
        ParameterError: the model is none of these, an activation is a custom function, or the head of a
            ``Network`` is not one of ``heads.HEADS``.
        InputError: a weight is not finite.
        NotFittedError: the estimator is not fitted.
        BatchpropError: safetensors is not installed. In all these cases nothing is written.
        OSError: the file cannot be written.

    Example:
        >>> import batchprop as bp, pathlib, tempfile
        >>> net = bp.Network.create([4, 3, 2], activation="tanh", random_state=0)
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "net.safetensors"
        >>> bp.export.save_weights(net, file)
        >>> bp.export.load_weights(file).activations[0].name
        'tanh'
    """
    with require_extra("safetensors", "bp.export.save_weights"):
        from safetensors.numpy import save
    networks, head, ensemble = _describe_model(model)
    arrays = {
        prefix + name: _as_storable(array)
        for prefix, net in zip(_prefixes(ensemble), networks, strict=True)
        for k, layer in enumerate(net.layers)
        for name, array in zip(_array_names(k), layer, strict=True)
    }
    names = [[builtin_activation_name(record) for record in net.activations] for net in networks]
    description = {
        "format": FORMAT,
        "activations": names[0] if all(each == names[0] for each in names) else names,
        "head": head,
        **ensemble,
    }
    atomic_write(save(arrays, metadata={_KEY: json.dumps(description)}), path)


def load_weights(path: str | os.PathLike[str]) -> Network:
    """Load a network from a file that ``save_weights`` wrote; nothing in the file can run code.

    Args:
        path: the file.

    Returns:
        The network, in the precision of the file.

    Raises:
        ModelError: the file cannot be read, is damaged, or holds something other than one network. Loading
            takes no more memory than the length of the file.
        BatchpropError: safetensors is not installed.
    """
    members, ensemble = _load(Path(path), "bp.export.load_weights")
    if ensemble:
        raise ModelError(
            f"{path} holds {len(members)} networks whose answers are averaged: read it with "
            "bp.export.load_ensemble"
        )
    return members[0]


def load_ensemble(path: str | os.PathLike[str]) -> WeightsEnsemble:
    """Load the networks of a file that ``save_weights`` wrote, for one model; nothing in it can run code.

    Args:
        path: the file, of several networks or of one.

    Returns:
        The networks, in the precision of the file, and their temperature.

    Raises:
        ModelError: as for ``load_weights``.
        BatchpropError: safetensors is not installed.

    Example:
        >>> import batchprop as bp, pathlib, tempfile
        >>> X, y = np.arange(40.0)[:, None] / 40, ["low", "high"] * 20
        >>> clf = bp.TabularClassifier(n_members=3, max_iter=1).fit(X, y)
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "three.safetensors"
        >>> bp.export.save_weights(clf, file)
        >>> len(bp.export.load_ensemble(file).members)
        3
    """
    members, ensemble = _load(Path(path), "bp.export.load_ensemble")
    return WeightsEnsemble(members, ensemble.get("temperature", 1.0))


def _load(path: Path, caller: str) -> tuple[tuple[Network, ...], dict[str, Any]]:
    """Return the networks of a file, and what its metadata says of an ensemble; nothing for one network."""
    with require_extra("safetensors", caller):
        from safetensors import SafetensorError, safe_open
    _check_header(path)
    try:
        with safe_open(path, framework="numpy") as file:
            description, ensemble = _parse_metadata(file.metadata() or {})
            members = _load_members(file, ensemble)
        each, head = _activations_of(description["activations"], ensemble), description["head"]
        networks = (
            Network.from_weights(layers, activation=activations, head=_make_head(head, len(layers[-1].b)))
            for layers, activations in zip(members, each, strict=True)
        )
        return tuple(networks), ensemble
    except (SafetensorError, OSError, InputError) as error:
        raise ModelError(f"{path} holds no network that batchprop wrote: {error}") from error


def _as_storable(array: Any) -> NDArray[np.floating]:
    """Return an array of any library as contiguous float32 or float64."""
    # safetensors writes the bytes in their memory order, so a transposed view would be loaded transposed.
    numbers = np.asarray(array)
    return np.ascontiguousarray(
        numbers, dtype=numbers.dtype if numbers.dtype.str[1:] in {"f4", "f8"} else np.float32
    )


def _array_names(k: int) -> tuple[str, str]:
    return f"layers.{k}.W", f"layers.{k}.b"


def _prefixes(ensemble: Mapping[str, Any]) -> list[str]:
    """The beginnings of the arrays' names, one for each network."""
    return [f"members.{i}." for i in range(ensemble["n_members"])] if ensemble else [""]


# ---- writing


def _describe_model(model: Any) -> tuple[list[Network], dict[str, Any], dict[str, Any]]:
    """Return the networks of a model, their head, and the metadata of an ensemble; none for one network."""
    if isinstance(model, Network):
        net = Network.from_weights(model.layers, activation=model.activations, head=model.head)
        return [net], _describe_builtin_head(model.head), {}
    from sklearn.utils.validation import check_is_fitted

    if hasattr(model, "to_pipeline"):
        check_is_fitted(model)
        model = model.network_
    if converter_key(model) not in _ESTIMATORS:
        raise ParameterError(
            f"{type(model).__name__}: its weights cannot be exported; give a Network, or a fitted "
            "MLPClassifier or MLPRegressor, an ensemble of them (of a pipeline, its last step), or a tabular "
            "estimator"
        )
    check_is_fitted(model)
    members = networks_of(model)
    ensemble = {}
    if converter_key(model) in _ENSEMBLES:
        ensemble = {"n_members": len(members), "temperature": getattr(model, "temperature_", 1.0)}
    return [_network_of(member) for member in members], _describe_estimator_head(members[0]), ensemble


def _network_of(estimator: Any) -> Network:
    pairs = [(coef.T, b) for coef, b in zip(estimator.coefs_, estimator.intercepts_, strict=True)]
    return Network.from_weights(pairs, activation=activation_names(estimator))


def _describe_builtin_head(head: Head) -> dict[str, Any]:
    # The settings of a head are inside its functions; only those of HEADS are known.
    if HEADS.get(head.name) != head:
        raise ParameterError(
            f"the head {head.name!r} of this network has custom settings, which a Head does not store: "
            "export the estimator it comes from, or a Network with a head of batchprop.heads.HEADS"
        )
    return {"name": head.name}


def _describe_estimator_head(estimator: Any) -> dict[str, Any]:
    """Return the name and the settings of an estimator's head."""
    if hasattr(estimator, "classes_"):
        smoothing = {"label_smoothing": float(estimator.label_smoothing)}
        sizes = class_sizes(estimator)
        if isinstance(estimator.classes_, list):
            return {"name": "softmax_groups", "sizes": list(sizes), **smoothing}
        return {"name": "softmax" if sizes else "sigmoid", **smoothing}
    if estimator.quantile_levels:
        return {"name": "quantiles", "levels": list(estimator.quantile_levels)}
    settings = {"huber": {"delta": estimator.huber_delta}, "quantile": {"q": estimator.quantile}}
    return {"name": estimator.loss, **settings.get(estimator.loss, {})}


# ---- reading


def _check_header(path: Path) -> None:
    """Refuse a file whose header is longer than any network needs, before safetensors allocates it."""
    try:
        with open_file(path, follow=True) as file:
            length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read: {error.strerror}; name a file that save_weights wrote"
        ) from error
    if length > _MAX_HEADER:
        raise ModelError(
            f"{path} holds no network that batchprop wrote: it starts with a header of {length:,} bytes, "
            f"and at most {_MAX_HEADER:,} are allowed"
        )


def _parse_metadata(metadata: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the metadata says of the networks, and of their ensemble."""
    try:
        metadata_entry = json.loads(metadata.get(_KEY, "null"))
    except (ValueError, RecursionError) as error:
        raise InputError("its metadata is not JSON") from error
    expected, optional = {"format", "activations", "head"}, {"n_members", "temperature"}
    if not isinstance(metadata_entry, dict) or set(metadata_entry) not in (expected, expected | optional):
        raise InputError(f"its metadata lacks the entry {_KEY!r} with {', '.join(sorted(expected))}")
    if metadata_entry["format"] != FORMAT:
        raise InputError(
            f"it is of format {str(metadata_entry['format'])[:20]!r}, and this version reads {FORMAT}"
        )
    ensemble = {name: metadata_entry.pop(name) for name in optional if name in metadata_entry}
    if ensemble and not (_is_size(ensemble["n_members"]) and _is_temperature(ensemble["temperature"])):
        raise InputError(f"its ensemble is {_truncate(ensemble)}: give a count, and a temperature above 0")
    return metadata_entry, ensemble


def _load_members(file: Any, ensemble: Mapping[str, Any]) -> list[Layers]:
    """Load the layers of each network, after a check of all names and types."""
    names, n_members = set(file.keys()), ensemble.get("n_members", 1)
    if ensemble and n_members > len(names):
        raise InputError(f"it names {_truncate(n_members)} networks, and holds {len(names)} arrays")
    prefixes = _prefixes(ensemble)
    counts = Counter(name.partition("layers.")[0] for name in names)
    arrays = [
        [tuple(prefix + name for name in _array_names(k)) for k in range(max(1, -(-counts[prefix] // 2)))]
        for prefix in prefixes
    ]
    expected = {name for layers in arrays for pair in layers for name in pair}
    if names != expected or not names:
        raise InputError(
            f"its arrays are to be {prefixes[0]}layers.0.W, {prefixes[0]}layers.0.b, ... without a gap, and "
            f"nothing else: look at {_truncate(sorted(names ^ expected)[:4])}"
        )
    for name in sorted(names):
        if (kind := file.get_slice(name).get_dtype()) not in _TYPES:
            raise InputError(f"its array {name!r} is of type {kind}, where F32 or F64 is expected")
    members = [tuple(Layer(*map(file.get_tensor, pair)) for pair in layers) for layers in arrays]
    if len({(layers[0].W.shape[1:], layers[-1].b.shape) for layers in members}) > 1:
        raise InputError("its networks differ in the number of their inputs or outputs")
    return members


def _activations_of(given: Any, ensemble: Mapping[str, Any]) -> list[list[str]]:
    """Return the activations of each network; one list is that of all."""
    n_members = ensemble.get("n_members", 1)
    if not ensemble or not isinstance(given, list) or not all(isinstance(each, list) for each in given):
        return [_check_activations(given)] * n_members
    if len(given) != n_members:
        raise InputError(f"it holds {n_members} networks, and the activations of {len(given)}")
    return [_check_activations(each) for each in given]


def _check_activations(names: Any) -> list[str]:
    if not isinstance(names, list) or not all(
        isinstance(name, str) and name in ACTIVATIONS for name in names
    ):
        raise InputError(f"its activations are {_truncate(names)}: each is one of {', '.join(ACTIVATIONS)}")
    return names


def _make_head(description: Any, n_outputs: int) -> Head:
    """The head in the metadata, for this number of outputs."""
    name = description.get("name") if isinstance(description, dict) else None
    if not isinstance(name, str) or name not in _HEAD_FACTORIES:
        raise InputError(
            f"its head is {_truncate(description)}: the name is one of {', '.join(_HEAD_FACTORIES)}"
        )
    settings = {key: value for key, value in description.items() if key != "name"}
    sizes = settings.pop("sizes", None) if name == "softmax_groups" else None
    if name == "quantiles" and set(settings) <= {"levels"}:
        return _make_quantiles(settings.get("levels"), n_outputs)
    setting, default = _HEAD_SETTINGS.get(name, ("", 0.0))
    value = settings.pop(setting, default)
    if settings or not _is_number(value):
        raise InputError(f"its head {name!r} has settings that it does not know: {_truncate(description)}")
    if name != "softmax_groups":
        # By position; the table's own head if it is the same: one object for equal settings.
        return HEADS[name] if value == default else _HEAD_FACTORIES[name](value)
    if not isinstance(sizes, list) or not all(map(_is_size, sizes)) or sum(sizes) != n_outputs:
        raise InputError(
            f"its head {name!r} has sizes {_truncate(sizes)}, which are to add up to {n_outputs}"
        )
    return heads.softmax_groups(sizes, value)


def _make_quantiles(levels: Any, n_outputs: int) -> Head:
    if not isinstance(levels, list) or not all(map(_is_number, levels)) or len(levels) != n_outputs:
        raise InputError(
            f"its head 'quantiles' has levels {_truncate(levels)}: {n_outputs} numbers are expected"
        )
    return heads.quantiles(levels)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_temperature(value: Any) -> bool:
    return _is_number(value) and 0 < value < math.inf


def _truncate(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
