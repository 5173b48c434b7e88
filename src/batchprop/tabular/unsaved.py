"""A finished training whose model cannot be saved: its network and settings are kept."""

import itertools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import skops.io

from batchprop.errors import BatchpropError, ModelError, WriteError
from batchprop.export.weights import save_weights
from batchprop.files import atomic_write, create_file, exists, remove_file, remove_folder
from batchprop.tabular.history import HISTORY, write_history
from batchprop.tabular.model_info import SETTINGS
from batchprop.tabular.options import TrainOptions
from batchprop.tabular.persistence import write_json
from batchprop.tabular.result import TrainingResult
from batchprop.tabular.resume import has_checkpoints

REASON, REFUSED = "reason.txt", "refused-model.skops"


@contextmanager
def keep_unsaved(out: Path, checkpoints: Path, options: TrainOptions) -> Iterator[list[TrainingResult]]:
    """Keep the network of a training if the block, which saves its model, fails.

    Args:
        out: the model's folder; the network is kept in ``OUT.unsaved``, or in the folder for temporary files
            where that cannot be written.
        checkpoints: the folder of its checkpoints.
        options: of the training.

    Yields:
        A list, to which the block appends the result when the training has finished.

    Raises:
        BatchpropError: the block's error, extended by where the network is, or how to resume.
    """
    finished = list[TrainingResult]()
    try:
        yield finished
    except Exception as error:
        if not finished and not isinstance(error, WriteError):
            raise
        if isinstance(error, WriteError) and has_checkpoints(checkpoints, options):
            rest = f"then the same training with resume=True continues from {checkpoints}"
        elif finished and (folder := _keep(finished[0], out, error)):
            files = ", ".join(sorted(path.name for path in folder.iterdir()))
            rest = f"the trained network is kept in {folder}: {files}"
        else:
            rest = "this training is lost: checkpoint_every='5min' keeps the next one"
        raise _extend(error, rest) from error


def _extend(error: Exception, rest: str) -> BatchpropError:
    """Return the error with more text; one that is not ours, such as a lack of memory, gets a cause."""
    if isinstance(error, WriteError | ModelError):
        return type(error)(f"{error}; {rest}")
    return WriteError(f"the model could not be saved: {_describe(error)}; {rest}")


def _describe(error: Exception) -> str:
    reason = " ".join(str(error).split())
    if isinstance(error, BatchpropError):
        return reason
    return f"{type(error).__name__}: {reason}" if reason else type(error).__name__


def _keep(result: TrainingResult, out: Path, error: Exception) -> Path | None:
    """Write the network into a new folder next to `out`, else with the temporary files; else return None."""
    for parent in (out.parent, Path(tempfile.gettempdir())):
        # An earlier network that was kept is never replaced.
        names = (f"{out.name}.unsaved{'' if i == 1 else f'-{i}'}" for i in itertools.count(1))
        folder = next(path for name in names if not exists(path := parent / name))
        try:
            folder.mkdir()
        except OSError:
            continue
        with suppress(Exception):
            _write_network(result, folder)
            break
        remove_folder(folder)
    else:
        return None
    others: dict[str, Callable[[Path], object]] = {
        SETTINGS: lambda path: write_json(result.info(), path),
        REASON: lambda path: atomic_write(f"{_describe(error)}\n".encode(), path),
        HISTORY: lambda path: write_history(result.history, path),
    }
    if isinstance(error, ModelError):
        others[REFUSED] = lambda path: _dump(result, path)
    for name, write in others.items():
        _write_or_remove(write, folder / name)
    return folder


def _write_network(result: TrainingResult, folder: Path) -> None:
    """Write the weights of each network; as NumPy's arrays where safetensors cannot."""
    for number, network in enumerate(result.members, start=1):
        of = f"-{number}" if len(result.members) > 1 else ""
        try:
            save_weights(network, folder / f"weights{of}.safetensors")
        except BatchpropError:
            layers = enumerate(zip(network.coefs_, network.intercepts_, strict=True))
            arrays = {f"layers.{k}.{name}": a for k, (W, b) in layers for name, a in (("W", W.T), ("b", b))}
            with create_file(folder / f"weights{of}.npz") as file:
                np.savez(file, **arrays)


def _dump(result: TrainingResult, path: Path) -> None:
    with create_file(path) as file:
        skops.io.dump(result.pipeline, file)


def _write_or_remove(write: Callable[[Path], object], path: Path) -> None:
    """Write a file, or leave none behind: each further file is a gift, and the weights are there already."""
    try:
        write(path)
    except Exception:  # noqa: BLE001 what failed is told already, by the error that led here
        with suppress(OSError):
            remove_file(path)
