"""A small network that trains quickly."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

import batchprop as bp


def table(n=60):
    """Two classes, separable by the first of three columns."""
    X = np.random.default_rng(0).normal(size=(n, 3))
    return X, (X[:, 0] > 0).astype(int)


def network(*callbacks, max_iter=3, **parameters):
    """A classifier that trains for all its epochs."""
    small = {"hidden_layer_sizes": (4,), "random_state": 0, "tol": 0.0, "n_iter_no_change": 1000}
    return bp.MLPClassifier(callbacks=list(callbacks), max_iter=max_iter, **{**small, **parameters})


def fit(estimator, *data, **extra):
    """Fit without convergence warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(*(data or table()), **extra)


def stop(epoch):
    """A callback that stops training in the second epoch."""
    return epoch.number == 2
