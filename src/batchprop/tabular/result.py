"""The result of a training: the pipeline, its history, and the table that it is evaluated on."""

import platform
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.pipeline import Pipeline

from batchprop import __version__
from batchprop.errors import short_repr
from batchprop.tabular.cross_validation import CrossValidation
from batchprop.tabular.evaluation import Evaluation, HeldOutRows, baseline_name, evaluate, predict_test_rows
from batchprop.tabular.fit import Split, members_of, network_of
from batchprop.tabular.history import EpochSummary, History, epochs_of
from batchprop.tabular.intervals import Intervals, bootstrap_classification, bootstrap_regression
from batchprop.tabular.model_info import FORMAT
from batchprop.tabular.options import TrainOptions, to_dict
from batchprop.tabular.pooling import describe_pooling
from batchprop.tabular.predictions import distinct_names
from batchprop.tabular.training_table import TrainingTable
from batchprop.tabular.unseen import UnseenCounter


def _plain(labels: npt.NDArray[Any]) -> list[Any]:
    """Return labels as Python's own values; 0.1 in float32 stays 0.1."""
    return [float(str(label)) for label in labels] if labels.dtype.kind == "f" else labels.tolist()


_BINARY = 2
_LIBRARIES = ("numpy", "scipy", "scikit-learn", "pandas", "pyarrow", "skops")
# What is installed does not change under a process, and to read it takes as long as a short fit.
_version = cache(version)


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training.

    Attributes:
        table: the table, or only its held-out rows.
        split: the split of its rows.
        options: of the training.
        files: of the table; empty for the digits, None for a table in memory.
        pipeline: the trained model.
        history: a summary of each epoch.
        cross_validation: the scores of networks trained on folds of the rows, or None.
    """

    table: TrainingTable
    split: Split
    options: TrainOptions
    files: tuple[Path, ...] | None
    pipeline: Pipeline
    history: History
    cross_validation: CrossValidation | None = None

    @property
    def network(self) -> Any:
        """The fitted MLPClassifier or MLPRegressor at the pipeline's end, or several in one."""
        return network_of(self.pipeline)

    @property
    def members(self) -> list[Any]:
        """The fitted networks."""
        return members_of(self.network)

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the training."""
        return bool(self.network.interrupted_)

    @property
    def engine(self) -> str:
        """The engine that trained the network, "numpy" or "jax"."""
        return str(self.network.engine_)

    @cached_property
    def device(self) -> str | None:
        """The device on which JAX trained it, as "gpu (NVIDIA A100)"; None for NumPy."""
        if self.engine == "numpy":
            return None
        from batchprop.engines.devices import get_device

        device = get_device(self.options.device)
        # The kind of a CPU is "cpu", and would appear twice.
        same = device.platform == device.device_kind
        return str(device.platform) if same else f"{device.platform} ({device.device_kind})"

    @property
    def best_epochs(self) -> list[EpochSummary]:
        """The epoch whose weights were kept, of each network."""
        # Epochs count from 1.
        return [
            epochs[network.best_iteration_ - 1]
            for epochs, network in zip(epochs_of(self.history), self.members, strict=True)
        ]

    @cached_property
    def test_rows(self) -> HeldOutRows:
        """The test rows with the model's outputs."""
        return predict_test_rows(self.table, self.split, self.pipeline)

    @cached_property
    def evaluation(self) -> Evaluation:
        """The scores on the test rows."""
        return evaluate(self.table, self.split, self.options, self.pipeline, self.test_rows)

    def test_predictions(self) -> pd.DataFrame:
        """Return the number of each test row, its target and answer, and the probabilities of classes."""
        name, numbers = self.table.test_locator or self.table.row_numbers
        if self.table.test_locator is None:
            numbers = numbers[self.split.test]
        target, outputs = self.table.target.name, self.test_rows.outputs
        classes = getattr(self.pipeline, "classes_", None)
        answers = outputs if classes is None else classes[outputs.argmax(axis=1)]
        shares = [] if classes is None else [f"probability {label}" for label in classes]
        names = distinct_names([target, f"predicted {target}", *shares, name])
        columns = [self.test_rows.y, answers, *(outputs.T if shares else [])]
        number = {names[-1]: numbers}
        return pd.DataFrame(number | dict(zip(names[:-1], columns, strict=True)))

    @cached_property
    def one_class_note(self) -> str | None:
        """A note with a remedy, if the network answers one class for test rows of several."""
        if self.table.target.task != "classification":
            return None
        y, options = self.test_rows.y, self.options
        answers = np.unique(self.test_rows.outputs.argmax(axis=1))
        if len(answers) > 1 or len(np.unique(y)) == 1:
            return None
        label = self.pipeline.classes_[answers[0]]
        answered = (
            f"the network answers {short_repr(str(label))} for each of the {len(y):,} test rows, of which "
            f"{int((y == label).sum()):,} are"
        )
        if self.evaluation.scores["log loss"] < self.evaluation.baseline["log loss"]:
            balance = "; class_weight='balanced' answers rarer classes more often"
            return (
                f"{answered}: {self._describe_unanswered()}, but the probabilities tell rows apart, as "
                "their log loss is lower than that of the simplest guess: rank rows by them"
                f"{'' if options.class_weight else balance}"
            )
        remedies = self._one_class_remedies()
        return f"{answered}: it does not tell the classes apart" + (f"; try {remedies}" if remedies else "")

    def _describe_unanswered(self) -> str:
        """Say that the probabilities of all classes but one are too low to be answered."""
        classes = self.pipeline.classes_
        if len(classes) > _BINARY:
            return "no other class is the most probable one of any row"
        other = classes[1 - self.test_rows.outputs[0].argmax()]
        return f"no row's probability of {short_repr(str(other))} reaches 1/2"

    def _one_class_remedies(self) -> str:
        options = self.options
        remedies = [] if options.class_weight else ["class_weight='balanced'"]
        if options.solver != "lbfgs":
            remedies.append(f"another learning rate than {options.learning_rate:g}")
        # A network that stopped early would not use more.
        if max(epoch.epoch for epoch in self.history) == options.epochs:
            remedies.append(f"more epochs than {options.epochs:,}")
        return ", ".join([*remedies[:-1], f"or {remedies[-1]}"] if remedies[1:] else remedies)

    @property
    def class_weight_note(self) -> str | None:
        """A note that weighted classes change the probabilities, if they are weighted."""
        if self.options.class_weight is None:
            return None
        return (
            f"class_weight={self.options.class_weight!r} raises the probabilities of rare classes: "
            "they rank rows, and do not say how often a class occurs"
        )

    @cached_property
    def intervals(self) -> Intervals:
        """The intervals of the scores on the test rows."""
        rows, seed = self.test_rows, self.options.seed
        if self.table.target.task == "classification":
            return bootstrap_classification(
                rows.y, rows.outputs, self.pipeline.classes_, random_state=seed, weights=rows.weights
            )
        return bootstrap_regression(
            rows.y, rows.outputs, *self.options.loss_and_quantile, random_state=seed, weights=rows.weights
        )

    @cached_property
    def unseen_notes(self) -> list[str]:
        """A sentence for each column whose values in test rows of their own the training had not."""
        if not self.table.n_test:
            return []
        counter = UnseenCounter(self.pipeline)
        counter.add(self.pipeline["columns"].transform(self.table.frame.iloc[self.split.test]))
        return [f"test rows: {note}" for note in counter.notes()]

    @cached_property
    def pooling(self) -> dict[str, str]:
        """For each column of which several words share a feature, how many have their own."""
        return describe_pooling(self.pipeline, self.table.columns)

    @property
    def baseline_name(self) -> str:
        """The prediction of the baseline."""
        return baseline_name(self.table.target.task, self.options)

    @property
    def title(self) -> str:
        """The title of the report."""
        return f"{self.table.name}: predicting {self.table.target.name}"

    @property
    def sizes(self) -> list[int]:
        """The widths of a network's layers, from input to output."""
        network = self.members[0]
        return [len(W) for W in network.coefs_] + [len(network.intercepts_[-1])]

    @property
    def shapes(self) -> list[str]:
        """The widths of each network's layers, as 4-256-1; equal ones once."""
        sizes = ([*map(len, member.coefs_), len(member.intercepts_[-1])] for member in self.members)
        return list(dict.fromkeys("-".join(map(str, each)) for each in sizes))

    @property
    def versions(self) -> dict[str, str]:
        """The versions of Python and of the libraries that were used."""
        names = (*_LIBRARIES, "jax") if self.engine == "jax" else _LIBRARIES
        ours = {"batchprop": __version__, "python": platform.python_version()}
        return ours | {name: _version(name) for name in names}

    def info(self) -> dict[str, Any]:
        """Return the content of settings.json."""
        table, target, scores = self.table, self.table.target, self.cross_validation
        classes = {"classes": _plain(self.pipeline.classes_)} if target.task == "classification" else {}
        best = [epoch.epoch for epoch in self.best_epochs]
        return {
            "format": FORMAT,
            "versions": self.versions,
            "settings": to_dict(self.options),
            "data": {
                "name": table.name,
                "files": None if self.files is None else [str(path) for path in self.files],
                "rows": {name: len(rows) for name, rows in self.split._asdict().items()},
                "rows left out": table.left_out,
                "columns": [asdict(of) | {"pooling": self.pooling.get(of.name, "")} for of in table.columns],
            },
            "target": {
                "name": target.name,
                "task": target.task,
                "rule": target.reason,
                "reading": target.reading,
            }
            | classes,
            "network": {
                "members": len(self.members),
                "sizes": self.sizes,
                "output": self.members[0].out_activation_,
            },
            "training": {
                "epochs": len(self.history),
                "best epoch": best[0] if len(best) == 1 else best,
                "interrupted": self.interrupted,
                "seconds": sum(epoch.seconds for epoch in self.history),
                "engine": self.engine,
                "device": self.device,
            },
            "test": self.evaluation.scores,
            "baseline": self.evaluation.baseline,
        } | ({} if scores is None else {"cross-validation": scores.info()})
