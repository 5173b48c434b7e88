"""One plain network as the default preset: for tests of other things, in a fraction of the time."""

from batchprop.tabular.presets import PRESETS, Preset

BALANCED = PRESETS["balanced"]
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
    f"from batchprop.tabular.presets import PRESETS, Preset; PRESETS['balanced'] = Preset(*{tuple(PLAIN)!r})"
)
"""The same for a process of its own."""
