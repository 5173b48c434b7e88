"""`batchprop examine`: its options."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from batchprop.cli.extras import require_tables
from batchprop.cli.settings import TrainOptions, parse_batch_size, parse_hidden
from batchprop.cli.train import Engine
from batchprop.errors import ParameterError

EXAMPLES = """Examples:

batchprop examine

batchprop examine flowers.csv --target species

batchprop examine houses.parquet --target price --top 20 --out suspicious.csv --map prices.png
"""

_table = partial(typer.Option, rich_help_panel="The table")
_training = partial(typer.Option, rich_help_panel="The network and its training")
_files = partial(typer.Option, rich_help_panel="What comes out")


def examine(
    data: Annotated[
        Path | None,
        typer.Argument(metavar="DATA", help="A CSV, TSV or Parquet file. Without it: the digits."),
    ] = None,
    *,
    target: Annotated[
        str | None, _table(metavar="COLUMN", help="The column to examine; needed with DATA.")
    ] = None,
    task: Annotated[
        Literal["auto", "classes", "numbers"],
        _table(help="What the target holds; auto tells by its values and says how."),
    ] = "auto",
    hidden: Annotated[
        str, _training(metavar="WIDTHS", help="Widths of the hidden layers, as 256,128; or none.")
    ] = "100",
    learning_rate: Annotated[
        float, _training(metavar="NUMBER", min=1e-12, help="The length of a step, of Adam.")
    ] = 0.001,
    batch_size: Annotated[
        str | None,
        _training(
            metavar="ROWS",
            help="Rows a step: a number, auto (at most 200), or full.",
            show_default="a tenth of the rows, from 16 to 200",
        ),
    ] = None,
    epochs: Annotated[
        int,
        _training(metavar="NUMBER", min=1, help="The most passes over the rows; fewer where learning ends."),
    ] = 200,
    seed: Annotated[
        int,
        _training(
            metavar="NUMBER", min=0, max=2**32 - 1, help="Of the first weights and the order of the rows."
        ),
    ] = 0,
    engine: Annotated[
        Engine,
        _training(help="auto takes JAX where it is installed and the work repays compiling, else NumPy."),
    ] = "auto",
    top: Annotated[int, _files(metavar="ROWS", min=0, help="How many rows to print.")] = 50,
    out: Annotated[
        Path | None,
        _files(
            metavar="FILE",
            help="All rows, the most suspicious first: .csv, .tsv or .parquet.",
            show_default="named after DATA: flowers-examined.csv",
        ),
    ] = None,
    data_map: Annotated[
        Path | None,
        _files("--map", metavar="FILE", help="Draw every row as a point, by what the network made of it."),
    ] = None,
    force: Annotated[bool, _files("--force", help="Replace those files.")] = False,
) -> None:
    """Find the rows of a table whose target looks wrong: mislabelled classes, or numbers far off.

    A network is trained on all rows that have a target, and watched: it learns
    early what the rows have in common, and late, by heart, what contradicts it.
    Rows are ranked by their mean loss over the epochs. Ctrl-C ends the training
    early: rows are ranked by what was seen so far, and the exit code is 130.

    Each row is named by its line in the file. Where there are no lines, in
    Parquet and in the digits, rows are counted: row 1 is the first.
    """
    settings = TrainOptions(
        data=data,
        target=target,
        task=None if task == "auto" else task,
        hidden=parse_hidden(hidden),
        learning_rate=learning_rate,
        batch_size="auto" if batch_size is None else parse_batch_size(batch_size),
        epochs=epochs,
        seed=seed,
        engine=engine,
        out=out or Path(f"{data.stem if data else 'digits'}-examined.csv"),
        force=force,
    )
    settings.check("examine")
    with require_tables():
        from batchprop.cli.examine_command import IMAGE_SUFFIXES, run
        from batchprop.tabular.predictions import ENDINGS
    _check_ending("--out", settings.out, ENDINGS)
    if data_map is not None:
        _check_ending("--map", data_map, IMAGE_SUFFIXES)
    raise typer.Exit(run(settings, top=top, data_map=data_map, a_tenth=batch_size is None))


def _check_ending(option: str, path: Path, endings: Iterable[str]) -> None:
    if path.suffix.lower() not in endings:
        raise ParameterError(f"{option} {path} names no format: end it in {', '.join(endings)}")
