"""The commands in one app, and every failure in one line: exit code 1 for bad data, 2 for misuse."""

import sys
import warnings
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import batchprop
from batchprop.cli import predict, train, walk
from batchprop.errors import BatchpropError, ParameterError

BAD_DATA, MISUSE, INTERRUPTED = 1, 2, 130

# Typer has two homes for this class, its own and click's, by version; BadParameter's parent is it in both.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


class OneLine(TyperGroup):
    """A group of commands that reports a failure in one line on standard error, without a traceback."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command line and leave with its exit code."""
        show: Any = _note
        try:
            with warnings.catch_warnings():
                warnings.showwarning = show
                code = super().main(*args, **{**extra, "standalone_mode": False})
            sys.exit(code)
        except _UsageError as error:
            command = getattr(getattr(error, "ctx", None), "command_path", "batchprop")
            _fail(f"{_one_line(error)} (see {command} --help)", MISUSE)
        except typer.Abort:
            _fail("interrupted", INTERRUPTED)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except ParameterError as error:
            _fail(f"{_one_line(error)} (see {ctx.command_path} {ctx.invoked_subcommand} --help)", MISUSE)
        except BatchpropError as error:
            _fail(_one_line(error), BAD_DATA)
        except KeyboardInterrupt:
            _fail("interrupted; nothing was written", INTERRUPTED)


def _one_line(error: Exception) -> str:
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    message = " ".join(message.split()).rstrip(".")
    given = _given(error)
    return message if given in message else f"{message}, not {given!r}"


def _given(error: Exception) -> str:
    # Newer Typers check values with pydantic, and leave the value out of the message.
    problems: Any = getattr(error.__cause__, "errors", list)()
    return str(problems[0].get("input", "")) if problems else ""


def _fail(message: str, code: int) -> None:
    typer.echo(f"batchprop: {message}", err=True)
    sys.exit(code)


def _note(message: Warning | str, *_: Any) -> None:
    typer.echo(f"batchprop: note: {' '.join(str(message).split())}", err=True)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"batchprop {batchprop.__version__}")
        raise typer.Exit


app = typer.Typer(
    name="batchprop",
    cls=OneLine,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog="Examples:\n\nbatchprop train\n\nbatchprop walk --rows 3\n\nbatchprop train --help",
)
app.command("train", epilog=train.EXAMPLES)(train.train)
app.command("predict", epilog=predict.EXAMPLES)(predict.predict)
app.command("walk", epilog=walk.EXAMPLES)(walk.walk)


@app.callback()
def _batchprop(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train a neural network on a table, predict with it, or watch every matrix of one batch.

    Exit codes: 0 done, 1 bad data, 2 misuse, 130 interrupted by Ctrl-C.
    """


def main() -> None:
    """Run `batchprop` with the arguments of the process."""
    app()
