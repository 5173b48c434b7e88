"""`batchprop tune`, from the table to the folder."""

from pathlib import Path
from typing import Any

from rich.console import Console

from batchprop.cli import console as output
from batchprop.cli.progress import ConsoleObserver
from batchprop.cli.signals import exit_code
from batchprop.files import file_lock, remove_abandoned
from batchprop.report.format import format_score, join_command
from batchprop.tabular.options import format_text
from batchprop.tabular.persistence import atomic_folder, write_errors
from batchprop.tabular.tuning import TuningResult, tune

TRIALS, PLOT = "trials.csv", "trials.png"


def tune_command(
    tables: tuple[Path, ...] | None,
    out: Path,
    *,
    force: bool,
    time_limit: str | None,
    n_trials: int | None,
    preset: str,
    options: dict[str, Any],
) -> int:
    """Search, print the trials and the scores, and write the folder.

    Args:
        tables: files, folders and patterns; None for a query.
        out: the folder to write.
        force: replace a model there.
        time_limit: as given.
        n_trials: as given.
        preset: as given.
        options: of ``tune``.

    Returns:
        The exit code: 0, or 128 and the signal's number if one ended the search.
    """
    console = output.make_console()
    given = {name: value for name, value in options.items() if value is not None}
    with file_lock(out, parameter="out"):
        remove_abandoned(out)
        with atomic_folder(out, force=force, parameter="out", tables=tables or ()) as folder:
            result = tune(
                tables,
                time_limit=time_limit,
                n_trials=n_trials,
                folder=out.with_name(f"{out.name}.trials"),
                preset=preset,
                observer=ConsoleObserver(console),
                **given,
            )
            _show_result(console, result)
            files = _write_files(result, folder, out)
    console.print(f"Saved in {out}: {', '.join(files)}", soft_wrap=True)
    words = ["batchprop", "predict", *map(str, tables or ()), "--model", str(out)]
    console.print(f"Predict with: {join_command(words)}", soft_wrap=True)
    return exit_code() if result.interrupted else 0


def _show_result(console: Console, result: TuningResult) -> None:
    states = result.trials["state"].value_counts()
    counts = ", ".join(f"{count} {state}" for state, count in states.items())
    cut = "Interrupted after" if result.interrupted else "Tried"
    console.print("", f"{cut} {len(result.trials)} networks: {counts}.", sep="\n", soft_wrap=True)
    words = [
        f"--{name.replace('_', '-')} {format_text(value)}" for name, value in result.best_parameters.items()
    ]
    first, best = result.trials["loss"].iloc[0], result.trials["loss"].min()
    console.print(
        f"The best has a loss of {format_score(best)}, the preset {format_score(first)}: {' '.join(words)}",
        f"The ensemble of trials {', '.join(map(str, result.chosen))} has {format_score(result.loss)}.",
        "",
        sep="\n",
        soft_wrap=True,
    )
    output.show_scores(console, result.training)


def _write_files(result: TuningResult, folder: Path, out: Path) -> list[str]:
    raise NotImplementedError
