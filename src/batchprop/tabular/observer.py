"""The observer interface, through which training and prediction report their progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchprop.tabular.history import History
    from batchprop.tabular.options import TrainOptions
    from batchprop.tabular.training_table import TrainingTable
    from batchprop.tabular.trials import Trial


class Observer:
    """Called by ``train_table`` as a training proceeds; every method does nothing here.

    Override the methods you need. They run in the thread that trains, so keep them short.

    Example:
        >>> class PrintLoss(Observer):
        ...     def on_epoch(self, history):
        ...         print(f"epoch {history[-1].epoch}: loss {history[-1].loss:.3f}")
    """

    def on_note(self, text: str) -> None:
        """Handle a note, for example that training resumes from a checkpoint."""

    def on_table(self, table: TrainingTable, rows: str) -> None:
        """Handle the table once it is read, with a description of the split of its rows."""

    def on_network(self, sizes: Sequence[int], options: TrainOptions) -> None:
        """Handle the widths of the layers, from input to output, before the first epoch."""

    def on_epoch(self, history: History) -> None:
        """Handle the history after each epoch; its last entry is new."""

    def on_trial(self, trials: Sequence[Trial]) -> None:
        """Handle the trials of a search after each; the last is new."""

    def on_rows(self, share: float) -> None:
        """Handle the share of the current epoch's rows read so far, from 0 to 1."""

    @contextmanager
    def watch_training(
        self,
        epochs: int,  # noqa: ARG002 for overriding methods
        members: int,  # noqa: ARG002
    ) -> Iterator[None]:
        """Enclose the fit of the networks, each of at most ``epochs`` epochs."""
        yield

    @contextmanager
    def watch_tuning(
        self,
        seconds: float,  # noqa: ARG002
        n_trials: float,  # noqa: ARG002
    ) -> Iterator[None]:
        """Enclose a search, which ends after so many seconds or trials; either may be infinite."""
        yield

    @contextmanager
    def watch_pass(
        self,
        what: str,  # noqa: ARG002
        rows: int | None,  # noqa: ARG002
    ) -> Iterator[Callable[[int], None]]:
        """Enclose one pass over the table; yield a function to call with the number of rows just read.

        Args:
            what: the purpose of the pass, in words.
            rows: of the table, or None if unknown.
        """
        yield lambda _: None

    @contextmanager
    def watch_prediction(self, rows: int) -> Iterator[Callable[[int], None]]:  # noqa: ARG002
        """Enclose predictions for ``rows`` rows; yield a function to call with the number just done."""
        yield lambda _: None
