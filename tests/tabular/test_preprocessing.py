"""Preprocessing learned from blocks equals that of the whole table, for any blocks."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline

from batchprop import MLPClassifier
from batchprop.data import sketches
from batchprop.errors import DataError
from batchprop.tabular.persistence import load_pipeline, save_pipeline
from batchprop.tabular.preprocessing import fit_streaming
from batchprop.tabular.schema import infer_schema
from batchprop.tabular.statistics import ColumnAccumulator, MemoryBudget
from batchprop.tabular.transformers import make_preprocessor


def people(n=400, seed=0):
    """Columns of all types, with missing values."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": rng.integers(20, 70, n),
            "income": np.exp(rng.normal(0, 3, n)),
            "mostly zero": np.where(rng.random(n) < 0.9, 0.0, 1e6 * rng.random(n)),
            "huge": np.where(rng.random(n) < 0.1, 1e200, rng.random(n)),
            "member": pd.array(rng.random(n) < 0.5, dtype="boolean"),
            "colour": rng.choice(["red", "green", "blue", "Étude", "🙂"], n, p=[0.5, 0.3, 0.18, 0.01, 0.01]),
            "street": rng.choice([f"street {i}" for i in range(n // 3)], n),
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 10**6, n), unit="min"),
            "day": [f"2020-01-{day:02}" for day in rng.integers(1, 28, n)],
            "name": [f"name {i}" for i in range(n)],
            "number": np.arange(n) + 1000,
            "customer_id": rng.permutation(n) ** 2,
            "of": "x",
            "void": np.full(n, np.nan),
        }
    )
    return frame.assign(y=rng.choice(["yes", "no"], n))


def with_gaps(frame, share=0.2, seed=1):
    gaps = np.random.default_rng(seed).random(frame.shape) < share
    return frame.mask(gaps).assign(y=frame["y"])


def cut(frame, places):
    """Split the rows of the frame into blocks at these rows."""
    ends = [0, *sorted(place % (len(frame) + 1) for place in places), len(frame)]
    return [frame.iloc[start:end] for start, end in itertools.pairwise(ends)]


def in_memory(frame, target="y"):
    features = frame.drop(columns=target)
    return infer_schema(features), make_preprocessor(infer_schema(features), len(frame), target).fit(features)


def leaves(fitted, path=""):
    """Yield every attribute of a fitted object, recursively, with its path."""
    if isinstance(fitted, BaseEstimator):
        fitted = vars(fitted)
    if isinstance(fitted, list | tuple):
        fitted = dict(enumerate(fitted))
    if isinstance(fitted, dict):
        return {k: v for key in fitted for k, v in leaves(fitted[key], f"{path}.{key}").items()}
    return {path: (fitted.dtype, fitted.tolist()) if isinstance(fitted, np.ndarray) else fitted}


def assert_same(one, other):
    one, other = leaves(one), leaves(other)
    assert list(one) == list(other)
    # As text, so that nan is nan.
    assert {path: repr(one[path]) for path in one} == {path: repr(other[path]) for path in other}


def part(encoder, name, step=None):
    result = encoder["features"].named_transformers_[name]
    return result if step is None else result[step]


TABLES = {
    "whole": people(),
    "with gaps": with_gaps(people()),
    "half gaps": with_gaps(people(401), 0.5),
    "mostly gaps": with_gaps(people(499), 0.9),
    "few rows": people(12),
    "three rows": people(3),
    "many rows": with_gaps(people(2500)),
}


# One block of each table is what the random blocks below often are.
@pytest.mark.parametrize(
    ("name", "blocks"), [*((name, 3) for name in TABLES), ("with gaps", 7), ("with gaps", 1)]
)
def test_statistics_of_blocks_equal_those_of_the_table(name, blocks):
    frame, size = TABLES[name], -(-len(TABLES[name]) // blocks)
    columns, expected = in_memory(frame)
    learned = fit_streaming(cut(frame, range(size, len(frame), size)), target="y")
    assert learned.columns == columns
    assert_same(learned.encoder, expected)
    np.testing.assert_array_equal(learned.encoder.transform(frame), expected.transform(frame))
    assert learned.rows == len(frame)


def test_comparison_detects_nested_differences():
    frame = TABLES["whole"]
    one, other = in_memory(frame)[1], in_memory(frame)[1]
    part(one, "numbers", "robustscaler").center_[0] += 1e-12
    with pytest.raises(AssertionError):
        assert_same(one, other)


cells = {
    "n": st.one_of(st.none(), st.floats(-1e300, 1e300), st.sampled_from([0.0, 1.0, 2.0, np.inf])),
    "i": st.one_of(st.none(), st.integers(-(2**40), 2**40), st.integers(0, 3)),
    "w": st.one_of(
        st.none(), st.sampled_from(["a", "b", "(missing)", " ", "2020-01-01"]), st.text(max_size=3)
    ),
    "d": st.one_of(st.none(), st.sampled_from(["2020-01-01", "2021-02-03T04:05"])),
    "z": st.one_of(st.none(), st.sampled_from(["2020-01-01T00:00+05:00", "1999-12-31 23:59Z"])),
    "b": st.sampled_from([True, False, None]),
    "m": st.sampled_from(["x", 3, 3.0, 2.5, True, None]),
}
TYPES = {"n": "float", "w": "str", "d": "str", "z": "str", "b": "boolean", "m": "object"}


@settings(max_examples=10)
@given(
    rows=st.lists(st.fixed_dictionaries(cells), min_size=1, max_size=40),
    places=st.lists(st.integers(0, 100), max_size=6),
)
def test_statistics_do_not_depend_on_block_boundaries(rows, places):
    table = pd.DataFrame(rows).astype(TYPES)
    table["i"] = pd.array([row["i"] for row in rows], dtype="Int64")
    table["i"] = table["i"].astype("float" if table["i"].isna().any() else "int64")
    table["y"] = 0.5
    try:
        columns, expected = in_memory(table)
    except DataError as error:
        with pytest.raises(DataError) as caught:
            fit_streaming(cut(table, places), target="y")
        assert str(caught.value) == str(error)  # noqa: PT017
        return
    learned = fit_streaming(cut(table, places), target="y")
    assert learned.columns == columns
    assert_same(learned.encoder, expected)


def as_read_alone(block, whole):
    """The block with the dtypes of its own file: narrower if a column has no missing values in it."""
    narrow = {"age": "int64", "void": "object", "colour": "str"}
    missing = {name: "object" for name in block if block[name].isna().all()}
    return block.astype({n: t for n, t in narrow.items() if n == "void" or block[n].notna().all()} | missing)


def test_types_may_change_from_block_to_block():
    frame = with_gaps(people(), 0.3)
    frame.loc[:99, ["age", "colour", "member", "since", "day"]] = None
    blocks = [as_read_alone(block, frame) for block in cut(frame, [50, 50, 100, 103, 105, 200])]
    assert len({str(block["age"].dtype) for block in blocks}) == 3
    columns, expected = in_memory(frame.astype({"age": "float"}))
    learned = fit_streaming(blocks, target="y")
    assert learned.columns == columns
    assert_same(learned.encoder, expected)


@pytest.mark.parametrize(
    "columns",
    [
        ([1, 2, 1, 3], ["x", "y", "1", "x"]),
        ([True, False, True, True], ["x", "y", "true", "x"]),
        ([True, False, True, True], [2, 2, 3, 3]),
        (["2020-01-01"] * 4, ["2020-01-01", "soon", "soon", "never"]),
        ([1.5, 2.5, 1.5, 2.5], [{}, {}, {}, {}]),
        (pd.to_datetime(["2020-01-01"] * 4), ["x", "y", "x", "y"]),
    ],
    ids=["numbers, text", "booleans, text", "booleans, numbers", "dates, text", "nested", "times, text"],
)
def test_column_of_mixed_types_is_the_same_as_in_memory(columns):
    blocks = [pd.DataFrame({"it": pd.Series(column), "a": range(4), "y": 0.5}) for column in columns]
    blocks[1].index += 4
    columns, expected = in_memory(pd.concat([block.astype({"it": object}) for block in blocks]))
    learned = fit_streaming(blocks, target="y")
    assert [column.kind for column in learned.columns] == [column.kind for column in columns]
    assert_same(learned.encoder, expected)


def test_text_after_very_many_numbers_is_an_error():
    numbers = pd.DataFrame({"a": np.arange(30_000.0), "y": 1})
    text = pd.DataFrame({"a": ["x"], "y": 1}, index=[30_000])
    with pytest.raises(DataError, match="column 'a' holds numbers in row 1 and text in row 30001: make them"):
        fit_streaming([numbers, text], target="y")


@pytest.fixture
def small_sketches(monkeypatch):
    """Keep a tenth of the words and of the hashes, so that a tenth of the rows is as large a table."""
    monkeypatch.setattr(MemoryBudget, "split", lambda _: MemoryBudget(16_384, 10_000, 1 << 26))
    monkeypatch.setattr(sketches, "_MAX_PENDING_WORDS", 1 << 13)
    monkeypatch.setattr(sketches.DistinctCounter, "MOST", 1 << 13)


def large(n=100_000, seed=0):
    """Columns of many shapes, with a few times the numbers that are kept of each."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "normal": rng.normal(size=n),
            "sorted": np.sort(rng.exponential(size=n)),
            "falling": -(np.arange(n, dtype=float) ** 3),
            "gaps": np.where(rng.random(n) < 0.6, np.nan, rng.lognormal(0, 2, n)),
            "rare": np.where(rng.random(n) < 0.999, np.nan, rng.normal(size=n)),
            "zeros": np.where(rng.random(n) < 0.8, 0.0, rng.normal(size=n)),
            "few": rng.integers(0, 5, n).astype(float),
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 10**6, n), unit="min"),
            "y": rng.normal(3, 2, n),
        }
    )


def test_statistics_of_a_large_table_are_within_the_stated_error():
    frame = large()
    _, expected = in_memory(frame)
    learned = fit_streaming(cut(frame, range(20_000, len(frame), 20_000)), target="y")
    for name in ("numbers", "dates"):
        middle, scale = (
            part(learned.encoder, name, "simpleimputer"),
            part(learned.encoder, name, "robustscaler"),
        )
        np.testing.assert_array_equal(
            middle.indicator_.features_, part(expected, name, "simpleimputer").indicator_.features_
        )
        true = part(expected, name, "robustscaler")
        np.testing.assert_allclose(scale.center_, true.center_, atol=0.01 * true.scale_.max(), rtol=0.01)
        np.testing.assert_allclose(scale.scale_, true.scale_, rtol=0.01)
    medians = dict(zip(frame, part(learned.encoder, "numbers", "simpleimputer").statistics_, strict=False))
    for name, median in medians.items():
        present = frame[name].dropna()
        assert (present < median).mean() - 0.0004 <= 0.5 <= (present <= median).mean() + 0.0004
    some = frame.iloc[::997]
    np.testing.assert_allclose(learned.encoder.transform(some), expected.transform(some), atol=0.01)


def test_large_table_does_not_depend_on_block_boundaries():
    frame = large(60_000)
    one, other = fit_streaming(cut(frame, [1, 777, 25_000]), target="y"), fit_streaming([frame], target="y")
    assert_same(one.encoder, other.encoder)
    assert one.target.quantile(0.9) == other.target.quantile(0.9)


def text_columns(rng, n, most):
    """Text columns of very many words, of which a few are frequent."""
    frequent = rng.integers(0, 60, n)
    return np.where(
        rng.random(n) < 0.3, [f"often {i}" for i in frequent], [f"w{i}" for i in rng.integers(0, most, n)]
    )


@pytest.mark.usefixtures("small_sketches")
def test_frequent_words_are_found_beyond_the_cap():
    rng = np.random.default_rng(0)
    n = 30_000  # of which 14,000 are different words, and 10,000 are counted
    frame = pd.DataFrame(
        {"w": text_columns(rng, n, 25_000), "v": rng.choice(np.array(["a", "b", None]), n), "y": 0.5}
    )
    learned = fit_streaming(cut(frame, range(5_000, n, 5_000)), target="y")
    text = part(learned.encoder, "text")
    assert len(text.categories_[0]) <= 1024
    frequent = set(text.categories_[0]) - set(text.infrequent_categories_[0])
    assert {f"often {i}" for i in range(60)} == frequent
    assert len(learned.encoder.get_feature_names_out()) == 61 + 3
    counted, true = int(learned.columns[0].note.split()[1].replace(",", "")), frame["w"].nunique()
    assert learned.columns[0].note.startswith("about ")
    assert counted == pytest.approx(true, rel=0.03)
    few = pd.DataFrame({"w": ["often 1", "never", None, frame["w"][0]], "v": ["a", "b", None, "c"]})
    assert learned.encoder.transform(few).sum() == 7


@pytest.mark.usefixtures("small_sketches")
def test_column_of_only_rare_words_is_one_feature():
    n = 60_000
    frame = pd.DataFrame({"w": [f"w{i // 2}" for i in range(n)], "a": np.arange(n) % 7, "y": 0.5})
    X = fit_streaming(cut(frame, range(5_000, n, 5_000)), target="y").encoder.transform(frame.iloc[:10])
    assert X.shape == (10, 2)
    assert (X[:, 1] == 1).all()


@pytest.mark.usefixtures("small_sketches")
@pytest.mark.parametrize("shuffled", [False, True])
def test_ids_of_a_large_table_are_dropped(shuffled):
    n = 30_000
    rng = np.random.default_rng(0)
    numbers = rng.permutation(n) if shuffled else np.arange(n)
    frame = pd.DataFrame(
        {
            "counts": numbers + 5,
            "user_id": numbers**2,
            "squares": numbers**2,
            "names": [f"n{i}" for i in numbers],
            "twice_id": np.where(numbers % 100 == 1, numbers - 1, numbers) ** 2,
            "y": 0.5,
        }
    )
    kinds = {c.name: c.kind for c in fit_streaming(cut(frame, [10_000, 20_000]), target="y").columns}
    assert kinds == {
        "counts": "left out",
        "user_id": "left out",
        "squares": "number",
        "names": "left out",
        "twice_id": "number",
    }


def test_row_number_column_is_dropped_despite_held_out_rows():
    random = np.random.default_rng(0)
    table = pd.DataFrame({"n": random.permutation(5000), "x": random.normal(size=5000)})
    table["y"] = random.integers(0, 2, 5000)
    trains = random.random(5000) < 0.7
    result = fit_streaming([table[trains].iloc[i : i + 500] for i in range(0, trains.sum(), 500)], target="y")
    assert [(column.name, column.kind) for column in result.columns] == [("n", "left out"), ("x", "number")]


def test_few_words_in_a_numeric_column_are_reported_as_in_memory():
    words = [*(str(i / 7) for i in range(500)), "abc", *(str(i) for i in range(300)), "?!"]
    table = pd.DataFrame({"size": words, "x": np.sqrt(np.arange(len(words))), "y": np.arange(len(words)) % 2})
    result = fit_streaming([table[:400], table[400:600], table[600:]], target="y")
    assert result.columns == infer_schema(table[["size", "x"]])
    assert result.columns[0].warning == "2 of its 802 values are no numbers, 'abc' first"


def test_first_block_counts_as_much_as_the_last():
    n = 40
    frame = pd.DataFrame(
        {
            "part whole": [0.5, *range(1, n)],
            "said": ["so it was said " * 5 + str(i) if i < n // 2 else f"word{i}" for i in range(n)],
            "nested": [[i] if i < n // 2 else {"a": i} for i in range(n)],
            "y": range(n),
        }
    )
    blocks = [frame[: n // 2], frame[n // 2 :].astype({"part whole": "int64"})]
    assert fit_streaming(blocks, target="y").columns == infer_schema(frame.drop(columns="y"))


def test_memory_of_accumulators_is_bounded():
    rng = np.random.default_rng(0)
    room = MemoryBudget.split(4)
    tallies = {name: ColumnAccumulator(name, room) for name in ("number", "word", "key_id", "day")}
    held = []
    for block in range(20):
        n = 20_000
        start = block * n
        tallies["number"].add(pd.Series(rng.normal(size=n)))
        tallies["word"].add(pd.Series([f"{start + i} words" for i in range(n)]))
        tallies["key_id"].add(pd.Series(np.arange(start, start + n) ** 2))
        tallies["day"].add(pd.Series(pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(n), unit="s")))
        held.append({name: tally.memory_items for name, tally in tallies.items()})
    most = {name: max(each[name] for each in held) for name in tallies}
    assert most["number"] <= 16_384 * 5
    assert most["word"] <= 2 * (100_000 + 65_536)
    assert most["key_id"] <= 16_384 * 5 + 3 * 65_536
    assert most["day"] <= 6 * 16_384 * 5


def test_streamed_preprocessing_can_be_saved_loaded_and_cloned(tmp_path):
    frame = TABLES["many rows"]
    learned = fit_streaming(cut(frame, [1000, 2000]), target="y")
    X = learned.encoder.transform(frame)
    with pytest.warns(ConvergenceWarning):
        network = MLPClassifier(max_iter=1).fit(X, frame["y"])
    model = Pipeline([*learned.encoder.steps, ("network", network)])
    save_pipeline(model, tmp_path / "model.skops")
    loaded = load_pipeline(tmp_path / "model.skops")
    np.testing.assert_array_equal(loaded[:-1].transform(frame), X)
    features = frame.drop(columns="y")
    assert_same(clone(learned.encoder).fit(features), in_memory(frame)[1])


def test_weight_column_is_summed_and_not_a_feature():
    frame = people(50).assign(times=np.arange(50.0))
    learned = fit_streaming(cut(frame, [20]), target="y", weights="times")
    assert "times" not in [column.name for column in learned.columns]
    assert learned.target.weight == 1225
    assert fit_streaming([frame], target="y").target.weight == 50


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": None}, "the target 'y' is missing in row 21: leave out the rows without a target"),
        ({"age": np.inf}, "column 'age' holds inf in row 21, where a finite number is expected"),
        ({"times": -1.0}, "the weights column 'times' holds -1.0 in row 21: a weight is a number, 0 or more"),
        ({"times": None}, "the weights column 'times' holds None in row 21"),
        (
            {"more": 1},
            "a block of the table has other columns than the first: more; give each block the same",
        ),
    ],
)
def test_unusable_value_error_names_its_row(change, message):
    frame = people(40).assign(times=1.0).astype({"age": float})
    blocks = cut(frame, [20])
    blocks[1] = blocks[1].assign(**change)
    with pytest.raises(DataError, match=message):
        fit_streaming(blocks, target="y", weights="times")


def test_empty_table_and_missing_column_are_refused():
    with pytest.raises(DataError, match="the table has no rows"):
        fit_streaming([], target="y")
    with pytest.raises(DataError, match="the table has no rows"):
        fit_streaming([people(10).iloc[:0]], target="y")
    with pytest.raises(DataError, match="there is no target column 'Y'; did you mean 'y'"):
        fit_streaming([people(10)], target="Y")
    with pytest.raises(DataError, match="no column is left to predict from"):
        fit_streaming([people(30)[["of", "void", "y"]]], target="y")
