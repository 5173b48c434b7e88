"""The network: its layers (W, b), its activations, its head, and how its weights are initialised."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from os import PathLike
from pathlib import PurePath
from typing import TypeAlias, TypeVar, cast

import numpy as np
from array_api_compat import is_array_api_obj

from batchprop.activations import Activation, get_activation
from batchprop.arrays import Array, namespace
from batchprop.errors import ParameterError, short_repr, unknown_option_error
from batchprop.heads import Head, get_head
from batchprop.params import Layer, Layers

T = TypeVar("T")

RandomState: TypeAlias = int | np.random.RandomState | None


@dataclass(frozen=True)
class Network:
    """A feed-forward network: arrays of parameters, and the records of its functions.

    Attributes:
        layers: L + 1 layers; the head takes the last one's output.
        activations: one record for each of the L hidden layers.
        head: the output head.

    Example:
        >>> net = Network.create([4, 3, 2], activation="tanh", head="softmax", random_state=0)
        >>> net.sizes, net.n_parameters
        ((4, 3, 2), 23)
    """

    layers: Layers
    activations: tuple[Activation, ...]
    head: Head

    @classmethod
    def create(
        cls,
        sizes: Sequence[int],
        *,
        activation: str | Activation | Sequence[str | Activation] = "relu",
        head: str | Head = "softmax",
        random_state: RandomState = None,
        dtype: str | np.dtype[np.floating] = "float32",
    ) -> Network:
        """Initialise a network with Glorot's uniform weights, in NumPy arrays.

        ``W, b ~ U(−r, r)`` with ``r = √(6 / (n_{l-1} + n_l))``, or √(2 / ...) for the sigmoid.

        Args:
            sizes: the widths ``[n_0, ..., n_{L+1}]``, input and output included.
            activation: one for all hidden layers, or a sequence of L.
            head: a name of ``heads.HEADS`` or a ``Head``.
            random_state: a seed, a ``numpy.random.RandomState``, or None for fresh randomness.
            dtype: ``"float32"`` or ``"float64"``.

        Returns:
            The network.

        Raises:
            ParameterError: a width is no positive integer, or a name is unknown.

        Source:
            Glorot and Bengio 2010; drawn in scikit-learn's order, so that one seed gives one network in both.
        """
        sizes = validate_sizes(sizes)
        records = _resolve_activations(activation, len(sizes) - 2)
        initial = glorot_uniform(sizes, [*records, records[-1] if records else None], random_state, dtype)
        return cls(initial, records, get_head(head))

    @classmethod
    def from_weights(
        cls,
        weights: str | PathLike[str] | Iterable[tuple[Array, Array]],
        *,
        activation: str | Activation | Sequence[str | Activation] | None = None,
        head: str | Head | None = None,
    ) -> Network:
        """Build a network from the arrays of its weights, or from a file.

        Args:
            weights: ``(W, b)`` of each layer, ``W (n_l, n_{l-1})`` and ``b (n_l,)``, as ``torch.nn.Linear``
                keeps them; or the path of a file of ``batchprop.export.save_weights``.
            activation: one for all hidden layers, or a sequence of L; None for ``"relu"``. A file holds it.
            head: a name of ``heads.HEADS`` or a ``Head``; None for ``"softmax"``. A file holds it.

        Returns:
            The network. Arrays of floats are not copied.

        Raises:
            ParameterError: a shape does not fit, an entry is not finite, or a name is unknown.
            ModelError: the file is damaged, or holds no network.

        Example:
            >>> layers = [(np.ones((3, 4)), np.zeros(3)), (np.ones((2, 3)), np.zeros(2))]
            >>> Network.from_weights(layers, activation="tanh").sizes
            (4, 3, 2)
        """
        if isinstance(weights, str | PathLike):
            if activation is not None or head is not None:
                raise ParameterError(
                    f"weights={str(weights)!r} is a file, which contains activation and head: leave them out"
                )
            return _weight_loader(weights)(weights)
        layers = _validate_layers(weights)
        records = _resolve_activations("relu" if activation is None else activation, len(layers) - 1)
        return cls(layers, records, get_head("softmax" if head is None else head))

    @property
    def sizes(self) -> tuple[int, ...]:
        """The widths ``(n_0, ..., n_{L+1})``."""
        return (self.layers[0].W.shape[1], *(layer.W.shape[0] for layer in self.layers))

    @property
    def n_parameters(self) -> int:
        """The number of weights and biases."""
        return sum((n_in + 1) * n_out for n_in, n_out in pairwise(self.sizes))

    def replace_layers(self, layers: Layers) -> Network:
        """Return the same network with other parameters."""
        return Network(layers, self.activations, self.head)


WEIGHT_LOADERS: dict[str, Callable[[str | PathLike[str]], Network]] = {}
"""The functions that load a network from a file, by the file's suffix. The core reads no files: the package's
``__init__``, which may import everything, registers them here."""


def glorot_uniform(
    sizes: Sequence[int],
    activations: Sequence[Activation | None],
    random_state: RandomState,
    dtype: str | np.dtype[np.floating],
) -> Layers:
    """Draw every layer's W and b from U(−r, r), ``r = √(gain / (n_{l-1} + n_l))``."""
    if np.dtype(dtype).kind != "f":
        raise ParameterError(f"dtype={dtype!r} is not allowed: give 'float32' or 'float64'")
    _check_memory(sizes)
    rng = check_random_state(random_state)
    layers = []
    for (n_in, n_out), activation in zip(pairwise(sizes), activations, strict=True):
        # Glorot's 6, and 2 for the sigmoid, as scikit-learn has it.
        gain = 2.0 if activation is not None and activation.name == "sigmoid" else 6.0
        bound = math.sqrt(gain / (n_in + n_out))
        # In scikit-learn's order and shape, so that one seed gives the same network in both libraries.
        W = rng.uniform(-bound, bound, (n_in, n_out)).T
        b = rng.uniform(-bound, bound, n_out)
        layers.append(Layer(np.ascontiguousarray(W, dtype=dtype), b.astype(dtype)))
    return tuple(layers)


def _check_memory(sizes: Sequence[int]) -> None:
    """Refuse layers that no memory holds, before NumPy fails on them."""
    count = sum((n_in + 1) * n_out for n_in, n_out in pairwise(sizes))
    try:
        # The system only promises this memory; nothing is written to it.
        np.empty(count)
    except (MemoryError, OverflowError, ValueError):
        raise ParameterError(
            f"sizes={short_repr(tuple(sizes))} ask for more parameters than this machine has memory for: "
            "give narrower layers"
        ) from None


def check_random_state(random_state: RandomState) -> np.random.RandomState:
    """Return the generator of a seed or of None; a generator is returned unchanged."""
    if isinstance(random_state, np.random.RandomState):
        return random_state
    if random_state is None or isinstance(random_state, int | np.integer):
        return np.random.RandomState(random_state)
    raise ParameterError(
        f"random_state={random_state!r} is not allowed: "
        "give None, an integer seed, or a numpy.random.RandomState"
    )


def broadcast_to_layers(name: str, value: T | Sequence[T], n_hidden: int) -> tuple[T, ...]:
    """Return one value for each hidden layer, from one for all or from a sequence."""
    # An Activation is a tuple too, but one value.
    if not isinstance(value, Sequence) or isinstance(value, str | Activation):
        return (cast("T", value),) * n_hidden
    if len(value) != n_hidden:
        raise ParameterError(
            f"{name}={value!r} has {len(value)} entries for {n_hidden} hidden layers: "
            f"give one for all, or {n_hidden}"
        )
    return tuple(value)


def validate_sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    """Return the widths as Python ints, or raise a ParameterError that names the wrong one."""
    if np.ndim(sizes) != 1 or len(sizes) < 2:
        raise ParameterError(
            f"sizes={sizes!r} is too short: give at least the widths of input and output, as [4, 3]"
        )
    for width in sizes:
        # A bool is an int in Python, and as a width a mistake.
        if isinstance(width, bool) or not isinstance(width, int | np.integer) or width < 1:
            raise ParameterError(f"sizes={sizes!r} holds {width!r}: every width is a positive integer")
    return tuple(int(width) for width in sizes)


def _weight_loader(path: str | PathLike[str]) -> Callable[[str | PathLike[str]], Network]:
    suffix = PurePath(path).suffix.lower()
    if suffix not in WEIGHT_LOADERS:
        raise unknown_option_error("the ending of weights", suffix, WEIGHT_LOADERS)
    return WEIGHT_LOADERS[suffix]


def _resolve_activations(
    activation: str | Activation | Sequence[str | Activation], n_hidden: int
) -> tuple[Activation, ...]:
    hidden: tuple[str | Activation, ...] = broadcast_to_layers("activation", activation, n_hidden)
    return tuple(map(get_activation, hidden))


def _validate_layers(pairs: Iterable[tuple[Array, Array]]) -> Layers:
    """Return layers whose shapes fit each other and whose entries are finite, or raise a ParameterError."""
    layers: Layers = ()
    for k, pair in enumerate(pairs):
        # Checked before it is unpacked: Python's own error would not name the layer.
        if len(pair) != 2:
            raise ParameterError(f"weights[{k}] holds {len(pair)} arrays: give (W, b) of each layer")
        W, b = (_as_float_array(k, array) for array in pair)
        n_in = layers[-1].b.shape[0] if layers else W.shape[-1] if W.ndim else 0
        if b.ndim != 1 or W.shape != (b.shape[0], n_in) or 0 in W.shape:
            before = f", where n_in is {n_in}, the layer before's n_out" if layers else ""
            raise ParameterError(
                f"weights[{k}] has W {tuple(W.shape)} and b {tuple(b.shape)}: W is (n_out, n_in), b (n_out,)"
                f"{before}; scikit-learn's coefs_ are the transposes of W"
            )
        layers = (*layers, Layer(W, b))
    if not layers:
        raise ParameterError("weights holds no layer: give (W, b) of each layer, W (n_out, n_in)")
    return layers


def _as_float_array(k: int, array: Array) -> Array:
    array = array if is_array_api_obj(array) else np.asarray(array)
    xp = namespace(array)
    if not xp.isdtype(array.dtype, ("integral", "real floating")):
        raise ParameterError(f"weights[{k}] holds {array.dtype}: give arrays of real numbers")
    array = array if xp.isdtype(array.dtype, "real floating") else xp.astype(array, xp.float32)
    if not bool(xp.all(xp.isfinite(array))):
        raise ParameterError(
            f"weights[{k}] holds numbers that are not finite: give finite weights and biases"
        )
    return array
