"""The base of both estimators: scikit-learn's parameters and attributes over the core's training loop."""

from __future__ import annotations

from collections.abc import Callable, Collection
from copy import copy
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Self, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _num_samples, check_array, check_is_fitted, validate_data

from batchprop.activations import Activation, get_activation
from batchprop.backprop import (
    Step,
    backprop,
    forward,
    resolved_outputs,
    resolved_outputs_and_losses,
)
from batchprop.batches import Batch, Dataset, gather, rescale_weights, take_columns
from batchprop.data.frames import to_eager, to_exact
from batchprop.data.shuffle import ShuffleConfig
from batchprop.data.sources import DataSource
from batchprop.errors import DivergedError, InputError, ParameterError
from batchprop.estimators.checkpoint_manager import FitStart, prepare_start
from batchprop.estimators.checkpoints import Checkpoints
from batchprop.estimators.datasets import (
    ArrayDataset,
    RowEncoder,
    SharedDataset,
    StreamingDataset,
    as_source,
    check_streamable,
)
from batchprop.estimators.engines import predict_engine
from batchprop.estimators.fit import fit, fit_callbacks, only_fit
from batchprop.estimators.interface import FitInterface
from batchprop.estimators.kinds import check_kinds
from batchprop.estimators.lbfgs import fit_lbfgs
from batchprop.estimators.monitors import check_monitors
from batchprop.estimators.parameters import check_parameters, hidden_layer_widths
from batchprop.estimators.privacy import check_private_options, is_continuation
from batchprop.estimators.recording import (
    WeightSnapshot,
    check_recorded,
    check_recording,
    to_frame,
)
from batchprop.estimators.sharing import (
    check_same_everywhere,
    check_same_source,
    check_sharable,
    gather_labels,
    gather_validation_rows,
    gather_weights,
)
from batchprop.estimators.source_summary import holdout_seed, scan_source
from batchprop.estimators.targets import to_dense
from batchprop.estimators.validation import (
    NON_FINITE,
    FitArgs,
    LabelledRows,
    check_finite_outputs,
    check_nonzero_weight,
    check_sample_weight,
    check_sparse,
    clear_errors,
    non_finite_errors,
    weighted_mean,
)
from batchprop.network import Network, broadcast_to_layers, glorot_uniform
from batchprop.objective import Objective
from batchprop.params import Layer, Layers
from batchprop.processes import current
from batchprop.training import Engine

FLOATS = [np.float64, np.float32]

FLOAT64_MAX_SIZE = 1_000
"""With at most so many numbers in X, a fit takes milliseconds and is trained in float64 for any dtype:
scikit-learn's checks require 1e-7 of such fits, closer than float32 rounds."""

Method = TypeVar("Method", bound=Callable[..., Any])


class BaseMLP(FitInterface):
    """A multi-layer perceptron behind scikit-learn's interface; use ``MLPClassifier`` or ``MLPRegressor``.

    Fitted attributes are plain arrays, lists and numbers, which any file format can hold; ``Network`` and
    the core's records are made from them on demand.
    """

    def _set_parameters(self, parameters: dict[str, Any]) -> None:
        # scikit-learn reads the names from the constructor's signature: so no second list can drift from it.
        for name in self._get_param_names():
            setattr(self, name, parameters[name])

    # ---- fit

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        coefs_init: Any = None,
        intercepts_init: Any = None,
        monitor: Collection[str] = (),
        record_examples: bool = False,
        checkpoint: str | Path | Checkpoints | None = None,
        resume: bool = False,
    ) -> Self:
        """Train on rows with their targets.

        Args:
            X: inputs ``(n, n_0)``, dense or sparse; or, without y, a table larger than memory: chunks
                ``(X, y)``, a ``batchprop.tabular.scan``, a ``batchprop.data.DataSource`` (see
                ``docs/large-tables.md``). A ``numpy.memmap`` of more than a gigabyte is read in the same way.
            y: targets; of a classifier labels ``(n,)``, an indicator matrix ``(n, K)`` or several targets
                ``(n, T)``; of a regressor numbers ``(n,)`` or ``(n, K)``.
            sample_weight: how much each row counts ``(n,)``: numbers of at least 0 and of any size (see
                ``docs/scikit-learn.md``). A row of weight 0 counts as absent from loss, gradient and scores;
                in a regressor's y it may hold NaN or a fill value.
            X_val: validation rows of your own; without them, ``early_stopping`` holds out some of X.
                Validation weighs rows as training does: class weights apply to either.
            y_val: their targets.
            sample_weight_val: how much each of them counts ``(n_val,)``, as ``sample_weight``.
            coefs_init: initial weights, ``(n_in, n_out)`` for each layer. With ``privacy`` they must
                not come from these rows; otherwise add their privacy cost.
            intercepts_init: initial biases, ``(n_out,)`` for each layer.
            monitor: what to record of each epoch's gradients, as ``monitor_``: some of ``"noise_scale"``,
                ``"gradient_norms"``, ``"gradient_snr"``, ``"update_ratio"``.
            record_examples: whether to keep statistics of each row's training, as ``examples_``.
            checkpoint: a folder in which the fit keeps its state every five minutes, or a
                ``batchprop.Checkpoints(folder, every=...)``.
            resume: whether to resume from the last checkpoint in that folder, if there is one. With the same
                parameters, functions, initial weights and rows the result is that of an uninterrupted fit;
                others are refused by name.

        Returns:
            The estimator.

        Raises:
            ValueError: a parameter, X, y or a weight cannot be used; the message names the allowed values.
            DivergedError: the loss is no longer finite, and there are no best weights of ``early_stopping``.
            CheckpointError: a checkpoint cannot be written or read, or is of another fit.
        """
        call = FitArgs(
            sample_weight=sample_weight,
            X_val=X_val,
            y_val=y_val,
            sample_weight_val=sample_weight_val,
            coefs_init=coefs_init,
            intercepts_init=intercepts_init,
            monitor=monitor,
            record_examples=record_examples,
            checkpoint=checkpoint,
            resume=resume,
        )
        return self._fit(X, y, call)

    def _fit(self, X: Any, y: Any, call: FitArgs) -> Self:
        check_parameters(self, self._parameter_constraints)
        check_monitors(call.monitor, self.solver)
        check_private_options(self, X, call)
        check_recording(self, call)
        X = to_eager(X)  # once: a query need not return its rows in the same order again
        fresh = not is_continuation(self, call)
        with only_fit(self), fit_callbacks(self, resumed=not fresh):
            self._fit_rows(X, y, call, fresh=fresh)
        return self

    def _fit_rows(self, X: Any, y: Any, call: FitArgs, *, fresh: bool) -> None:
        source = None if call.partial else as_source(X, y, call.sample_weight)
        if source is not None:
            check_streamable(self, call)
        start = prepare_start(self, call)
        dataset: ArrayDataset | StreamingDataset
        if source is None:
            dataset, dtype = self._read_arrays(X, y, call, fresh=fresh)
        else:
            dataset = self._scan_source(source, call, start, fresh=fresh)
            dtype = dataset.dtype
        if fresh:
            self._init_fit_attributes(dataset.n_outputs)
        # The records of rows belong to the last fit; the weights that this fit starts from stay.
        self._extra_state = {name: value for name, value in self._extra_state.items() if name != "records"}
        self.t_ = self.t_ if start.rows_seen is None else start.rows_seen
        self._check_n_outputs(dataset.n_outputs)
        # scikit-learn draws the weights first and the split second: the order is part of the parity with it.
        net = self._initial_network(dataset.dtype, start.rng, call, fresh=fresh)
        dataset = self._with_validation(dataset, call, start.rng)
        if self.privacy is None:
            self.privacy_spent_ = None  # of these weights, for any solver
        with non_finite_errors():
            if self.solver == "lbfgs" and isinstance(dataset, ArrayDataset):
                net = fit_lbfgs(self, net, dataset)
            else:
                net = fit(self, net, dataset, start, call)
            self._set_weights(net, dtype)
        names = getattr(source, "feature_names", None)
        # Not before the fit: its blocks of rows have no names, and would cause a warning.
        if names is not None and len(names) == self.n_features_in_:
            self.feature_names_in_ = np.array(names, dtype=object)

    def _read_arrays(self, X: Any, y: Any, call: FitArgs, *, fresh: bool) -> tuple[ArrayDataset, Any]:
        """The rows of a table in memory, and the dtype in which their weights are kept."""
        if current().count > 1:
            return self._read_shared_arrays(X, y, call, fresh=fresh)
        weights, given = self._check_weights(X, call.sample_weight), y
        X, y = self._validate_data(X, y, reset=fresh, weights=weights)
        dtype, X = np.dtype(self.dtype or X.dtype), self._cast(X, len(y))
        rows = self._label_rows(X, y, given, weights, call, fresh=fresh)
        return ArrayDataset(rows, Dataset(X, rows.Y, rows.weights), np.arange(len(rows.Y))), dtype

    def _read_shared_arrays(self, X: Any, y: Any, call: FitArgs, *, fresh: bool) -> tuple[SharedDataset, Any]:
        """The same for rows of which each process has its own; y and weights of all come to every process."""
        processes = current()
        with processes.guard():
            weights = self._check_weights(X, call.sample_weight, partial=True)
            given, (X, y) = y, self._validate_data(X, y, reset=fresh, weights=weights)
            restores = weights is not None and not is_classifier(self)
            given = y if weights is None or not restores else _restore_weightless(y, given, weights)
            check_sharable(self)
            dtype = np.dtype(self.dtype or X.dtype)
        share = processes.share(X.shape[0])
        check_same_everywhere(self, call, X, y, weights)
        y, given = gather_labels(y), gather_labels(given) if restores else None
        weights = gather_weights(weights)
        with processes.guard():
            X = self._cast(X, share.n_rows)
        rows = self._label_rows(X, y, given, weights, call, fresh=fresh)
        own = slice(share.start, share.start + X.shape[0])
        encoded = Dataset(X, rows.Y[own], None if rows.weights is None else rows.weights[own])
        return SharedDataset(rows, encoded, np.arange(share.n_rows), share=share), dtype

    def _label_rows(
        self,
        X: Any,
        y: Any,
        given: Any,
        weights: NDArray[np.float64] | None,
        call: FitArgs,
        *,
        fresh: bool,
    ) -> LabelledRows:
        """Learn the form of the targets, and encode them."""
        self._fit_targets(y, call._replace(sample_weight=weights), fresh=fresh)
        Y = self._encode_targets(y, X.dtype)
        if weights is not None and not is_classifier(self):
            y, Y = _restore_weightless(y, given, weights), _restore_weightless(Y, given, weights)
        by_row = self._apply_class_weight(y, weights)
        if not call.partial:  # a piece may hold rows of a class of weight 0 only
            check_nonzero_weight(by_row, "row", self._weights_name())
        return LabelledRows(X, y, Y, by_row)

    def _check_weights(
        self, X: Any, sample_weight: Any, name: str = "sample_weight", *, partial: bool = False
    ) -> NDArray[np.float64] | None:
        """The weights of the rows of X, not yet validated, in float64 and in a unit that any dtype holds.

        The weights of a part of the rows, whose unit is that of all, stay as they are.
        """
        if sample_weight is None:
            return None
        weights = check_sample_weight(sample_weight, _num_samples(X), require_positive=not partial, name=name)
        return weights if weights is None or partial else rescale_weights(weights)

    def _scan_source(
        self, source: DataSource, call: FitArgs, start: FitStart, *, fresh: bool
    ) -> StreamingDataset:
        """The rows of a table that is read in every epoch, after one scan of it."""
        holds_out = self.early_stopping and call.X_val is None
        seed = holdout_seed(start.rng_state)
        summary = scan_source(
            source,
            self._validate_data,
            self.validation_fraction if holds_out else 0.0,
            seed,
            count_labels=is_classifier(self),
            reset=fresh,
            with_checksum=start.checkpoints is not None,
        )
        self._fit_targets(
            summary.y, call._replace(counts=summary.label_counts, sample_weight=None), fresh=fresh
        )
        dtype = np.dtype(self.dtype or summary.dtype)
        n_outputs = self._encode_targets(summary.y, dtype).shape[1]
        encoder = RowEncoder(self._validate_data, self._encode_targets, self._apply_class_weight)
        shuffle = start.shuffle_config(source, (summary.n_features + n_outputs) * dtype.itemsize)
        if (processes := current()).count > 1:
            check_same_source(self, call, source, summary)
            # The memory that is free may differ.
            shuffle = ShuffleConfig(*processes.broadcast([*shuffle]))
        dataset = StreamingDataset(source, summary, encoder, seed, n_outputs, dtype, shuffle)
        if self.shuffle and processes.index == 0:
            dataset.warn_if_barely_shuffled()
        return dataset

    def _validate_data(
        self, X: Any, y: Any, *, reset: bool, weights: NDArray[np.floating] | None = None
    ) -> tuple[Any, Any]:
        options = {"multi_output": True, **self._y_options}
        X, y = check_sparse(X, "X"), check_sparse(y, "y")
        check_kinds(X, "X")
        check_kinds(y, "y")
        y = to_exact(y)
        with clear_errors(X=X, y=y):
            X, y = validate_data(self, X, y, reset=reset, accept_sparse="csr", dtype=FLOATS, **options)
        y = to_dense(y)
        return X, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _cast(self, X: Any, n_rows: int) -> Any:
        if self.dtype is None:
            return X
        wide = n_rows * X.shape[1] <= FLOAT64_MAX_SIZE or self.solver == "lbfgs"
        try:
            # Refuses values that do not fit, also if float64 trains it.
            in_dtype = _as_dtype(X, self.dtype)
        except InputError as error:
            raise InputError(f"{NON_FINITE}: {error}") from error
        return _as_dtype(X, np.float64) if wide else in_dtype

    def _init_fit_attributes(self, n_outputs: int) -> None:
        self.n_outputs_ = n_outputs
        self.n_layers_ = len(hidden_layer_widths(self.hidden_layer_sizes)) + 2
        self.n_iter_ = self.t_ = self.best_iteration_ = 0
        self.loss_curve_, self.learning_rate_curve_ = [], []
        self.monitor_ = {}
        self.privacy_spent_ = None
        self.validation_loss_curve_ = self.validation_scores_ = None
        self.best_loss_ = self.best_validation_score_ = None
        self._extra_state = {}

    def _check_n_outputs(self, n_outputs: int) -> None:
        if n_outputs != self.n_outputs_:
            raise InputError(
                f"y makes {n_outputs} outputs, and the network has {self.n_outputs_}: "
                "give a target of the same shape, or fit a new estimator"
            )

    def _initial_network(
        self, dtype: Any, rng: np.random.RandomState, call: FitArgs, *, fresh: bool
    ) -> Network:
        sizes = (self.n_features_in_, *hidden_layer_widths(self.hidden_layer_sizes), self.n_outputs_)
        if call.coefs_init is not None or call.intercepts_init is not None:
            init = {"coefs_init": call.coefs_init, "intercepts_init": call.intercepts_init}
            layers = _layers_from_init(init, sizes, dtype)
        elif fresh:
            activations = self._activations(max(len(sizes) - 2, 1))
            layers = glorot_uniform(sizes, [*activations, activations[-1]][-len(sizes) + 1 :], rng, dtype)
        else:
            earlier = {"coefs_": self.coefs_, "intercepts_": self.intercepts_}
            layers = _layers_from_init(earlier, sizes, dtype)
        return Network(layers, self._activations(len(sizes) - 2), self._head())

    def _activations(self, n_hidden: int) -> tuple[Activation, ...]:
        return tuple(
            map(get_activation, broadcast_to_layers("activation", _as_list(self.activation), n_hidden))
        )

    def _objective(self, n_hidden: int) -> Objective:
        return Objective(
            alpha=float(self.alpha) or None,
            dropout=tuple(
                float(p) or None for p in broadcast_to_layers("dropout", _as_list(self.dropout), n_hidden)
            ),
            max_grad_norm=None if self.max_grad_norm is None else float(self.max_grad_norm),
            loss_scale=self._loss_scale,
        )

    def _with_validation(
        self, dataset: ArrayDataset | StreamingDataset, call: FitArgs, rng: np.random.RandomState
    ) -> ArrayDataset | StreamingDataset:
        """The training rows with validation rows: the user's own, or a part of those given."""
        if (call.X_val is None) != (call.y_val is None):
            missing = "X_val" if call.X_val is None else "y_val"
            raise InputError(f"{missing} is missing: give both X_val and y_val, or neither")
        if call.X_val is None and call.sample_weight_val is not None:
            raise InputError(
                "sample_weight_val weighs the rows of X_val, and X_val is missing: give X_val and y_val, or "
                "leave it out (rows that early_stopping holds out keep their sample_weight)"
            )
        if call.X_val is not None:
            return replace(dataset, validation=self._validate_validation_data(call, dataset.dtype))
        if not self.early_stopping or self.solver == "lbfgs":
            return dataset
        if isinstance(dataset, StreamingDataset):
            return dataset.hold_out(self.validation_fraction, self._weights_name())
        labels = self._stratify_labels(dataset.labelled.y)
        return dataset.hold_out(self.validation_fraction, labels, rng, self._weights_name())

    def _validate_validation_data(self, call: FitArgs, dtype: Any) -> LabelledRows:
        try:
            several, name = current().count > 1, "sample_weight_val"
            with current().guard():
                X_val = to_eager(call.X_val)
                sample_weight = self._check_weights(X_val, call.sample_weight_val, name, partial=several)
                X, y = self._validate_data(X_val, call.y_val, reset=False, weights=sample_weight)
            if several:
                X, y, sample_weight = gather_validation_rows(X, y, sample_weight)
            Y = self._encode_targets(y, dtype)
            self._check_n_outputs(Y.shape[1])
            weights = self._apply_class_weight(y, sample_weight)
            check_nonzero_weight(weights, "row", self._weights_name("sample_weight_val"))
            return LabelledRows(_as_dtype(X, dtype), y, Y, weights).without_weightless()
        except InputError as error:
            raise InputError(f"in X_val and y_val: {error}") from None

    def _set_weights(self, net: Network, dtype: Any) -> None:
        # scikit-learn's coefs_ are (n_in, n_out), the transpose of W.
        with np.errstate(over="ignore", under="ignore"):
            coefs = [np.asarray(layer.W).T.astype(dtype) for layer in net.layers]
            intercepts = [np.asarray(layer.b).astype(dtype) for layer in net.layers]
        if not all(np.isfinite(theta).all() for theta in (*coefs, *intercepts)):
            raise DivergedError(
                f"the weights grew beyond what {np.dtype(dtype)} holds: try a smaller learning rate, "
                "max_grad_norm=1.0, or scaling the columns of X to similar ranges"
            )
        self.coefs_, self.intercepts_ = coefs, intercepts

    # ---- the fitted network

    def _network(self, dtype: Any) -> Network:
        check_is_fitted(self)
        layers = tuple(
            Layer(np.ascontiguousarray(coef.T, dtype=dtype), b.astype(dtype))
            for coef, b in zip(self.coefs_, self.intercepts_, strict=True)
        )
        return Network(layers, self._activations(len(layers) - 1), self._head())

    def _validate_inputs(self, X: Any) -> Any:
        check_is_fitted(self)
        X = check_sparse(to_eager(X), "X")
        check_kinds(X, "X")
        with clear_errors(X=X):
            return validate_data(self, X, reset=False, accept_sparse="csr", dtype=FLOATS)

    def _map_rows(self, function: Callable[[Network, Any], Any], X: Any) -> NDArray[np.floating]:
        """A function of the core over the columns of X, as rows ``(n, K)``, a chunk of rows at a time."""
        X = self._validate_inputs(X)
        net = self._network(X.dtype)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):  # the check below names the rows
            result: NDArray[np.floating] = predict_engine(self, net, X.shape[0]).map_rows(function, net, X)
        check_finite_outputs(result)
        return result

    def _predict_outputs(self, X: Any) -> NDArray[np.floating]:
        """P as rows ``(n, K)``."""
        return self._map_rows(resolved_outputs, X)

    def _evaluate(
        self, engine: Engine, net: Network, valid: LabelledRows
    ) -> tuple[NDArray[np.floating], float]:
        """The outputs P ``(n, K)`` and the weighted mean loss on validation rows, without the penalty."""
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):  # a score of such rows is NaN
            P, losses = engine.map_rows(resolved_outputs_and_losses, net, valid.X, valid.Y)
        return P, self._loss_scale * weighted_mean(losses, valid.weights)

    def activations(self, X: Any) -> list[NDArray[np.floating]]:
        """Return the activations of every layer of the fitted network for some rows.

        Args:
            X: inputs ``(n, n_0)``.

        Returns:
            ``n_layers_`` matrices with a row for each row of X: the input, each hidden layer's H, the
            output P.

        Raises:
            NotFittedError: the estimator is not fitted.
        """
        X = self._validate_inputs(X)
        net = self._network(X.dtype)
        Z, H = forward(net, take_columns(X, np.arange(X.shape[0])), (None,) * len(net.activations))
        return [*(matrix.T for matrix in H), net.head.output(Z[-1]).T]

    @property
    def examples_(self) -> Any:
        """Training statistics of each row of the last fit: a pandas DataFrame (see ``docs/examples.md``).

        Raises:
            AttributeError: that fit ran without ``record_examples=True``.
        """
        return to_frame(self._records())

    @property
    def weight_snapshots_(self) -> list[WeightSnapshot]:
        """The weights after 0, 1, 2, 4, 8, ... epochs of the last fit, and after its last.

        Raises:
            AttributeError: that fit ran without ``record_examples=True``.
        """
        records = check_recorded("weight_snapshots_", self._records())
        return [WeightSnapshot(*snapshot) for snapshot in records["snapshots"]]

    def _records(self) -> dict[str, Any] | None:
        records: dict[str, Any] | None = getattr(self, "_extra_state", {}).get("records")
        return records

    def at_snapshot(self, snapshot: WeightSnapshot) -> Self:
        """Return the estimator at a snapshot: it predicts and backpropagates with the weights of a snapshot.

        Args:
            snapshot: one of ``weight_snapshots_``.

        Returns:
            Another estimator; this one does not change.
        """
        earlier = copy(self)
        earlier.coefs_, earlier.intercepts_ = snapshot.coefs, snapshot.intercepts
        return earlier

    def backprop(self, X: Any, y: Any, sample_weight: Any = None) -> Step:
        """Run one pass of batch backpropagation over some rows, on the fitted network; nothing is changed.

        Args:
            X: inputs ``(n, n_0)``.
            y: targets, as for ``fit``.
            sample_weight: ``(n,)`` or None.

        Returns:
            The ``Step``, whose matrices have a **column** for each row of X.

        Raises:
            NotFittedError: the estimator is not fitted.
            ValueError: X or y do not fit the network.
        """
        net, batch = self.network_and_batch(X, y, sample_weight)
        return backprop(net, *batch)

    def network_and_batch(self, X: Any, y: Any, sample_weight: Any = None) -> tuple[Network, Batch]:
        """Return the arguments of ``bp.backprop``: the fitted network, and rows as the columns of a batch.

        Args:
            X: inputs ``(n, n_0)``.
            y: targets, as for ``fit``.
            sample_weight: ``(n,)`` or None.

        Returns:
            The network, and ``Batch(B, Y, weights)``, class weights among the weights.

        Raises:
            NotFittedError: the estimator is not fitted.
            ValueError: X or y do not fit the network.
        """
        check_is_fitted(self)
        X = to_eager(X)
        weights, given = self._check_weights(X, sample_weight), y
        X, y = self._validate_data(X, y, reset=False, weights=weights)
        net = self._network(X.dtype)
        Y = self._encode_targets(y, X.dtype)
        self._check_n_outputs(Y.shape[1])
        if weights is not None and not is_classifier(self):
            Y = _restore_weightless(Y, given, weights)
        by_row = self._apply_class_weight(y, weights)
        table = Dataset(X, Y, None if by_row is None else by_row.astype(Y.dtype))
        return net, gather(table, np.arange(len(Y)))

    def __sklearn_is_fitted__(self) -> bool:
        # A fit that failed may leave other attributes behind.
        return hasattr(self, "coefs_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.multi_output = True
        return tags


def unless_lbfgs(method: Method) -> Method:
    """Hide a method from estimators with ``solver="lbfgs"``, which sees all rows or none."""
    return cast("Method", available_if(_has_minibatch_solver)(method))


def _has_minibatch_solver(estimator: BaseMLP) -> bool:
    if estimator.solver == "lbfgs":
        raise AttributeError(
            "partial_fit is only available for stochastic optimizers. lbfgs is not stochastic: it needs all "
            "rows; use solver='adam' or 'sgd'"
        )
    return True


def check_partial_fit(estimator: BaseMLP) -> None:
    """Refuse options that need more than a part of the data."""
    if estimator.early_stopping:
        raise ParameterError(
            "partial_fit does not support early_stopping=True: it sees one piece of the data; set "
            "early_stopping=False, and score validation rows of your own between the calls"
        )


def _as_dtype(X: Any, dtype: Any) -> Any:
    with clear_errors(X=X), np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return check_array(X, dtype=dtype, accept_sparse="csr", input_name="X")


def _restore_weightless(y: NDArray[Any], given: Any, weights: NDArray[np.floating]) -> NDArray[Any]:
    """The target of a regressor with what its rows of weight 0 held before ``blank_weightless``."""
    if weights.all():
        return y
    restored = np.array(y, dtype=np.result_type(y, np.float32))
    rows = np.flatnonzero(weights == 0)
    with np.errstate(over="ignore"):
        values = np.array(to_dense(given), dtype=float)[rows]
        # A column (r, 1) fills the columns of several quantiles.
        restored[rows] = values.reshape(len(rows), -1) if restored.ndim > 1 else values.reshape(-1)
    return restored


def _as_list(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def _layers_from_init(init: dict[str, Any], sizes: tuple[int, ...], dtype: Any) -> Layers:
    """The layers of two lists, of weights and of biases, by their names in errors."""
    shapes = list(pairwise(sizes))
    for (name, arrays), wanted in zip(init.items(), (shapes, [(n,) for _, n in shapes]), strict=True):
        actual = [np.shape(array) for array in arrays] if isinstance(arrays, list | tuple) else arrays
        if not isinstance(actual, list) or actual != wanted:
            raise ParameterError(
                f"{name} has shapes {actual}: hidden_layer_sizes, X and y ask for {wanted}; give a list of "
                "arrays of these shapes, or fit again (without warm_start, or with a new estimator)"
            )
        if not all(np.isfinite(array).all() for array in arrays):
            raise InputError(f"{name} holds values that are not finite: begin with finite numbers")
    return tuple(
        Layer(np.array(np.transpose(coef), dtype=dtype, order="C"), np.array(b, dtype=dtype))
        for coef, b in zip(*init.values(), strict=True)
    )
