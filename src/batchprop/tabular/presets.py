"""The presets of a training on a table: how much work, and what goes well with it."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

PresetName: TypeAlias = Literal["fast", "balanced", "best"]

DEFAULT_PRESET: PresetName = "balanced"

ROWS_PER_MEMBER = 5
"""A preset trains fewer networks on a table that has fewer rows for each."""


class Preset(NamedTuple):
    """What a preset sets, unless it is given; by the estimators' names.

    Attributes:
        n_members: the number of networks.
        n_bins: the most bins of a column of numbers.
        hidden_layer_sizes: the widths of the hidden layers.
        learning_rate_init: the first learning rate.
        learning_rate: its schedule.
        batch_size: rows in a batch.
        max_iter: the largest number of epochs.
        n_iter_no_change: how many epochs without a better validation loss to wait.
        dropout: the share of hidden units left out of a step.
    """

    n_members: int
    n_bins: int = 16
    hidden_layer_sizes: tuple[int, ...] = (256,)
    learning_rate_init: float = 0.001
    learning_rate: str = "cosine"
    batch_size: int = 32
    max_iter: int = 60
    n_iter_no_change: int = 15
    dropout: float = 0.2

    def count_members(self, n_rows: int) -> int:
        """Return the number of networks for a table of so many rows.

        >>> PRESETS["balanced"].count_members(1000), PRESETS["balanced"].count_members(12)
        (4, 2)
        """
        return max(1, min(self.n_members, n_rows // ROWS_PER_MEMBER))


PRESETS: dict[PresetName, Preset] = {
    "fast": Preset(n_members=1),
    "balanced": Preset(n_members=4),
    "best": Preset(n_members=16),
}
"""From the least to the most work."""
