"""The command line, `batchprop` and `python -m batchprop`; Ctrl-C ends it in one line from the start.

This module imports only the standard library, and `batchprop` itself imports nothing heavy: so the handlers
of SIGINT and SIGTERM are in place before NumPy, pandas and the rest, which take a second.
"""

import gc
import os
import signal
from types import FrameType

__all__ = ["main"]

_GC_THRESHOLD = 10_000
"""After how many new objects Python looks for garbage: imports make very many, and none of it is garbage."""


def main() -> None:
    """Run `batchprop` with the arguments of the process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # A signal that the parent process ignores, as nohup does, stays ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)
    gc.set_threshold(_GC_THRESHOLD)
    try:
        from batchprop.cli.cache import set_up_cache

        set_up_cache()
        # A signal during this import ends the process. Within a command it would raise an exception, and the
        # middle of such an import may swallow it.
        import numpy as np  # noqa: F401 every command needs it

        from batchprop.cli.app import main as run

        run()
    except KeyboardInterrupt:
        # Raised in a process whose caller has its own handlers.
        _leave(signal.SIGINT, None)
    finally:
        # The process ends: to search all modules for garbage would take it half a second.
        gc.freeze()


def _leave(number: int, _: FrameType | None) -> None:
    # Nothing is being written before the command begins or after it ends, so there is nothing to undo; an
    # exception in the middle of an import may be swallowed, or change its type.
    os.write(2, b"batchprop: %s\n" % (b"terminated" if number == signal.SIGTERM else b"interrupted"))
    os._exit(128 + number)
