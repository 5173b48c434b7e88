"""Checks that the content of a model file is a model that can predict: the right parts, of fitting shapes."""

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.impute import MissingIndicator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from batchprop.estimators import MLPClassifier, MLPRegressor
from batchprop.estimators.ensemble import MLPEnsembleClassifier, MLPEnsembleRegressor
from batchprop.estimators.targets import BINARY, MULTICLASS
from batchprop.tabular.encoding import encode_features
from batchprop.tabular.fit import network_of
from batchprop.tabular.level_means import LevelMeans
from batchprop.tabular.spelling import DECIMALS, ZONED, stored_kind

_STEPS = ["columns", "features", "network"]
_BINARY = 2

# For each kind, a missing value and extreme values.
_PROBE_ROWS: Mapping[str, list[Any]] = {
    "number": [None, 0.0, 1e300, -1e300],
    "category": [None, "", "yes", "1"],
    "boolean": [None, True, False, True],
    "date": [None, *np.array(["1700-01-01", "1970-01-01", "2200-12-31"], "datetime64[us]")],
}


def validate_model(model: Any) -> None:
    """Check that a model has all its parts, that their shapes fit, and that it predicts numbers.

    Args:
        model: the content of a model file.

    Raises:
        Exception: it is not a model: usually a ValueError with the reason, else any error of its use.
    """
    if not isinstance(model, Pipeline) or [name for name, _ in model.steps] != _STEPS:
        raise ValueError("its steps are not those of a model")
    _check_columns(model["columns"])
    for part in _estimators(model):
        _check_part(part)
    network = network_of(model)
    if isinstance(network, MLPEnsembleClassifier | MLPEnsembleRegressor):
        _check_members(network)
    else:
        _check_network(network)
    _check_answers(model)


def validate_ensemble(ensemble: Any, n_members: int, X: Any, n_classes: int | None) -> None:
    """Check networks that a search kept: their number and shapes, and that they answer for the rows.

    Args:
        ensemble: the content of a file.
        n_members: how many networks a trial trains.
        X: features of all rows (n, k).
        n_classes: the number of classes, whose labels are their indices; None for numbers.

    Raises:
        Exception: they are not: usually a ValueError with the reason, else any error of their use.
    """
    kind = MLPEnsembleRegressor if n_classes is None else MLPEnsembleClassifier
    if type(ensemble) is not kind:
        raise ValueError("it is not an ensemble of this task")
    for part in _estimators(ensemble):
        # Rows that no network held out have no answer.
        _check_part(part, may_lack=("out_of_fold_",))
    _check_members(ensemble)
    if n_classes is not None and not np.array_equal(ensemble.classes_, np.arange(n_classes)):
        raise ValueError("its classes are not those of the table")
    if len(ensemble.members_) != n_members:
        raise ValueError(f"it has {len(ensemble.members_)} networks")
    probe = X[: len(_PROBE_ROWS["number"])]
    answers = ensemble.predict(probe) if n_classes is None else ensemble.predict_proba(probe)
    held_out, shape = ensemble.out_of_fold_, answers.shape[1:]
    if held_out.shape != (len(X), *shape) or held_out.dtype.kind != "f" or not np.isfinite(answers).all():
        raise ValueError("it does not answer finite numbers for each row")
    by_row = held_out.reshape(len(X), -1)
    answered = np.isfinite(by_row).all(axis=1)
    if not answered.any() or not np.isnan(by_row[~answered]).all():
        raise ValueError("its answers for the rows held out are not finite")


def _check_columns(columns: Any) -> None:
    names, kinds = [columns.target, *columns.kinds], columns.kinds.values()
    if not all(isinstance(name, str) for name in names) or not set(kinds) <= set(_PROBE_ROWS):
        raise ValueError("its columns are not names with a kind each")
    if not all(isinstance(word, str) for word in columns.missing or ()):
        raise ValueError("what means missing in it is no list of words")
    if columns.decimal not in {None, *DECIMALS}:
        raise ValueError("its decimal sign is neither a point nor a comma")
    for name, spelling in (columns.spellings or {}).items():
        spelled = stored_kind(spelling)
        if spelled is None or spelled != columns.kinds.get(name):
            raise ValueError("a column in it is not spelled as its kind")


def _estimators(value: Any) -> Iterator[BaseEstimator]:
    """Yield every estimator in the model, fitted or not."""
    if isinstance(value, BaseEstimator):
        yield value
        # Fitted parts are attributes without fixed names.
        value = vars(value)
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for inner in value:
            yield from _estimators(inner)


def _check_part(part: BaseEstimator, may_lack: tuple[str, ...] = ()) -> None:
    """Refuse parameters that start processes or read files, and fitted values that are not finite."""
    for name in ("n_jobs", "memory"):
        if getattr(part, name, None) is not None:
            raise ValueError(f"{name} of its {type(part).__name__} is set")
    for name, value in vars(part).items():
        if name.endswith("_") and name not in may_lack and _is_unsound(value):
            raise ValueError(f"{name} of its {type(part).__name__} is not finite")
    if isinstance(part, OneHotEncoder) and hasattr(part, "categories_"):
        _check_categories(part)
    if isinstance(part, LevelMeans) and hasattr(part, "categories_"):
        _check_level_means(part)
    if isinstance(part, MissingIndicator) and hasattr(part, "features_"):
        _check_indicated(part)


def _is_unsound(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f" and not np.isfinite(value).all()


def _check_categories(part: OneHotEncoder) -> None:
    """Refuse indices of categories that do not exist: a table may reach them much later."""
    learned = vars(part)
    mappings = learned.get("_default_to_infrequent_mappings") or [None] * len(part.categories_)
    widths = learned["_n_features_outs"]
    for categories, mapping, width in zip(part.categories_, mappings, widths, strict=True):
        places = np.arange(len(categories)) if mapping is None else np.asarray(mapping)
        if places.shape != (len(categories),) or places.dtype.kind != "i":
            raise ValueError("its categories and their places differ in number")
        if len(places) and not 0 <= places.min() <= places.max() < width:
            raise ValueError("its categories have places that do not exist")


def _check_level_means(part: LevelMeans) -> None:
    """Refuse levels without a mean: a table may reach them much later."""
    shapes = [(len(words), len(part.prior_)) for words in part.categories_]
    if [means.shape for means in part.means_] != shapes:
        raise ValueError("its levels and their means differ in number")
    if any(_is_unsound(means) or means.dtype.kind != "f" for means in part.means_):
        raise ValueError("the means of its levels are not all finite numbers")


def _check_indicated(part: MissingIndicator) -> None:
    """Refuse columns to mark missing values of that do not exist, which NumPy would count from the end."""
    features = np.asarray(part.features_)
    known = range(part.n_features_in_)
    if features.dtype.kind != "i" or features.ndim != 1 or not set(features.tolist()) <= set(known):
        raise ValueError("it marks missing values of columns that do not exist")


def _check_members(ensemble: Any) -> None:
    """Refuse networks of another kind than their ensemble's, or of other inputs or classes than its first."""
    kind = MLPClassifier if isinstance(ensemble, MLPEnsembleClassifier) else MLPRegressor
    members = ensemble.members_
    if not isinstance(members, list) or not members or not all(type(member) is kind for member in members):
        raise ValueError("its networks are not a list of networks of its kind")
    for member in members:
        _check_network(member)
        if member.coefs_[0].shape[0] != members[0].coefs_[0].shape[0]:
            raise ValueError("its networks take different numbers of features")
        if kind is MLPClassifier and not np.array_equal(member.classes_, ensemble.classes_):
            raise ValueError("its networks have different classes")
    temperature = ensemble.temperature_ if kind is MLPClassifier else 1.0
    if type(temperature) is not float or not 0 < temperature < math.inf:
        raise ValueError("its temperature is not a finite number above 0")


def _check_network(network: Any) -> None:
    """Refuse weights that do not fit each other, or are not finite, and classes without an output."""
    coefs, intercepts = network.coefs_, network.intercepts_
    if not coefs or [coef.shape[1:] for coef in coefs] != [b.shape for b in intercepts]:
        raise ValueError("its weights and biases differ in shape")
    if any(W.shape[1] != V.shape[0] for W, V in pairwise(coefs)):
        raise ValueError("its layers do not fit each other")
    if type(network.n_features_in_) is not int or network.n_features_in_ != len(coefs[0]):
        raise ValueError("its number of features is not that of its weights")
    for theta in (*coefs, *intercepts):
        if theta.dtype.kind != "f" or _is_unsound(theta):
            raise ValueError("its weights are not all finite numbers")
    if not hasattr(network, "classes_"):
        return
    classes = network.classes_
    # One output gives the probability of the second of two classes.
    outputs = 1 if len(classes) == _BINARY else len(classes)
    if classes.ndim != 1 or len(set(classes.tolist())) < max(_BINARY, len(classes)):
        raise ValueError("its classes are not two or more different labels")
    if coefs[-1].shape[1] != outputs:
        raise ValueError(f"it has {len(classes)} classes and {coefs[-1].shape[1]} outputs")
    if vars(network)["_target_kind"] != (BINARY if outputs == 1 else MULTICLASS):
        raise ValueError("its classes are of another kind")


def _check_answers(model: Any) -> None:
    kinds = model["columns"].kinds
    # Predicting a few extreme rows finds errors that checks of single parts miss.
    rows = pd.DataFrame({name: pd.Series(_PROBE_ROWS[kind]) for name, kind in kinds.items()})
    for name, spelling in (model["columns"].spellings or {}).items():
        if spelling == ZONED:
            rows[name] = pd.to_datetime(rows[name], utc=True)
    columns, features, network = model["columns"].transform(rows), model["features"], model[-1]
    encoded = features.transform(columns)
    if not np.array_equal(encode_features(features, columns), encoded):
        raise ValueError("its features are not those of a model")
    answers = network.predict(encoded)
    if answers.shape != (len(rows),):
        raise ValueError("it does not answer one label or number a row")
    numbers = answers
    if hasattr(network, "classes_"):
        numbers = network.predict_proba(encoded)
        if numbers.shape != (len(rows), len(network.classes_)):
            raise ValueError("it does not answer a probability of each class")
    if not np.isfinite(numbers).all():
        raise ValueError("its answers are not finite")
