"""The presets of a training on a table: how much work, and what goes well with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from batchprop.tabular.target import Task

PresetName: TypeAlias = Literal["fast", "balanced", "best"]

DEFAULT_PRESET: PresetName = "balanced"

ROWS_PER_MEMBER = 5
"""A preset trains fewer networks on a table that has fewer rows for each."""

SHORT, LONG = 1_000, 100_000
"""A table of fewer rows takes smaller batches: it has too few steps else. One of more has rows enough for two
layers without dropout, and needs fewer epochs."""


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
    learning_rate_init: float = 0.0015
    learning_rate: str = "cosine"
    batch_size: int = 64
    max_iter: int = 60
    n_iter_no_change: int = 15
    dropout: float = 0.2

    def count_members(self, n_rows: int) -> int:
        """Return the number of networks for a table of so many rows.

        >>> balanced = PRESETS["classification"]["balanced"]
        >>> balanced.count_members(1000), balanced.count_members(12)
        (4, 2)
        """
        return max(1, min(self.n_members, n_rows // ROWS_PER_MEMBER))


# Numbers often change by steps, or by two columns together, which a second layer follows if there is no
# dropout; an average of more and smaller networks takes back the noise that they learn. Classes gain nothing.
_NUMBERS = Preset(n_members=8, hidden_layer_sizes=(128, 64), learning_rate_init=0.003, dropout=0.0)

PRESETS: dict[Task, dict[PresetName, Preset]] = {
    "classification": {
        "fast": Preset(n_members=1, learning_rate_init=0.002, max_iter=40),
        "balanced": Preset(n_members=4),
        "best": Preset(n_members=16),
    },
    "regression": {
        "fast": _NUMBERS._replace(n_members=2, max_iter=40),
        "balanced": _NUMBERS,
        "best": _NUMBERS._replace(n_members=16),
    },
}
"""From the least to the most work."""

SHORT_PRESETS = {
    task: {name: preset._replace(batch_size=16) for name, preset in presets.items()}
    for task, presets in PRESETS.items()
}
"""The same for tables of fewer than ``SHORT`` rows."""

_LONG_PRESET = Preset(
    n_members=1,
    n_bins=0,
    hidden_layer_sizes=(128, 64),
    learning_rate_init=0.004,
    batch_size=128,
    max_iter=12,
    dropout=0.0,
)
LONG_PRESETS: dict[PresetName, Preset] = {
    "fast": _LONG_PRESET._replace(max_iter=6),
    "balanced": _LONG_PRESET,
    "best": _LONG_PRESET._replace(n_members=4, max_iter=20),
}
"""The same for tables of more than ``LONG`` rows, of both tasks."""


def choose_preset(name: PresetName, n_rows: int, task: Task) -> Preset:
    """Return what a preset sets for a table of so many rows, to learn classes or numbers.

    >>> [
    ...     choose_preset("balanced", n_rows, "regression").batch_size
    ...     for n_rows in (500, 5_000, 500_000)
    ... ]
    [16, 64, 128]
    """
    if n_rows > LONG:
        return LONG_PRESETS[name]
    return (SHORT_PRESETS if n_rows < SHORT else PRESETS)[task][name]
