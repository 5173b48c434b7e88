"""scikit-learn: MLPClassifier.fit, which draws the same weights and rows for the same seed."""

from __future__ import annotations

import warnings

from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from benchmarks.cases import SEED, Run, Start, Task


def fit(task: Task) -> Start:
    """Fit for the same number of epochs; two classes use one output."""
    case = task.case
    net = MLPClassifier(
        hidden_layer_sizes=case.sizes[1:-1],
        solver=task.solver,
        alpha=0.0,
        batch_size=case.batch_size,
        learning_rate_init=task.learning_rate,
        momentum=0.0,
        nesterovs_momentum=False,
        epsilon=task.epsilon,
        max_iter=case.epochs,
        tol=0.0,
        n_iter_no_change=10 * case.epochs,
        random_state=SEED,
    )
    X, y = task.X, task.y

    def run() -> list[float]:
        with warnings.catch_warnings():
            # These few epochs need not converge.
            warnings.simplefilter("ignore", ConvergenceWarning)
            return list(net.fit(X, y).loss_curve_)

    def start() -> Run:
        return run

    return start
