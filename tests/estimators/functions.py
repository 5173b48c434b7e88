"""Functions and objects of every kind as parameters, made anew by each call; run as a module, it prints them.

``PAIRS`` has two of each kind that compute differently although a name says the same of both.
"""

from __future__ import annotations

import functools
import json
import logging
import math
import operator
import sys
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, fbeta_score, make_scorer

from batchprop.activations import Activation
from batchprop.estimators.descriptions import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

POWER = 1.0
TABLE = {"a": [1.0, 2.0], "words": {"yes", "no", "perhaps"}, "array": np.arange(3.0)}


def helper(value: float) -> float:
    return math.pow(value, POWER)


def plain(fitted: Any, X: Any, y: Any) -> float:
    return helper(float(np.mean(fitted.predict(X) == y)))


def weighing(factor: Any) -> Callable[..., float]:
    def weighed(fitted: Any, X: Any, y: Any) -> float:
        return float(np.mean(fitted.predict(X) == y)) * float(np.sum(factor))

    return weighed


def with_default(factor: float) -> Callable[..., float]:
    def score(fitted: Any, X: Any, y: Any, factor: float = factor) -> float:
        return factor * float(np.mean(fitted.predict(X) == y))

    return score


def with_keyword_default(factor: float) -> Callable[..., float]:
    def score(fitted: Any, X: Any, y: Any, *, factor: float = factor) -> float:
        return factor * float(np.mean(fitted.predict(X) == y))

    return score


def with_attribute(factor: float) -> Callable[..., float]:
    def score(fitted: Any, X: Any, y: Any) -> float:
        return float(np.mean(fitted.predict(X) == y)) * float(vars(score)["factor"])

    vars(score)["factor"] = factor
    return score


def factor_scorer(fitted: Any, X: Any, y: Any, factor: float, *, shift: float = 0.0) -> float:
    return factor * float(np.mean(fitted.predict(X) == y)) + shift


@dataclass
class Scorer:
    """A callable object."""

    factor: Any
    kind: str = "mean"

    def __call__(self, fitted: Any, X: Any, y: Any) -> float:
        return float(np.sum(self.factor)) * float(np.mean(fitted.predict(X) == y))

    def method(self, fitted: Any, X: Any, y: Any) -> float:
        return self(fitted, X, y)


class Slotted:
    """A callable object without a dict."""

    __slots__ = ("factor",)

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, fitted: Any, X: Any, y: Any) -> float:
        return self.factor * float(np.mean(fitted.predict(X) == y))


class Kind(Enum):
    """A value of an enumeration."""

    MEAN = "mean"
    SUM = "sum"


class Pair(NamedTuple):
    """A named tuple."""

    first: float
    second: Any


def other_class(sign: int) -> Any:
    """Two classes of one name whose methods differ."""

    class Signed:
        def __call__(self, fitted: Any, X: Any, y: Any) -> float:
            return float(np.mean(fitted.predict(X) == y))

    class Other:
        def __call__(self, fitted: Any, X: Any, y: Any) -> float:
            return -float(np.mean(fitted.predict(X) == y))

    Other.__qualname__, Other.__name__ = Signed.__qualname__, Signed.__name__
    return Signed() if sign > 0 else Other()


@functools.lru_cache
def cached(value: float) -> float:
    return value + 1


def cached_scorer(shift: int) -> Callable[..., float]:
    inner = (
        functools.lru_cache(lambda value: value + 1)
        if shift
        else functools.lru_cache(lambda value: value + 2)
    )
    return lambda fitted, X, y: inner(float(np.mean(fitted.predict(X) == y)))


def recursive(depth: int) -> float:
    return 1.0 if depth == 0 else recursive(depth - 1)


PAIRS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "keyword of make_scorer": (
        lambda: make_scorer(fbeta_score, beta=0.5, average="macro"),
        lambda: make_scorer(fbeta_score, beta=2.0, average="macro"),
    ),
    "metric of make_scorer": (
        lambda: make_scorer(accuracy_score),
        lambda: make_scorer(f1_score, average="macro"),
    ),
    "sign of make_scorer": (
        lambda: make_scorer(accuracy_score),
        lambda: make_scorer(accuracy_score, greater_is_better=False),
    ),
    "bytecode": (lambda: lambda f, X, y: f.score(X, y) + 1, lambda: lambda f, X, y: f.score(X, y) - 1),
    "constant": (lambda: lambda f, X, y: f.score(X, y) * 2, lambda: lambda f, X, y: f.score(X, y) * 3),
    "kind of constant": (lambda: lambda _f, _X, _y: 1, lambda: lambda _f, _X, _y: True),
    "sign of zero": (lambda: lambda _f, _X, _y: 0.0, lambda: lambda _f, _X, _y: -0.0),
    "name": (lambda: lambda f, X, y: f.score(X, y), lambda: lambda f, X, y: f.loss(X, y)),
    "nested constant": (
        lambda: lambda f, X, y: max((f.score(X, y) for _ in range(1)), key=lambda v: v + 1),
        lambda: lambda f, X, y: max((f.score(X, y) for _ in range(1)), key=lambda v: v + 2),
    ),
    "constant set": (
        lambda: lambda f, _X, _y: f.solver in {"adam", "sgd", "adamw"},
        lambda: lambda f, _X, _y: f.solver in {"adam", "sgd", "lbfgs"},
    ),
    "closure": (lambda: weighing(0.5), lambda: weighing(0.25)),
    "array in a closure": (lambda: weighing(np.arange(4.0)), lambda: weighing(np.arange(4.0)[::-1] + 1)),
    "type of an array": (lambda: weighing(np.ones(2)), lambda: weighing(np.ones(2, np.float32))),
    "number of numpy": (lambda: weighing(np.float64(0.5)), lambda: weighing(np.float32(0.5))),
    "long list": (lambda: weighing(list(range(900))), lambda: weighing([*range(899), 3])),
    "function in a closure": (lambda: weighing(lambda: 1), lambda: weighing(lambda: 2)),
    "default": (lambda: with_default(1.0), lambda: with_default(2.0)),
    "keyword default": (lambda: with_keyword_default(1.0), lambda: with_keyword_default(2.0)),
    "attribute": (lambda: with_attribute(1.0), lambda: with_attribute(2.0)),
    "argument of a partial": (
        lambda: functools.partial(factor_scorer, factor=0.5),
        lambda: functools.partial(factor_scorer, factor=1.5),
    ),
    "keyword of a partial": (
        lambda: functools.partial(factor_scorer, factor=0.5, shift=0.0),
        lambda: functools.partial(factor_scorer, shift=0.1, factor=0.5),
    ),
    "function of a partial": (
        lambda: functools.partial(lambda _f, _X, _y, n: n + 1, n=1),
        lambda: functools.partial(lambda _f, _X, _y, n: n + 2, n=1),
    ),
    "nested partial": (
        lambda: functools.partial(functools.partial(factor_scorer, factor=1.0), shift=1.0),
        lambda: functools.partial(functools.partial(factor_scorer, factor=2.0), shift=1.0),
    ),
    "state of an object": (lambda: Scorer(1.0), lambda: Scorer(2.0)),
    "array in an object": (lambda: Scorer(np.zeros(3)), lambda: Scorer(np.ones(3))),
    "slot": (lambda: Slotted(1.0), lambda: Slotted(2.0)),
    "method of an object": (lambda: Scorer(1.0).method, lambda: Scorer(2.0).method),
    "code of a class": (lambda: other_class(1), lambda: other_class(-1)),
    "cached function": (lambda: cached_scorer(1), lambda: cached_scorer(0)),
    "enumeration": (lambda: weighing(Kind.MEAN), lambda: weighing(Kind.SUM)),
    "named tuple": (lambda: weighing(Pair(1, {"a"})), lambda: weighing(Pair(1, {"b"}))),
    "set": (lambda: weighing({"a", "b", "c"}), lambda: weighing({"a", "b", "d"})),
    "dict": (lambda: weighing({"a": 1, "b": (2, 3)}), lambda: weighing({"a": 1, "b": (2, 4)})),
    "operator": (lambda: weighing(operator.itemgetter(1)), lambda: weighing(operator.itemgetter(2))),
    "C function": (lambda: weighing(math.exp), lambda: weighing(math.sin)),
    "ufunc": (lambda: weighing(np.exp), lambda: weighing(np.sin)),
    "activation": (
        lambda: Activation("mine", lambda Z: Z * 2, lambda Z: Z * 0 + 2),
        lambda: Activation("mine", lambda Z: Z * 3, lambda Z: Z * 0 + 3),
    ),
}
ALONE: dict[str, Callable[[], Any]] = {
    "global values": lambda: plain,
    "cached": lambda: cached,
    "table": lambda: weighing(TABLE),
    "recursive": lambda: recursive,
    "frame": lambda: weighing(pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}, index=[3, 4])),
    "sparse": lambda: weighing(csr_array(np.eye(3))),
    "fitted": lambda: weighing(LogisticRegression().fit([[0.0], [1.0]], [0, 1])),
    "logger": lambda: weighing(logging.getLogger("mine")),
    "list with a function twice": lambda: weighing([helper, helper, plain]),
    "dtype": lambda: weighing([np.dtype("float32"), np.float64, slice(1, 2), range(3), 10**30, 1j, b"x"]),
}


def descriptions() -> Iterator[tuple[str, Any]]:
    """Each kind by name, as plain data."""
    for name, pair in PAIRS.items():
        yield name, [describe(name, make()) for make in pair]
    for name, make in ALONE.items():
        yield name, describe(name, make())


if __name__ == "__main__":
    sys.stdout.write(json.dumps(dict(descriptions())))
