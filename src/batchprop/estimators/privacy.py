"""Private fits: options refused because they would break the privacy guarantee, and the fit that keeps it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from batchprop.activations import ACTIVATIONS, Activation
from batchprop.batches import BatchSampler
from batchprop.dp_sgd import DPMechanism
from batchprop.errors import ParameterError
from batchprop.estimators.interface import FitInterface
from batchprop.estimators.validation import FitArgs
from batchprop.processes import current
from batchprop.training import EpochRecord


class PrivacyPlanLike(Protocol):
    """The part of ``batchprop.privacy.settings.PrivacyPlan`` that a fit uses.

    A protocol, because estimators are a layer below ``privacy`` and must import without its accounting.
    """

    @property
    def mechanism(self) -> DPMechanism:
        """The mechanism that clips the gradients and adds the noise."""

    def make_sampler(self, n_batches: int, random_state: np.random.RandomState) -> BatchSampler:
        """Make a sampler of epochs of this number of batches."""

    def compute_spent(self, steps: int) -> Any:
        """The privacy spent after this number of steps."""


def is_continuation(estimator: FitInterface, call: FitArgs) -> bool:
    """Whether a fit continues from the weights of the last one."""
    return hasattr(estimator, "coefs_") and (estimator.warm_start or call.partial)


def check_private_options(estimator: FitInterface, X: Any, call: FitArgs) -> None:
    """Refuse options that would silently break the guarantee of ``privacy``.

    Raises:
        ParameterError: something other than clipped, noisy gradients would use the rows.
    """
    if estimator.privacy is None:
        return
    _check_no_batch_statistics(estimator)
    if _shares_rows(X, call.X_val):
        raise ParameterError(
            "X_val shares its memory with X, so it holds rows that are trained on, which validation would "
            "see unprotected: give public rows of your own"
        )
    for option, (is_used, reason) in _incompatible_options(estimator, call).items():
        if is_used:
            raise ParameterError(f"{option} does not go with privacy: {reason}")


def _incompatible_options(estimator: FitInterface, call: FitArgs) -> dict[str, tuple[bool, str]]:
    """The options that would leak, by name: whether each is used, and why it leaks."""
    own_rows = call.X_val is not None
    return {
        "sample_weight": (
            call.sample_weight is not None,
            "a weight multiplies what one row adds, and the noise is made for rows that count the same",
        ),
        f"class_weight={getattr(estimator, 'class_weight', None)!r}": (
            getattr(estimator, "class_weight", None) is not None,
            "a weight multiplies what one row adds, and 'balanced' counts the rows",
        ),
        "early_stopping=True": (
            estimator.early_stopping and not own_rows,
            "it validates on rows of X, unprotected: give fit public rows of your own (X_val, y_val)",
        ),
        "solver='lbfgs'": (
            estimator.solver == "lbfgs",
            "it takes no batches: use 'adam', 'adamw' or 'sgd'",
        ),
        "learning_rate='adaptive'": (
            estimator.learning_rate == "adaptive" and estimator.solver == "sgd",
            "it looks at the training loss: use a schedule that does not, as 'cosine'",
        ),
        "batch_size='noise'": (
            estimator.batch_size == "noise",
            "it looks at the gradients: give a number, the batch size to expect",
        ),
        f"monitor={tuple(call.monitor)!r}": (
            bool(call.monitor),
            "it records the gradients as they are: leave it out",
        ),
        "record_examples=True": (
            call.record_examples,
            "it keeps what the network makes of every single row, unprotected: leave it out",
        ),
    }


def _shares_rows(X: Any, X_val: Any) -> bool:
    if isinstance(X, np.ndarray) and isinstance(X_val, np.ndarray):
        return np.shares_memory(X, X_val)
    return X_val is X and X is not None


def _check_no_batch_statistics(estimator: FitInterface) -> None:
    """Refuse a user's activation whose output for one row depends on the others in the batch."""
    # One row then changes the gradients of all the others, and clipping each of them bounds nothing.
    parameter = estimator.activation
    for activation in [parameter] if isinstance(parameter, str | Activation) else parameter:
        if isinstance(activation, str) or activation in ACTIVATIONS.values():
            continue
        Z = 2.0 * np.random.default_rng(0).standard_normal((5, 8))
        for function in (activation.function, activation.derivative):
            alone = [np.asarray(function(Z[:, i : i + 1])) for i in range(Z.shape[1])]
            if not np.allclose(function(Z), np.hstack(alone), rtol=1e-4, atol=1e-6, equal_nan=True):
                raise ParameterError(
                    f"activation {activation.name!r} does not go with privacy: what it makes of one row "
                    "depends on the others in the batch, so clipping bounds no row's influence; let it act "
                    "on each entry, or each column, by itself"
                )


def start_private_fit(
    estimator: FitInterface, n_rows: int, batch_size: int, steps_per_epoch: int, call: FitArgs
) -> PrivacyPlanLike | None:
    """Return the private fit that ``privacy`` asks for, which continues the budget of the last one.

    Args:
        estimator: its ``privacy``, ``max_iter``, ``random_state``, and what earlier fits spent.
        n_rows: the number of training rows.
        batch_size: the expected batch size.
        steps_per_epoch: the number of batches.
        call: with ``partial`` one epoch of ``max_iter`` planned ones.

    Returns:
        The fit, or None without ``privacy``.

    Raises:
        ParameterError: the budget does not allow it; the weights so far were trained without privacy.
    """
    if estimator.privacy is None:
        return None
    before, seeded = getattr(estimator, "privacy_spent_", None), estimator.random_state is not None
    fresh = not is_continuation(estimator, call)
    if before is None and not fresh:
        raise ParameterError(
            "the weights so far were trained without privacy, and a budget cannot be carried on from there: "
            "fit again with warm_start=False"
        )
    if call.partial and before is not None:
        fit: PrivacyPlanLike = estimator.privacy.resume(
            n_rows, batch_size, steps_per_epoch, before, seeded=seeded
        )
    else:
        steps = steps_per_epoch * estimator.max_iter
        fit = estimator.privacy.start(n_rows, batch_size, steps, before, seeded=seeded)
    if fresh:
        # Weights of an earlier fit have their own account: if this fit fails, a later one must not continue
        # them under the new account.
        for weights in ("coefs_", "intercepts_"):
            if hasattr(estimator, weights):
                delattr(estimator, weights)
    return fit


@contextmanager
def redact_epochs(
    estimator: FitInterface, private: PrivacyPlanLike | None, epochs: Iterator[EpochRecord]
) -> Iterator[Iterator[EpochRecord]]:
    """Yield the epochs without the values that no noise protects, and account for them, however they end.

    Args:
        estimator: gets ``privacy_spent_``, even if a callback raises, as it has seen these networks.
        private: the fit, or None to withhold nothing.
        epochs: as trained.
    """
    if private is None:
        yield epochs
        return
    expected, steps = private.mechanism.expected_size, 0

    def redact() -> Iterator[EpochRecord]:
        nonlocal steps
        for epoch in epochs:
            n_batches = len(epoch.batches)
            steps += n_batches
            # Which rows a batch holds, and how many, depends on the rows of the table; so does the loss.
            yield replace(epoch, loss=math.nan, batches=(), rows=round(n_batches * expected))

    try:
        yield redact()
    finally:
        estimator.privacy_spent_ = private.compute_spent(steps)


def batch_rng(estimator: FitInterface, rng: np.random.RandomState) -> np.random.RandomState:
    """Return the generator of the batches: with privacy and no seed, one seeded by the operating system.

    NumPy's global generator, used otherwise, may have been seeded by anybody.
    """
    if estimator.privacy is None:
        return rng
    if estimator.random_state is None:
        # Several processes draw the same batches, from process 0's seed.
        return np.random.RandomState(current().broadcast(np.random.SeedSequence().generate_state(624)))
    before = getattr(estimator, "privacy_spent_", None)
    if before is None:
        return rng
    # The accounting assumes independent draws: a seed must not repeat the batches of the last call.
    return np.random.RandomState([rng.randint(2**31 - 1), before.steps % 2**32])
