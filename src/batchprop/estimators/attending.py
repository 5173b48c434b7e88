"""Callbacks that attend a whole fit: told of its beginning and its end, besides its epochs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchprop.estimators.interface import Estimator


@contextmanager
def attended(estimator: Estimator, *, goes_on: bool) -> Iterator[None]:
    """Tell the callbacks that have ``on_fit_begin`` or ``on_fit_end`` of the fit in the block.

    Args:
        estimator: is handed to them.
        goes_on: whether the fit goes on from the last one.

    Example:
        >>> from types import SimpleNamespace
        >>> class Attentive:
        ...     def on_fit_begin(self, estimator, *, goes_on):
        ...         print("begins anew" if not goes_on else "goes on")
        ...
        ...     def on_fit_end(self, estimator, error):
        ...         print("ended well" if error is None else f"ended by {error!r}")
        >>> with attended(SimpleNamespace(callbacks=[print, Attentive()]), goes_on=False):
        ...     pass
        begins anew
        ended well
    """
    callbacks = list(estimator.callbacks or ())
    ended: BaseException | None = None
    try:
        for begin in _methods(callbacks, "on_fit_begin"):
            begin(estimator, goes_on=goes_on)
        yield
    except BaseException as error:
        ended = error
        raise
    finally:
        for end in _methods(callbacks, "on_fit_end"):
            end(estimator, ended)


def _methods(callbacks: list[Any], name: str) -> list[Any]:
    return [getattr(callback, name) for callback in callbacks if hasattr(callback, name)]
