"""`batchprop tune`, from the table to the folder."""

from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console

from batchprop.cli import console as output
from batchprop.cli.progress import ConsoleObserver
from batchprop.cli.signals import exit_code
from batchprop.cli.train_command import write_report_unless_interrupted
from batchprop.files import create_file, create_text, file_lock, remove_abandoned
from batchprop.format import format_score, pluralize
from batchprop.tabular.model_files import REPORT, SAVED_FILES, write_model
from batchprop.tabular.options import format_text
from batchprop.tabular.persistence import atomic_folder, write_errors
from batchprop.tabular.tuning import TuningResult, tune

TRIALS, PLOT = "trials.csv", "trials.png"


def tune_command(
    tables: tuple[Path, ...] | None, options: dict[str, Any], n_trials: int | None, out: Path, *, force: bool
) -> int:
    """Search, print the trials and the scores, and write the folder.

    Args:
        tables: files, folders and patterns; None for a query.
        options: those of ``tune`` that are given.
        n_trials: how many trials to make, or None.
        out: the folder to write.
        force: replace a model there.

    Returns:
        The exit code: 0, or 128 and the signal's number if one ended the search or skipped the report.
    """
    console = output.make_console()
    with file_lock(out, parameter="out"):
        remove_abandoned(out)
        with atomic_folder(out, force=force, parameter="out", tables=tables or ()) as folder:
            trials = out.with_name(f"{out.name}.trials")
            observer = ConsoleObserver(console)
            result = tune(tables, n_trials=n_trials, folder=trials, observer=observer, **options)
            _show_search(console, result)
            output.show_scores(console, result.training)
            _write_trials(result, folder, out)
            write_model(result.training, folder, out)
            write_report_unless_interrupted(console, result.training, folder, out)
            files = [name for name in (*SAVED_FILES, TRIALS, PLOT) if (folder / name).exists()]
    output.show_saved(console, result.training, out, files)
    return exit_code() if result.interrupted or REPORT not in files else 0


def _show_search(console: Console, result: TuningResult) -> None:
    states = result.trials["state"].value_counts()
    counts = ", ".join(f"{count} {state}" for state, count in states.items())
    losses = result.trials["loss"]
    words = [
        f"--{name.replace('_', '-')} {_format_value(value)}" for name, value in result.best_parameters.items()
    ]
    chosen = f"trial{'s' * (len(result.chosen) > 1)} {', '.join(map(str, result.chosen))}"
    output.say(
        console,
        "",
        f"{'Interrupted after' if result.interrupted else 'Made'} {pluralize(len(losses), 'trial')}: "
        f"{counts}.",
        f"The preset has a loss of {format_score(losses.iloc[0])}, "
        f"the best trial {format_score(losses.min())}: {' '.join(words)}",
        f"Kept: {chosen}, with a loss of {format_score(result.loss)}.",
        "",
    )


def _format_value(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else format_text(value)


def _write_trials(result: TuningResult, folder: Path, out: Path) -> None:
    with write_errors(out / TRIALS), create_text(folder / TRIALS) as text:
        result.trials.to_csv(text, index=False, lineterminator="\n")
    # Without pyplot, which would keep the figure.
    figure = Figure(figsize=(10, 5), layout="constrained")
    FigureCanvasAgg(figure)
    result.plot(ax=figure.add_subplot())
    with write_errors(out / PLOT), create_file(folder / PLOT) as file:
        figure.savefig(file, format="png")
