"""Columns to numbers: scikit-learn's transformers, and small ones of batchprop's; one for the target.

Index legend: n rows, c columns of a kind, k features.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, RobustScaler, StandardScaler
from sklearn.utils.validation import check_is_fitted

from batchprop.data.names import normalize_columns
from batchprop.data.text_rules import USUAL, TextRules
from batchprop.errors import DataError, ParameterError, RowError, did_you_mean, format_value, join_truncated
from batchprop.format import pluralize
from batchprop.tabular.dtypes import SECONDS, is_scalar, to_seconds
from batchprop.tabular.frames import as_pandas, format_label
from batchprop.tabular.level_means import NO_MEANS, LevelMeans, MeanColumns
from batchprop.tabular.piecewise import PiecewiseLinear, count_bins
from batchprop.tabular.presets import LONG
from batchprop.tabular.scales import scale_to_1
from batchprop.tabular.schema import MAX_EXACT, ColumnSchema
from batchprop.tabular.spelling import (
    DAY_DIGITS,
    PLAIN,
    SPELLINGS,
    clean,
    describe_unit,
    has_other_unit,
    is_number_gap,
    is_text,
    parse,
    plain_spelling,
    shown_spelling,
    spell_digits,
    split_spelling,
)

Floats = npt.NDArray[np.float64]

MISSING = "(missing)"
MIN_FREQUENCY, MIN_FREQUENCY_BESIDE_MEANS = 10, 25
"""The fewest rows of a word with a feature of its own, and of one whose mean target is a feature too."""

MAX_CATEGORIES, MAX_CATEGORIES_OF_LONG = 256, 64
"""The most features of a column of words, and of one of a table of more than ``LONG`` rows."""

MAX_ABS = 1e100
"""The limit of numbers: those beyond are clipped to it, and up to it no intermediate result overflows."""

_DAY = np.timedelta64(1, "D")
_FLOAT32_DIGITS = 7
_EXACT_DECIMALS = 22  # up to 10²² float64 holds powers of ten exactly
_UNSCALED = 1e-14
"""RobustScaler divides by interquartile ranges from 2e-15 on only: of one that it used, 1 is left."""
_MAX_SQUARED = 1e140  # its square does not overflow, and from 10¹⁰ on all is squashed to 3
_EXPECTED = {
    "number": "a number is",
    "date": "a date like 2020-02-29 is",
    "category": "text is",
    "boolean": "true or false is",
}


def make_preprocessor(
    columns: Iterable[ColumnSchema],
    rows: int,
    target: str = "prediction",
    missing: Sequence[str] | None = None,
    decimal: str | None = None,
    n_bins: int = 0,
    means: MeanColumns = NO_MEANS,
    n_classes: int | None = None,
) -> Pipeline:
    """Build the transformer from a table to float32 features.

    Numbers become (x − median) / interquartile range, then x / √(1 + (x/3)²), missing ones the median
    and an indicator column; beside these stand piecewise-linear features of each number (`PiecewiseLinear`),
    if asked for. Text and booleans become one-hot, with categories for missing,
    rare and unknown values; dates become year, month, day, weekday and days elapsed, which are then encoded
    as numbers.

    Args:
        columns: the schema of the columns, from `infer_schema`.
        rows: the number of rows that it will be fitted on: text is rare if it occurs in less than 1% of them,
            or in fewer than 10.
        target: the name of the target, kept with the columns.
        missing: the words that mean "missing"; None for the usual ones.
        decimal: the sign before the decimals of numbers in text, "." or ","; None for either.
        n_bins: the most bins of a number; 0 for none. A short or wide table has fewer, a long one none.
        means: the columns whose words, or whole numbers, become the target's mean in the rows that hold them
            (`LevelMeans`), encoded as a number; of these only words of 25 rows and more become one-hot. The
            pipeline is then fitted to a target, and its ``fit_transform`` differs from ``transform``: it is
            cross-fitted.
        n_classes: the number of classes of that target; None for numbers.

    Raises:
        DataError: every column is left out.
    """
    columns = [column for column in columns if column.kind != "left out"]
    used = {column.name: column.kind for column in columns}
    spellings = {column.name: column.spelling for column in columns if column.spelling}
    if not used:
        raise DataError("no column is left to predict from: add columns whose values differ")
    kinds = {kind: [name for name in used if used[name] == kind] for kind in used.values()}
    text = kinds.get("category", []) + kinds.get("boolean", [])
    text = [name for name in text if name not in means.words]
    numbers, dates = kinds.get("number", []), kinds.get("date", [])
    caster = ColumnCaster(used, target, spellings, missing, decimal, list(means.codes))
    words = [*means.words, *caster.code_names.values()]
    n_bins = count_bins(n_bins, rows, len(numbers) + len(DateParts.PARTS) * len(dates) + len(words))
    parts = [
        ("numbers", make_pipeline(*_number_steps(n_bins)), numbers),
        ("dates", make_pipeline(DateParts(), *_number_steps(n_bins)), dates),
        ("text", _make_one_hot(rows, min_word_frequency(rows)), text),
        ("means", make_pipeline(*_mean_steps(n_bins, n_classes)), words),
        ("frequent", _make_one_hot(rows, MIN_FREQUENCY_BESIDE_MEANS), words),
    ]
    pipeline = Pipeline(
        [
            ("columns", caster),
            ("features", ColumnTransformer([part for part in parts if part[2]], sparse_threshold=0)),
        ]
    )
    # Whatever scikit-learn is set to: networks take arrays, and frames of inner steps have other names.
    return pipeline.set_output(transform="default")


class NumberSteps(NamedTuple):
    """The steps of a part that encodes numbers.

    Attributes:
        imputer: fills gaps, and marks them.
        scaler: takes away the median and divides by the interquartile range; of means, mean and deviation.
        clip: squashes what is scaled.
        bins: the piecewise-linear features beside these, or None.
    """

    imputer: SimpleImputer
    scaler: RobustScaler | StandardScaler
    clip: "SmoothClip"
    bins: PiecewiseLinear | None

    @classmethod
    def of(cls, part: Pipeline) -> Self:
        """Return the steps of a part of a `make_preprocessor`, fitted or not."""
        imputer, *others = (step for _, step in part.steps if not isinstance(step, DateParts | LevelMeans))
        bins = None
        if isinstance(others[0], FeatureUnion):
            scaled, bins = (each for _, each in others[0].transformer_list)
            others = [each for _, each in scaled.steps]
        scaler, clip = others
        return cls(imputer, scaler, clip, bins)

    @property
    def center(self) -> Floats:
        """What the scaler takes away from each column (k,)."""
        center: Floats = self.scaler.center_ if isinstance(self.scaler, RobustScaler) else self.scaler.mean_
        return center


def _number_steps(n_bins: int) -> list[Any]:
    # Median and quartiles, not mean and deviation: an outlier must not compress all other values.
    return _scaled_steps(RobustScaler(), n_bins)


def _mean_steps(n_bins: int, n_classes: int | None) -> list[Any]:
    # Means have no outliers, and the share of a rare class is near 0 in most rows, as its interquartile range
    # is: divided by that, chance would be most of the feature.
    return [LevelMeans(n_classes), *_scaled_steps(StandardScaler(), n_bins)]


def _scaled_steps(scaler: RobustScaler | StandardScaler, n_bins: int) -> list[Any]:
    imputer = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    scaled = [scaler, SmoothClip()]
    if not n_bins:
        return [imputer, *scaled]
    both = [("scaled", make_pipeline(*scaled)), ("bins", PiecewiseLinear(n_bins))]
    return [imputer, FeatureUnion(both, verbose_feature_names_out=False)]


def max_categories(rows: int) -> int:
    """Return the most features of a column of words of a table of so many rows."""
    return MAX_CATEGORIES if rows <= LONG else MAX_CATEGORIES_OF_LONG


def min_word_frequency(rows: int) -> int:
    """Return in how many of a table's rows a word must be to have a feature of its own."""
    return max(1, min(MIN_FREQUENCY, rows // 100))


def _make_one_hot(rows: int, min_frequency: int) -> OneHotEncoder:
    return OneHotEncoder(
        # Unknown and rare words share a feature: the training data has little information on either.
        handle_unknown="infrequent_if_exist",
        min_frequency=min_frequency,
        max_categories=max_categories(rows),
        sparse_output=False,
        dtype=np.float32,
    )


class TargetScaler(TransformerMixin, BaseEstimator):
    """Standardise a target, ``(y − mean) / deviation``, and answer in its own unit, all in float64.

    The network answers in float32, whose 7 digits a target with a large offset needs for the offset alone.
    Its answers are therefore scaled back in float64, and rounded to the digits of the deviation that float32
    holds: those behind them mean nothing.

    >>> scaler = TargetScaler().fit(2460000.5 + np.arange(600)[:, None] / 100)
    >>> scaler.inverse_transform(np.float32([[0.1], [0.2]]))[:, 0].tolist()
    [2460003.6682048, 2460003.8414097]
    """

    def fit(self, y: npt.ArrayLike, _: object = None) -> Self:
        """Take the mean and the deviation of numbers (n, 1)."""
        values = np.asarray(y, dtype=np.float64)
        # The mean of equal numbers may be rounded, which is no spread.
        (near_1,), exponent = scale_to_1(values)
        deviation = math.ldexp(float(near_1.std()), exponent) if np.ptp(values) else 0.0
        return self.set_statistics(float(values.mean()), deviation)

    def set_statistics(self, mean: float, deviation: float) -> Self:
        """Take the mean and the deviation of a target that does not fit in memory."""
        self.mean_ = mean
        # Of a single number there is no deviation to divide by.
        self.scale_ = deviation or 1.0
        return self

    def transform(self, y: npt.ArrayLike) -> Floats:
        """Return numbers (n,) or (n, 1), standardised."""
        return (np.asarray(y, dtype=np.float64) - self.mean_) / self.scale_

    def inverse_transform(self, z: npt.ArrayLike) -> Floats:
        """Return standardised numbers (n, 1) in the target's unit."""
        y: Floats = np.asarray(z, dtype=np.float64) * self.scale_ + self.mean_
        decimals = _FLOAT32_DIGITS - math.floor(math.log10(self.scale_))
        if decimals <= _EXACT_DECIMALS:
            return y.round(decimals)
        return np.array([round(value, decimals) for value in y.ravel().tolist()]).reshape(y.shape)


class ColumnCaster(TransformerMixin, BaseEstimator):
    """Convert any table to the columns of a model: by name, in order, of the same kind.

    Columns may come in any order, extra ones are ignored, and a column of numbers may hold integers in
    one table and fractions in another.

    Args:
        kinds: column name → "number", "category", "boolean" or "date".
        target: the name of the target.
        spellings: column name → how its text spells numbers or dates, as `infer_schema` found it; None to
            take every unit and zone.
        missing: the words that mean "missing"; None for the usual ones.
        decimal: the sign before the decimals of numbers in text, "." or ","; None for either.
        codes: columns of whole numbers that become words, too, in a column of their own.

    >>> table = pd.DataFrame({"more": [1, 2], "b": ["x", None], "a": [1, 2]})
    >>> ColumnCaster({"a": "number", "b": "category"}).fit_transform(table).to_numpy().tolist()
    [[1.0, 'x'], [2.0, '(missing)']]
    >>> ColumnCaster({"a": "number"}, codes=["a"]).fit_transform(table).to_dict("list")
    {'a': [1.0, 2.0], 'a value': ['1', '2']}
    """

    def __init__(
        self,
        kinds: Mapping[str, str],
        target: str = "prediction",
        spellings: Mapping[str, str] | None = None,
        missing: Sequence[str] | None = None,
        decimal: str | None = None,
        codes: Sequence[str] = (),
    ) -> None:
        self.kinds = kinds
        self.target = target
        self.spellings = spellings
        self.missing = missing
        self.decimal = decimal
        self.codes = codes

    @property
    def code_names(self) -> dict[str, str]:
        """Column of codes → the column of their words."""
        return {name: _make_unique(f"{name} value", self.kinds) for name in self.codes}

    @property
    def text_rules(self) -> TextRules:
        """How text is read."""
        return TextRules.of(self.missing, self.decimal)

    def fit(self, X: pd.DataFrame, y: object = None) -> Self:  # noqa: ARG002 scikit-learn's signature
        """Do nothing: the kinds are parameters."""
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return the known columns of X (n, columns), in order, each of its kind.

        Raises:
            DataError: a column is missing, or holds a value that is not of its kind.
        """
        columns = self.cast(X)
        # scikit-learn makes objects of categories slowly.
        return columns.astype(dict.fromkeys(columns.columns[columns.dtypes == "category"], object))

    def cast(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return what ``transform`` does, with words from text as categories."""
        X = normalize_columns(as_pandas(X))
        self.check_names(list(X.columns))
        spellings = dict.fromkeys(self.kinds) if self.spellings is None else self.spellings
        rules = self.text_rules
        columns = {
            name: _cast_to_kind(X[name], kind, spellings.get(name, ""), rules)
            for name, kind in self.kinds.items()
        }
        columns |= {words: _number_words(columns[name]) for name, words in self.code_names.items()}
        return pd.DataFrame(columns, copy=False)

    def check_names(self, names: Sequence[str]) -> None:
        """Check that a table has the known columns.

        Raises:
            DataError: it lacks one, and the message suggests a near name; or has one twice.
        """
        duplicates = [name for name in self.kinds if names.count(name) > 1]
        if duplicates:
            raise DataError(
                f"the table has {names.count(duplicates[0])} columns named {duplicates[0]!r}: rename one"
            )
        missing = [name for name in self.kinds if name not in names]
        if missing:
            near = did_you_mean(missing[0], [name for name in names if name not in self.kinds])
            raise DataError(
                f"the table lacks {len(missing)} of the {pluralize(len(self.kinds), 'column')} the model was "
                f"trained on: {join_truncated(missing)}; add or rename columns{near}"
            )

    def set_output(self, *, transform: str | None = None) -> Self:
        """Leave the output a pandas frame, as the next step needs it.

        Raises:
            ParameterError: it shall be another.
        """
        if transform not in {None, "default"}:
            raise ParameterError(
                f"set_output(transform={transform!r}) does not go with models: make a frame, as "
                "pd.DataFrame(model[:-1].transform(X), columns=model[:-1].get_feature_names_out())"
            )
        super().set_output(transform=transform)
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def get_feature_names_out(self, names: object = None) -> npt.NDArray[np.object_]:  # noqa: ARG002
        """Return the names of the known columns, and those of the words of codes."""
        return np.array([*self.kinds, *self.code_names.values()], dtype=object)


def _make_unique(name: str, used: Collection[str]) -> str:
    """Return a name that no column has, with as many primes behind it as that takes."""
    while name in used:
        name += "′"
    return name


def cast_column(
    column: pd.Series, kind: str, spelling: str | None = None, rules: TextRules = USUAL
) -> pd.Series:
    """Convert a column to its kind: numbers to float64, text and booleans to words, dates to dates.

    Args:
        column: of any type.
        kind: "number", "category", "boolean" or "date".
        spelling: how text spells the numbers or dates, and their unit or zone; "" for plain numbers without
            one, and for dates that show which number is the day; None for these, with any unit.
        rules: how text is read.

    Raises:
        DataError: it holds a value that is not of its kind; the row is the index + 1, or the position beside
            an index of text or dates.

    >>> cast_column(pd.Series([1.0, None]), "category").tolist()
    ['1', '(missing)']
    >>> cast_column(pd.Series(["1.234,5", None]), "number", "comma").tolist()
    [1234.5, nan]
    """
    values = _cast_to_kind(column, kind, spelling, rules)
    return values.astype(object) if isinstance(values.dtype, pd.CategoricalDtype) else values


def _cast_to_kind(column: pd.Series, kind: str, spelling: str | None, rules: TextRules) -> pd.Series:
    """Convert a column as ``cast_column`` does, words in text to categories."""
    if kind not in PLAIN and is_text(column):
        return _cast_words(column, kind, rules)
    column = clean(column, rules, labels=kind == "category")
    key, unit = split_spelling(spelling or "")
    column = spell_digits(column) if key == DAY_DIGITS else column
    if types.is_timedelta64_dtype(column):
        if kind in {"number", "date"} and key != SECONDS:
            _check_valid(column, column.notna(), _EXPECTED[kind])
        column = to_seconds(column)
    elif kind in PLAIN and is_text(column):
        words, column = column, _read_text(column, kind, key or shown_spelling(column, kind, rules), rules)
        if spelling is not None and kind != "boolean" and key != SECONDS:
            other = has_other_unit(words, kind, unit) & column.notna().to_numpy()
            _check_valid(words, other, f"{describe_unit(kind, unit)} are")
    elif kind == "date" and spelling is not None and types.is_datetime64_any_dtype(column):
        if (column.dt.tz is not None) != bool(unit):
            _check_valid(column, column.notna(), f"{describe_unit(kind, unit)} are")
    elif column.dtype == object and not is_text(column):
        _check_valid(column, [not is_scalar(value) for value in column], _EXPECTED[kind])
    return _CONVERT[kind](column)


def _read_text(column: pd.Series, kind: str, spelling: str, rules: TextRules) -> pd.Series:
    """Return the numbers or dates that text spells; truth values stay words, which may be unseen ones."""
    gaps = column.isin(rules.among_numbers)
    if kind == "boolean":
        return column.mask(gaps)
    values = parse(column, spelling, rules)
    if spelling == SECONDS:
        # As a Parquet file has them: a number of seconds.
        plain = plain_spelling("number", rules)
        # But 5 kg are no seconds.
        seconds = parse(column, plain, rules).mask(has_other_unit(column, "number", ""))
        gaps |= is_number_gap(seconds, plain, rules)
        values = values.fillna(seconds.mask(gaps))
    else:
        gaps |= is_number_gap(values, spelling, rules)
        values = values.mask(gaps) if gaps.any() else values
    wrong = values.isna() & column.notna() & ~gaps
    _check_valid(column, wrong, f"{SPELLINGS[spelling].example} is")
    return values


def _as_number(column: pd.Series) -> pd.Series:
    if types.is_datetime64_any_dtype(column):
        _check_valid(column, column.notna(), "a number is")
    # On arrays: this runs on a large table in every epoch, and pandas takes seven times as long.
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(float, na_value=np.nan)
    invalid = ~np.isfinite(numbers)
    if invalid.any():
        invalid &= np.isinf(numbers) | column.notna().to_numpy()
        _check_valid(column, invalid, "a finite number is")
    # Text has a minus zero, and whole numbers have none.
    return pd.Series(np.clip(numbers, -MAX_ABS, MAX_ABS) + 0.0, column.index, name=column.name)


def _as_date(column: pd.Series) -> pd.Series:
    if types.is_numeric_dtype(column):
        _check_valid(column, column.notna(), "a date like 2020-02-29 is")
        return pd.Series(pd.NaT, index=column.index, dtype="datetime64[ns]")
    dates = pd.to_datetime(column, format="ISO8601", errors="coerce", utc=True)
    _check_valid(column, dates.isna() & column.notna(), "a date like 2020-02-29 is")
    dates = dates.dt.tz_localize(None)
    _check_valid(column, _out_of_range(dates), "a date of the years 1 to 9999 is")
    return dates


def _out_of_range(dates: pd.Series) -> pd.Series:
    """Return which dates (n,) are beyond the years 1 to 9999: a file may hold any number of seconds."""
    values = np.asarray(dates.to_numpy())
    if values.dtype == np.dtype("datetime64[ns]"):
        return pd.Series(False, index=dates.index)  # they end in 2262
    ends = np.array(["0001-01-01", "10000-01-01"], values.dtype)
    return pd.Series((values < ends[0]) | (values >= ends[1]), index=dates.index)


def _check_valid(column: pd.Series, invalid: npt.ArrayLike, expected: str) -> None:
    invalid = np.asarray(invalid)
    if not invalid.any():
        return
    where = int(invalid.argmax())
    value = column.iloc[where]
    shown = repr(value) if isinstance(value, str) else format_value(value)
    label = column.index[where]
    # The index of rows from a file counts them; that of a user's own table may be anything.
    counted = isinstance(label, int | np.integer)
    place = f"row {label + 1}" if counted else f"row {where + 1} ({format_label(label)})"
    raise RowError(
        f"column {str(column.name)!r} holds {shown} in {place}, where {expected} "
        "expected: correct it, or leave it empty if it is unknown",
        int(label) if counted else where,
    )


def _as_text(column: pd.Series) -> pd.Series:
    """Return categories as text; 1 and 1.0 are equal, as a missing value turns a column of 1s into 1.0s."""
    return column.map(_as_str, na_action="ignore").astype(object).where(column.notna(), MISSING)


def _as_str(value: Any) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _as_bool(column: pd.Series) -> pd.Series:
    words = _as_text(column).str.lower()
    return words.replace({"1": "true", "0": "false"})


def _cast_words(column: pd.Series, kind: str, rules: TextRules) -> pd.Series:
    """Convert text to the words of a category: each distinct one once, as most repeat."""
    codes, distinct = pd.factorize(column, use_na_sentinel=False)
    # Some words differ in their blanks only, or mean "missing".
    places, words = pd.factorize(_CONVERT[kind](clean(pd.Series(distinct, dtype=object), rules)))
    return pd.Series(pd.Categorical.from_codes(places[codes], words), column.index, name=column.name)


def _number_words(numbers: pd.Series) -> pd.Series:
    """Convert whole numbers to words; the others are words that no training saw."""
    codes, distinct = pd.factorize(numbers, use_na_sentinel=False)
    whole = (distinct % 1 == 0) & (np.abs(distinct) < MAX_EXACT)
    words = [str(int(x)) if is_whole else repr(float(x)) for x, is_whole in zip(distinct, whole, strict=True)]
    words = [MISSING if word == "nan" else word for word in words]
    return pd.Series(pd.Categorical.from_codes(codes, pd.Index(words)), numbers.index)


_CONVERT: dict[str, Callable[[pd.Series], pd.Series]] = {
    "number": _as_number,
    "category": _as_text,
    "boolean": _as_bool,
    "date": _as_date,
}


class DateParts(TransformerMixin, BaseEstimator):
    """Dates (n, c) to numbers (n, 6c): year, month, day, weekday, hour, days since the first date of the fit.

    A missing date is nan in each of its parts.

    >>> table = pd.DataFrame({"born": pd.to_datetime(["2020-02-29T00", "2021-03-01T12"])})
    >>> DateParts().fit_transform(table).tolist()
    [[2020.0, 2.0, 29.0, 5.0, 0.0, 0.0], [2021.0, 3.0, 1.0, 0.0, 12.0, 366.5]]
    """

    PARTS = ("year", "month", "day", "weekday", "hour", "elapsed")

    def fit(self, X: pd.DataFrame, y: object = None) -> Self:  # noqa: ARG002 scikit-learn's signature
        """Learn the first date of each column (c,), in days since 1970."""
        days = np.column_stack([_days(X[name]) for name in X.columns])
        self.first_ = np.min(days, axis=0, initial=np.inf, where=~np.isnan(days))
        self.first_[np.isinf(self.first_)] = 0.0
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: pd.DataFrame) -> Floats:
        """Return the parts (n, 6c), column by column."""
        check_is_fitted(self)
        return np.column_stack(
            [
                part
                for name, first in zip(X.columns, self.first_, strict=True)
                for part in date_parts(X[name], first)
            ]
        )

    def get_feature_names_out(self, names: Iterable[str]) -> npt.NDArray[np.object_]:
        """Return the names of the parts (6c,)."""
        return np.array([f"{name}_{part}" for name in names for part in self.PARTS], dtype=object)


def _days(column: pd.Series) -> Floats:
    dates = column.to_numpy("datetime64[us]")
    days = (dates - np.datetime64(0, "us")) / _DAY
    return np.where(np.isnat(dates), np.nan, days)


def date_parts(column: pd.Series, first: float = 0.0) -> list[Floats]:
    """Return the six parts of dates, (n,) each; the last is the days since `first`, in days since 1970.

    >>> [part.item() for part in date_parts(pd.Series(pd.to_datetime(["1970-01-02T12:30"])))]
    [1970.0, 1.0, 2.0, 4.0, 12.5, 1.52...]
    """
    dates = column.dt
    hours = dates.hour + dates.minute / 60
    parts = [dates.year, dates.month, dates.day, dates.day_of_week, hours]
    return [*(part.to_numpy(float) for part in parts), _days(column) - first]


def squash(X: Floats, scale: float) -> npt.NDArray[np.float32]:
    """Return x / √(1 + (x/3)²) as float32 (n,), where x is X / scale; see ``SmoothClip``."""
    # By a power of two near the scale, which rounds nothing, so that no square vanishes or overflows:
    # np.hypot, which sees to that itself, takes ten times as long.
    unit = math.ldexp(1.0, math.frexp(scale)[1] - 1)
    with np.errstate(over="ignore"):
        X = np.clip(X / unit, -_MAX_SQUARED, _MAX_SQUARED)
    lengths = np.square(X / 3.0)
    lengths += (scale / unit) ** 2
    np.sqrt(lengths, out=lengths)
    squashed: npt.NDArray[np.float32] = (X / lengths).astype(np.float32)
    return squashed


class SmoothClip(TransformerMixin, BaseEstimator):
    """Squash scaled numbers (n, k) smoothly into (−3, 3): x / √(1 + (x/3)²), as float32.

    Values near 0 hardly change; an outlier of a million stays below 3, so that training does not
    diverge. A column whose interquartile range is 0 is not scaled by it: its range becomes 2 first. One
    whose range RobustScaler takes for 0, below 2e-15, is scaled by it here.
    The formula is that of RealMLP (arXiv 2407.04491).

    >>> SmoothClip().fit_transform(np.array([[-1e300], [-0.5], [0.0], [0.5], [4.0]])).T.round(
    ...     2
    ... ).tolist()
    [[-3.0, -0.49..., 0.0, 0.49..., 2.4...]]
    """

    def fit(self, X: Floats, y: object = None) -> Self:  # noqa: ARG002 scikit-learn's signature
        """Learn the scale of the columns (k,) that have no interquartile range."""
        low, high = np.percentile(X, [25, 75], axis=0)
        # A column that is mostly one value has no interquartile range, and RobustScaler leaves it unscaled.
        scale = np.where(low == high, np.ptp(X, axis=0) / 2, high - low)
        is_unscaled = (scale > 0) & ((low == high) | (scale < _UNSCALED))
        self.scale_ = np.where(is_unscaled, scale, 1.0)
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: Floats) -> npt.NDArray[np.float32]:
        """Return the squashed numbers (n, k)."""
        check_is_fitted(self)
        columns = np.asarray(X).T
        squashed = [squash(x, scale) for x, scale in zip(columns, self.scale_, strict=True)]
        return np.column_stack(squashed)

    def get_feature_names_out(self, names: object) -> Any:
        """Return the names unchanged."""
        return names
