"""The methods of the league: each fits a table and returns a function that predicts.

`fit(X, y, task, seed)` takes a data frame with words, gaps and dates, and a target of numbers, or of classes
counted from 0. The function it returns takes such a frame, and gives numbers (n,) or probabilities of the
classes (n, K). Parameters are each library's defaults, with one thread. What a library cannot read is encoded
for it here, which counts as its time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import TransformedTargetRegressor, make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from benchmarks.tables import SPLITS, Task

Frame = Any
Array = NDArray[Any]
Predict = Callable[[Frame], Array]
Fit = Callable[[Frame, Array, Task, int], Predict]
Encode = Callable[[Frame], Frame]

MAX_BINS = 255
"""Of HistGradientBoosting, and with them its levels of a category."""
WORDS = make_column_selector(dtype_exclude=["number", "bool"])
NUMBERS = make_column_selector(dtype_include=["number", "bool"])


class Method(NamedTuple):
    """A method, what it imports, and how much of the league it runs."""

    fit: Fit
    modules: tuple[str, ...]
    tasks: tuple[Task, ...] = ("binary", "multiclass", "regression")
    splits: tuple[int, ...] = SPLITS
    """A sample of them for what is slow."""
    names: tuple[str, ...] = ()
    """What batchprop must have."""

    def find_missing(self) -> str:
        """Name what is not there, or "" if nothing is missing."""
        missing = [module for module in self.modules if find_spec(module.partition(".")[0]) is None]
        if not missing:
            missing = [
                f"batchprop.{one}" for one in self.names if not hasattr(import_module("batchprop"), one)
            ]
        return ", ".join(missing)


def fit_preset(preset: str, X: Frame, y: Array, task: Task, seed: int) -> Predict:
    """Fit batchprop's estimator of tables, which reads frames as they are."""
    batchprop = import_module("batchprop")
    maker = batchprop.TabularRegressor if task == "regression" else batchprop.TabularClassifier
    return _make_predict(maker(preset=preset, random_state=seed).fit(X, y), task)


def fit_train(X: Frame, y: Array, task: Task, seed: int) -> Predict:
    """Fit as `batchprop train` does, which keeps at least 1% of the rows for its own test."""
    train_table = import_module("batchprop.tabular").train_table
    kind = "regression" if task == "regression" else "classification"
    model = train_table(X.assign(target__=y), target="target__", task=kind, test_fraction=0.01, seed=seed)

    def predict(frame: Frame) -> Array:
        predictions = model.predict(frame, proba=task != "regression")
        if task == "regression":
            return np.asarray(predictions["target__"], float)
        return np.asarray(predictions[[f"probability {k}" for k in range(int(y.max()) + 1)]], float)

    return predict


def fit_mlp(package: str, X: Frame, y: Array, task: Task, seed: int, *, scale_target: bool = True) -> Predict:
    """Fit scikit-learn's network, or batchprop's drop-in for it, on scaled numbers and one column a word."""
    if package == "sklearn":
        makers = MLPClassifier, MLPRegressor
    else:
        batchprop = import_module("batchprop")
        makers = batchprop.MLPClassifier, batchprop.MLPRegressor
    model = makers[task == "regression"](random_state=seed)
    if task == "regression" and scale_target:
        model = TransformedTargetRegressor(model, transformer=StandardScaler())
    words = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MAX_BINS, sparse_output=False)
    encoder = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler()), NUMBERS),
        (words, WORDS),
    )
    return _make_predict(make_pipeline(encoder, model).fit(to_numbers(X), y), task, to_numbers)


def fit_hist_gb(X: Frame, y: Array, task: Task, seed: int) -> Predict:
    """Fit scikit-learn's boosted trees; of a column's words the rarest are one beyond its limit of levels."""
    words = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
        encoded_missing_value=np.nan,
        max_categories=MAX_BINS,
    )
    encoder = make_column_transformer((words, WORDS), remainder="passthrough")
    frame = to_numbers(X)
    maker = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    model = maker(categorical_features=list(range(len(WORDS(frame)))), random_state=seed)
    return _make_predict(make_pipeline(encoder, model).fit(frame, y), task, to_numbers)


def fit_lightgbm(X: Frame, y: Array, task: Task, seed: int) -> Predict:
    """Fit LightGBM with its own categories."""
    lightgbm, encode = import_module("lightgbm"), make_category_encoder(X)
    maker = lightgbm.LGBMRegressor if task == "regression" else lightgbm.LGBMClassifier
    return _make_predict(maker(n_jobs=1, random_state=seed, verbose=-1).fit(encode(X), y), task, encode)


def fit_xgboost(X: Frame, y: Array, task: Task, seed: int) -> Predict:
    """Fit XGBoost with its own categories."""
    xgboost, encode = import_module("xgboost"), make_category_encoder(X)
    maker = xgboost.XGBRegressor if task == "regression" else xgboost.XGBClassifier
    model = maker(n_jobs=1, random_state=seed, enable_categorical=True)
    return _make_predict(model.fit(encode(X), y), task, encode)


def fit_catboost(X: Frame, y: Array, task: Task, seed: int) -> Predict:
    """Fit CatBoost with its own categories, a gap being one."""
    catboost = import_module("catboost")
    maker = catboost.CatBoostRegressor if task == "regression" else catboost.CatBoostClassifier
    words = WORDS(to_numbers(X))
    model = maker(thread_count=1, random_seed=seed, verbose=0, allow_writing_files=False, cat_features=words)
    return _make_predict(model.fit(fill_words(X), y), task, fill_words)


def fit_pytabkit(name: str, X: Frame, y: Array, task: Task, seed: int) -> Predict:
    """Fit a network of pytabkit, which takes no gaps in numbers: they are filled with medians."""
    frame = fill_words(X)
    numbers, words = NUMBERS(frame), WORDS(frame)
    medians = frame[numbers].median().fillna(0.0)

    def encode(frame: Frame) -> Frame:
        frame = fill_words(frame)
        return frame.astype(dict.fromkeys(numbers, float)).fillna(medians)

    maker = getattr(
        import_module("pytabkit"), f"{name}_{'Regressor' if task == 'regression' else 'Classifier'}"
    )
    model = maker(device="cpu", n_threads=1, random_state=seed)
    return _make_predict(model.fit(encode(X), y, cat_col_names=words), task, encode)


def to_numbers(X: Frame) -> Frame:
    """Replace moments by days since 1970, month, weekday and hour, and truth values by 0 and 1."""
    pandas, frame = import_module("pandas"), X.copy()
    for name in X.select_dtypes("datetime"):
        moments = frame.pop(name)
        frame[f"{name} days"] = (moments - pandas.Timestamp(0)) / pandas.Timedelta(days=1)
        for part in ("month", "day_of_week", "hour"):
            frame[f"{name} {part}"] = getattr(moments.dt, part)
    return frame.astype(dict.fromkeys(X.select_dtypes("bool"), int))


def fill_words(X: Frame) -> Frame:
    """Write words as plain text, with a word for a gap."""
    frame = to_numbers(X)
    for name in WORDS(frame):
        frame[name] = frame[name].astype(object).where(frame[name].notna(), "missing").astype(str)
    return frame


def make_category_encoder(X: Frame) -> Encode:
    """Turn words into the categories of the training rows, other words into gaps, and number the columns.

    LightGBM and XGBoost refuse some names of columns.
    """
    pandas = import_module("pandas")
    frame = to_numbers(X)
    levels = {name: pandas.CategoricalDtype(frame[name].dropna().unique()) for name in WORDS(frame)}

    def encode(frame: Frame) -> Frame:
        frame = to_numbers(frame)
        for name, dtype in levels.items():
            frame[name] = frame[name].where(frame[name].isin(dtype.categories)).astype(dtype)
        return frame.set_axis([f"c{i}" for i in range(frame.shape[1])], axis=1)

    return encode


def _make_predict(model: Any, task: Task, encode: Encode = lambda frame: frame) -> Predict:
    if task == "regression":
        return lambda frame: np.asarray(model.predict(encode(frame)), float)
    return lambda frame: np.asarray(model.predict_proba(encode(frame)), float)


TABULAR = ("TabularClassifier", "TabularRegressor")
ESTIMATORS = ("batchprop.estimators", "batchprop.engines.jax")
TABLES = (*ESTIMATORS, "batchprop.tabular.train")
NUMBER: tuple[Task, ...] = ("regression",)

METHODS = {
    "batchprop-fast": Method(partial(fit_preset, "fast"), TABLES, names=TABULAR),
    "batchprop-balanced": Method(partial(fit_preset, "balanced"), TABLES, names=TABULAR),
    "batchprop-best": Method(partial(fit_preset, "best"), TABLES, names=TABULAR, splits=(1, 2, 3)),
    "batchprop-train": Method(fit_train, TABLES),
    "batchprop-mlp": Method(partial(fit_mlp, "batchprop"), ESTIMATORS),
    "batchprop-mlp-raw-y": Method(partial(fit_mlp, "batchprop", scale_target=False), ESTIMATORS, NUMBER),
    "sklearn-mlp": Method(partial(fit_mlp, "sklearn"), ("sklearn",)),
    "sklearn-mlp-raw-y": Method(partial(fit_mlp, "sklearn", scale_target=False), ("sklearn",), NUMBER),
    "hist-gb": Method(fit_hist_gb, ("sklearn",)),
    "lightgbm": Method(fit_lightgbm, ("lightgbm",)),
    "xgboost": Method(fit_xgboost, ("xgboost",)),
    "catboost": Method(fit_catboost, ("catboost",), splits=(1, 2, 3)),
    "realmlp-td-s": Method(partial(fit_pytabkit, "RealMLP_TD_S"), ("pytabkit",), splits=(1, 2, 3)),
    "realmlp-td": Method(partial(fit_pytabkit, "RealMLP_TD"), ("pytabkit",), splits=(1,)),
    "tabm": Method(partial(fit_pytabkit, "TabM_D"), ("pytabkit",), splits=(1,)),
}
