"""The preprocessing of a table larger than memory, fitted in one pass over its blocks.

The transformers are scikit-learn's and batchprop's. Their own ``fit`` runs on a few rows with the statistics
of all rows: five rows can have the quartiles of a column of any length, and a frequent word only has to
occur often enough, not as often as in the table.

Index legend: n rows, c columns of a kind, k features.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from batchprop.data.arrow import get_column
from batchprop.data.sketches import Floats, WeightedSamples
from batchprop.data.text_rules import TextRules
from batchprop.errors import DataError, join_truncated
from batchprop.processes import current
from batchprop.tabular.column_summary import ColumnSummary, gather_summaries
from batchprop.tabular.roles import read_weights
from batchprop.tabular.schema import ColumnSchema
from batchprop.tabular.spelling import ZONED
from batchprop.tabular.statistics import ColumnAccumulator, MemoryBudget
from batchprop.tabular.target import Task
from batchprop.tabular.target_statistics import TargetAccumulator, TargetSpec
from batchprop.tabular.transformers import NumberSteps, make_preprocessor

_N_QUARTILES = 5  # including the smallest and the largest value
_FLAGS = np.array([0.0, 1.0])


class FittedPreprocessing(NamedTuple):
    """The preprocessing fitted in one pass over a table.

    Attributes:
        columns: the schema of each column except the target and the weights.
        encoder: the fitted steps "columns" and "features".
        target: the target's statistics.
        rows: the number of rows.
        weights_spelling: how text spells the weights; "" for typed and plain ones.
    """

    columns: tuple[ColumnSchema, ...]
    encoder: Pipeline
    target: TargetSpec
    rows: int
    weights_spelling: str = ""


def fit_streaming(
    frames: Iterable[pd.DataFrame],
    *,
    target: str,
    task: Task | None = None,
    weights: str | None = None,
    types: Mapping[str, str] | None = None,
    missing: Sequence[str] | None = None,
    decimal: str | None = None,
    from_text: bool = False,
    n_bins: int = 0,
    columns: Sequence[str] | None = None,
) -> FittedPreprocessing:
    """Infer the schema, fit the transformer to features, and count the target, in one pass over a table.

    The result is that of ``infer_schema``, ``make_preprocessor(...).fit`` and ``read_target`` on all rows at
    once, and does not depend on the blocks. Counts, means, categories and ranges are exact. The following
    are exact for small tables only, and take bounded memory for any:

    - the median and the quartiles of a column of numbers, up to 16 384 of them; for 4·10⁷, their ranks are
      wrong by less than 0.04% of the rows;
    - the words of a column of text, up to 100 000 distinct ones. Beyond that, those in more than 1 of 100 000
      rows are kept, their counts too small by at most that many rows; the most frequent come from these;
    - whether a column names its rows, up to 100 000 distinct words or 65 536 numbers. Beyond that, the share
      of distinct words is estimated to 0.6%, and numbers count as distinct if a sample of at least one in
      every n / 32 768 has no duplicates.

    With more than 256 columns, or 41 for words, fewer are kept of each, and the errors grow in proportion.

    Words have no ``level_means``: a training row needs them from other rows, and is encoded by itself here.

    Args:
        frames: the blocks of the table, in order, whose index numbers the rows from 0; they are not kept.
        target: the column to predict, without missing values.
        task: "classification" or "regression" to overrule the rule.
        weights: the column of row weights; it is not a feature.
        types: column name → what it holds, whatever it looks like; see ``infer_schema``. Weights in text are
            plain numbers if none is given for them.
        missing: the words that mean "missing"; None for the usual ones.
        decimal: the sign before the decimals of numbers in text, "." or ","; None for either.
        from_text: whether the target is the text of a CSV file, in which numbers are spelled, as in
            ``read_target``.
        n_bins: the most bins of a number, as for ``make_preprocessor``.
        columns: all columns to predict from, if several processes learn a part each: the blocks of this one
            hold those of them that ``own_columns`` gives.

    Returns:
        The columns, the fitted transformer, the target and the number of rows.

    Raises:
        DataError: there are no rows, or no column to predict from; blocks differ in their columns; a target,
            a weight or a number cannot be used.

    >>> blocks = [
    ...     pd.DataFrame({"age": [20.0, 30.0], "ill": ["no", "yes"]}, index=[0, 1]),
    ...     pd.DataFrame({"age": [40.0], "ill": ["no"]}, index=[2]),
    ... ]
    >>> learned = fit_streaming(blocks, target="ill")
    >>> learned.encoder.transform(blocks[1]).tolist(), learned.target.counts.tolist()
    ([[0.94...]], [2, 1])
    """
    table: _Table | None = None
    with nullcontext() if columns is None else current().guard():
        for frame in frames:
            if table is None:
                rules = TextRules.of(missing, decimal)
                accumulator = TargetAccumulator(target, task, from_text=from_text, rules=rules)
                table = _Table(frame, accumulator, weights, types or {}, rules, columns)
            table.add(frame)
        if table is None or not table.target.rows:
            raise DataError("the table has no rows: add rows, each with a target")
        summaries = [tally.summarize() for tally in table.tallies.values()]
    if columns is not None:
        summaries = gather_summaries(summaries, columns)
    return table.finish(summaries, missing, decimal, n_bins)


class _Table:
    """The statistics of all columns and of the target."""

    def __init__(
        self,
        frame: pd.DataFrame,
        target: TargetAccumulator,
        weights: str | None,
        types: Mapping[str, str],
        rules: TextRules,
        columns: Sequence[str] | None,
    ) -> None:
        self.weights, self.target, self.rules = weights, target, rules
        self.weights_spelling = types.get(weights or "", "").partition(":")[2]
        self.names = list(frame.columns)
        get_column(frame, target.name, "target column")
        if weights is not None:
            get_column(frame, weights, "weights column")
        features = [name for name in self.names if name not in (target.name, weights)]
        budget = MemoryBudget.split(len(features if columns is None else columns))
        self.tallies = {
            name: ColumnAccumulator(str(name), budget, types.get(str(name)), rules) for name in features
        }

    def add(self, frame: pd.DataFrame) -> None:
        """Add the rows of a block."""
        if (differing := set(self.names) ^ set(frame.columns)) or len(frame.columns) != len(self.names):
            names = join_truncated(sorted(map(str, differing)))
            raise DataError(
                f"a block of the table has other columns than the first: {names}; give each block the same"
            )
        weights = None
        if self.weights is not None:
            weights = read_weights(frame[self.weights], self.rules, self.weights_spelling)
        self.target.add(frame[self.target.name], weights)
        for name, tally in self.tallies.items():
            tally.add(frame[name])

    def finish(
        self,
        summaries: Sequence[ColumnSummary],
        missing: Sequence[str] | None,
        decimal: str | None,
        n_bins: int,
    ) -> FittedPreprocessing:
        """Return the preprocessing fitted on the summaries of all columns."""
        columns, rows = tuple(summary.column for summary in summaries), self.target.rows
        preprocessor = make_preprocessor(columns, rows, self.target.name, missing, decimal, n_bins)
        fitted = _fit(preprocessor, summaries)
        return FittedPreprocessing(columns, fitted, self.target.finish(), rows, self.weights_spelling)


class _Vocabulary(NamedTuple):
    """The words of a column: those with a feature each, and those that share one."""

    frequent: list[str]
    rare: list[str]

    def rows(self, times: int, rows: int) -> list[str]:
        """Return rows with each frequent word at least ``times`` times, and each rare one less often."""
        words = [*np.repeat(np.array(self.frequent, dtype=object), times), *self.rare]
        filling = self.frequent[:1] or self.rare
        return words + [filling[i % len(filling)] for i in range(rows - len(words))]


def _split_vocabulary(counts: "pd.Series[int]", text: OneHotEncoder) -> _Vocabulary:
    """Split words as scikit-learn's encoder does: among equally frequent words, the last get a feature."""
    most = text.max_categories - 1
    frequent = counts[counts >= text.min_frequency]
    if len(frequent) > most:
        frequent = frequent.iloc[np.sort(np.argsort(frequent.to_numpy(), kind="stable")[-most:])]
    if frequent.empty and len(counts) < 2 * text.max_categories:
        frequent = counts.nlargest(1)
    return _Vocabulary(list(frequent.index), list(counts.index.difference(frequent.index, sort=False)))


def _fit(pipeline: Pipeline, summaries: Sequence[ColumnSummary]) -> Pipeline:
    """Fit all parts on a few rows, so that they know their columns; then fit each part on its statistics."""
    features: ColumnTransformer = pipeline["features"]
    known = {summary.column.name: summary for summary in summaries}
    parts = {part: [known[name] for name in names] for part, _, names in features.transformers}
    encoders = {part: transformer for part, transformer, _ in features.transformers}
    text = encoders.get("text", OneHotEncoder())
    words = {
        summary.column.name: _split_vocabulary(summary.words, text)
        for summary in parts.get("text", [])
        if summary.words is not None
    }
    min_frequency = text.min_frequency
    # In these few rows, each word with its own feature occurs once.
    text.set_params(min_frequency=1)
    rows = _prototype_rows(summaries, words)
    pipeline.fit(rows)
    text.set_params(min_frequency=min_frequency)
    fitted = features.named_transformers_
    for part in {"numbers", "dates"} & parts.keys():
        _set_statistics(fitted[part], parts[part])
    if "text" in parts:
        _set_word_statistics(fitted["text"], words, min_frequency)
    _place_features(features, pipeline["columns"].transform(rows))
    return pipeline


def _place_features(features: ColumnTransformer, columns: pd.DataFrame) -> None:
    """Note where the features of each part lie: the few rows of the fit had other bins."""
    places, end = dict(features.output_indices_), 0
    for part, transformer, names in features.transformers_:
        start, end = end, end + transformer.transform(columns[names]).shape[1]
        places[part] = slice(start, end)
    features.output_indices_ = places


def _prototype_rows(summaries: Sequence[ColumnSummary], words: dict[str, _Vocabulary]) -> pd.DataFrame:
    """Make a few rows with the range of each column, its gaps, and each word that gets a feature."""
    rows = max([_N_QUARTILES, *(len(known.frequent) + 1 for known in words.values())])
    table = dict[str, Any]()
    for summary in summaries:
        name = summary.column.name
        if summary.column.kind == "left out":
            table[name] = [None] * rows
        elif name in words:
            known = words[name]
            table[name] = known._replace(rare=known.rare[:1]).rows(1, rows)
        else:
            ends = summary.distributions[0].values[[0, -1]] if summary.dates is None else summary.dates
            values = pd.Series(np.append(ends[:1], np.tile(ends, rows))[:rows])
            if summary.missing:
                values.iloc[0] = None
            table[name] = values.dt.tz_localize("UTC") if summary.column.spelling == ZONED else values
    return pd.DataFrame(table)


def _set_statistics(part: Pipeline, columns: Sequence[ColumnSummary]) -> None:
    """Fit imputer, scaler and bins on the distribution of each filled feature."""
    imputer, scaler, clip, bins = NumberSteps.of(part)
    features = [(ranked, column.missing) for column in columns for ranked in column.distributions]
    medians = np.array([ranked.median for ranked, _ in features])
    with_gaps = np.where([missing > 0 for _, missing in features], np.nan, medians)
    two = np.array([medians, with_gaps])
    names = getattr(imputer, "feature_names_in_", None)
    imputer.fit(two if names is None else pd.DataFrame(two, columns=names))
    filled = [ranked.insert(ranked.median, missing) for ranked, missing in features]
    flags = [
        WeightedSamples(_FLAGS, np.array([ranked.weights.sum(), missing]))
        for ranked, missing in features
        if missing
    ]
    five: Floats = np.column_stack([ranked.five() for ranked in [*filled, *flags]])
    clip.fit(scaler.fit_transform(five))
    if bins is not None:
        bins.set_edges(ranked.lower(bins.levels()) for ranked in [*filled, *flags])


def _set_word_statistics(text: OneHotEncoder, words: dict[str, _Vocabulary], min_frequency: int) -> None:
    """Fit the encoder on rows in which the frequent words, and no others, reach its minimum frequency."""
    most = max(len(known.rare) for known in words.values())
    fewest = min((len(known.rare) for known in words.values() if not known.frequent), default=None)
    # A column of rare words only is filled up with these, evenly, so that none becomes frequent.
    times = 2 if fewest is None else 2 + (most + fewest) // (fewest - text.max_categories)
    rows = text.max_categories * times + most
    table = pd.DataFrame({name: known.rows(times, rows) for name, known in words.items()}, dtype=object)
    text.set_params(min_frequency=times).fit(table)
    text.set_params(min_frequency=min_frequency)
