"""Arguments and matrices that hurt: each gets an error of one line, and none a wrong answer."""

from __future__ import annotations

import re
import threading
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import batchprop as bp
from batchprop.errors import BatchpropError, DataError, InputError, ParameterError
from batchprop.estimators.fit import only_fit
from batchprop.network import Network

rng = np.random.RandomState(0)
X, y = rng.randn(40, 3), np.arange(40) % 2


def network(**settings: Any) -> bp.MLPClassifier:
    """A small classifier."""
    small: dict[str, Any] = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0, "engine": "numpy"}
    return bp.MLPClassifier(**small | settings)


@pytest.fixture(scope="module")
def fitted() -> bp.MLPClassifier:
    return network(max_iter=200, tol=1).fit(X, y)


# ---- sizes and numbers


@pytest.mark.parametrize("name", ["max_iter", "n_iter_no_change", "batch_size", "max_fun", "max_batch_size"])
@pytest.mark.parametrize("value", [10**30, 10**400, 10**5000], ids=["30", "400", "5000"])
@pytest.mark.filterwarnings("ignore")
def test_counts_of_any_size_are_taken(name: str, value: int) -> None:
    settings = {"max_iter": 2, name: value, "early_stopping": True, "tol": 1e3}
    if name == "max_iter":
        settings["n_iter_no_change"] = 1
    assert network(**settings).fit(X, y).n_iter_ <= 4


@pytest.mark.parametrize("digits", [400, 5000])
def test_an_integer_beyond_float64_is_named_with_its_place(fitted: bp.MLPClassifier, digits: int) -> None:
    values = np.ones((40, 3), dtype=object)
    values[7, 2] = -(10**digits)
    reg = bp.MLPRegressor(hidden_layer_sizes=(2,), engine="numpy")
    for call, place in (
        (lambda: fitted.predict(values), "X holds .*, first in row 7, column 2, which"),
        (lambda: network().fit(X, y, X_val=values, y_val=y), "X holds .*, first in row 7, column 2,"),
        (lambda: reg.fit(X, values[:, 2]), "y holds .*, first in row 7, which is beyond 1.8·10³⁰⁸"),
        (lambda: fitted.score(X, y, np.abs(values[:, 2])), "sample_weight holds .*, first in row 7,"),
    ):
        with pytest.raises(InputError, match=place):
            call()
    with pytest.raises(DataError, match=r"column 'x2' holds .*, beyond the largest float64"):
        bp.TabularRegressor("fast").fit(values, X[:, 0])


@pytest.mark.parametrize("sizes", [(10**30,), (10**9, 10**9), (3, 10**400)], ids=["30", "18", "400"])
def test_layers_that_no_memory_holds_are_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ParameterError, match="more parameters than this machine has memory for"):
        network(hidden_layer_sizes=sizes).fit(X, y)
    with pytest.raises(ParameterError, match="more parameters"):
        Network.create([2, *sizes, 1])


@pytest.mark.parametrize("value", [10**400, 10**5000, "x" * 1000], ids=["400", "5000", "x"])
def test_a_long_value_is_cut_in_the_error(value: Any) -> None:
    with pytest.raises(ParameterError, match=r"^alpha=.* is not allowed") as refused:
        network(alpha=value).fit(X, y)
    assert len(str(refused.value)) < 200


def test_a_rare_class_of_object_labels_is_named_where_early_stopping_holds_rows_out() -> None:
    with pytest.raises(InputError, match="class 'b' has one row only"):
        network(early_stopping=True).fit(X, np.array(["a"] * 39 + ["b"], dtype=object))


@pytest.mark.parametrize("y", [np.array([b"x"] * 40), np.array(["1"] * 39 + [b"x"], dtype=object)])
def test_bytes_that_are_no_number_are_refused_as_text_is(y: Any) -> None:
    with pytest.raises(InputError, match="y holds b'x', which is not a number"):
        bp.MLPRegressor().fit(X, y)


@pytest.mark.parametrize("text", [b"x", "it's", "x" * 999], ids=["bytes", "a quote", "long"])
def test_text_in_a_frame_is_named_with_its_column(text: Any) -> None:
    shown = re.escape(repr(text)[:70])
    with pytest.raises(InputError, match=f"X holds {shown}.{{,10}} in column 'c', which is not a number"):
        network().fit(pd.DataFrame({"x": X[:, 0], "c": np.array([text] * len(X), object)}), y)


# ---- sparse matrices, changed after they were made

DAMAGE = {
    "a row that ends beyond the data": lambda A: A.indptr.__setitem__(1, 10**8),
    "a first row before the data": lambda A: A.indptr.__setitem__(0, -4),
    "rows in no order": lambda A: A.indptr.__setitem__(slice(1, 3), A.indptr[1:3][::-1].copy()),
    "a column that is not there": lambda A: A.indices.__setitem__(3, 10**6),
    "a column before the first": lambda A: A.indices.__setitem__(3, -5),
    "an end before the rows": lambda A: A.indptr.__setitem__(-1, 0),
    "too few values": lambda A: setattr(A, "data", A.data[:5]),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_array])
@pytest.mark.parametrize("method", ["fit", "partial_fit", "predict", "score", "backprop", "fit_validation"])
def test_a_sparse_matrix_with_wrong_indices_is_refused(
    fitted: bp.MLPClassifier, damage: str, kind: Any, method: str
) -> None:
    A = kind(X)
    DAMAGE[damage](A)
    calls = {
        "fit": lambda: network().fit(A, y),
        "partial_fit": lambda: network().partial_fit(A, y, classes=[0, 1]),
        "predict": lambda: fitted.predict(A),
        "score": lambda: fitted.score(A, y),
        "backprop": lambda: fitted.backprop(A, y),
        "fit_validation": lambda: network().fit(X, y, X_val=A, y_val=y),
    }
    with pytest.raises(InputError, match="X is a sparse matrix with wrong indices"):
        calls[method]()


@pytest.mark.parametrize("kind", ["csr", "csc", "bsr", "coo", "lil", "dok", "dia"])
def test_whole_sparse_matrices_of_all_kinds_answer_as_the_dense_one(
    fitted: bp.MLPClassifier, kind: str
) -> None:
    whole: Any = sparse.csr_matrix(X * (X > 0))
    A = whole.asformat(kind)
    assert fitted.predict_proba(A) == pytest.approx(fitted.predict_proba(A.toarray()), rel=1e-12)


def test_wrong_coordinates_and_targets_are_refused_too(fitted: bp.MLPClassifier) -> None:
    A = sparse.coo_matrix(X)
    A.coords[1][0] = 7
    with pytest.raises(InputError, match="wrong indices"):
        fitted.predict(A)
    ragged = sparse.lil_array(X)
    ragged.data[3] = [1.0]
    with pytest.raises(InputError, match=r"indices \(a row has more indices than values, or fewer\): make"):
        fitted.predict(ragged)
    Y = sparse.csr_matrix(np.eye(2, dtype=int)[y])
    Y.indices[0] = 9
    with pytest.raises(InputError, match="y is a sparse matrix with wrong indices"):
        network().fit(X, Y)


def test_sparse_targets_of_a_regressor_may_have_rows_of_weight_0() -> None:
    Y, weights = np.eye(2)[y], (np.arange(40) % 4 > 0).astype(float)
    fits = [
        bp.MLPRegressor(hidden_layer_sizes=(3,), max_iter=200, tol=1, random_state=0).fit(X, target, weights)
        for target in (Y, sparse.csr_matrix(Y))
    ]
    assert fits[0].loss_curve_ == fits[1].loss_curve_


def test_the_check_leaves_the_matrix_as_it_is() -> None:
    A = sparse.csr_matrix(X)
    A.data, A.indices = np.append(A.data, 5.0), np.append(A.indices, 0)  # room beyond the last row
    before = len(A.data)
    network(max_iter=200, tol=1).fit(A, y)
    assert len(A.data) == before


# ---- two threads


def test_an_estimator_is_fitted_by_one_thread_at_a_time() -> None:
    refused = list[BaseException]()

    def other(estimator: Any) -> None:
        for method, extra in ((estimator.fit, {}), (estimator.partial_fit, {"classes": [0, 1]})):
            try:
                method(X, y, **extra)
            except BatchpropError as error:
                refused.append(error)

    def callback(_: Any) -> bool:
        thread = threading.Thread(target=other, args=(estimator,))
        thread.start()
        thread.join()
        return True

    estimator = network(callbacks=[callback])
    estimator.fit(X, y)
    assert ["is being fitted in another thread" in str(error) for error in refused] == [True, True]
    alone = network(callbacks=[lambda _: True]).fit(X, y)
    assert estimator.loss_curve_ == alone.loss_curve_
    estimator.set_params(callbacks=None, tol=1.0, max_iter=99)
    thread = threading.Thread(target=estimator.fit, args=(X, y))
    thread.start()
    thread.join()
    assert estimator.n_iter_ > 1  # free again


def test_a_failed_fit_leaves_the_estimator_free() -> None:
    estimator = object()
    with pytest.raises(ZeroDivisionError), only_fit(estimator), only_fit(estimator):
        1 / 0  # noqa: B018
    thread_done = list[bool]()

    def fit() -> None:
        with only_fit(estimator):
            thread_done.append(True)

    thread = threading.Thread(target=fit)
    thread.start()
    thread.join()
    assert thread_done == [True]


# ---- chunks


class Shrinking:
    """Chunks that are fewer, or shorter, at each pass after the first."""

    def __init__(self, passes: int, *, indexable: bool) -> None:
        self.passes, self.n = passes, 0
        if indexable:
            self.__class__ = _Indexable

    def __iter__(self) -> Any:
        self.n += 1
        chunks = [(X[:20], y[:20]), (X[20:], y[20:])]
        return iter(chunks if self.n <= self.passes else chunks[:1])


class _Indexable(Shrinking):
    def __getitem__(self, i: int) -> Any:
        self.n += 1
        return [(X[:20], y[:20]), (X[20:], y[20:])][: 2 if self.n <= self.passes else 1][i]


@pytest.mark.parametrize("indexable", [False, True])
@pytest.mark.parametrize("passes", [2, 3, 4])
def test_chunks_that_become_fewer_are_refused(passes: int, indexable: bool) -> None:
    with pytest.raises(InputError, match="the chunks end after 1, and 2 were counted"):
        network(max_iter=9).fit(Shrinking(passes, indexable=indexable))


def test_a_chunk_without_rows_is_refused() -> None:
    with pytest.raises(InputError, match=r"chunk 0 is .*, not \(X, y\) of rows"):
        network().fit([(np.array(1.0), np.array(2.0))])


def test_a_target_of_several_lengths_is_refused() -> None:
    with pytest.raises(InputError, match="y holds rows of several lengths"):
        bp.MLPRegressor().fit(X, [1.0, [], *range(38)])
