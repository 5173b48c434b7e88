"""What the extra `tables` installs is imported only by the commands that need it."""

from collections.abc import Iterator
from contextlib import contextmanager

from batchprop.errors import BatchpropError

PACKAGES = ("matplotlib", "pandas", "pyarrow", "skops")


@contextmanager
def tables_extra() -> Iterator[None]:
    """Turn the failed import of a package of the extra into one line that says how to install it.

    >>> with tables_extra():
    ...     raise ModuleNotFoundError("No module named 'skops'", name="skops")
    Traceback (most recent call last):
    batchprop.errors.BatchpropError: this needs skops, ...: pip install "batchprop[tables]"
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in PACKAGES:
            raise
        raise BatchpropError(
            f'this needs {error.name}, which is not installed: pip install "batchprop[tables]"'
        ) from error
