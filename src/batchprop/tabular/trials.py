"""The record of a trial of a search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from batchprop.tabular.history import History

State: TypeAlias = Literal["complete", "pruned", "diverged"]


@dataclass(frozen=True)
class Trial:
    """A trial of a search.

    Attributes:
        number: 0, 1, ...
        state: "complete"; "pruned", if its first network was worse than the median; or "diverged".
        loss: on the rows that its networks held out; None if it is not complete.
        seconds: how long it took.
        values: of the searched options.
        history: the epochs of its networks.
        curve: the loss of the first network on its held-out rows after each epoch; trials are pruned by it.
    """

    number: int
    state: State
    loss: float | None
    seconds: float
    values: dict[str, Any]
    history: History
    curve: tuple[float, ...]

    @property
    def epochs(self) -> int:
        """The number of epochs of all its networks."""
        return len(self.history)
