"""All that `batchprop train` was asked for, checked before any file is read."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from batchprop.engines.auto import Workload, choose_engine
from batchprop.errors import DataError, ParameterError

if TYPE_CHECKING:
    from batchprop.tabular.target import Target

_MAX_NAMED = 10
_NO_WORK = Workload((1, 1), rows=0, batch_size=1, epochs=0)


@dataclass(frozen=True)
class TrainOptions:
    """The options of one training, parsed; `out` is the folder to write, `more_data` are further files."""

    out: Path
    data: Path | None = None
    more_data: tuple[Path, ...] = ()
    target: str | None = None
    task: Literal["classes", "numbers"] | None = None
    weights: str | None = None
    test_fraction: float = 0.2
    hidden: tuple[int, ...] = (128,)
    activation: str = "relu"
    loss: str | None = None
    quantile: float | None = None
    solver: str = "adam"
    learning_rate: float = 0.001
    schedule: str = "constant"
    batch_size: int | Literal["auto", "full"] = 32
    epochs: int = 200
    patience: int = 15
    dropout: float = 0.0
    max_grad_norm: float | None = None
    alpha: float = 1e-4
    class_weight: Literal["balanced"] | None = None
    label_smoothing: float = 0.0
    seed: int = 0
    engine: Literal["auto", "numpy", "jax"] = "auto"
    device: str | None = None
    precision: Literal["float32", "tensorfloat32", "bfloat16"] | None = None
    record: bool = False
    memory: int | None = None
    on_bad_row: Literal["error", "skip"] = "error"
    max_skipped: float = 0.01
    on_divergence: Literal["error", "rewind"] = "error"
    checkpoint_every: str | int | None = None
    resume: bool = False
    force: bool = False

    @property
    def tables(self) -> tuple[Path, ...]:
        """All files, folders and patterns of the table; none for the digits."""
        return () if self.data is None else (self.data, *self.more_data)

    @property
    def to_predict(self) -> list[str]:
        """The words of the command that predicts from the same table: from its first file, if it has many."""
        tables = self.tables if len(self.tables) <= _MAX_NAMED else self.tables[:1]
        return ["batchprop", "predict", str(self.out), *map(str, tables)]

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.out.with_name(f"{self.out.name}.checkpoints")

    def check(self, purpose: str = "predict") -> None:
        """Check what no single option can tell.

        Args:
            purpose: what the command does with the target, for messages.

        Raises:
            ParameterError: two options do not go together, or one is missing, or infinite; the engine or the
                device asked for is not there.
        """
        for name, value in (
            ("learning-rate", self.learning_rate),
            ("alpha", self.alpha),
            ("max-grad-norm", self.max_grad_norm),
        ):
            if value is not None and not math.isfinite(value):
                raise ParameterError(f"--{name} {value} is not allowed: give a finite number")
        for name, value in (("dropout", self.dropout), ("max-grad-norm", self.max_grad_norm)):
            if self.solver == "lbfgs" and value:
                raise ParameterError(
                    f"--{name} {value:g} does not go with --solver lbfgs, which needs the same loss at every "
                    "call: leave it out, or use another --solver"
                )
        if self.record and self.solver == "lbfgs":
            raise ParameterError(
                "--record does not go with --solver lbfgs, which takes no batches to watch rows in: "
                "leave it out, or use another --solver"
            )
        self._check_keeping()
        if self.data is not None and self.target is None:
            raise ParameterError(f"--target is missing: name the column of {self.data} to {purpose}")
        if self.data is None and (self.target or self.weights):
            option = "--target" if self.target else "--weights"
            raise ParameterError(f"{option} names a column, but there is no DATA: name a file before it")
        if self.quantile is not None and self.loss != "quantile":
            raise ParameterError(f"--quantile {self.quantile} needs --loss quantile: add it")
        if self.target is not None and self.target == self.weights:
            raise ParameterError(f"--weights {self.weights!r} is the target: name another column")
        self._check_engine()

    def _check_keeping(self) -> None:
        kept = {
            "--checkpoint-every": self.checkpoint_every is not None,
            "--on-divergence rewind": self.on_divergence == "rewind",
        }
        cannot = {"--solver lbfgs": self.solver == "lbfgs", "--record": self.record}
        for option, given in kept.items():
            for other, there in cannot.items():
                if given and there:
                    raise ParameterError(
                        f"{option} does not go with {other}, whose memory is not kept: leave one out"
                    )

    def _check_engine(self) -> None:
        # Where there is no work, JAX is chosen only if it was asked for.
        if choose_engine(self.engine, _NO_WORK, device=self.device, precision=self.precision) == "jax":
            from batchprop.engines.devices import get_device, matmul_precision

            matmul_precision(self.precision, get_device(self.device))

    def check_target(self, target: Target) -> None:
        """Check the options that belong to one task.

        Raises:
            ParameterError: a loss for classes; class weights or label smoothing for numbers.
            DataError: numbers below 0, which are no counts.
        """
        if target.task == "classes" and self.loss is not None:
            raise ParameterError(
                f"--loss {self.loss} is for numbers, and the target {self.target!r} holds classes: "
                "leave it out, or use --task numbers"
            )
        if self.loss == "poisson" and target.values.min() < 0:
            raise DataError(
                f"the target {target.name!r} holds {target.values.min():g}, and --loss poisson is for "
                "counts, 0 or more: correct it, or choose another --loss"
            )
        for option, given in (
            ("--class-weight", self.class_weight is not None),
            ("--label-smoothing", self.label_smoothing > 0),
        ):
            if target.task == "numbers" and given:
                raise ParameterError(
                    f"{option} is for classes, and the target {self.target!r} holds numbers: "
                    "leave it out, or use --task classes"
                )

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON carries them."""
        told = {
            name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()
        }
        return told | {"more_data": [str(path) for path in self.more_data]}


def as_option_names(message: str) -> str:
    """Say a parameter of the engines as the option that it is here.

    >>> as_option_names(
    ...     "device='gpu' does not go with engine='numpy': use engine='jax', or device=None"
    ... )
    '--device gpu does not go with --engine numpy: use --engine jax, or no --device'
    """
    given = re.sub(r"\b(engine|device|precision)='([^']*)'", r"--\1 \2", message)
    given = given.replace("resume=True", "--resume")
    return re.sub(r"\b(engine|device|precision)=None", r"no --\1", given).replace(", or None", "")


def parse_interval(text: str | None, *, resume: bool) -> str | int | None:
    """Read how often to save: a time, or a number of epochs; to resume means to go on saving.

    >>> (
    ...     parse_interval("5min", resume=False),
    ...     parse_interval("10", resume=False),
    ...     parse_interval(None, resume=True),
    ... )
    ('5min', 10, '5min')
    """
    if text is None:
        return "5min" if resume else None
    if text.isdecimal() and int(text) > 0:
        return int(text)
    if not re.fullmatch(r"\d+(\.\d+)?\s*(s|min|h)", text.strip()):
        raise ParameterError(
            f"--checkpoint-every {text!r} is not allowed: give a time, as 5min or 2h, or a number of epochs"
        )
    return text.strip()


def parse_hidden(text: str) -> tuple[int, ...]:
    """Read the widths of the hidden layers; "none" is a network without any.

    >>> parse_hidden("256,128")
    (256, 128)
    """
    if text.strip().lower() == "none":
        return ()
    widths = [part.strip() for part in text.split(",")]
    if not all(width.isdecimal() and int(width) > 0 for width in widths):
        raise ParameterError(f"--hidden {text!r} is not a list of widths: write 128, or 256,128, or none")
    return tuple(map(int, widths))


def parse_batch_size(text: str) -> int | Literal["auto", "full"]:
    """Read a number of rows, "auto" or "full".

    >>> parse_batch_size("64"), parse_batch_size("full")
    (64, 'full')
    """
    if text == "auto":
        return "auto"
    if text == "full":
        return "full"
    if not text.isdecimal() or int(text) == 0:
        raise ParameterError(f"--batch-size {text!r} is not allowed: give a number of rows, auto, or full")
    return int(text)
