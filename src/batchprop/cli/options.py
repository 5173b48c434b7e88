"""Command-line options made from the one table of `batchprop.tabular.options`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import typer

from batchprop.errors import ParameterError
from batchprop.tabular.options import (
    READING_OPTIONS,
    Option,
    TrainOptions,
    check_no_table_options,
    format_text,
    option_table,
    option_types,
    read_values,
)

Command = TypeVar("Command", bound=Callable[..., Any])

TABLES_HELP = (
    "CSV, TSV or JSON lines (.csv, .tsv, .jsonl; also compressed, .gz or .zst), Parquet files, or workbooks "
    "(.xlsx, .xls, .ods)"
)
"""What DATA may be, in the help."""

# Options of commands that are not in the table, by their names in messages.
_OWN = (
    "out",
    "force",
    "proba",
    "onnx",
    "image",
    "map",
    "keep",
    "number",
    "time_limit",
    "n_trials",
    "preset",
    "processes",
    "max_restarts",
    "coordinator",
    "process_id",
    "num_processes",
    "step_timeout",
)


def option(name: str, *, value: Any = inspect.Parameter.empty, **changes: Any) -> inspect.Parameter:
    """Return a command's parameter for an option of the table.

    Args:
        name: of the option.
        value: the default, if it differs from the table's.
        changes: this command's other entries: ``help``, ``panel``, ``default``, ``metavar``.
    """
    entry = option_table()[name]._replace(**changes)
    value = getattr(TrainOptions, name) if value is inspect.Parameter.empty else value
    kind = option_types()[name]
    if entry.parse is not None:
        # The command line has text, which `parse_values` reads.
        value = None if value is None else format_text(value)
        kind = str if value is not None else str | None
    elif entry.several:
        kind = list[str] | None
    elif value is None and type(None) not in get_args(kind):
        kind = kind | None
    flag = (f"--{name.replace('_', '-')}",) if kind is bool else ()
    return own_option(name, kind, value, *flag, entry=entry)


def own_option(
    name: str, kind: Any, value: Any, *declarations: str, entry: Option | None = None, **fields: Any
) -> inspect.Parameter:
    """Return a command's parameter for an option that is not in the table.

    Args:
        name: of the function's parameter.
        kind: its type.
        value: its default.
        declarations: its spelling, if it is not its name.
        entry: its entry in a table of options, or None.
        fields: those of ``Option``, without an entry.
    """
    entry = entry or Option(**{"panel": "", **fields})
    info = typer.Option(
        *declarations,
        metavar=entry.metavar,
        min=entry.low if entry.low is None or kind is not int else int(entry.low),
        max=entry.high if entry.high is None or kind is not int else int(entry.high),
        help=entry.help,
        show_default=entry.default if entry.default is not None else True,
        rich_help_panel=entry.panel or None,
    )
    return _parameter(name, Annotated[kind, info], value)


def safe_csv_option(panel: str = "") -> inspect.Parameter:
    """Return the parameter of a command that writes text of a table as CSV."""
    explained = (
        "Put an apostrophe before text that a spreadsheet would run: =, +, -, @, a tab or the end of a "
        "line at its start. Numbers stay numbers."
    )
    return own_option("safe_csv", bool, False, "--safe-csv", help=explained, panel=panel)


def own_argument(
    name: str, kind: Any, value: Any = inspect.Parameter.empty, **fields: Any
) -> inspect.Parameter:
    """Return a command's parameter for a positional argument."""
    return _parameter(name, Annotated[kind, typer.Argument(**fields)], value)


def _parameter(name: str, annotation: Any, value: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value, annotation=annotation)


def with_parameters(*parameters: inspect.Parameter) -> Callable[[Command], Command]:
    """Set the signature of a function of keywords, from which Typer makes the command line.

    A signature of 230 lines would repeat what the table says; Typer reads the signature from ``inspect``.
    """

    def sign(function: Command) -> Command:
        vars(function)["__signature__"] = inspect.Signature([*parameters])
        function.__annotations__ = {each.name: each.annotation for each in parameters} | {"return": None}
        return function

    return sign


def parse_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Parse the values given as text; drop those that are not in the table.

    Raises:
        ParameterError: a text cannot be read.
    """
    table = option_table()
    known = {name: value for name, value in values.items() if name in table}
    return {
        name: parse(value) if (parse := table[name].parse) is not None and isinstance(value, str) else value
        for name, value in known.items()
    }


def reading_options(**changes: Any) -> list[inspect.Parameter]:
    """Return a command's parameters for the columns of its table, and how they are read."""
    return [option(name, **changes) for name in READING_OPTIONS]


def parse_options(
    data: Path | None, values: Mapping[str, Any], purpose: str | None, **more: Any
) -> TrainOptions:
    """Return the checked options of a command that learns from one table, or without one from its own data.

    Args:
        data: the table, or None.
        values: as given; those that are not in the table of options are dropped.
        purpose: what the command does with the target, in words; None if a model has the target.
        more: options that the command does not have, with its values.

    Raises:
        ParameterError: a value is not allowed, two options are incompatible, or there is no table for one.
    """
    if purpose is not None:
        check_target_given(data, values, purpose)
    if data is None:
        check_no_table_options(values)
    options = TrainOptions(**read_values(parse_values(values)), **more)
    options.check()
    return options


def check_target_given(data: object, values: Mapping[str, Any], purpose: str) -> None:
    """Check that a column is named if there is a table, and only then.

    Raises:
        ParameterError: `target` is missing, or is set without a table.
    """
    if data is not None and values.get("target") is None:
        columns = list_columns(data) if isinstance(data, Path) else ""
        raise ParameterError(f"--target is missing: name the column of {data} to {purpose}{columns}")
    for name in ("target", "weights"):
        if data is None and values.get(name) is not None:
            raise ParameterError(f"--{name} names a column, but there is no DATA: name a file before it")


def list_columns(data: Path) -> str:
    """Return the columns of a table for the end of a message."""
    try:
        from batchprop.tabular import training_table
    except ModuleNotFoundError:
        return ""  # the extra is not installed, which another message says once there is a target
    return training_table.list_columns((data,))


def check_suffix(option: str, path: Path, suffixes: tuple[str, ...], what: str = "format") -> None:
    """Check that a file's suffix names its format.

    Raises:
        ParameterError: it does not.
    """
    if path.suffix.lower() not in suffixes:
        raise ParameterError(f"{option} {path} names no {what}: end it in {', '.join(suffixes)}")


def check_safe_csv(out: Path, *, safe_csv: bool) -> None:
    """Check that a file of rows, whose suffix is known, is CSV if it is to be written for spreadsheets.

    Raises:
        ParameterError: it is not.
    """
    # Not at the top: it needs pandas.
    from batchprop.tabular.predictions import OUTPUT_DELIMITERS

    if safe_csv and not OUTPUT_DELIMITERS[out.suffix.lower()]:
        raise ParameterError(f"--safe-csv is for CSV, and {out} is none: leave it out, or end --out in .csv")


_NAMES = "|".join(sorted((*option_table(), *_OWN), key=len, reverse=True))
_ASSIGNED = re.compile(rf"""\b({_NAMES})=('[^']*'|"[^"]*"|[^\s,;:)]+)""")
_NAMED = re.compile(rf"`({_NAMES})`")


def as_option_names(message: str) -> str:
    """Replace the names of parameters in a message by those of command-line options.

    >>> as_option_names(
    ...     "device='gpu' does not go with engine='numpy': use engine='jax', or device=None"
    ... )
    '--device gpu does not go with --engine numpy: use --engine jax, or no --device'
    >>> as_option_names("`target` is missing; record=True needs it")
    '--target is missing; --record needs it'
    """
    return _ASSIGNED.sub(_format_assignment, _NAMED.sub(lambda match: _as_flag(match[1]), message))


def _format_assignment(match: re.Match[str]) -> str:
    option, value = _as_flag(match[1]), match[2]
    if value == "None":
        return f"no {option}"
    if value == "True":
        return option
    text = value[1:-1] if value[0] in "'\"" else value
    # Quotes stay if the shell needs them too.
    return f"{option} {value if not text or ' ' in text else text}"


def _as_flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
