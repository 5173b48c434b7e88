"""Small tables with signal, and estimators that are quick to fit, for the tests of this folder."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

import batchprop as bp
from batchprop.errors import InputError

quiet = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
"""For fits that are cut short on purpose."""

TARGETS = ("binary", "multiclass", "multilabel", "multioutput", "single", "several")
CLASS_TARGETS = TARGETS[:4]


def table(target: str, rows: int = 120, dtype: str = "float64") -> tuple[np.ndarray, np.ndarray]:
    """X ``(rows, 5)`` and a target of the given type: signal with some noise."""
    rng = np.random.RandomState(3)
    X = rng.randn(rows, 5)
    scores = X @ rng.randn(5, 3) + 0.3 * rng.randn(rows, 3)
    thirds = np.digitize(scores, [-1, 1])
    y = {
        "binary": np.where(scores[:, 0] > 0, "yes", "no"),
        "multiclass": scores.argmax(axis=1) + 10,
        "multilabel": (scores > 0).astype(int),
        "multioutput": np.column_stack([thirds[:, 0], 5 + 2 * thirds[:, 1]]),
        "single": scores[:, 0],
        "several": scores,
        "counts": rng.poisson(np.exp(0.4 * scores[:, 0])).astype(float),
    }[target]
    return X.astype(dtype), y


def estimator(target: str, **parameters: Any) -> Any:
    """An unfitted estimator for a target type, with ten epochs of a small network."""
    kind = bp.MLPClassifier if target in CLASS_TARGETS else bp.MLPRegressor
    plain = {"hidden_layer_sizes": (8,), "learning_rate_init": 0.01, "max_iter": 10, "random_state": 0}
    return kind(**{**plain, **parameters})


def declared(target: str, y: np.ndarray) -> dict[str, Any]:
    """The extra arguments of the first ``partial_fit`` for a target."""
    if target in {"binary", "multiclass"}:
        return {"classes": np.unique(y)}
    if target == "multioutput":
        return {"classes": [np.unique(column) for column in y.T]}
    return {}


def refused(*parts: str, kind: type[Exception] = InputError) -> Any:
    """Expect an error whose message contains all the parts, in this order."""
    return pytest.raises(kind, match=".*".join(re.escape(part) for part in parts))


def with_checks(names_of: dict[Any, str], failing: dict[str, str] | None = None) -> pytest.MarkDecorator:
    """scikit-learn's own checks of some estimators, for each those whose names a pattern is found in.

    Those that are expected to fail are given by name, with the reason.
    """
    mark = parametrize_with_checks(list(names_of), expected_failed_checks=lambda _: failing or {})

    def name_of(check: Any) -> str:
        return str(check.func.__name__) + "_readonly" * bool(check.keywords.get("readonly_memmap"))

    chosen = []
    for case in mark.args[1]:
        one, check = case.values if hasattr(case, "marks") else case
        if re.search(names_of[one], name_of(check)):
            chosen.append(case)
    return pytest.mark.parametrize(mark.args[0], chosen, **mark.kwargs)


def require_plain(fitted: Any) -> None:
    """Assert that the fitted attributes are only arrays, numbers and text."""
    parts = [value for name, value in vars(fitted).items() if name not in fitted.get_params()]
    while parts:
        part = parts.pop()
        if isinstance(part, list | tuple | dict):
            parts += part.values() if isinstance(part, dict) else part
        else:
            assert part is None or isinstance(part, np.ndarray | np.generic | int | float | str), type(part)
