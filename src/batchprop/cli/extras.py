"""Imports of the extras' packages, with an error that says how to install them."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from batchprop.errors import BatchpropError

TABLES = ("filelock", "jinja2", "matplotlib", "pandas", "psutil", "pyarrow", "safetensors", "skops")


@contextmanager
def require_tables(*others: str) -> Iterator[None]:
    """Turn the failed import of a package of the extra into one line that says how to install it.

    Args:
        others: the further extras that the command needs.

    >>> with require_tables():
    ...     raise ModuleNotFoundError("No module named 'skops'", name="skops")
    Traceback (most recent call last):
    batchprop.errors.BatchpropError: this needs skops, ...: pip install "batchprop[tables]"
    """
    with _extra(",".join(sorted({"tables", *others})), TABLES):
        yield


@contextmanager
def _extra(extra: str, packages: Collection[str]) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in packages:
            raise
        raise BatchpropError(
            f'this needs {error.name}, which is not installed: pip install "batchprop[{extra}]"'
        ) from error
