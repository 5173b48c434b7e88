"""What training and predicting report as they proceed: the one interface to whoever shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchprop.tabular.history import History
    from batchprop.tabular.options import TrainOptions
    from batchprop.tabular.training_table import TrainingTable


class Observer:
    """Called by ``train_table`` as a training proceeds; every method does nothing here.

    Override the methods you need. They run in the thread that trains, so keep them short.

    Example:
        >>> class PrintLoss(Observer):
        ...     def on_epoch(self, history):
        ...         print(f"epoch {history[-1].epoch}: loss {history[-1].loss:.3f}")
    """

    def on_note(self, text: str) -> None:
        """Take a remark, as that training goes on from a checkpoint."""

    def on_table(self, table: TrainingTable, rows: str) -> None:
        """Take the table once it is read, and in words what its rows are used for."""

    def on_network(self, sizes: Sequence[int], options: TrainOptions) -> None:
        """Take the widths of the layers, from input to output, before the first epoch."""

    def on_epoch(self, history: History) -> None:
        """Take the history after each epoch; its last entry is new."""

    def on_rows(self, share: float) -> None:
        """Take the share of the current epoch's rows that is read, from 0 to 1."""

    @contextmanager
    def watch_training(self, epochs: int) -> Iterator[None]:  # noqa: ARG002 for those who override it
        """Enclose the fit, which takes at most so many epochs."""
        yield

    @contextmanager
    def watch_pass(
        self,
        what: str,  # noqa: ARG002
        rows: int | None,  # noqa: ARG002
    ) -> Iterator[Callable[[int], None]]:
        """Enclose one pass over the table; yield a function that takes how many more rows were read.

        Args:
            what: the pass does, in words.
            rows: of the table, or None where that is not known yet.
        """
        yield lambda _: None

    @contextmanager
    def watch_prediction(self, rows: int) -> Iterator[Callable[[int], None]]:  # noqa: ARG002
        """Enclose the predictions for so many rows; yield a function that takes how many more are done."""
        yield lambda _: None
