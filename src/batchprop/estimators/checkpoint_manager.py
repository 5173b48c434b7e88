"""The start of a fit, from scratch or from a checkpoint, and the manager that saves and rewinds its state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import check_random_state

from batchprop.data.shuffle import BUFFER_BYTES, MAX_OPEN_PARTITIONS, ShuffleConfig, shuffle_config
from batchprop.data.sources import DataSource
from batchprop.errors import CheckpointError, DivergedError, ParameterError, warn
from batchprop.estimators.checkpoints import CheckpointData, Checkpoints
from batchprop.estimators.early_stopping import ValidationCallback
from batchprop.estimators.fingerprint import first_difference
from batchprop.estimators.fit_state import (
    MAX_REWINDS,
    FitState,
    from_plain,
    join_arrays,
    read_count,
    read_number,
    split_arrays,
    to_plain,
)
from batchprop.estimators.interface import FitInterface
from batchprop.estimators.source_summary import DEFAULT_MEMORY
from batchprop.estimators.validation import FitArgs
from batchprop.files import file_lock
from batchprop.format import pluralize
from batchprop.processes import Processes, current
from batchprop.schedules import Schedule
from batchprop.training import Engine, TrainProgress

_KEY_WORDS = 624
"""The size of the Mersenne Twister's state."""


# ---- the start


class FitStart(NamedTuple):
    """How a fit starts.

    Attributes:
        rng: draws weights, split and order.
        rng_state: the initial state of ``rng``.
        checkpoints: where the fit is saved, or None.
        resumed: the checkpoint that the fit resumes from, or None.
        writes: whether this process writes the checkpoints.
    """

    rng: np.random.RandomState
    rng_state: dict[str, Any]
    checkpoints: Checkpoints | None = None
    resumed: CheckpointData | None = None
    writes: bool = True

    @property
    def rows_seen(self) -> int | None:
        """How many rows earlier fits had seen when the resumed fit began."""
        return None if self.resumed is None else read_rows_seen(self.resumed)

    def shuffle_config(self, source: DataSource, row_bytes: int) -> ShuffleConfig:
        """Return how rows are shuffled: as when the fit began, for any amount of memory now."""
        if self.resumed is not None:
            return read_shuffle_config(self.resumed, row_bytes)
        memory = getattr(source, "memory", DEFAULT_MEMORY)
        partition_bytes = getattr(source, "partition_bytes", 0)
        return shuffle_config(len(source.partitions), row_bytes, memory, partition_bytes)

    def lock(self) -> AbstractContextManager[Any]:
        """Keep other fits out of the folder of the checkpoints."""
        if self.checkpoints is None or not self.writes:
            return nullcontext()
        return file_lock(self.checkpoints.folder, parameter="checkpoint")


def prepare_start(estimator: FitInterface, call: FitArgs) -> FitStart:
    """Return how a fit starts: from scratch, or as the saved fit did.

    Raises:
        ParameterError: ``resume`` without ``checkpoint``; another option cannot be saved.
        CheckpointError: there are checkpoints and ``resume`` is not set, or all are damaged.
    """
    checkpoints, rng = Checkpoints.of(call.checkpoint), check_random_state(estimator.random_state)
    processes = current()
    writes, data = processes.index == 0, None
    with processes.guard():
        _check_resume(checkpoints if writes else None, checkpoints, resume=call.resume)
        _check_savable(estimator, call)
        if writes and checkpoints is not None and call.resume:
            data = checkpoints.latest()
    if processes.count > 1:
        data = _share_checkpoint(data, processes)
        # A generator of each process's own would shuffle the rows of each in another order.
        rng = _share_rng(rng, processes)
    if data is not None:
        # Weights, split and order are drawn again, with the same result: a checkpoint need not hold the rows.
        rng = np.random.RandomState()
        restore_rng(rng, data)
    return FitStart(rng, rng.get_state(legacy=False), checkpoints, data, writes)


def _share_checkpoint(data: CheckpointData | None, processes: Processes) -> CheckpointData | None:
    """Return process 0's checkpoint: the others need not see its folder."""
    shared = processes.broadcast(None if data is None else [dict(data.arrays), dict(data.metadata)])
    return None if shared is None else CheckpointData(*shared)


def _share_rng(rng: np.random.RandomState, processes: Processes) -> np.random.RandomState:
    """Return a generator in the state of process 0's."""
    state = rng.get_state(legacy=False)
    shared = np.random.RandomState()
    shared.set_state(processes.broadcast(state))
    return shared


def _check_resume(own: Checkpoints | None, checkpoints: Checkpoints | None, *, resume: Any) -> None:
    """Check ``resume``; ``own`` are the checkpoints if this process writes them."""
    if not isinstance(resume, bool | np.bool_):
        raise ParameterError(f"resume={resume!r} is not allowed: give True or False")
    if resume and checkpoints is None:
        raise ParameterError("resume=True needs checkpoint=FOLDER, where a fit was saved: name it")
    if own is not None and not resume and own.files():
        raise CheckpointError(
            f"the folder {own.folder} holds checkpoints of an earlier fit: resume from them with "
            "resume=True, or name another folder"
        )


def _check_savable(estimator: FitInterface, call: FitArgs) -> None:
    """Refuse to save or rewind a fit whose state is more than its ``FitState``."""
    options = {
        "checkpoint": call.checkpoint is not None,
        "on_divergence='rewind'": estimator.on_divergence == "rewind",
    }
    unsupported = {
        "solver='lbfgs'": (estimator.solver == "lbfgs", "SciPy keeps its memory to itself"),
        "privacy": (
            estimator.privacy is not None,
            "noise that is drawn again for other weights would tell about the rows",
        ),
        "batch_size='noise'": (estimator.batch_size == "noise", "the batches measured so far are not saved"),
        "monitor": (bool(call.monitor), "the metrics of an epoch that is under way are not saved"),
        "record_examples=True": (call.record_examples, "the metrics of every row so far are not saved"),
    }
    for option, is_set in options.items():
        for other, (is_used, reason) in unsupported.items():
            if is_set and is_used:
                raise ParameterError(f"{option} does not go with {other}: {reason}; leave one of them out")


def check_fingerprint(data: CheckpointData, current: Mapping[str, Any]) -> None:
    """Refuse to resume with another fit than the saved one.

    Raises:
        CheckpointError: they differ; the message says how.
    """
    with checkpoint_errors():
        saved = join_arrays(data.arrays, dict(data.metadata["fingerprint"]), "fingerprint")
        difference = first_difference(saved, current)
    if difference is not None:
        name, was, now = difference
        raise CheckpointError(
            f"the checkpoint is of another fit: {name} was {was}, and now is {now}; set it as it was, or "
            "start over in another folder"
        )


# ---- the content of a checkpoint


def to_checkpoint(
    states: Mapping[str, FitState],
    start: FitStart,
    rows_seen: int,
    fingerprint: Mapping[str, Any],
    threads: int | None = None,
) -> CheckpointData:
    """Return the content of a fit's checkpoint.

    Args:
        states: the current state as ``now``, and the best one as ``best`` if the fit may rewind to it.
        start: how it started.
        rows_seen: by earlier fits.
        fingerprint: see ``fingerprint.fingerprint``.
        threads: of BLAS, or None.
    """
    plain = {
        "threads": threads,
        "processes": current().count,
        "fingerprint": fingerprint,
        "rows_seen": rows_seen,
        "rng": start.rng_state,
        "states": states,
    }
    return CheckpointData(*split_arrays(to_plain(plain)))


def from_checkpoint(data: CheckpointData, template: FitState) -> dict[str, FitState]:
    """Return the states of a saved fit: ``now``, and ``best`` for a fit that may rewind.

    Args:
        data: of the checkpoint.
        template: the initial state of this fit.

    Raises:
        CheckpointError: something is missing, or has another shape or type than this fit's.
    """
    with checkpoint_errors():
        states = dict(join_arrays(data.arrays, data.metadata["states"], "states"))
        read = {name: from_plain(plain, template) for name, plain in states.items()}
        return {"now": read["now"], **read}


def restore_rng(rng: np.random.RandomState, data: CheckpointData) -> None:
    """Set a generator to the initial state of a saved fit's generator.

    Raises:
        CheckpointError: the file lacks it.
    """
    with checkpoint_errors():
        state, key = data.metadata["rng"], data.arrays["rng.state.key"]
        position = read_count(state["state"]["pos"])
        # NumPy checks neither, and reads beyond the key.
        whole = key.dtype == np.uint32 and key.shape == (_KEY_WORDS,) and position <= _KEY_WORDS
        if state["bit_generator"] != "MT19937" or not whole:
            raise ValueError("the random numbers are not those of a RandomState")
        gauss = (read_count(state["has_gauss"]), read_number(state["gauss"]))
        rng.set_state(("MT19937", key, position, *gauss))


def read_rows_seen(data: CheckpointData) -> int:
    """Return how many rows earlier fits had seen."""
    with checkpoint_errors():
        return read_count(data.metadata["rows_seen"])


def warn_of_threads(data: CheckpointData, threads: int | None) -> None:
    """Warn where a fit resumes with another number of BLAS threads than it was saved with."""
    with checkpoint_errors():
        saved = data.metadata.get("threads")
        saved = None if saved is None else read_count(saved)
    if saved is not None and threads is not None and saved != threads:
        warn(
            f"this fit was saved with {saved} BLAS threads, and now has {threads}: sums are rounded "
            "otherwise, so the weights may differ in their last digits from those of an uninterrupted fit; "
            f"OPENBLAS_NUM_THREADS={saved} (MKL_NUM_THREADS) before the start keeps them bit for bit"
        )


def warn_of_processes(data: CheckpointData, progress: TrainProgress, n_processes: int) -> None:
    """Warn where another number of processes goes on within an epoch: they read its rows in another order."""
    with checkpoint_errors():
        saved = read_count(data.metadata.get("processes", n_processes))
        in_parts = "shuffle_config" in dict(data.metadata["fingerprint"])
    if in_parts and len(progress.losses) and saved != n_processes:
        warn(
            f"this fit was saved within epoch {progress.epochs + 1} by "
            f"{pluralize(saved, 'process', 'processes')}, and goes on with {n_processes}, which read the "
            "table's parts in another order: in the rest of this epoch some rows come a second time, and as "
            "many do not come; in later epochs each comes once"
        )


def read_shuffle_config(data: CheckpointData, row_bytes: int) -> ShuffleConfig:
    """Return how a saved fit shuffles rows of so many bytes.

    Raises:
        CheckpointError: the file lacks it, or holds a value that no fit writes.
    """
    with checkpoint_errors():
        saved = dict(data.metadata["fingerprint"])
        if "shuffle_config" not in saved:
            raise ValueError("its rows lay in memory")
        rows, partitions = map(read_count, saved["shuffle_config"])
        # A file that names more would make this machine allocate that memory.
        max_rows = max(BUFFER_BYTES // row_bytes, 1)
        if not (1 <= rows <= max_rows and 1 <= partitions <= MAX_OPEN_PARTITIONS):
            raise ValueError(f"rows are shuffled in buffers of {rows} from {partitions} partitions")
        return ShuffleConfig(rows, partitions)


class SavedEpoch(NamedTuple):
    """A saved fit's record of a completed epoch.

    Attributes:
        loss: of the training.
        learning_rate: the last step's.
        validation_loss: on the validation rows, or None.
        rows: the number of rows trained on.
        seconds: how long that took.
    """

    loss: float
    learning_rate: float
    validation_loss: float | None
    rows: int
    seconds: float


def read_epochs(data: CheckpointData) -> list[SavedEpoch]:
    """Return a saved fit's records of its epochs; this needs no rows and no network.

    Raises:
        CheckpointError: the file lacks it.
    """
    with checkpoint_errors():
        state = data.metadata["states"]["now"]
        epochs, history = list(state["epochs"]), state["history"]
        n = len(epochs)
        if not n:
            return []
        losses, rates = history["loss_curve"][-n:], history["learning_rate_curve"][-n:]
        validation = history["validation_loss_curve"]
        validation = [None] * n if validation is None else validation[-n:]
        return [
            SavedEpoch(
                read_number(loss),
                read_number(rate),
                None if validation_loss is None else read_number(validation_loss),
                read_count(rows),
                read_number(seconds),
            )
            for loss, rate, validation_loss, (rows, seconds) in zip(
                losses, rates, validation, epochs, strict=True
            )
        ]


@contextmanager
def checkpoint_errors() -> Iterator[None]:
    """Report a file that is complete but was not written by a fit."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        reason = " ".join(str(error).split())[:80]
        raise CheckpointError(
            f"the checkpoint is none that a fit has written ({type(error).__name__}: {reason}): remove it, "
            "or start over in another folder"
        ) from error


# ---- during the fit


class CheckpointManager:
    """Follows the state of a fit from chunk to chunk, saves it when due, and rewinds it after divergence.

    Args:
        callback: knows the state after each epoch.
        engine: runs the fit.
        start: how it started.
        fingerprint: see ``fingerprint.fingerprint``; compared only if there are checkpoints.
        threads: of BLAS, or None.

    Attributes:
        state: the current state of the fit.

    Raises:
        CheckpointError: the checkpoint to resume from is of another fit.
    """

    def __init__(
        self,
        callback: ValidationCallback,
        engine: Engine,
        start: FitStart,
        fingerprint: Mapping[str, Any],
        threads: int | None = None,
    ) -> None:
        self.callback, self.engine, self.start = callback, engine, start
        self._fingerprint, self._rows_seen = fingerprint, callback.state.rows_seen
        self._threads = threads
        self._may_rewind = callback.estimator.on_divergence == "rewind"
        self.state = self._best = replace(callback.state, rng_state=engine.rng_state())
        if start.resumed is not None:
            check_fingerprint(start.resumed, fingerprint)
            warn_of_threads(start.resumed, threads)
            states = from_checkpoint(start.resumed, self.state)
            with checkpoint_errors():
                self._go_to(states["now"])
            if start.writes:
                warn_of_processes(start.resumed, self.state.progress, current().count)
            self._best = states.get("best", self.state)

    @property
    def needs_chunks(self) -> bool:
        """Whether epochs are run in chunks, so that the state is known within an epoch."""
        return self._may_rewind or self.start.checkpoints is not None

    def on_progress(self, progress: TrainProgress) -> None:
        """Record the training progress, and save it if a save is due."""
        # The history ends with the last epoch done, even if the next one is interrupted.
        self.state = replace(self.callback.state, progress=progress, rng_state=self.engine.rng_state())
        between = not len(progress.losses)
        curve = self.state.history.loss_curve
        if self._may_rewind and between and curve and curve[-1] <= min(curve):
            self._best = self.state
        checkpoints, error = self.start.checkpoints, None
        if checkpoints is not None:
            try:
                if checkpoints.should_save(progress.epochs, between=between):
                    self._save(checkpoints)
            except CheckpointError as raised:
                error = raised
            # The process that writes tells the others that it cannot.
            current().agree(flag=False, error=error)
        current().note_progress()

    def end(self, *, stopped: bool) -> FitState:
        """Return the final state and save it; after Ctrl-C save the last one.

        Args:
            stopped: whether something else than the number of epochs ended it.
        """
        last, state = self.callback.last, self.state
        if last is not None:
            state = self.callback.state
            if not self.callback.estimator.interrupted_:
                self.state = replace(state, rng_state=self.engine.rng_state(), ended=stopped)
        if self.start.checkpoints is not None:
            with current().guard():
                self._save(self.start.checkpoints)
        return state

    def end_with_best(self, error: DivergedError) -> bool:
        """End a fit that diverged with its best weights, and return whether there are any.

        Args:
            error: what happened.
        """
        if self._may_rewind or not self.callback.end_with_best(error):
            return False
        self.state = replace(self.callback.state, rng_state=self.engine.rng_state(), ended=True)
        return True

    def rewind(self, error: DivergedError) -> None:
        """Rewind to the best epoch so far, to try again at half the learning rate.

        Args:
            error: what happened.

        Raises:
            DivergedError: rewinding is not enabled, or its limit is reached.
        """
        if not self._may_rewind:
            raise error
        what, _, remedy = str(error).partition(": ")
        rewinds = self.state.rewinds + 1
        if rewinds > MAX_REWINDS:
            raise DivergedError(
                f"{what}, after going back and halving the learning rate {MAX_REWINDS} times: {remedy}"
            ) from error
        self._go_to(replace(self._best, rewinds=rewinds))
        warn(
            f"{what}: training continues from the end of epoch {self.state.progress.epochs}, "
            f"with 1/{2**rewinds} of the learning rate"
        )

    def scale_schedule(self, schedule: Schedule) -> Schedule:
        """Halve the rates of a schedule for each rewind of the fit."""
        factor = 0.5**self.state.rewinds
        return schedule if factor == 1 else lambda step: schedule(step) * factor

    def _go_to(self, state: FitState) -> None:
        self.callback.restore(state)
        self.engine.set_rng_state(state.rng_state)
        self.state = state

    def _save(self, checkpoints: Checkpoints) -> None:
        if not self.start.writes:
            return
        states = {"now": self.state, **({"best": self._best} if self._may_rewind else {})}
        data = to_checkpoint(states, self.start, self._rows_seen, self._fingerprint, self._threads)
        checkpoints.write(data, self.state.progress.epochs)
