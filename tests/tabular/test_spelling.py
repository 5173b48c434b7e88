"""Numbers and dates in text are read as people write them, from every source, in training and prediction."""

import re
import shutil
from copy import deepcopy
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from batchprop.data.reader import read_table
from batchprop.data.text_rules import TextRules
from batchprop.errors import DataError, UnseenValueWarning
from batchprop.tabular import TrainOptions, fit_streaming, load_model, train_table
from batchprop.tabular.observer import Observer
from batchprop.tabular.options import make_options
from batchprop.tabular.schema import infer_schema
from batchprop.tabular.soundness import validate_model
from batchprop.tabular.statistics import ColumnAccumulator, MemoryBudget
from batchprop.tabular.streaming import scan_table
from batchprop.tabular.target_statistics import read_target
from batchprop.tabular.training_input import load_training_table
from batchprop.tabular.transformers import cast_column, make_preprocessor


def swap(text):
    return text.translate(str.maketrans(",.", ".,"))


NUMBERS = {
    "commas": lambda x: f"{x:,.2f}",
    "points": lambda x: swap(f"{x:,.2f}"),
    "blanks": lambda x: f"{x:,.2f}".replace(",", " "),
    "narrow blanks": lambda x: swap(f"{x:_.2f}").replace("_", "\u202f"),
    "apostrophes": lambda x: f"{x:,.2f}".replace(",", "’"),
    "decimal comma": lambda x: swap(f"{x:.2f}"),
    "dollars": lambda x: f"${x:,.2f}" if x >= 0 else f"-${-x:,.2f}",
    "euros": lambda x: swap(f"{x:,.2f}") + " €",
    "currency code": lambda x: f"CHF {x:.2f}",
    "percent": lambda x: f"{x:.2f}%",
    "minus sign": lambda x: f"{x:.2f}".replace("-", "−"),
    "minus behind": lambda x: f"{x:,.2f}" if x >= 0 else f"{-x:,.2f}-",
    "accountants": lambda x: f"{x:,.2f}" if x >= 0 else f"({-x:,.2f})",
    "blanks around": lambda x: f"  {x:.2f}\t",
    "exponent": lambda x: f"{x:.8e}",
}
DATES = {
    "day first": "%d/%m/%Y",
    "points": "%d.%m.%Y",
    "month first": "%m/%d/%Y",
    "year first": "%Y/%m/%d",
    "short year": "%d-%m-%y",
    "named": "%d %b %Y",
    "American": "%B %d, %Y",
    "clock": "%d/%m/%Y %H:%M",
    "half day": "%m/%d/%Y %I:%M:%S %p",
    "ISO": "%Y-%m-%dT%H:%M:%S",
}


@pytest.mark.parametrize("spelling", NUMBERS)
def test_numbers_in_text_are_the_numbers(spelling):
    few = [0, 1, -1, 10, -99, 100, -100_000, 10**9, -(10**9)]
    hundredths = [*few, *np.random.default_rng(0).integers(-(10**9), 10**9, 30).tolist()]
    numbers = [12_345_678.5, *(x / 100 for x in hundredths)]
    words = pd.Series([*map(NUMBERS[spelling], numbers), None, "-"], name="x")
    (column,) = infer_schema(words.to_frame())
    assert (column.kind, column.missing) == ("number", 2)
    values = cast_column(words, column.kind, column.spelling)
    assert values.tolist()[:-2] == pytest.approx([round(x, 2) for x in numbers], rel=1e-8, abs=1e-9)
    assert values[-2:].isna().all()


@pytest.mark.parametrize("spelling", DATES)
def test_dates_in_text_are_the_dates(spelling):
    step = pd.Timedelta(days=1) if "%H" not in DATES[spelling] and "%I" not in DATES[spelling] else "37min"
    dates = pd.Series(pd.date_range("2019-11-25", periods=400, freq=step))
    words = dates.dt.strftime(DATES[spelling]).rename("x")
    (column,) = infer_schema(words.to_frame())
    assert column.kind == "date"
    wanted = dates.dt.floor("min") if "%S" not in DATES[spelling] else dates
    assert (cast_column(words, "date", column.spelling) == wanted).all()


STAYS_TEXT = {
    "codes": ["007", "012", "120"],
    "two units": ["$5", "€6", "$7"],
    "some percentages": ["5%", "6", "7%"],
    "two separators": ["1,234 567", "1,234", "2"],
    "two units in one": ["$5%", "$6%", "$7%"],
    "a fraction": ["1/2", "3/4", "5/6"],
    "a number and a street": ["3/1200", "5/1300", "7/1400"],
    "no quarter": ["Q5 2023", "Q1 2023", "Q2 2023"],
    "two measures": ["5 kg", "600 g", "7 kg"],
    "areas and lengths": ["5 m2", "6 m", "7 m2"],
    "seats": ["12A", "12B", "13C"],
    "places": ["1st", "2nd", "3rd"],
    "groups of one": ["12,3,4", "1,1", "2"],
    "two signs": ["--5", "6", "7"],
    "a sign in parentheses": ["(-5)", "6", "7"],
    "numbers of a year": ["2024-123", "2024-007", "2023-366"],
    "no date": ["31/02/2020", "01/13/2020", "05/06/2020"],
}


@pytest.mark.parametrize("case", STAYS_TEXT)
def test_what_is_no_number_and_no_date_stays_text(case):
    words = pd.Series(STAYS_TEXT[case] * 10, name="x")
    assert infer_schema(words.to_frame())[0].kind == "category"


@pytest.mark.parametrize("odd", ["soon", "5 Jan 2020", "2020-02-31"])
def test_dates_with_a_few_other_words_are_never_like_an_id(odd):
    days = pd.Series([*pd.date_range("2020-01-01", periods=30).strftime("%Y-%m-%d"), odd], name="x")
    for column, kind in ((days, "left out"), (pd.concat([days] * 2, ignore_index=True), "category")):
        tally = ColumnAccumulator("x", MemoryBudget.split(1))
        for start in range(0, len(column), 7):
            tally.add(column.iloc[start : start + 7])
        for schema in (infer_schema(column.to_frame())[0], tally.column()):
            assert schema.kind == kind
            assert schema.reading.startswith("mostly dates, but not all ")
            assert schema.note in (schema.reading, "31 values")


@pytest.mark.parametrize(
    ("words", "units"),
    [
        (["$5", "€6"], "$ and €"),
        (["5%", "6"], "% and none"),
        (["$5%"], "$ with %"),
        (["5%", "$6"], "% and $"),
    ],
)
def test_numbers_of_several_units_are_words_and_said_so(words, units):
    reading = f"numbers of several units, such as {units}"
    numbers = pd.Series([word.replace(word.strip("$€%"), str(i)) for i in range(20) for word in words])
    for column, kind in ((pd.Series(words * 9 + ["7$"]), "category"), (numbers, "left out")):
        tally = ColumnAccumulator("x", MemoryBudget.split(1))
        for start in range(0, len(column), 5):
            tally.add(column.iloc[start : start + 5])
        for schema in (infer_schema(column.to_frame("x"))[0], tally.column()):
            assert schema.kind == kind
            assert schema.reading.startswith("numbers of several units, such as ")
            assert "like an id" not in schema.note
    assert infer_schema(numbers.to_frame("x"))[0].note == reading
    with pytest.raises(DataError, match=f"holds {re.escape(reading)}: give all of them one, or use task="):
        read_target(numbers.rename("x"))
    assert read_target(pd.Series(words * 9, name="x"), "classification").values.tolist() == words * 9


@pytest.mark.parametrize(
    ("words", "kind", "values"),
    [
        (["$5", "USD 6", "7 US$", "$8 USD"], "number", [5, 6, 7, 8]),
        (["€5", "6 EUR"], "number", [5, 6]),
        (["A$5", "AUD 6"], "number", [5, 6]),
        (["5‰", "7 ‰"], "number", [5, 7]),
        (["٣٫٥", "٤"], "number", [3.5, 4]),
        (["１２", "３．５"], "number", [12, 3.5]),
        (["1.2e3", "5"], "number", [1200, 5]),
        (["5 kg", "6.5KG", "7 kgs"], "number", [5, 6.5, 7]),
        (["1,200 m²", "90 sqm", "3 m2"], "number", [1200, 90, 3]),
        (["23.4 kmpl", "18 km/l"], "number", [23.4, 18]),
        (["1 day", "3 days"], "number", [1, 3]),
        (["5 Ft", "7 HUF"], "number", [5, 7]),
        (["5 m", "7.5m"], "number", [5, 7.5]),
        (["1.5k", "900", "2 K", "3M"], "number", [1500, 900, 2000, 3e6]),
        (["€110.5M", "€565K", "€0"], "number", [110.5e6, 565e3, 0]),
        (["1,5 Mio €", "2 Mrd €"], "number", [1.5e6, 2e9]),
        (["1_234", "1_234_567.5"], "number", [1234, 1234567.5]),
        (['="5"', '="7.5"'], "number", [5, 7.5]),
        (["2023年02月05日", "2023年3月6日"], "date", ["2023-02-05", "2023-03-06"]),
        (["2023. 2. 5.", "2023. 12. 31."], "date", ["2023-02-05", "2023-12-31"]),
        (["9. 5. 2021", "31. 12. 2021"], "date", ["2021-05-09", "2021-12-31"]),
        (["Feb 2023", "March 2023"], "date", ["2023-02-01", "2023-03-01"]),
        (["2023-02", "2023-11"], "date", ["2023-02-01", "2023-11-01"]),
        (["02/2023", "11/2023"], "date", ["2023-02-01", "2023-11-01"]),
        (["20230505T000000Z", "20230506T120000Z"], "date", ["2023-05-05", "2023-05-06 12:00"]),
        (["5-May-2021", "6-Jun-2021"], "date", ["2021-05-05", "2021-06-06"]),
        (["May 5th, 2021", "June 1st, 2021"], "date", ["2021-05-05", "2021-06-01"]),
        (["Fri, 5 May 2021", "Sat, 6 May 2021"], "date", ["2021-05-05", "2021-05-06"]),
        (
            ["Fri, 05 May 2023 10:30:00 +0000", "6 May 2023 11:00 GMT"],
            "date",
            ["2023-05-05 10:30", "2023-05-06 11:00"],
        ),
        (["05/May/2023:10:30:00 +0000", "06/May/2023"], "date", ["2023-05-05 10:30", "2023-05-06"]),
        (
            ["2023-05-05 10:30:00 UTC", "2023-05-06 11:00:00 UTC"],
            "date",
            ["2023-05-05 10:30", "2023-05-06 11:00"],
        ),
        (["2021-W01", "2020W53"], "date", ["2021-01-04", "2020-12-28"]),
        (["Q1 2023", "Q3 2023"], "date", ["2023-01-01", "2023-07-01"]),
        (["2023Q1", "2023-Q4"], "date", ["2023-01-01", "2023-10-01"]),
        (["5,-", "6,–", "€ 7,50"], "number", [5, 6, 7.5]),
        (["Rs 1,200/-", "Rs. 5/-"], "number", [1200, 5]),
        (["1'234.–", "- 5.50", "5-"], "number", [1234, -5.5, -5]),
        (["$-5", "-$6", "($7)"], "number", [-5, -6, -7]),
        (["£1.2m", "3.5 million £", "£300k"], "number", [1.2e6, 3.5e6, 3e5]),
        (["1,200円", "80円"], "number", [1200, 80]),
        (["5 руб.", "7 RUB"], "number", [5, 7]),
        (["5 pct", "6 percent", "7%"], "number", [5, 6, 7]),
        (["१२", "३"], "number", [12, 3]),
        (
            ["1h 30m", "45 min", "2 hours and 5 secs", "PT1H", "2h05"],
            "number",
            [5400, 2700, 7205, 3600, 7500],
        ),
        (["12:30 AM", "1:45 p.m.", "12:00:30 PM"], "number", [1800, 49500, 43230]),
        (["36:15:00", "120:00:00.5"], "number", [130500, 432000.5]),
        (["Jan-21", "Dec’20", "SEP07"], "date", ["2021-01-01", "2020-12-01", "2007-09-01"]),
        (["2021-Jan", "2020 December"], "date", ["2021-01-01", "2020-12-01"]),
        (["1990M01", "2020m12"], "date", ["1990-01-01", "2020-12-01"]),
        (["25NOV2019:10:30:00", "01JAN2020"], "date", ["2019-11-25 10:30", "2020-01-01"]),
        (["2019-Nov-25", "2020 Jan 1"], "date", ["2019-11-25", "2020-01-01"]),
        (["Nov-25-2019", "Jan 1 2020"], "date", ["2019-11-25", "2020-01-01"]),
        (
            ["Mon Nov 25 10:30:00 2019", "Jan  1 09:00:00 UTC 2020"],
            "date",
            ["2019-11-25 10:30", "2020-01-01 9:00"],
        ),
        (
            ["25. März 2019", "1er août 2020", "3 de enero de 2021"],
            "date",
            ["2019-03-25", "2020-08-01", "2021-01-03"],
        ),
        (["25 11 2019", "01 02 2020"], "date", ["2019-11-25", "2020-02-01"]),
        (["31.12.2019 10.30", "01.02.2020, 9:05 Uhr"], "date", ["2019-12-31 10:30", "2020-02-01 9:05"]),
        (["2019-11-25 10:30:00,500", "2020-01-01"], "date", ["2019-11-25 10:30:00.5", "2020-01-01"]),
        (["2020-W53-5", "2021W011"], "date", ["2021-01-01", "2021-01-04"]),
    ],
)
def test_numbers_and_dates_as_people_write_them(words, kind, values, tmp_path):
    frame = pd.DataFrame({"x": words * 6, "y": np.arange(6 * len(words)) % 2})
    frame.to_csv(tmp_path / "t.csv", index=False)
    for source in (frame, (tmp_path / "t.csv",)):
        table = load_training_table(source, TrainOptions(target="y"))
        assert table.columns[0].kind == kind
        read = cast_column(table.frame["x"], kind, table.columns[0].spelling)[: len(words)]
        assert read.tolist() == (values if kind == "number" else [*map(pd.Timestamp, values)])


def test_a_number_that_begins_with_0_has_no_thousands():
    words = pd.DataFrame({"x": ["0,125", "0,250", "1,500"] * 9})
    assert infer_schema(words)[0].note == "0.125 to 1.5"


def test_the_digit_of_a_unit_separates_no_thousands():
    (column,) = infer_schema(pd.DataFrame({"x": ["1,200 m2", "90 m2"] * 9}))
    assert column.reading.startswith("',' between thousands, in m")


def test_codes_that_begin_like_a_month_of_another_language_are_words():
    frame = pd.DataFrame({"x": ["set01", "out12"] * 9, "z": ["mag-01", "dic-31"] * 9})
    assert [column.kind for column in infer_schema(frame)] == ["category", "category"]


def test_dates_that_may_begin_with_day_or_month_are_asked_for():
    words = pd.DataFrame({"when": ["03/04/2020", "05/06/2020"] * 9})
    with pytest.raises(DataError, match=r"column 'when'.* when=date:dayfirst or when=date:monthfirst"):
        infer_schema(words)


def spelled_table(rows=300):
    rng = np.random.default_rng(0)
    dates = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 700, rows), "D")
    return pd.DataFrame(
        {
            "price": [NUMBERS["euros"](x) for x in rng.normal(0, 1e6, rows).round(2)],
            "share": [NUMBERS["percent"](x) for x in rng.normal(0, 9, rows).round(2)],
            "when": dates.strftime("%d.%m.%Y"),
            "word": rng.choice([" Café", "the  bar", "NA", "club "], rows),
            "whole": rng.integers(0, 10**6, rows).astype(str),
        }
    )


def test_every_source_gives_the_same_features(tmp_path):
    table = spelled_table()
    table.to_csv(tmp_path / "t.csv", index=False)
    decomposed = table.assign(word=table["word"].str.normalize("NFD"))
    arrow = pa.Table.from_pandas(decomposed)
    pa.parquet.write_table(arrow, tmp_path / "t.parquet")
    large = arrow.cast(pa.schema([(name, pa.large_string()) for name in table]))
    pa.parquet.write_table(large, tmp_path / "large.parquet")
    frames = [
        read_table(tmp_path / "t.csv", text=list(table)),
        read_table(tmp_path / "t.csv"),
        read_table(tmp_path / "t.parquet"),
        read_table(tmp_path / "large.parquet"),
        table.astype("string"),
        table.astype(object),
    ]
    columns = infer_schema(frames[0])
    assert [column.kind for column in columns] == ["number", "number", "date", "category", "number"]
    encoder = make_preprocessor(columns, len(table)).fit(frames[0])
    wanted = encoder.transform(frames[0])
    for frame in frames[1:]:
        assert infer_schema(frame) == columns
        assert np.array_equal(encoder.transform(frame), wanted)


@pytest.mark.parametrize("rows", [7, 90])
def test_blocks_of_any_size_give_the_same_columns(rows):
    table = spelled_table(90).assign(y=np.arange(90.0) % 3)
    table.loc[[2, 50], "price"] = "-"
    whole = infer_schema(table.drop(columns="y"))
    learned = fit_streaming((table[i : i + rows] for i in range(0, 90, rows)), target="y")
    assert [(c.name, c.kind, c.missing, c.spelling, c.reading) for c in learned.columns] == [
        (c.name, c.kind, c.missing, c.spelling, c.reading) for c in whole
    ]
    wanted = make_preprocessor(whole, 90).fit(table).transform(table)
    assert np.allclose(learned.encoder.transform(table), wanted, atol=1e-6)


def test_a_spelling_that_changes_is_refused_in_prediction():
    encoder = make_preprocessor(infer_schema(spelled_table()), 300).fit(spelled_table())
    with pytest.raises(DataError, match=r"'1,234.5' in row 2, where a number like 1.234,5 is expected"):
        encoder.transform(spelled_table(3).assign(price=["1,5", "1,234.5", "2"]))
    with pytest.raises(DataError, match=r"'12/31/2020' in row 1, where a date like 29/02/2020 is expected"):
        encoder.transform(spelled_table(3).assign(when="12/31/2020"))
    with pytest.raises(DataError, match=r"column 'price' holds 2020-01-01 .* in row 1, where a number is"):
        encoder.transform(spelled_table(3).assign(price=pd.Timestamp("2020-01-01")))


UNITS = {
    "none": (["0.05", "0.5"], "numbers without a unit"),
    "percent": (["5%", "50 %"], "numbers in %"),
    "dollar": (["$5", "$1,200"], r"numbers in \$"),
    "euro": (["5 €", "€6"], "numbers in €"),
}


@pytest.mark.parametrize("trained", UNITS)
def test_another_unit_than_in_training_is_refused(trained):
    words, expected = UNITS[trained]
    frame = pd.DataFrame({"rate": words * 9})
    caster = make_preprocessor(infer_schema(frame), 18)["columns"]
    assert caster.transform(pd.DataFrame({"rate": words})).notna().all().all()
    assert caster.transform(pd.DataFrame({"rate": [0.5, None]}))["rate"][0] == 0.5  # typed: as it is
    learned = fit_streaming((frame.assign(y=range(18))[i : i + 5] for i in range(0, 18, 5)), target="y")
    for new in UNITS.keys() - {trained}:
        other = pd.DataFrame({"rate": [words[0], UNITS[new][0][0]]})
        for known in (caster, learned.encoder):
            with pytest.raises(DataError, match=f"'rate' holds .* in row 2, where {expected} are expected"):
                known.transform(other)


@pytest.mark.parametrize("where", ["predict", "test"])
@pytest.mark.parametrize(("trained", "new"), [("0.05", "5%"), ("5%", "0.05")])
def test_a_file_with_another_unit_is_refused(tmp_path, where, trained, new):
    data, other = tmp_path / "t.csv", tmp_path / "new.csv"
    for path, rate in ((data, trained), (other, new)):
        rows = "".join(f"{rate.replace('5', str(i % 8 + 1))},{i % 2}\n" for i in range(40))
        path.write_text(f"rate,y\n{rows}")
    train = partial(train_table, data, target="y", epochs=1)
    use = partial(train, test=other) if where == "test" else partial(train().predict, other)
    with pytest.raises(DataError, match=r"column 'rate' holds .* in row 1, where numbers (without|in %)"):
        use()


def test_numbers_some_of_which_have_a_currency_are_told():
    (column,) = infer_schema(pd.DataFrame({"x": ["$1", "2", "$3"] * 9}))
    assert (column.kind, column.spelling, column.reading) == ("number", "point $?", "some in $")
    words = pd.Series(["$1", "2", "€3"], name="x")
    assert cast_column(words[:2], "number", column.spelling).tolist() == [1, 2]
    with pytest.raises(DataError, match=r"'€3' in row 3, where numbers in \$ or without a unit are"):
        cast_column(words, "number", column.spelling)


@pytest.mark.parametrize("words", [["US$ 1,200", "US$1,300"], ["Rs. 1,200", "Rs.1,300", "Rs 1,200"]])
def test_units_of_several_signs_are_units(words):
    (column,) = infer_schema(pd.DataFrame({"x": words * 9}))
    assert column.note == "1200 to 1300"
    assert cast_column(pd.Series(words), "number", column.spelling).tolist()[:2] == [1200, 1300]


def test_a_plain_number_says_how_it_is_read():
    seconds = pd.Series(["10:30", "90", "$5"], name="x")
    assert cast_column(seconds[:2], "number", "seconds").tolist() == [37800, 90]
    with pytest.raises(DataError, match=r"'\$5' in row 3, where a time like 10:30 is expected"):
        cast_column(seconds, "number", "seconds")
    with pytest.raises(DataError, match=r"'1,5' in row 1, where a number like 1,234\.5 is expected"):
        cast_column(pd.Series(["1,5"], name="x"), "number")


NAIVE, ZONED = ["2020-01-01 10:00", "2020-03-02"], ["2020-01-01 10:00+05:00", "2020-03-02T10:00Z"]


@pytest.mark.parametrize("rows", [1, 20])
def test_dates_some_of_which_have_a_zone_are_refused(rows):
    frame = pd.DataFrame({"when": [*NAIVE * 5, *ZONED * 5], "y": range(20)})
    with pytest.raises(DataError, match="in the column 'when' 10 of 20 dates have a time zone: give all"):
        fit_streaming((frame[i : i + rows] for i in range(0, 20, rows)), target="y")
    typed = frame.assign(when=frame["when"].map(pd.Timestamp).astype(object))
    for table in (frame, typed):
        with pytest.raises(DataError, match="in the column 'when' 10 of 20 dates have a time zone: give all"):
            infer_schema(table)


@pytest.mark.parametrize("typed", [[], ["trained"], ["new"], ["trained", "new"]])
@pytest.mark.parametrize("zoned", [False, True])
def test_another_zone_than_in_training_is_refused(typed, zoned):
    def table(words, role, count):
        column = pd.Series(words * count)
        dates = pd.to_datetime(column, format="ISO8601", utc=words is ZONED)
        return pd.DataFrame({"when": dates if role in typed else column})

    same, other = (ZONED, NAIVE) if zoned else (NAIVE, ZONED)
    frame = table(same, "trained", 9)
    caster = make_preprocessor(infer_schema(frame), 18)["columns"]
    learned = fit_streaming((frame.assign(y=range(18))[i : i + 5] for i in range(0, 18, 5)), target="y")
    assert learned.encoder["columns"].spellings == caster.spellings == ({"when": "iso zone"} if zoned else {})
    assert caster.transform(table(same, "new", 1)).notna().all().all()
    expected = f"dates with{'' if zoned else 'out'} a time zone are expected"
    with pytest.raises(DataError, match=f"column 'when' holds .* in row 1, where {expected}"):
        caster.transform(table(other, "new", 1))


def test_a_model_of_dates_with_a_zone_is_saved(tmp_path):
    days = pd.date_range("2020-01-01", periods=40, tz="Asia/Tokyo")
    table = pd.DataFrame({"when": days, "rate": [f"{i % 9}%" for i in range(40)], "y": np.arange(40) % 2})
    table.to_csv(tmp_path / "t.csv", index=False)
    for source in (table, tmp_path / "t.csv"):
        model = train_table(source, target="y", epochs=1)
        model.save(tmp_path / "model")
        answers = load_model(tmp_path / "model").predict(source)
        assert answers["y"].tolist() == model.predict(source)["y"].tolist()
        shutil.rmtree(tmp_path / "model")


@pytest.fixture(scope="module")
def model():
    table = pd.DataFrame({"home": ["hut", "flat"] * 40, "rooms": [1.0, 2.0, 3.0, 4.0] * 20})
    return train_table(table, target="rooms", epochs=1), table


def test_values_not_seen_in_training_are_told(model):
    trained, table = model
    new = table.assign(home=["castle"] * 3 + ["hut"] * 77)
    with pytest.warns(UnseenValueWarning, match=r"home: 3 of 80 rows hold values not seen .* \(castle\)"):
        trained.predict(new)
    with pytest.warns(UnseenValueWarning, match=r"home: 1 of 80 .* \(missing\)$"):
        trained.predict(table.assign(home=[None, *table["home"][1:]]))
    trained.predict(table.assign(home=table["home"] + " "))  # no warning, which would be an error


@pytest.mark.parametrize(("name", "index"), [("t.csv", "Unnamed: 0"), ("t.parquet", "__index_level_0__")])
def test_an_index_that_pandas_wrote_stays_beside_the_answers(tmp_path, name, index):
    table = pd.DataFrame({"x": [1.5, 2.5] * 20, "y": ["a", "b"] * 20}).sample(frac=1, random_state=0)
    table.to_csv(tmp_path / "t.csv")
    table.to_parquet(tmp_path / "t.parquet")
    columns = infer_schema(read_table(tmp_path / name).drop(columns="y"))
    assert [column.note for column in columns if column.kind == "left out"] == ["the index of the rows"]
    answers = train_table(tmp_path / name, target="y", epochs=1).predict(tmp_path / name)
    assert list(answers) == [index, "y"]
    assert answers[index].tolist() == table.index.tolist()


def test_sentences_are_not_taken_for_an_id():
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(["a", "fine", "old", "red", "house"], 12)) for _ in range(50)]
    (column,) = infer_schema(pd.DataFrame({"text": texts}))
    assert column.note == "sentences, 12 words on average"


def test_types_overrule_what_columns_look_like():
    frame = pd.DataFrame(
        {
            "zip": [1234, 4321] * 20,
            "code": ["007", "012"] * 20,
            "day": ["03/04/2020", "05/06/2020"] * 20,
            "sold": [20191125, 20200229] * 20,
            "price": ["1.234", "2.345"] * 20,
            "id": [f"a{i}" for i in range(40)],
        }
    )
    types = {
        "zip": "text",
        "code": "number",
        "day": "date:monthfirst",
        "sold": "date",
        "price": "number:comma",
        "id": "text",
    }
    columns = infer_schema(frame, types)
    kinds = {column.name: (column.kind, column.spelling) for column in columns}
    assert kinds == {
        "zip": ("category", ""),
        "code": ("number", ""),
        "day": ("date", "monthfirst"),
        "sold": ("date", "digits"),
        "price": ("number", "comma"),
        "id": ("category", ""),
    }
    read = make_preprocessor(columns, 40)["columns"].transform(frame)
    assert read["price"].tolist()[:2] == [1234, 2345]
    assert read["day"].dt.month.tolist()[:2] == [3, 5]
    assert read["sold"].tolist()[:2] == [pd.Timestamp("2019-11-25"), pd.Timestamp("2020-02-29")]
    assert read["zip"].tolist()[:2] == ["1234", "4321"]
    blocks = (frame.assign(y=range(40))[i : i + 7] for i in range(0, 40, 7))
    learned = fit_streaming(blocks, target="y", types=types)
    assert [(c.kind, c.spelling, c.note) for c in learned.columns] == [
        (c.kind, c.spelling, c.note) for c in columns
    ]


@pytest.mark.parametrize(
    ("type_", "values", "odd"),
    [
        ("number", ["1", "x", "y"], "x"),
        ("date", ["2020-02-29", "x", "y"], "x"),
        ("date:dayfirst", ["29/02/2020", "02/29/2020"], "02/29/2020"),
        ("date", [20200229, 20191331], "20191331"),
        ("date", [20200229, 9991231], "9991231"),
    ],
)
def test_a_column_that_is_not_of_its_type_is_refused(type_, values, odd):
    frame = pd.DataFrame({"a": values * 9, "y": 0})
    refusal = pytest.raises(DataError, match=f"column 'a' holds '{odd}', and .* read as {type_}: correct")
    with refusal:
        infer_schema(frame[["a"]], {"a": type_})
    with refusal:
        fit_streaming([frame[:1], frame[1:]], target="y", types={"a": type_})


@pytest.mark.parametrize("stored", ["point stone", "point €€", "seconds %", "dayfirst zone", "iso zone", "?"])
def test_a_model_with_a_unit_that_no_number_has_is_refused(model, stored):
    pipeline = deepcopy(model[0].pipeline)
    pipeline["columns"].kinds = {"home": "number"}
    for sound in ("point €", "comma %", "point ‰", "point km/h", "point US$?", "seconds", "point"):
        pipeline["columns"].spellings = {"home": sound}
        with pytest.raises(Exception, match=r"^(?!.*not spelled as its kind)"):
            validate_model(pipeline)  # its features are of words
    pipeline["columns"].spellings = {"home": stored}
    with pytest.raises(ValueError, match="not spelled as its kind"):
        validate_model(pipeline)


GAPS = {
    "dollars": (["$-999.00", "$5.50", "$7"], ["-999"], [5.5, 7]),
    "plain": (["-999.00", "5.5", "7"], ["-999"], [5.5, 7]),
    "decimal comma": (["-999,0", "5,5", "7"], ["-999"], [5.5, 7]),
    "minus sign": (["−999.0", "5.5", "7"], ["-999"], [5.5, 7]),
    "percent": (["-999.0", "5.5%", "7%"], ["-999"], [5.5, 7]),
    "nothing": (["$0", "$5.5", "$7"], ["0"], [5.5, 7]),
}


@pytest.mark.parametrize("parts", [False, True], ids=["at once", "in parts"])
@pytest.mark.parametrize("case", GAPS)
def test_numbers_that_mean_missing_do_in_each_spelling(case, parts):
    words, missing, numbers = GAPS[case]
    frame = pd.DataFrame({"x": words * 20, "y": ["a", "b"] * 30})
    typed = frame.assign(x=[np.nan, *numbers] * 20)

    def learn(rows):
        """Return the schema of the numbers, and the fitted encoder."""
        if parts:
            blocks = (rows.iloc[i : i + 25] for i in range(0, 60, 25))
            learned = fit_streaming(blocks, target="y", missing=missing)
            return learned.columns[0], learned.encoder
        column = infer_schema(rows[["x"]], rules=TextRules.of(missing))[0]
        return column, make_preprocessor([column], 60, missing=missing).fit(rows)

    learned, encoders = zip(*map(learn, (frame, typed)), strict=True)
    assert [(column.kind, column.note, column.missing) for column in learned] == [
        ("number", "5.5 to 7", 20)
    ] * 2
    assert np.array_equal(encoders[0].transform(frame), encoders[1].transform(typed))


@pytest.mark.parametrize(
    ("where", "parts"),
    [("csv", False), ("csv", True), ("parquet", True), ("frame", False)],
)
def test_targets_that_are_numbers_that_mean_missing_are_skipped(where, parts, tmp_path):
    frame = pd.DataFrame({"x": range(60), "y": ["$-999.00", *(f"${n}.50" for n in range(1, 60))]})
    options = make_options(target="y", missing=("-999",), on_bad_row="skip", max_skipped=0.1)
    file = tmp_path / f"t.{where}"
    frame.to_csv(file, index=False) if where == "csv" else frame.to_parquet(file, index=False)
    if parts:
        with scan_table((file,), options, 10**9, Observer()) as (table, _):
            assert (len(table.skipped), table.n_rows) == (1, 59)
        return
    whole = load_training_table(frame if where == "frame" else (file,), options)
    assert (len(whole.skipped), whole.target.values.min()) == (1, 1.5)
