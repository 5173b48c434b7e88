"""The command line: `batchprop train`, `batchprop predict`, `batchprop walk`."""

import sys

__all__ = ["main"]


def main() -> None:
    """Run `batchprop` with the arguments of the process; Ctrl-C is one line from the first import on."""
    try:
        from batchprop.cli.app import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("batchprop: interrupted\n")
        sys.exit(130)
