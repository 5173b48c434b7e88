"""`python -m fuzz.estimators SECONDS [SEED]`: arguments of all kinds through fit, partial_fit and predict.

Each case draws a constructor's arguments, a matrix, a target and weights,
many of them wrong. It gives finite
answers, an error of ours,
or an error of the type that scikit-learn's MLP raises for the same input. Anything
else is a failure; its number, given as SEED with 0 SECONDS, runs it again.
"""

from __future__ import annotations

import random
import sys
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction
from functools import partial
from time import monotonic
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.neural_network import MLPClassifier, MLPRegressor

import batchprop as bp
from batchprop.errors import BatchpropError

NUMBERS = [
    0, 1, -1, 2, 0.5, 1e-3, 1e-300, 1e300, np.nan, np.inf, -np.inf, 10**30, 10**400, True, None, "x", "", (),
    [1], np.float32(0.1), np.int8(3), np.array(0.1), np.array([0.1]), Fraction(1, 3), Decimal("0.1"), 1j,
    object, "1",
]  # fmt: skip
NAMES = [
    None, "", "x", 1, True, "adam", "sgd", "lbfgs", "adamw", "relu", "logistic", "tanh", "identity",
    "constant", "adaptive", "invscaling", "cosine", "one_cycle", "warmup_cosine", "full", "noise", "auto",
    "error", "rewind", "balanced", "loss", "accuracy", "r2", b"adam", np.str_("sgd"), ["relu"],
]  # fmt: skip
SIZES = [
    (), (3,), [3, 2], 3, np.array([2, 2]), (0,), (-1,), (2.5,), ("3",), (True,), None, "3", (10**30,), [[2]],
    range(2, 4), np.int64(3), (np.int8(3),),
]  # fmt: skip
FLAGS = [True, False, 0, 1, None, "x", np.bool_(1), 2.0]

VALUES: dict[str, list[Any]] = {
    "hidden_layer_sizes": SIZES,
    **dict.fromkeys(["shuffle", "warm_start", "nesterovs_momentum", "early_stopping", "verbose"], FLAGS),
    **dict.fromkeys(
        [
            "activation",
            "solver",
            "learning_rate",
            "on_divergence",
            "scoring",
            "precision",
            "device",
            "class_weight",
        ],
        NAMES,
    ),
    "batch_size": [*NUMBERS, "auto", "full", "noise"],
    "dtype": [None, "float32", "float64", "float16", np.float32, np.float64, int, "x", np.dtype("f8"), 1],
    "random_state": [0, 1, None, -1, 2**32, "x", np.random.RandomState(0), np.random.default_rng(0), 1.5],
    "dropout": [0.5, (0.5,), (0.1, 0.2), *NUMBERS],
}
LABELS: list[list[Any]] = [
    ["a", "b"], [0, 1], [True, False], [0.5, 1.5], ["a", 1], [None, "a"], [1, np.nan], [b"a", b"b"],
    [10**30, 1], [2**63, 0], [(1,), (2,)], [0.0, 1.0], ["", " "], ["a"], [1, 2, 3], [-1, 1], [np.inf, 0],
    [Decimal(1), Decimal(2)], [pd.Timestamp("2020"), pd.NaT], [1j, 2],
]  # fmt: skip
CELLS: list[Any] = [
    np.nan, np.inf, -np.inf, 1e300, 1e-300, 1e38, 10**30, None, "x", "1", True, 1j, Decimal("1.5"), b"1", [],
    pd.NaT, np.datetime64("2020"),
]  # fmt: skip


class Case(NamedTuple):
    """The arguments of one case: of a constructor, of fit, and what is called."""

    is_classifier: bool
    parameters: dict[str, Any]
    X: Any
    y: Any
    sample_weight: Any
    calls: tuple[str, ...]


def draw(seed: int) -> Case:
    """Draw a case; most arguments are sound, so that errors do not hide one another."""
    rng = random.Random(seed)
    is_classifier = rng.random() < 0.6
    estimator = (bp.MLPClassifier if is_classifier else bp.MLPRegressor)()
    names = sorted(set(estimator.get_params()) - {"callbacks", "privacy", "engine"})
    parameters: dict[str, Any] = {
        "max_iter": 2,
        "hidden_layer_sizes": (3,),
        "random_state": 0,
        "engine": "numpy",
    }
    for name in rng.sample(names, rng.choice([0, 0, 1, 1, 2, 3])):
        parameters[name] = rng.choice(VALUES.get(name, NUMBERS))
    n, k = rng.choice([0, 1, 2, 5, 9, 30, 30, 30]), rng.choice([0, 1, 2, 3, 3])
    X, y = draw_matrix(rng, n, k), draw_target(rng, n, is_classifier=is_classifier)
    calls = rng.choice(
        [("fit",), ("fit",), ("partial_fit",), ("fit", "partial_fit"), ("partial_fit", "fit"), ("fit", "fit")]
    )
    return Case(is_classifier, parameters, X, y, draw_weights(rng, n), tuple(calls))


def draw_matrix(rng: random.Random, n: int, k: int) -> Any:
    """Draw a matrix, dense, sparse, a list or a frame, with a wrong cell now and then."""
    X: Any = np.random.RandomState(rng.randrange(2**31)).randn(n, k)
    kind = rng.choice(["f8", "f8", "f4", "f2", "i8", "u1", "?", "O", "U8", "S8", "c16", "g"])
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        X = X.astype(kind)
    if X.size and rng.random() < 0.2:
        with suppress(ValueError, TypeError, OverflowError, ArithmeticError):
            if rng.random() < 0.5:
                X = X.astype(object)
            X[rng.randrange(n), rng.randrange(k)] = rng.choice(CELLS)
    shapes: list[Callable[[Any], Any]] = [
        *[lambda X: X] * 6,
        lambda X: X.tolist(),
        lambda X: tuple(map(tuple, X)),
        lambda X: X.ravel().tolist(),
        lambda X: [*X[:-1].tolist(), [1.0]],
        lambda X: {"X": X},
        lambda X: X[::-1],
        lambda X: X[:, 0],
        lambda X: X[None],
        lambda X: pd.DataFrame(X, columns=[f"c{i}" for i in range(k)]).convert_dtypes(),
        pd.DataFrame,
        np.asfortranarray,
        np.matrix,
        np.ma.masked_array,
        iter,
        *[partial(as_sparse, kind) for kind in ("csr", "csc", "coo", "lil", "dok", "dia", "bsr")],
        lambda X: damage(rng, Damaged(X.astype(float))),
        lambda X: sparse.csr_matrix(X.astype(np.int8)),
        lambda X: sparse.csr_matrix(X.astype(bool)),
        lambda _: None,
        lambda _: "X",
        lambda _: 3,
    ]
    try:
        return rng.choice(shapes)(X)
    except (TypeError, ValueError, IndexError, OverflowError, NotImplementedError):
        return X


def as_sparse(kind: str, X: Any) -> Any:
    """Return a sparse matrix of a kind."""
    matrix: Any = sparse.csr_matrix(X.astype(float))
    return matrix.asformat(kind)


class Damaged(sparse.csr_array):
    """A sparse matrix with a wrong index, beyond which scikit-learn would read and write."""


def damage(rng: random.Random, X: Any) -> Any:
    """Change an index of a sparse matrix, as code that builds one by hand may."""
    array = rng.choice([X.indptr, X.indices])
    if len(array):
        array[rng.randrange(len(array))] = rng.choice([-1, 0, 1, 10**6, -(10**6), 2**31 - 1])
    return X


def draw_target(rng: random.Random, n: int, *, is_classifier: bool) -> Any:
    """Draw labels or numbers in some container, at times of another length or shape."""
    m = n if rng.random() < 0.95 else max(n + rng.choice([-1, 1]), 0)
    if is_classifier:
        labels = rng.choice(LABELS[:4] if rng.random() < 0.6 else LABELS)
        values = [labels[i % len(labels)] for i in range(m)]
    else:
        values = [rng.gauss(0, 1) for _ in range(m)]
        if values and rng.random() < 0.2:
            values[rng.randrange(m)] = rng.choice(CELLS)

    def as_objects(values: list[Any]) -> Any:
        array = np.empty(len(values), dtype=object)
        array[:] = values
        return array

    plain: list[Callable[[Any], Any]] = [np.array, np.array, list, tuple, pd.Series, as_objects]
    shapes: list[Callable[[Any], Any]] = [
        *plain * 3,
        lambda y: np.array(y)[:, None],
        lambda y: np.array(y)[None],
        lambda y: np.array(y).astype("f2"),
        lambda y: np.array(y, dtype=str),
        lambda y: np.array(y, dtype=bytes),
        lambda y: np.column_stack([y, y]),
        lambda y: np.eye(3, dtype=int)[np.arange(len(y)) % 3],
        lambda y: sparse.csr_matrix(np.eye(2)[np.arange(len(y)) % 2]),
        lambda y: np.ones((len(y), 0)),
        lambda y: pd.Series(y).convert_dtypes(),
        lambda y: pd.Series(y).astype("category"),
        lambda y: pd.DataFrame({"a": y, "b": y}),
        pd.Index,
        iter,
        lambda _: None,
        lambda _: "y",
    ]
    try:
        return rng.choice(shapes)(values)
    except (TypeError, ValueError, OverflowError, IndexError, AttributeError, NotImplementedError):
        return as_objects(values)


def draw_weights(rng: random.Random, n: int) -> Any:
    """Draw weights, mostly none."""
    weights: list[Any] = [
        1.0, 0, -1, np.nan, np.inf, "x", 1e300, 1e-320, [1.0] * n, [0.0] * n, [1.0] * (n + 1), (),
        [float(i % 2) for i in range(n)], np.ones((n, 1)), np.ones(n, "f2"), [None] * n, ["1"] * n,
        [True] * n, pd.Series(np.arange(n)), [1e308] * n, [5e-324] * n, np.full(n, np.inf), [10**30] * n,
    ]  # fmt: skip
    return None if rng.random() < 0.75 else rng.choice(weights)


def run(case: Case) -> str | None:
    """Run a case; return what is wrong with it, or None."""
    ours = (bp.MLPClassifier if case.is_classifier else bp.MLPRegressor)(**case.parameters)
    try:
        _call(ours, case)
    except BatchpropError as error:
        return None if "\n" not in str(error) else f"an error of several lines: {error}"
    except Exception as error:  # noqa: BLE001 any other error is what is searched for
        # Which of several wrong arguments is found first is no matter.
        alone = (case, case._replace(parameters={}), case._replace(parameters={}, sample_weight=None))
        theirs = {_sklearn_error(one) for one in alone}
        frames = traceback.extract_tb(error.__traceback__)
        where, checked = frames[-1], any("/sklearn/utils/" in frame.filename for frame in frames)
        # Methods hidden by the solver (scikit-learn's regressor forgets to hide its own).
        hidden = where.filename.endswith("_available_if.py")
        if hidden or type(error) in theirs or (checked and None not in theirs):
            return None
        peer = ", ".join(sorted(kind.__name__ for kind in theirs if kind is not None)) or "nothing"
        return (
            f"{type(error).__name__}: {error!s:.200} ({where.filename}:{where.lineno}); scikit-learn: {peer}"
        )
    wrong = [
        name
        for name in ("coefs_", "intercepts_")
        if not all(np.isfinite(a).all() for a in getattr(ours, name))
    ]
    return f"{wrong[0]} are not finite" if wrong else None


def _call(estimator: Any, case: Case) -> None:
    for name in case.calls:
        extra = {} if case.sample_weight is None else {"sample_weight": case.sample_weight}
        if name == "partial_fit" and case.is_classifier and not hasattr(estimator, "classes_"):
            extra["classes"] = _classes(case.y)
        getattr(estimator, name)(case.X, case.y, **extra)
    answers = estimator.predict(case.X)
    if answers.dtype.kind in "fc" and not np.isfinite(answers).all():
        raise AssertionError("answers that are not finite, without a word")
    if case.is_classifier and not np.isfinite(estimator.predict_proba(case.X)).all():
        raise AssertionError("probabilities that are not finite, without a word")


def _classes(y: Any) -> Any:
    """The labels of y, or y itself where they have no order."""
    try:
        return np.unique(y)
    except TypeError:
        return y


def _sklearn_error(case: Case) -> type[BaseException] | None:
    """The type of error that scikit-learn's MLP has for the same input, if it has one."""
    if isinstance(case.X, Damaged):
        return ValueError
    theirs = (MLPClassifier if case.is_classifier else MLPRegressor)()
    known = {name: value for name, value in case.parameters.items() if name in theirs.get_params()}
    try:
        theirs.set_params(**known)
        _call(theirs, case)
    except Exception as error:  # noqa: BLE001 whatever it raises
        return type(error)
    return None


def main() -> int:
    """Run cases until the time is over; print each failure once, and return the exit code."""
    seconds, first = float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    end, seed, failures = monotonic() + seconds, first, dict[str, int]()
    while True:
        wrong = run(draw(seed))
        if wrong is not None and failures.setdefault(wrong, seed) == seed:
            print(f"case {seed}: {wrong}", flush=True)
        seed += 1
        if monotonic() >= end:
            break
    print(f"{seed - first:,} cases, {len(failures)} kinds of failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
