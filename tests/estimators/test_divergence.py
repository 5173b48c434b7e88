"""Divergence: an error, or a rewind to the best epoch with a lower learning rate."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import batchprop as bp
from batchprop.errors import DivergedError
from batchprop.estimators import fit as fit_module
from batchprop.estimators.checkpoints import Checkpoints
from tests.estimators.tables import quiet
from tests.estimators.test_checkpoints import DiedError, dying_after, same

pytestmark = quiet


@pytest.fixture(autouse=True)
def one_batch_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_module, "CHUNK_SECONDS", 0.0)


def steep(**parameters: Any) -> tuple[Any, Any, Any]:
    """Rows on which rates of 1 and 1/2 diverge after a while, and a rate of 1/4 does not."""
    rng = np.random.RandomState(0)
    X = rng.randn(400, 3)
    y = X @ [1.0, 2.0, 3.0]
    model = bp.MLPRegressor(
        hidden_layer_sizes=(), solver="sgd", momentum=0, learning_rate_init=4.0, max_iter=12, tol=0,
        batch_size=8, n_iter_no_change=99, random_state=0, **parameters,
    )  # fmt: skip
    return model, X, y


def test_divergence_is_an_error_by_default() -> None:
    model, X, y = steep()
    with pytest.raises(DivergedError):
        model.fit(X, y)


@pytest.mark.parametrize("engine", ["numpy", "jax"])
def test_diverging_fit_rewinds_and_halves_the_learning_rate(engine: str) -> None:
    model, X, y = steep(on_divergence="rewind", engine=engine)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model.fit(X, y)
    messages = [str(warning.message) for warning in told]
    assert any("training continues from the end of epoch" in message for message in messages)
    rewinds = sum("of the learning rate" in message for message in messages)
    assert 1 <= rewinds <= 3
    assert model.learning_rate_curve_[-1] == 4.0 / 2**rewinds
    assert model.loss_curve_[-1] < 1e-3
    assert len(model.loss_curve_) == model.n_iter_ == 12


def test_three_rewinds_are_the_maximum() -> None:
    model, X, y = steep(on_divergence="rewind")
    model.set_params(learning_rate_init=1e6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(DivergedError, match="after going back and halving the learning rate 3 times"):
            model.fit(X, y)


@pytest.mark.parametrize("writes", [150, 300], ids=["between two", "after two"])
def test_checkpoint_stores_the_rewinds(writes: int, tmp_path: Path) -> None:
    model, X, y = steep(on_divergence="rewind")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = model.fit(X, y)
        again, _, _ = steep(on_divergence="rewind")
        with dying_after(writes), pytest.raises(DiedError):
            again.fit(X, y, checkpoint=Checkpoints(tmp_path, "0s"))
        resumed = again.fit(X, y, checkpoint=tmp_path, resume=True)
    same(resumed, whole)
