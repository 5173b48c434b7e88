"""Recording: statistics of every row that a fit trains on, and the table of them, ``examples_``."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from batchprop.batches import Indices, flat_rows
from batchprop.dynamics import (
    LabelEncoding,
    TrainingDynamics,
    example_metrics,
    init_dynamics,
    mean_predictions,
    mislabel_score,
    summarize,
    update_dynamics,
)
from batchprop.errors import ParameterError, warn
from batchprop.estimators.validation import FitArgs
from batchprop.network import Network
from batchprop.training import EpochRecord

if TYPE_CHECKING:
    from batchprop.estimators.interface import FitInterface


class WeightSnapshot(NamedTuple):
    """The weights at one point of a fit.

    Attributes:
        coefs: as ``coefs_``.
        intercepts: as ``intercepts_``.
        epoch: the number of epochs done.
        learning_rate_sum: of the epochs since the previous snapshot.
    """

    coefs: list[NDArray[np.floating]]
    intercepts: list[NDArray[np.floating]]
    epoch: int
    learning_rate_sum: float

    @classmethod
    def from_network(cls, net: Network, epoch: int, rate: float) -> WeightSnapshot:
        """The weights of a network, in scikit-learn's shapes."""
        return cls([layer.W.T for layer in net.layers], [layer.b for layer in net.layers], epoch, rate)


class DynamicsRecorder:
    """Updates the training dynamics of each row from epoch to epoch.

    Args:
        net: the initial network.
        rows: the training rows.
        Y: the encoded targets of all rows ``(n, K)``.
        labels: how Y encodes labels, or None.

    Attributes:
        dynamics: of the rows, in their order; None before the first epoch.
        snapshots: the weights before the first epoch and at later points.
    """

    def __init__(
        self, net: Network, rows: Indices, Y: NDArray[np.floating], labels: LabelEncoding | None
    ) -> None:
        self.dynamics: TrainingDynamics | None = None
        self.snapshots = [WeightSnapshot.from_network(net, 0, 0.0)]
        self._Y, self._labels = np.ascontiguousarray(Y[rows].T), labels
        self._position = np.empty(int(rows.max()) + 1, dtype=np.intp)
        self._position[rows] = np.arange(len(rows))

    def record(self, epochs: Iterator[EpochRecord]) -> Iterator[EpochRecord]:
        """Record epochs, with their metrics, whose batches name every row once; yield them unchanged."""
        for epoch in epochs:
            # The metrics come in the epoch's order of the rows; the dynamics are by row.
            shuffled = np.asarray(epoch.metrics.examples)
            basic = np.empty(shuffled.shape[::-1], dtype=shuffled.dtype)
            basic[:, self._position[flat_rows(epoch.batches)]] = shuffled.T
            # Sums over many epochs lose digits in float32.
            metrics = example_metrics(basic, self._Y, epoch.network.head, self._labels).T.astype(np.float64)
            rate = epoch.learning_rate
            if self.dynamics is None:
                self.dynamics = init_dynamics(metrics, rate, self._labels)
            else:
                self.dynamics = update_dynamics(self.dynamics, metrics, rate)
            self._keep_snapshot(epoch)
            yield epoch

    def _keep_snapshot(self, epoch: EpochRecord) -> None:
        """Keep the weights after epochs 1, 2, 4, 8, ... and after the last."""
        rate = epoch.learning_rate
        # The last snapshot is the last epoch's; it stays only if that epoch was a power of two.
        if not _is_power_of_two(epoch.number - 1):
            rate += self.snapshots.pop().learning_rate_sum
        self.snapshots.append(WeightSnapshot.from_network(epoch.network, epoch.number, rate))


def _is_power_of_two(number: int) -> bool:
    return number & (number - 1) == 0


def check_recording(estimator: FitInterface, call: FitArgs) -> None:
    """Refuse ``record_examples`` with a solver that takes no batches."""
    check_record_examples(call.record_examples)
    if call.record_examples and estimator.solver == "lbfgs":
        raise ParameterError(
            "record_examples=True does not go with solver='lbfgs', which takes no batches: "
            "use 'adam' or 'sgd'"
        )


def check_record_examples(record_examples: Any) -> None:
    """Refuse a value that is no boolean, and a recording without pandas."""
    if not isinstance(record_examples, bool | np.bool_):
        raise ParameterError(f"record_examples={record_examples!r} is not allowed: give True or False")
    if record_examples and find_spec("pandas") is None:
        raise ParameterError(
            "record_examples=True needs pandas, which is not installed: pip install 'batchprop[tables]', "
            "or leave it out"
        )


def recording_result(
    estimator: FitInterface, recorder: DynamicsRecorder | None, rows: Indices, y: NDArray[Any]
) -> dict[str, Any] | None:
    """Return a recording as arrays and numbers, which any file format can hold.

    Args:
        estimator: turns outputs into labels.
        recorder: of the fit, or None.
        rows: the training rows.
        y: the targets of all rows, as passed by the user.

    Returns:
        ``rows``, ``given_label``, ``predicted_label``, ``statistics`` and ``snapshots``, by name; None if
        no epoch was recorded.
    """
    if recorder is None or recorder.dynamics is None:
        return None
    dynamics = recorder.dynamics
    return {
        "rows": rows,
        "given_label": y,
        "predicted_label": estimator._decode_targets(mean_predictions(dynamics)),
        "statistics": {**_rank_scores(mislabel_score(dynamics)), **summarize(dynamics)},
        "snapshots": [tuple(snapshot) for snapshot in recorder.snapshots],
    }


def label_records(y: NDArray[Any], classes: NDArray[Any], P: NDArray[np.floating]) -> dict[str, Any]:
    """Return the record of rows by networks that did not learn from them, as ``recording_result`` does.

    Args:
        y: the label of each row (n,).
        classes: (K,), in ascending order.
        P: the probabilities of each row (n, K) by those networks; NaN where there is none.
    """
    rows = _held_out_rows(P)
    confidence = P[rows, np.searchsorted(classes, y[rows])]
    losses = -np.log(np.maximum(confidence, np.finfo(confidence.dtype).tiny))
    predicted = classes[P[rows].argmax(axis=1)]
    return _held_out_records(rows, y, predicted, losses, confidence=confidence)


def number_records(
    y: NDArray[np.floating], answers: NDArray[np.floating], losses: NDArray[np.floating]
) -> dict[str, Any]:
    """Return the record of rows by networks that did not learn from them, as ``recording_result`` does.

    Args:
        y: the number of each row (n,), or several (n, K).
        answers: of those networks, likewise; NaN where there is none.
        losses: of the answers (n,), in the unit of the training.
    """
    rows = _held_out_rows(answers)
    return _held_out_records(rows, y, answers[rows], losses[rows])


def _held_out_rows(answers: NDArray[np.floating]) -> Indices:
    is_held_out = np.isfinite(answers.reshape(len(answers), -1)).all(axis=1)
    if not is_held_out.all():
        warn(
            f"{len(answers) - is_held_out.sum():,} of {len(answers):,} rows have no answer in examples_, as "
            "no network held them out: train at least 4 networks, on as many rows of each class"
        )
    return np.flatnonzero(is_held_out)


def _held_out_records(
    rows: Indices,
    y: NDArray[Any],
    predicted: NDArray[Any],
    losses: NDArray[np.floating],
    **more: NDArray[np.floating],
) -> dict[str, Any]:
    statistics = {**_rank_scores(losses), "loss": losses, **more}
    return {"rows": rows, "given_label": y, "predicted_label": predicted, "statistics": statistics}


def _rank_scores(score: NDArray[np.floating]) -> dict[str, NDArray[Any]]:
    rank = np.empty(len(score), dtype=np.intp)
    rank[np.argsort(-score, kind="stable")] = np.arange(1, len(score) + 1)
    return {"mislabel_score": score, "mislabel_rank": rank}


def relabel_records(records: dict[str, Any], before: NDArray[Any], labels: NDArray[Any]) -> None:
    """Give the classes of a record other labels, in the same order, in place."""
    for name in ("given_label", "predicted_label"):
        records[name] = labels[np.searchsorted(before, records[name])]


def to_frame(records: dict[str, Any] | None) -> Any:
    """Return the table of ``examples_``.

    Args:
        records: from ``recording_result``, or None if nothing was recorded.

    Returns:
        A DataFrame with one row for each row of X; held-out rows have only their target.

    Raises:
        AttributeError: nothing was recorded.
    """
    records = check_recorded("examples_", records)
    import pandas as pd

    n = len(records["given_label"])
    trained = pd.DataFrame(
        {**_label_columns("predicted_label", records["predicted_label"]), **records["statistics"]},
        records["rows"],
    )
    targets = pd.DataFrame(
        _label_columns("given_label", records["given_label"]), pd.RangeIndex(n, name="row")
    )
    return targets.join(trained)


def check_recorded(name: str, records: dict[str, Any] | None) -> dict[str, Any]:
    """Return the recording, or raise if there is none.

    Raises:
        AttributeError: there is no recording.
    """
    if records is None:
        raise AttributeError(f"{name} is not there: fit with record_examples=True")
    return records


def _label_columns(name: str, y: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """One column, or one for each of several targets: ``given_label_0``, ``given_label_1``, ..."""
    return {name: y} if y.ndim == 1 else {f"{name}_{t}": column for t, column in enumerate(y.T)}
