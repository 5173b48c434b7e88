"""The commands in one app, and every failure in one line: exit code 1 for bad data, 2 for misuse."""

import codecs
import contextlib
import difflib
import errno
import inspect
import io
import os
import re
import sys
import warnings
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import batchprop
from batchprop.cli import examine, export, look, play, predict, train, tune, walk
from batchprop.cli.options import as_option_names
from batchprop.cli.processes import arguments
from batchprop.cli.signals import exit_code, handle_signals, interruption_message
from batchprop.cli.terminal import echo, printable, spell_unencodable
from batchprop.errors import BatchpropError, ParameterError
from batchprop.files import cleanup_all
from batchprop.processes import current, is_shared
from batchprop.tabular.jax_errors import format_jax_error, jax_errors

BAD_DATA, MISUSE = 1, 2

# Typer has two homes for this class, its own and click's, by version; BadParameter's parent is it in both.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


class OneLine(TyperGroup):
    """A group of commands that reports a failure in one line on standard error, without a traceback."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command line and leave with its exit code."""
        _replace_unencodable()
        given = extra.get("args") or (args[0] if args else None)
        arguments[:] = sys.argv[1:] if given is None else given
        with handle_signals():
            self._main(*args, **{**extra, "standalone_mode": False})

    def _main(self, *args: Any, **extra: Any) -> None:
        show: Any = _note
        try:
            with warnings.catch_warnings():
                warnings.showwarning = show
                code = super().main(*args, **extra)
                sys.stdout.flush()
            sys.exit(code)
        except _UsageError as error:
            if not _one_line(error):
                # No command: the help was printed.
                sys.exit(MISUSE)
            command = getattr(getattr(error, "ctx", None), "command_path", "batchprop")
            _fail(f"{_one_line(error)} (see {command} --help)", MISUSE)
        except typer.Abort:
            _fail(interruption_message(), exit_code())
        except OSError as error:
            _fail_by_system(error)

    def make_context(self, *args: Any, **extra: Any) -> Any:
        """Read the options; Typer would end by a signal without a word, and with the code of Ctrl-C."""
        try:
            return super().make_context(*args, **extra)
        except KeyboardInterrupt:
            _fail(interruption_message(), exit_code())

    def invoke(self, ctx: Any) -> Any:
        """Run the requested command."""
        try:
            return super().invoke(ctx)
        except ParameterError as error:
            message = as_option_names(_one_line(error))
            message = f"{message} (see {ctx.command_path} {ctx.invoked_subcommand} --help)"
            _fail(message, MISUSE, shared=is_shared(error))
        except BatchpropError as error:
            code = getattr(error, "exit_code", BAD_DATA)
            _fail(as_option_names(_one_line(error)), code, shared=is_shared(error))
        except MemoryError:
            _fail("there is not enough memory: give less of the table, or free some", BAD_DATA)
        except jax_errors() as error:
            _fail(f"{format_jax_error(error)}: set JAX_PLATFORMS=cpu to do without an accelerator", BAD_DATA)
        except KeyboardInterrupt:
            _fail(interruption_message(), exit_code())
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            _fail_by_system(error)


def _replace_unencodable() -> None:
    """Spell a character that the output's encoding lacks in another way, or as `?`, instead of failing."""
    codecs.register_error("spell", spell_unencodable)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="spell")


def _one_line(error: Exception) -> str:
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    message = " ".join(message.split()).rstrip(".").replace("Value error, ", "")
    message += _near_choice(message)
    value = _invalid_value(error)
    return message if value in message else f"{message}, not {value!r}"


def _near_choice(message: str) -> str:
    """Return the suggestion of a similar choice, for the end of the message that lists them."""
    wrong, _, choices = message.partition(" is not one of ")
    value = re.search(r"'([^']*)'$", wrong)
    near = difflib.get_close_matches(value[1], re.findall(r"'([^']*)'", choices), n=1) if value else []
    return f"; did you mean {near[0]!r}?" if near else ""


def _invalid_value(error: Exception) -> str:
    # Newer Typers check values with pydantic, and omit the value from the message.
    problems: Any = getattr(error.__cause__, "errors", list)()
    return str(problems[0].get("input", "")) if problems else ""


def _fail(message: str, code: int, *, shared: bool = False) -> None:
    """End with a line on standard error; of what all processes know, process 0 tells alone."""
    processes = current()
    if not shared or processes.index == 0:
        echo(f"batchprop: {_process_name()}{message}", err=True)
    if processes.count > 1 and not shared:
        # Nobody comes to the end of this process; it must not wait there for the others.
        cleanup_all()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _process_name() -> str:
    """Return the number of this process for the beginning of a line, unless it is the first or only one."""
    return f"process {current().index}: " if current().index else ""


def _fail_by_system(error: OSError) -> None:
    reason = error.strerror or " ".join(str(error).split()) or type(error).__name__
    where = "" if error.filename is None else f" ({error.filename})"
    try:
        sys.stdout.flush()
    except OSError:
        # Otherwise Python flushes it again at exit, and prints a traceback.
        with contextlib.suppress(OSError):
            sys.stdout.close()
    _fail(f"the system refused to read or write: {reason}{where}", BAD_DATA)


def _note(message: Warning | str, *_: Any) -> None:
    # Not by echo, which would write across a live bar: the bar replaces sys.stderr to write above itself.
    note = as_option_names(" ".join(str(message).split()))
    sys.stderr.write(f"batchprop: note: {_process_name()}{printable(note)}\n")


def _version(wanted: bool) -> None:
    if wanted:
        echo(f"batchprop {batchprop.__version__}")
        raise typer.Exit


def _unwrap(docstring: str | None) -> str:
    """Join the lines of each paragraph: Typer keeps them, and a line wider than the terminal breaks twice."""
    paragraphs = inspect.cleandoc(docstring or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


app = typer.Typer(
    name="batchprop",
    cls=OneLine,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog="Examples:\n\nbatchprop train\n\nbatchprop examine\n\nbatchprop walk --rows 3\n\n"
    "batchprop train --help",
)
for _command, _epilog in (
    (train.train, train.EXAMPLES),
    (tune.tune, tune.EXAMPLES),
    (predict.predict, predict.EXAMPLES),
    (examine.examine, examine.EXAMPLES),
    (export.export, export.EXAMPLES),
    (look.look, look.EXAMPLES),
    (play.play, play.EXAMPLES),
    (walk.walk, walk.EXAMPLES),
):
    app.command(_command.__name__, help=_unwrap(_command.__doc__), epilog=_epilog)(_command)


@app.callback()
def _batchprop(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train a neural network on a table, predict with it, find bad rows, or see a batch in all its matrices.

    Exit codes: 0 done, 1 bad data, or a file that the system refuses, 2 misuse
    (also this help, when no command is given), 130 interrupted by Ctrl-C, 143 ended by SIGTERM,
    129 by SIGHUP.
    """


def main() -> None:
    """Run the command line of the process."""
    # By `python -m batchprop` too: the shell completes the installed command's name.
    app(prog_name="batchprop")
