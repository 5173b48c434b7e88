"""Cross-validation: networks trained and scored on folds of the rows."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold, TimeSeriesSplit

from batchprop.batches import Indices
from batchprop.errors import DataError
from batchprop.tabular.evaluation import evaluate, predict_test_rows
from batchprop.tabular.fit import (
    encode,
    fit,
    network_of,
    split_training_rows,
)
from batchprop.tabular.metrics import Scores
from batchprop.tabular.observer import Observer
from batchprop.tabular.options import TrainOptions
from batchprop.tabular.training_table import TrainingTable


@dataclass(frozen=True)
class CrossValidation:
    """The scores of networks that were each trained without one fold of the rows, and tested on it.

    Attributes:
        folds: the scores on each fold, by name.
    """

    folds: tuple[Scores, ...]

    @property
    def names(self) -> list[str]:
        """The scores that every fold has; without both classes a fold has no ROC AUC."""
        return [name for name in self.folds[0] if all(name in fold for fold in self.folds)]

    @property
    def mean(self) -> Scores:
        """The mean of each score over the folds."""
        return {name: float(np.mean(self._values(name))) for name in self.names}

    @property
    def std(self) -> Scores:
        """The standard deviation of each score over the folds, as ``numpy.std`` has it."""
        return {name: float(np.std(self._values(name))) for name in self.names}

    def _values(self, name: str) -> list[float]:
        return [fold[name] for fold in self.folds]

    def info(self) -> dict[str, Any]:
        """Return the content of its part of settings.json."""
        return {"mean": self.mean, "standard deviation": self.std, "folds": list(self.folds)}


def cross_validate(table: TrainingTable, options: TrainOptions, observer: Observer) -> CrossValidation:
    """Train without each of the folds, and score the networks on that fold.

    Args:
        table: the rows; those of a test file are in no fold.
        options: of the training, with ``folds``.
        observer: called during the folds.

    Raises:
        DataError: the rows, groups or times are too few for the folds.
        KeyboardInterrupt: Ctrl-C came.
    """
    n_folds, options = (
        int(options.folds or 0),
        replace(options, record=False, checkpoint_every=None, resume=False),
    )
    scores = list[Scores]()
    with observer.watch_pass(f"Cross-validating in {n_folds} folds", n_folds) as count_folds:
        for rest, test in fold_rows(table, options, n_folds):
            split = split_training_rows(table, rest, test, options)
            pipeline = fit(table, encode(table, split, options), options, [], Observer())
            if network_of(pipeline).interrupted_:
                raise KeyboardInterrupt
            rows = predict_test_rows(table, split, pipeline)
            scores.append(evaluate(table, split, options, pipeline, rows).scores)
            count_folds(1)
    return CrossValidation(tuple(scores))


def fold_rows(table: TrainingTable, options: TrainOptions, n_folds: int) -> Iterator[tuple[Indices, Indices]]:
    """Yield the other rows and the rows of each fold: of equal classes, of whole groups, or of later times.

    Raises:
        DataError: the rows, groups or times are too few for the folds.
    """
    n = len(table.target.values) - table.n_test
    y, seed = table.target.values[:n], options.seed
    if table.times is not None:
        yield from _windows(table.times, n_folds)
        return
    classes = table.target.task == "classification"
    _check_enough("rows of any class", np.unique(y, return_counts=True)[1].max() if classes else n, n_folds)
    shuffled = {"shuffle": True, "random_state": seed}
    if table.groups is None:
        splitter: Any = (StratifiedKFold if classes else KFold)(n_folds, **shuffled)
    else:
        _check_enough("groups", len(np.unique(table.groups[:n])), n_folds)
        splitter = (StratifiedGroupKFold if classes else GroupKFold)(n_folds, **shuffled)
    groups = None if table.groups is None else np.unique(table.groups[:n], return_inverse=True)[1]
    with warnings.catch_warnings():
        # A class of fewer rows than folds is missing from some of the tests, and in the training of each.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        folds = list(splitter.split(np.zeros(n), y, groups))
    yield from folds


def _windows(times: Any, n_folds: int) -> Iterator[tuple[Indices, Indices]]:
    """Yield expanding windows: each fold is tested on later rows than those it is trained on."""
    ordered = np.sort(times)
    _check_enough("different times", len(np.unique(times)) - 1, n_folds)
    starts = [
        ordered[test[0]]
        for _, test in TimeSeriesSplit(n_folds, test_size=max(len(times) // (n_folds + 1), 1)).split(ordered)
    ]
    # Rows of one time are in one fold.
    if len({*starts, ordered[0]}) <= n_folds:
        raise DataError(
            f"folds={n_folds} leaves a fold without rows, as too many rows have one `time`: use fewer folds"
        )
    for start, end in zip(starts, [*starts[1:], None], strict=True):
        later = np.ones(len(times), bool) if end is None else times < end
        yield np.flatnonzero(times < start), np.flatnonzero((times >= start) & later)


def _check_enough(what: str, count: int, n_folds: int) -> None:
    if count < n_folds:
        raise DataError(
            f"folds={n_folds} needs at least {n_folds} {what}, and there {'is' if count == 1 else 'are'} "
            f"{count}: use fewer folds"
        )
