"""`batchprop play`, from the table to the page."""

import webbrowser
from pathlib import Path
from typing import Any

import numpy as np

from batchprop.cli.terminal import echo
from batchprop.errors import DataError, ParameterError, WriteError, join_truncated
from batchprop.files import check_file, exists, make_folder
from batchprop.format import format_number, pluralize
from batchprop.playground.page import is_page, make_page
from batchprop.playground.table import Table, encode_target, fit_table
from batchprop.tabular.options import TrainOptions


def load_table(path: Path, options: TrainOptions) -> Table:
    """Read a table and encode it as `batchprop train` does, without the features that take targets or bins.

    Raises:
        DataError: it cannot be learned from.
    """
    # Not at the top: without a table the command needs none of this.
    from batchprop.tabular.summary import left_out_columns
    from batchprop.tabular.training_table import load
    from batchprop.tabular.transformers import make_preprocessor

    loaded, target = load(path, options), str(options.target)
    columns = make_preprocessor(loaded.columns, len(loaded.frame), target, options.missing, options.decimal)
    unit, numbers = loaded.row_numbers
    rows = tuple(f"{unit} {number}" for number in numbers.tolist())
    # With its rows' names an error can name one.
    X = np.asarray(columns.fit_transform(loaded.frame.set_axis(list(rows), axis="index")), dtype=np.float32)
    is_classification = loaded.target.task == "classification"
    values, outputs = encode_target(target, loaded.target.values, is_classification=is_classification)
    notes = [f"{pluralize(loaded.left_out, 'row')} left out"] if loaded.left_out else []
    omitted = left_out_columns(loaded.columns).items()
    notes += [f"{join_truncated(names, 5)} left out: {why}" for why, names in omitted]
    for note in notes:
        echo(f"Note: {note}.")
    table = Table(
        f"{path.name}: {target}" + ("" if is_classification else ", standardised"),
        "classes" if is_classification else "numbers",
        X,
        values,
        tuple(str(name).partition("__")[2] for name in columns.get_feature_names_out()),
        outputs,
        rows,
        tuple(notes),
    )
    return fit_table(table, options.seed)


def play_command(
    table: Table | None, path: Path | None, seed: int, out: Path, *, open_page: bool, force: bool
) -> None:
    """Write the page, and open it.

    Args:
        table: the table in the page, or None for toy data.
        path: the table's file.
        seed: of the points, the initial weights and the batches.
        out: the file to write.
        open_page: whether to open it.
        force: replace any file, not only such a page.

    Raises:
        BatchpropError: the page cannot be written there.
    """
    _check_free(out, path, force=force)
    settings: dict[str, Any] = {"seed": seed}
    try:
        make_folder(out.parent)
        make_page(table, settings).save(out)
    except OSError as error:
        raise WriteError(f"{out} cannot be written: {error.strerror}; name another with `out`") from error
    echo(f"Playground: {out} ({format_number(out.stat().st_size / 1e6, 2)} MB)")
    if open_page and not webbrowser.open(out.resolve().as_uri()):
        echo("There is no browser to open it with: open that file in one.")


def _check_free(out: Path, table: Path | None, *, force: bool) -> None:
    """Refuse to replace the table, or a file that is no such page."""
    if table is not None and out.resolve() == table.resolve():
        raise ParameterError(f"`out` {out} is the table itself: name another file")
    check_file(out, "out")
    if exists(out) and not (force or is_page(out)):
        raise DataError(f"the file {out} exists: name another with `out`, or replace it with force=True")
