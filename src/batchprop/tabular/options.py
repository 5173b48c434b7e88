"""The options of a training: one table of names, types, defaults, bounds and help.

``train_table`` takes them as keywords, the commands make their command-line options from them, the report and
settings.json list them. Nothing here imports pandas or scikit-learn, so ``batchprop train --help`` is quick.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from numbers import Integral, Real
from os import PathLike
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    NamedTuple,
    TypeAlias,
    get_args,
    get_origin,
    get_type_hints,
)

from batchprop.data.database_urls import redact_url
from batchprop.data.names import normalize_name
from batchprop.data.separators import check_separator
from batchprop.engines.auto import Workload, choose_engine
from batchprop.errors import DataError, ParameterError, unknown_option_error
from batchprop.tabular.presets import DEFAULT_PRESET, PRESETS, PresetName, choose_preset

if TYPE_CHECKING:
    from batchprop.data.text_rules import TextRules
    from batchprop.tabular.target import Target, Task

_NO_WORK = Workload((1, 1), rows=0, batch_size=1, epochs=0)

Activation: TypeAlias = Literal[
    "identity", "sigmoid", "logistic", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "silu",
    "mish", "softplus",
]  # fmt: skip
Solver: TypeAlias = Literal["sgd", "adam", "adamw", "lbfgs"]
Schedule: TypeAlias = Literal["constant", "invscaling", "adaptive", "cosine", "warmup_cosine", "one_cycle"]
Engine: TypeAlias = Literal["auto", "numpy", "jax"]
Precision: TypeAlias = Literal["float32", "tensorfloat32", "bfloat16"]
Loss: TypeAlias = Literal["squared_error", "absolute_error", "huber", "quantile", "poisson"]
TaskOption: TypeAlias = Literal["auto", "classification", "regression"]
DecimalSign: TypeAlias = Literal[".", ","]
OnBadRow: TypeAlias = Literal["error", "skip"]
OnDivergence: TypeAlias = Literal["error", "rewind"]
BatchSize: TypeAlias = int | Literal["auto", "full"]

TABLE, NETWORK, TRAINING = "The table", "The network", "The training"
MACHINE, FILES = "The machine", "The files"

TEST_FRACTION = 0.2
"""The default share of the rows for the test."""

COLUMN_TYPES = ("number", "number:comma", "text", "date", "date:dayfirst", "date:monthfirst")
"""What a column can be said to hold; "number:comma" has its decimals behind a comma, as 1.234,50."""

DIGITS = {"label_smoothing": 0.1, "bins": 0}
"""What the digits have where it is not given: smoothing gains 1% accuracy, where a table may need calibrated
probabilities more; and a pixel is no number in which a network needs thresholds."""


class Option(NamedTuple):
    """The help, bounds and parser of an option; its field has the name, type and default.

    Attributes:
        help: a sentence or two.
        panel: its heading in the help.
        metavar: the placeholder of its value.
        low: the smallest number allowed.
        high: the largest number allowed.
        default: the default in words, if the value does not show it.
        parse: parses the text of the command line; None if the type does.
        parameter: the estimator's constructor parameter that it becomes.
        task: the only task that has it.
        several: whether the command line takes it several times.
    """

    help: str
    panel: str
    metavar: str | None = None
    low: float | None = None
    high: float | None = None
    default: str | None = None
    parse: Callable[[str], Any] | None = None
    parameter: str | None = None
    task: Literal["classification", "regression"] | None = None
    several: bool = False


_SECONDS = {"s": 1, "min": 60, "h": 3600}


def _one_of(names: object) -> str:
    return ", ".join(get_args(names))


def parse_hidden(text: str) -> tuple[int, ...]:
    """Read the widths of the hidden layers; "none" means no hidden layer.

    >>> parse_hidden("256,128")
    (256, 128)
    """
    if text.strip().lower() == "none":
        return ()
    widths = [part.strip() for part in text.split(",")]
    if not all(width.isdecimal() and int(width) > 0 for width in widths):
        raise ParameterError(f"hidden={text!r} is not a list of widths: write 128, or 256,128, or none")
    return tuple(map(int, widths))


def parse_batch_size(text: str) -> BatchSize:
    """Read a number of rows, "auto" or "full".

    >>> parse_batch_size("64"), parse_batch_size("full")
    (64, 'full')
    """
    if text == "auto":
        return "auto"
    if text == "full":
        return "full"
    if not text.isdecimal() or int(text) == 0:
        raise ParameterError(f"batch_size={text!r} is not allowed: give a number of rows, auto, or full")
    return int(text)


def parse_interval(text: str) -> str | int:
    """Read how often to save: a time, or a number of epochs.

    >>> parse_interval("5min"), parse_interval("10")
    ('5min', 10)
    """
    if text.isdecimal() and int(text) > 0:
        return int(text)
    if not re.fullmatch(r"\d+(\.\d+)?\s*(s|min|h)", text.strip()):
        raise ParameterError(
            f"checkpoint_every={text!r} is not allowed: give a time, as 5min or 2h, or a number of epochs"
        )
    return text.strip()


def parse_seconds(text: str) -> float:
    """Read a time in seconds.

    >>> parse_seconds("60"), parse_seconds("1.5min")
    (60.0, 90.0)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|h)?", text.strip())
    seconds = 0.0 if match is None else float(match[1]) * _SECONDS[match[2] or "s"]
    if not 0 < seconds < math.inf:
        raise ParameterError(
            f"time_limit={text!r} is not allowed: give seconds, or a time, as 30s, 5min or 2h"
        )
    return seconds


def parse_names(text: str) -> tuple[str, ...]:
    """Read the names of columns, separated by commas; a name that holds a comma is quoted.

    >>> parse_names('age, "last, first"')
    ('age', 'last, first')
    """
    try:
        return tuple(next(csv.reader([text], skipinitialspace=True, strict=True), ()))
    except csv.Error as error:
        raise ParameterError(f"{text!r} is not a list of columns ({error}): write age,height") from error


def read_types(value: Any) -> tuple[str, ...]:
    """Return the types of columns as texts ``NAME=TYPE``, from such texts or from a mapping.

    Raises:
        ParameterError: they are not such types.

    >>> read_types("zip=text, when=date:dayfirst"), read_types({"zip": "text"})
    (('zip=text', 'when=date:dayfirst'), ('zip=text',))
    """
    if isinstance(value, Mapping):
        value = [f"{name}={kind}" for name, kind in value.items()]
    types = read_names("type", value)
    for each in types:
        if "=" not in each or each.rpartition("=")[2] not in COLUMN_TYPES:
            raise ParameterError(
                f"type={each!r} is not allowed: write zip=text, or another of {', '.join(COLUMN_TYPES)}"
            )
    check_names("type", [each.rpartition("=")[0] for each in types])
    return types


def check_names(option: str, names: Sequence[str]) -> None:
    """Check that an option names columns, each once.

    Raises:
        ParameterError: it names none, or one twice.

    >>> check_names("drop", ("id", "id"))
    Traceback (most recent call last):
    batchprop.errors.ParameterError: `drop` names 'id' twice: name each column once
    """
    if not names or "" in names:
        raise ParameterError(f"`{option}` holds an empty name: name a column, or leave it out")
    for i, name in enumerate(names):
        if name in names[:i]:
            raise ParameterError(f"`{option}` names {name!r} twice: name each column once")


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The options of one training; each is one of ``batchprop train``, with dashes for underscores."""

    target: Annotated[
        str | None, Option("The column to predict; needed with DATA.", TABLE, metavar="COLUMN")
    ] = None
    sql: Annotated[
        str | None,
        Option(
            "A query in place of DATA, as \"SELECT * FROM 'data/*.parquet' WHERE price > 0\": one SELECT "
            "over CSV, Parquet and JSON files, or in --database.",
            TABLE,
            metavar="QUERY",
            default="DATA",
        ),
    ] = None
    database: Annotated[
        str | None,
        Option(
            "The database in which --sql is run: sqlite:///flowers.db, or postgresql://user@host/database.",
            TABLE,
            metavar="URL",
            default="files",
        ),
    ] = None
    sheet: Annotated[
        str | None,
        Option("The sheet of workbooks to read.", TABLE, metavar="NAME", default="the first"),
    ] = None
    task: Annotated[
        TaskOption,
        Option("Whether to predict classes or numbers; auto decides by the target's values.", TABLE),
    ] = "auto"
    weights: Annotated[
        str | None,
        Option(
            "A column that says how much each row counts, in training, validation and test scores; a row "
            "of 0 is as if absent.",
            TABLE,
            metavar="COLUMN",
        ),
    ] = None
    drop: Annotated[
        tuple[str, ...] | None,
        Option(
            "Columns that are not used, as id,name; quote a name that holds a comma.",
            TABLE,
            metavar="NAMES",
            default="none",
            parse=parse_names,
        ),
    ] = None
    columns: Annotated[
        tuple[str, ...] | None,
        Option(
            "The only columns to predict from, as age,height.",
            TABLE,
            metavar="NAMES",
            default="all",
            parse=parse_names,
        ),
    ] = None
    type: Annotated[
        tuple[str, ...] | None,
        Option(
            "What columns hold, whatever they look like, as zip=text,price=number,when=date:dayfirst: "
            f"{', '.join(COLUMN_TYPES)}.",
            TABLE,
            metavar="TYPES",
            default="as they look",
            parse=parse_names,
        ),
    ] = None
    separator: Annotated[
        str | None,
        Option(
            "What separates the fields of CSV files, as ';' or tab.",
            TABLE,
            metavar="CHARACTER",
            default="what parts the names in the first line",
        ),
    ] = None
    missing: Annotated[
        tuple[str, ...] | None,
        Option(
            "The words and numbers that mean that a value is missing, as NA,-,-999, in place of the usual "
            "ones; an empty field always does. They hold for predict, too.",
            TABLE,
            metavar="WORDS",
            default="NA, ?, null and the like; among numbers also - and None",
            parse=parse_names,
        ),
    ] = None
    decimal: Annotated[
        DecimalSign | None,
        Option(
            "The sign before the decimals of numbers in text: with a comma 1.234 is 1234 and 1,5 is 1.5, "
            "with a point they are 1.234 and a word. It holds for predict, too.",
            TABLE,
            metavar="SIGN",
            default="for each column as its words tell; the point if both are possible",
        ),
    ] = None
    test_fraction: Annotated[
        float | None,
        Option(
            "The share of rows kept for the test.",
            TABLE,
            metavar="SHARE",
            low=0.01,
            high=0.9,
            default=str(TEST_FRACTION),
        ),
    ] = None
    test: Annotated[
        Any,
        Option(
            "A file, a folder or a quoted pattern with the test rows; may be given several times. "
            "No row of DATA is then kept for the test.",
            TABLE,
            metavar="FILE",
            default="rows of DATA",
            several=True,
        ),
    ] = field(default=None, compare=False)
    group: Annotated[
        str | None,
        Option(
            "A column whose equal values stay together: no group is on both sides of a split. "
            "It is not used to predict.",
            TABLE,
            metavar="COLUMN",
        ),
    ] = None
    time: Annotated[
        str | None,
        Option(
            "A column of dates or numbers: the latest rows are the test, the latest of the others "
            "validate. It is used to predict as well; --drop leaves it out.",
            TABLE,
            metavar="COLUMN",
        ),
    ] = None
    folds: Annotated[
        int | None,
        Option(
            "Also train and test on this many folds of the rows, and show the mean score and its "
            "standard deviation; by --group whole groups, by --time each fold after those it learns from.",
            TABLE,
            metavar="NUMBER",
            low=2,
            high=100,
            default="no cross-validation",
        ),
    ] = None
    memory: Annotated[
        str | int | None,
        Option(
            "The memory that training may take, as 4GB; a larger table is read in parts in every epoch.",
            TABLE,
            metavar="AMOUNT",
            default="a quarter of the free memory",
            parse=str,
        ),
    ] = None
    on_bad_row: Annotated[
        OnBadRow,
        Option(
            "What to do with a row that does not parse, or has no target; skip lists them in a file.", TABLE
        ),
    ] = "error"
    max_skipped: Annotated[
        float,
        Option(
            "The greatest share of rows that skip may leave out.", TABLE, metavar="SHARE", low=0.0, high=1.0
        ),
    ] = 0.01
    preset: Annotated[
        PresetName | None,
        Option(
            "How much work: it sets the options whose default is the preset's.",
            NETWORK,
            default=DEFAULT_PRESET,
        ),
    ] = None
    members: Annotated[
        int | None,
        Option(
            "How many networks to train, each with its own seed and its own validation rows; their answers "
            "are averaged.",
            NETWORK,
            metavar="NUMBER",
            low=1,
            high=1000,
        ),
    ] = None
    hidden: Annotated[
        tuple[int, ...],
        Option(
            "Widths of the hidden layers, as 256,128; or none.",
            NETWORK,
            metavar="WIDTHS",
            parse=parse_hidden,
            parameter="hidden_layer_sizes",
        ),
    ] = (128,)
    bins: Annotated[
        int,
        Option(
            "The most bins of a column of numbers: the network is piecewise linear in it, bin by bin; 0 for "
            "none. There are fewer with few rows or very many columns, and none with more than 100,000 rows.",
            NETWORK,
            metavar="NUMBER",
            low=0,
            high=256,
        ),
    ] = 0
    activation: Annotated[
        Activation,
        Option(
            f"Activation of the hidden layers: {_one_of(Activation)}.",
            NETWORK,
            metavar="NAME",
            parameter="activation",
        ),
    ] = "relu"
    loss: Annotated[
        Loss | None,
        Option(
            f"Loss of a regression: {_one_of(Loss)}. Classification has cross-entropy. "
            "Huber's loss is squared up to one standard deviation of the target, absolute beyond.",
            NETWORK,
            metavar="NAME",
            default="squared_error",
            parameter="loss",
            task="regression",
        ),
    ] = None
    quantile: Annotated[
        float | None,
        Option(
            "The quantile that --loss quantile predicts, as 0.9.",
            NETWORK,
            metavar="SHARE",
            low=0.001,
            high=0.999,
            default="0.5, the median",
            parameter="quantile",
            task="regression",
        ),
    ] = None
    solver: Annotated[
        Solver,
        Option(
            "The optimiser; lbfgs takes all rows at once, and no learning rate.", TRAINING, parameter="solver"
        ),
    ] = "adam"
    learning_rate: Annotated[
        float, Option("The step size.", TRAINING, metavar="NUMBER", low=1e-12, parameter="learning_rate_init")
    ] = 0.001
    schedule: Annotated[
        Schedule,
        Option(
            f"Learning-rate schedule: {_one_of(Schedule)}.",
            TRAINING,
            metavar="NAME",
            parameter="learning_rate",
        ),
    ] = "constant"
    batch_size: Annotated[
        BatchSize,
        Option(
            "Rows in a batch: a number, auto (at most 200), or full.",
            TRAINING,
            metavar="ROWS",
            parse=parse_batch_size,
            parameter="batch_size",
        ),
    ] = 32
    epochs: Annotated[
        int,
        Option(
            "At most this many passes over the rows.", TRAINING, metavar="NUMBER", low=1, parameter="max_iter"
        ),
    ] = 200
    patience: Annotated[
        int,
        Option(
            "Stop when more epochs than this pass without a better validation loss; "
            "not with --solver lbfgs, which stops when no step lowers the loss.",
            TRAINING,
            metavar="EPOCHS",
            low=1,
            parameter="n_iter_no_change",
        ),
    ] = 15
    dropout: Annotated[
        float,
        Option(
            "The share of hidden units left out at random.",
            TRAINING,
            metavar="SHARE",
            low=0.0,
            high=0.99,
            parameter="dropout",
        ),
    ] = 0.0
    max_grad_norm: Annotated[
        float | None,
        Option(
            "Clip the gradient of a step to this norm, as 1, if training diverges.",
            TRAINING,
            metavar="NUMBER",
            low=1e-12,
            default="no limit",
            parameter="max_grad_norm",
        ),
    ] = None
    alpha: Annotated[
        float,
        Option("The L2 penalty on the weights.", TRAINING, metavar="NUMBER", low=0.0, parameter="alpha"),
    ] = 1e-4
    class_weight: Annotated[
        Literal["balanced"] | None,
        Option(
            "Weight the classes so that rare ones count as much as frequent ones. "
            "Their probabilities rise: they rank rows, and no longer say how often a class occurs.",
            TRAINING,
            parameter="class_weight",
            task="classification",
        ),
    ] = None
    label_smoothing: Annotated[
        float | None,
        Option(
            "How much of each label is spread over all classes: often better classes, "
            "always less extreme probabilities.",
            TRAINING,
            metavar="SHARE",
            low=0.0,
            high=0.99,
            default="0; for the digits 0.1",
            parameter="label_smoothing",
            task="classification",
        ),
    ] = None
    time_limit: Annotated[
        float | None,
        Option(
            "How long training may take, as 60s or 5min: it ends with the epoch that ends nearest to that, "
            "after the first at the earliest, and the networks so far are the model. Reading the table and "
            "the report come on top.",
            TRAINING,
            metavar="TIME",
            default="no limit",
            parse=parse_seconds,
        ),
    ] = None
    seed: Annotated[
        int,
        Option(
            "Seed of the split, the initial weights and the order of rows.",
            TRAINING,
            metavar="NUMBER",
            low=0,
            high=2**32 - 1,
            parameter="random_state",
        ),
    ] = 0
    record: Annotated[
        bool,
        Option(
            "Record the training dynamics of each row: the report lists the most suspicious ones, and "
            "`batchprop look` shows the training.",
            TRAINING,
        ),
    ] = False
    on_divergence: Annotated[
        OnDivergence,
        Option(
            "What to do if the loss stops being finite: error ends the training, with the best weights if "
            "there are any; rewind returns to the best epoch and halves the learning rate, up to 3 times.",
            TRAINING,
            parameter="on_divergence",
        ),
    ] = "error"
    checkpoint_every: Annotated[
        str | int | None,
        Option(
            "Save the state of the training in OUT.checkpoints at an interval, a time such as 5min, "
            "or a number of epochs such as 10.",
            FILES,
            metavar="TIME",
            default="never",
            parse=parse_interval,
        ),
    ] = None
    resume: Annotated[
        bool,
        Option(
            "Resume from the last checkpoint, if there is one; the model is that of an uninterrupted run.",
            FILES,
        ),
    ] = False
    engine: Annotated[
        Engine,
        Option(
            "What computes: auto uses JAX if it is installed and compiling pays, else NumPy.",
            MACHINE,
            parameter="engine",
        ),
    ] = "auto"
    device: Annotated[
        str | None,
        Option(
            "Where JAX trains: cpu, gpu, tpu.",
            MACHINE,
            metavar="NAME",
            default="JAX's own choice",
            parameter="device",
        ),
    ] = None
    precision: Annotated[
        Precision | None,
        Option(
            f"Precision of matrix products, where the device offers it: {_one_of(Precision)}.",
            MACHINE,
            metavar="NAME",
            default="the device's own",
            parameter="precision",
        ),
    ] = None
    of_preset: tuple[str, ...] = ()
    """The names of the options that the preset set; no option itself."""

    def __post_init__(self) -> None:
        # Names are compared in one Unicode form, that of the tables read.
        for name in _COLUMN_OPTIONS:
            if (value := getattr(self, name)) is not None:
                names = normalize_name(value) if isinstance(value, str) else tuple(map(normalize_name, value))
                object.__setattr__(self, name, names)

    @property
    def given_task(self) -> Task | None:
        """The given task; None if the target's values decide."""
        return None if self.task == "auto" else self.task

    @property
    def column_types(self) -> dict[str, str]:
        """The type given for each column."""
        return {name: kind for name, _, kind in (each.rpartition("=") for each in self.type or ())}

    @property
    def text_columns(self) -> list[str]:
        """The columns to read as text, whatever their words look like: 1.234 may be 1234."""
        return [name for name, kind in self.column_types.items() if kind not in ("number", "date")]

    @property
    def text_rules(self) -> TextRules:
        """How text is read."""
        from batchprop.data.text_rules import TextRules

        return TextRules.of(self.missing, self.decimal)

    @property
    def test_share(self) -> float | None:
        """The share of the rows for the test; None if the test rows are given."""
        if self.test is not None:
            return None
        return TEST_FRACTION if self.test_fraction is None else self.test_fraction

    @property
    def loss_and_quantile(self) -> tuple[str, float]:
        """The loss of a regression, and its quantile."""
        return self.loss or "squared_error", 0.5 if self.quantile is None else self.quantile

    @property
    def n_members(self) -> int:
        """The number of networks, once it is resolved."""
        return self.members or 1

    def for_table(self, n_rows: int, task: Task) -> TrainOptions:
        """Return the options with what the preset sets for a table of so many rows."""
        values = choose_preset(self.preset or DEFAULT_PRESET, n_rows, task)._asdict()
        return replace(self, **{name: values[PRESET_OPTIONS[name]] for name in self.of_preset})

    def resolve_members(self, n_rows: int | None, task: Task | None) -> tuple[TrainOptions, str | None]:
        """Return the options with a number of networks, and a note if it is not the preset's.

        Args:
            n_rows: to train and validate; None for a table that is read in parts.
            task: None where it is not known yet, which is in parts.

        Raises:
            ParameterError: several networks are asked for, and cannot be trained.

        >>> options, note = TrainOptions(record=True).resolve_members(1000, "classification")
        >>> options.members, note
        (1, 'One network is trained, not several: record=True records the training of one.')
        """
        # Read in parts, where the task is not known yet, ``fast`` trains one network for either.
        preset = choose_preset(self.preset or DEFAULT_PRESET, n_rows or 0, task or "classification")
        wanted = self.members or (preset.n_members if n_rows is None else preset.count_members(n_rows))
        options = replace(self, preset=self.preset or DEFAULT_PRESET, members=wanted)
        if n_rows is None:
            reason, remedy = "a table that is read in parts trains one", "give more `memory`"
        elif self.record:
            reason, remedy = "record=True records the training of one", "leave `record` out"
        else:
            return options, None
        if wanted == 1:
            return options, None
        if self.members or self.preset:
            given = f"members={self.members}" if self.members else f"preset={self.preset!r}"
            raise ParameterError(
                f"{given} asks for several networks, and {reason}: add members=1, or {remedy}"
            )
        return replace(options, members=1), f"One network is trained, not several: {reason}."

    def check(self) -> None:
        """Check that the options are compatible.

        Raises:
            ParameterError: two options are incompatible, or one is infinite; the requested engine or device
                is not available.
        """
        for name in ("learning_rate", "alpha", "max_grad_norm"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise ParameterError(f"{name}={value} is not allowed: give a finite number")
        for name in ("dropout", "max_grad_norm"):
            if self.solver == "lbfgs" and getattr(self, name):
                raise ParameterError(
                    f"{name}={getattr(self, name):g} does not go with solver='lbfgs', which needs the same "
                    "loss at every call: leave it out, or use another `solver`"
                )
        if self.record and self.solver == "lbfgs":
            raise ParameterError(
                "record=True does not go with solver='lbfgs', which takes no batches to record rows in: "
                "leave it out, or use another `solver`"
            )
        self._check_checkpoints()
        if self.quantile is not None and self.loss != "quantile":
            raise ParameterError(f"quantile={self.quantile} needs loss='quantile': add it")
        self._check_columns()
        self._check_split()
        # Without a workload to estimate, JAX is chosen only if requested.
        if choose_engine(self.engine, _NO_WORK, device=self.device, precision=self.precision) == "jax":
            from batchprop.engines.devices import get_device, matmul_precision

            matmul_precision(self.precision, get_device(self.device))

    def _check_columns(self) -> None:
        """Check that each column has one role."""
        if self.drop is not None and self.columns is not None:
            raise ParameterError(
                "`drop` does not go with `columns`, which leaves out all others: leave one of them out"
            )
        roles = {name: getattr(self, name) for name in ("target", "weights", "group", "time")}
        used = dict[str, str]()
        for role, column in roles.items():
            if column in used:
                other = "target" if used[column] == "target" else f"column of `{used[column]}`"
                raise ParameterError(f"{role}={column!r} is the {other}: name another column")
            if column is not None:
                used[column] = role
        for name in ("drop", "columns"):
            names = getattr(self, name) or ()
            if getattr(self, name) is not None:
                check_names(name, names)
            # A column of times is a feature like any other.
            barred = ("target", "weights", "group") if name == "columns" else ("target", "weights")
            for role in barred:
                if roles[role] in names:
                    raise ParameterError(
                        f"`{name}` names {roles[role]!r}, which is the {role}: leave it out there"
                    )

    def _check_split(self) -> None:
        if self.test is not None and self.test_fraction is not None:
            raise ParameterError(
                f"test_fraction={self.test_fraction:g} does not go with `test`, which gives the test rows: "
                "leave one of them out"
            )
        if self.group is not None and self.time is not None:
            raise ParameterError(
                f"group={self.group!r} does not go with time={self.time!r}, as the rows of a group may "
                "come from all times: leave one of them out"
            )

    def _check_checkpoints(self) -> None:
        savers = {
            f"checkpoint_every={self.checkpoint_every!r}": self.checkpoint_every is not None,
            "on_divergence='rewind'": self.on_divergence == "rewind",
        }
        unsaved = {"solver='lbfgs'": self.solver == "lbfgs", "record=True": self.record}
        for option, is_set in savers.items():
            for other, other_is_set in unsaved.items():
                if is_set and other_is_set:
                    raise ParameterError(
                        f"{option} does not go with {other}, whose memory is not saved: leave one out"
                    )

    def check_target(self, target: Target) -> None:
        """Check the options that belong to one task.

        Raises:
            ParameterError: an option of the other task is given.
            DataError: numbers below 0, which are not counts.
        """
        for name, option in option_table().items():
            if option.task not in (None, target.task) and getattr(self, name) not in (None, 0.0):
                holds = "numbers" if target.task == "regression" else "classes"
                raise ParameterError(
                    f"{name}={getattr(self, name)!r} is for {option.task}, and the target {target.name!r} "
                    f"holds {holds}: leave it out, or use task={option.task!r}"
                )
        if self.loss == "poisson" and target.values.min() < 0:
            raise DataError(
                f"the target {target.name!r} holds {target.values.min()}, and loss='poisson' is for "
                "counts, 0 or more: correct it, or choose another `loss`"
            )

    def estimator_parameters(self, task: Task) -> dict[str, Any]:
        """Return the options that are parameters of the estimator for a task, by the estimator's names."""
        values = {
            option.parameter: getattr(self, name)
            for name, option in option_table().items()
            if option.parameter is not None and option.task in (None, task)
        }
        if task == "regression":
            return values | dict(zip(("loss", "quantile"), self.loss_and_quantile, strict=True))
        return values | {"label_smoothing": self.label_smoothing or 0.0}


_COLUMN_OPTIONS = ("target", "weights", "group", "time", "drop", "columns", "type")

SOURCE_OPTIONS = ("sql", "database", "sheet")
"""What names a table that is no file, or a part of one."""

FILE_OPTIONS = ("sheet", "separator")
"""How a file is read, whatever its columns hold."""

READING_OPTIONS = ("sheet", "task", "drop", "columns", "type", "separator", "missing", "decimal")
"""Which columns of a table are used, and how they are read."""

_TABLE_OPTIONS = ("group", "time", "test", *(name for name in READING_OPTIONS if name != "task"))
"""Options that need a table of the user's."""

SPLIT_OPTIONS = (
    *SOURCE_OPTIONS,
    "target",
    "weights",
    "drop",
    "columns",
    "type",
    "missing",
    "decimal",
    "test_share",
    "test",
    "group",
    "time",
    "seed",
)
"""What decides which rows train, and on which columns."""


@cache
def option_table() -> dict[str, Option]:
    """Return every option by its Python name."""
    hints = get_type_hints(TrainOptions, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items() if get_origin(hint) is Annotated}


PRESET_OPTIONS = {
    "members": "n_members",
    "bins": "n_bins",
    "hidden": "hidden_layer_sizes",
    "learning_rate": "learning_rate_init",
    "schedule": "learning_rate",
    "batch_size": "batch_size",
    "epochs": "max_iter",
    "patience": "n_iter_no_change",
    "dropout": "dropout",
}
"""The options that a preset sets, with its names for them."""

_OF_BATCHES = ("learning_rate", "schedule", "batch_size", "epochs", "patience", "dropout")


def preset_values(preset: PresetName, solver: Any = None) -> dict[str, Any]:
    """Return what a preset sets for classes, but the number of networks, which depends on the table.

    Args:
        preset: its name.
        solver: the solver; lbfgs has no batches, and what a preset sets of them is left out.

    >>> preset_values("fast", "lbfgs")
    {'bins': 16, 'hidden': (256,)}
    """
    left_out = ("members", *(_OF_BATCHES if solver == "lbfgs" else ()))
    values = PRESETS["classification"][preset]._asdict()
    return {name: values[of] for name, of in PRESET_OPTIONS.items() if name not in left_out}


def _join_or(values: Sequence[str]) -> str:
    *others, last = values
    return f"{', '.join(others)} or {last}" if others else last


def describe_preset(name: str) -> str:
    """Return what the presets set an option to, in words.

    >>> describe_preset("bins"), describe_preset("hidden")
    ("the preset's: 16", "the preset's: 256; for numbers 128,64")
    """
    classes, numbers = (
        list(
            dict.fromkeys(format_text(preset._asdict()[PRESET_OPTIONS[name]]) for preset in presets.values())
        )
        for presets in (PRESETS["classification"], PRESETS["regression"])
    )
    described = f"the preset's: {_join_or(classes)}"
    return described if numbers == classes else f"{described}; for numbers {_join_or(numbers)}"


def make_options(*, digits: bool = False, saves: bool = False, **values: Any) -> TrainOptions:
    """Return the options of a training, all checked.

    Args:
        digits: whether it trains on scikit-learn's digits, which have another default of ``label_smoothing``.
        saves: whether it saves checkpoints, every 5 minutes by default.
        values: options by name; others have their defaults.

    Raises:
        ParameterError: an option is unknown, or its value is not allowed; two options are incompatible.

    >>> make_options(target="species", hidden=64).hidden
    (64,)
    """
    unknown = [name for name in values if name not in option_table()]
    if unknown:
        raise unknown_option_error("option", unknown[0], option_table())
    if digits:
        check_no_table_options(values)
        values |= {name: value for name, value in DIGITS.items() if values.get(name) is None}
    if saves and values.get("checkpoint_every") is None:
        values["checkpoint_every"] = "5min"
    if (preset := values.get("preset")) is not None:
        _check_value("preset", preset)
    given = {name: value for name, value in values.items() if value is not None or name not in PRESET_OPTIONS}
    values = preset_values(preset or DEFAULT_PRESET, values.get("solver"))
    of_preset = tuple(name for name in values if name not in given)
    values |= given
    options = TrainOptions(**read_values(values), of_preset=of_preset)
    options.check()
    return options


def check_no_table_options(values: Mapping[str, Any]) -> None:
    """Refuse the options that need a table of the user's.

    Raises:
        ParameterError: one is given.
    """
    for name in _TABLE_OPTIONS:
        if values.get(name) is not None:
            raise ParameterError(f"`{name}` is for a table, but there is no DATA: name a file before it")


def read_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return options in the one form that ``TrainOptions`` has, each of them checked.

    Raises:
        ParameterError: a value is not allowed.

    >>> read_values({"hidden": 64, "separator": ";", "type": {"zip": "text"}})
    {'hidden': (64,), 'separator': ';', 'type': ('zip=text',)}
    """
    read = {name: _READERS[name](values[name]) for name in _READERS if values.get(name) is not None}
    read = {**values, **read}
    for name, value in read.items():
        if value is not None or getattr(TrainOptions, name) is not None:
            _check_value(name, value)
    return read


def _as_widths(value: Any) -> Any:
    """Return the widths of the hidden layers as a tuple, also of one; what they are not, as it is."""
    if isinstance(value, int) and not isinstance(value, bool):
        return (value,)
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _as_separator(value: Any) -> str:
    """Return a separator in a form that a shell and JSON show."""
    return "tab" if check_separator(value) == "\t" else str(value)


def read_names(name: str, value: Any) -> tuple[str, ...]:
    """Return the names of columns, in Unicode's composed form; text has commas between them.

    Raises:
        ParameterError: they are no names.

    >>> read_names("drop", "id, name")
    ('id', 'name')
    """
    if isinstance(value, str):
        return tuple(map(normalize_name, parse_names(value)))
    names = tuple(value) if isinstance(value, Iterable) else ()
    if not all(isinstance(each, str) for each in names) or not isinstance(value, Iterable):
        raise ParameterError(
            f"{name}={value!r} is not allowed: give the names of columns, as ['age', 'height']"
        )
    return tuple(map(normalize_name, names))


def read_words(value: Any) -> tuple[str, ...]:
    """Return words in Unicode's composed form, without blanks around them; text has commas between them.

    Raises:
        ParameterError: they are no words.

    >>> read_words("NA, -"), read_words([-999])
    (('NA', '-'), ('-999',))
    """
    if isinstance(value, str):
        value = parse_names(value)
    if not isinstance(value, Iterable) or not all(_is_word(each) for each in value):
        raise ParameterError(f"missing={value!r} is not allowed: give words or numbers, as ['NA', '-', -999]")
    words = (normalize_name(each).strip().removesuffix(".0") for each in value)
    return tuple(dict.fromkeys(word for word in words if word))


def _is_word(value: Any) -> bool:
    return isinstance(value, str) or _is_number(value, Real)


def _as_test(value: Any) -> Any:
    """Return the files of the test as text; a DataFrame as it is."""
    if isinstance(value, str | PathLike):
        return (str(value),)
    if isinstance(value, list | tuple):
        if not all(isinstance(each, str | PathLike) for each in value):
            raise ParameterError(f"test={value!r} is not allowed: give files, a folder, or a pattern")
        return tuple(map(str, value)) or None
    return value


_READERS: dict[str, Callable[[Any], Any]] = {
    "hidden": _as_widths,
    "drop": partial(read_names, "drop"),
    "columns": partial(read_names, "columns"),
    "type": read_types,
    "missing": read_words,
    "test": _as_test,
    "separator": _as_separator,
    "checkpoint_every": lambda value: parse_interval(str(value)),
    "time_limit": lambda value: parse_seconds(str(value)),
}
"""How values are read that may have several forms in Python."""


_TEXTS = {
    "sql": "a query, as \"SELECT * FROM 'flowers.csv'\"",
    "database": "a URL, as 'sqlite:///flowers.db'",
    "sheet": "the name of a sheet",
}
"""What options of text take that are no columns."""


def _check_value(name: str, value: Any) -> None:
    """Check one value: by its choices, by the estimator's constraint, or by its type and range."""
    from batchprop.estimators.parameters import PARAMETER_CONSTRAINTS

    option, kind = option_table()[name], option_types()[name]
    kinds = {kind, *get_args(kind)}
    constraint = PARAMETER_CONSTRAINTS.get(option.parameter or "")
    if choices := option_choices(name):
        valid, allowed = value in choices, f"one of {', '.join(map(repr, choices))}"
    elif kind is bool:
        valid, allowed = isinstance(value, bool), "True or False"
    elif int in kinds and option.parse is None and option.low is not None and option.high is not None:
        valid = _is_number(value, Integral) and option.low <= value <= option.high
        allowed = f"an integer from {option.low} to {option.high}"
    elif constraint is not None:
        valid, allowed = constraint.is_valid(value), constraint.allowed
    elif option.parse is not None or option.several:
        return  # read where it is used, from text and other values alike
    elif float in kinds and option.low is not None and option.high is not None:
        valid = _is_number(value, Real) and option.low <= value <= option.high
        allowed = f"a number from {option.low:g} to {option.high:g}"
    else:
        valid, allowed = isinstance(value, str), _TEXTS.get(name, "the name of a column")
    if not valid:
        raise ParameterError(f"{name}={value!r} is not allowed: give {allowed}")


def _is_number(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def option_choices(name: str) -> tuple[str, ...]:
    """Return the allowed names of an option; empty if it takes other values too.

    >>> option_choices("on_bad_row")
    ('error', 'skip')
    """
    if option_table()[name].parse is not None:
        return ()
    kind = option_types()[name]
    parts = [kind, *get_args(kind)]
    return next((get_args(part) for part in parts if get_origin(part) is Literal), ())


@cache
def option_types() -> dict[str, Any]:
    """Return the type of each option."""
    hints = get_type_hints(TrainOptions)
    return {name: hints[name] for name in option_table()}


def to_dict(options: TrainOptions) -> dict[str, Any]:
    """Return options as JSON values."""
    values = {name: getattr(options, name) for name in option_table()}
    return values | {
        "test": describe_test(options.test),
        "test_fraction": options.test_share,
        "database": describe_database(options.database),
    }


def describe_database(url: str | None) -> str | None:
    """Return the URL of a database as others may see it, without passwords."""
    return None if url is None else redact_url(url)


def describe_test(test: Any) -> Any:
    """Return the given test rows as JSON: the names of files, or that it is a DataFrame."""
    return list(test) if isinstance(test, tuple) else None if test is None else "a DataFrame"


def to_words(options: TrainOptions, names: Iterable[str] | None = None) -> list[str]:
    """Return options as words of the command line; those that have their defaults are left out.

    Args:
        options: as ``make_options`` returns them.
        names: of the options to return; None for all.

    >>> to_words(
    ...     make_options(
    ...         target="price", drop=("id", "last, first"), hidden=(), bins=0, record=True
    ...     )
    ... )
    ['--target', 'price', '--drop', 'id,"last, first"', '--hidden', 'none', '--bins', '0', '--record']
    """
    words = list[str]()
    defaults = {name: getattr(TrainOptions, name) for name in option_table()}
    defaults |= {"preset": DEFAULT_PRESET, **preset_values(options.preset or DEFAULT_PRESET, options.solver)}
    for name in option_table() if names is None else names:
        value, flag, option = getattr(options, name), f"--{name.replace('_', '-')}", option_table()[name]
        value = describe_database(value) if name == "database" else value
        if value is None or value == defaults[name] or name in options.of_preset:
            continue
        if isinstance(value, bool):
            words.append(flag)
        elif option.several:
            words += [word for each in value for word in (flag, str(each))]
        else:
            # Of hidden layers there may be none, and no word but the empty one may mean "missing".
            words += [flag, "" if value == () and name != "hidden" else format_text(value)]
    return words


def source_words(options: TrainOptions) -> list[str]:
    """Return the words of the command line that say where a table is that is no file, and how it is read.

    >>> source_words(TrainOptions(target="price", sql="SELECT * FROM 'a.csv'"))
    ['--sql', "SELECT * FROM 'a.csv'"]
    """
    return to_words(options, (*SOURCE_OPTIONS, "separator"))


def format_text(value: Any) -> str:
    """Return a value as the command line takes it.

    >>> format_text((256, 128)), format_text(0.1)
    ('256,128', '0.1')
    """
    if not isinstance(value, tuple):
        return str(value)
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(value)
    return buffer.getvalue() if value else "none"
