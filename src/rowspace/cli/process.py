"""The process that runs a command: its streams and signals, and how errors become an exit code and one line."""

from __future__ import annotations

import io
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from functools import partial
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from rowspace.errors import SchemaNotReady, StoreUnavailable
from rowspace.integrations._explained import is_explained, sentence_of

__all__ = ["ExitCode", "Program", "confirm", "fail", "hang_up", "plain", "prepare", "say", "unhurried"]

#: All control characters except tab and line feed.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class ExitCode(IntEnum):
    """The exit codes of commands. 128 and above are signals, as in a shell."""

    ERROR = 1
    USAGE = 2
    UNAVAILABLE = 3
    INTERRUPTED = 128 + signal.SIGINT
    BROKEN_PIPE = 128 + signal.SIGPIPE


def prepare() -> None:
    """Set up the streams and signals of a process that runs one command."""
    _replace_closed()
    for stream in (sys.stdout, sys.stderr):
        # If the locale is not UTF-8, escape the characters that it lacks instead of failing.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    # Raise an exception, so that transactions are rolled back and the embedded server stops.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, _exit_by_signal)
    sys.unraisablehook = partial(_end_all_the_same, sys.unraisablehook)


def _replace_closed() -> None:
    """Replace streams that were closed at startup, as with `>&-`, before an open file can take their descriptors.

    Reading standard input or writing standard output then fails, so no data is lost. Standard error is discarded.
    """
    for name, flags in (("stdin", os.O_WRONLY), ("stdout", os.O_RDONLY), ("stderr", os.O_WRONLY)):
        if getattr(sys, name) is None:
            file = io.FileIO(os.open(os.devnull, flags), "r" if name == "stdin" else "w")
            # Write through: the interpreter would try to flush a buffer again at exit.
            setattr(sys, name, io.TextIOWrapper(file, encoding="utf-8", write_through=True))


def _exit_by_signal(number: int, _: Any) -> NoReturn:
    # Ignore further signals while this one is handled.
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


def _end_all_the_same(otherwise: Callable[[Any], Any], found: Any) -> None:
    """Re-raise, a moment later, the exit of a signal handler that ran in a finalizer, where Python would swallow it."""
    if not isinstance(found.exc_value, KeyboardInterrupt | SystemExit):
        otherwise(found)
        return

    def end(*_: Any, error: BaseException = found.exc_value) -> NoReturn:
        raise error

    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, 0.01)


def hang_up() -> None:
    """Make SIGHUP end a server as SIGTERM does. An exception in a server's event loop would print a traceback."""
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))


@contextmanager
def unhurried() -> Iterator[None]:
    """Ignore Ctrl-C in this block. An interrupted shutdown would leave a server running."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def plain(text: str) -> str:
    """Return a text with its control characters escaped, because a terminal would execute those in a document."""
    return _CONTROLS.sub(lambda found: repr(found[0])[1:-1], text)


def say(line: str) -> None:
    """Print a message that is not data to standard error."""
    print(plain(line), file=sys.stderr, flush=True)  # noqa: T201


def fail(message: str, code: ExitCode = ExitCode.ERROR) -> NoReturn:
    """End the command with one line on standard error."""
    say(f"Error: {message}")
    raise typer.Exit(code)


def confirm(question: str, *, yes: bool) -> None:
    """Ask for confirmation, unless `yes` gives it. Without a terminal, `yes` is required."""
    if yes:
        return
    if not sys.stdin.isatty():
        fail(f"{question} Standard input is not a terminal; confirm with --yes.", ExitCode.USAGE)
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort as error:
        # Abort means Ctrl-C or the end of the input, and leaves the cursor after the question.
        say("")
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        agreed = False
    if not agreed:
        fail("Nothing was done.")


class Program(TyperGroup):
    """The root of all commands. It handles every exception that a command raises."""

    def make_context(self, *args: Any, **extra: Any) -> Any:
        """Parse the command line, including `--help` and `--version`."""
        with _outcome():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        with _outcome(debug=ctx.params.get("debug", False)):
            result = super().invoke(ctx)
            # Flush here, where a closed pipe is handled, not at interpreter exit.
            sys.stdout.flush()
            return result


@contextmanager
def _outcome(*, debug: bool = False) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as error:
        say(" ".join(["Interrupted.", *_notes(error)]))
        # If the interrupt arrived inside an `exec` of text, as in the creation of a dataclass, CPython would end the
        # process by the signal, even though it was handled. Another `exec` resets that.
        exec("")  # noqa: S102
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except BrokenPipeError:
        # The reader has gone, as in `rowspace search ... | head`. The interpreter's own flush would raise again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(ExitCode.BROKEN_PIPE) from None
    except Exception as error:
        if not is_explained(error):
            raise
        if debug:
            traceback.print_exc()
        fail(" ".join([sentence_of(error), *_notes(error)]), _code(error))


def _notes(error: BaseException) -> list[str]:
    # Code that the error passed through added these, such as what the error left behind.
    return getattr(error, "__notes__", [])


def _code(error: Exception) -> ExitCode:
    return ExitCode.UNAVAILABLE if isinstance(error, StoreUnavailable | SchemaNotReady) else ExitCode.ERROR
