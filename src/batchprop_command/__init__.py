"""The `batchprop` of the shell: Ctrl-C and SIGTERM are one line from here on, while all else is imported.

It stands beside the package, because `import batchprop.anything` imports `batchprop` and NumPy first.
"""

import os
import signal
from types import FrameType

__all__ = ["main"]


def main() -> None:
    """Run `batchprop` with the arguments of the process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # What whoever started the process ignores, as nohup does, stays ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)
    from batchprop.cli import main as run  # noqa: PLC0415 the handlers come first

    run()


def _leave(number: int, _: FrameType | None) -> None:
    # Nothing is being written before the command begins or after it ended, so there is nothing to undo; an
    # exception in the middle of an import may be swallowed, or take any shape.
    os.write(2, b"batchprop: %s\n" % (b"terminated" if number == signal.SIGTERM else b"interrupted"))
    os._exit(128 + number)
