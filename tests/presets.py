"""One plain network as the default preset: for tests of other things, in a fraction of the time."""

from batchprop.tabular.presets import PRESETS, SHORT_PRESETS, Preset

BALANCED = [(presets, presets["balanced"]) for presets in (*PRESETS.values(), *SHORT_PRESETS.values())]
PLAIN = Preset(
    n_members=1,
    n_bins=0,
    hidden_layer_sizes=(128,),
    learning_rate_init=0.001,
    learning_rate="constant",
    batch_size=32,
    max_iter=200,
    dropout=0.0,
)

AS_DEFAULT = (
    "from batchprop.tabular.presets import PRESETS, SHORT_PRESETS, Preset; "
    f"plain = Preset(*{tuple(PLAIN)!r}); "
    "[each.update(balanced=plain) for each in (*PRESETS.values(), *SHORT_PRESETS.values())]"
)
"""The same for a process of its own."""


def train_one_by_default() -> None:
    """Make one plain network the default."""
    for presets, _ in BALANCED:
        presets["balanced"] = PLAIN


def train_several_by_default() -> None:
    """Make the several networks of each preset the default again."""
    for presets, balanced in BALANCED:
        presets["balanced"] = balanced
