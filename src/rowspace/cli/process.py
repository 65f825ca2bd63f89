"""The process around a command: its streams, its signals, and how errors become an exit code and one line."""

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

#: But for the tab and the line feed.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class ExitCode(IntEnum):
    """What a command ends with; 128 and more are signals, as in a shell."""

    ERROR = 1
    USAGE = 2
    UNAVAILABLE = 3
    INTERRUPTED = 128 + signal.SIGINT
    BROKEN_PIPE = 128 + signal.SIGPIPE


def prepare() -> None:
    """Set up streams and signals of a process that runs one command."""
    _replace_closed()
    for stream in (sys.stdout, sys.stderr):
        # Where the locale is not UTF-8, a character that it lacks is escaped and the command goes on.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    # By an exception, so that transactions are rolled back and the embedded server stops.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, _exit_by_signal)
    sys.unraisablehook = partial(_end_all_the_same, sys.unraisablehook)


def _replace_closed() -> None:
    """Put others in the place of streams that the process was started without, as by `>&-`, before a file gets there.

    To read or write those is an error, as data would be lost; but what is said on standard error goes nowhere.
    """
    for name, flags in (("stdin", os.O_WRONLY), ("stdout", os.O_RDONLY), ("stderr", os.O_WRONLY)):
        if getattr(sys, name) is None:
            file = io.FileIO(os.open(os.devnull, flags), "r" if name == "stdin" else "w")
            # Nothing is kept back, which the interpreter would try to write once more when it ends.
            setattr(sys, name, io.TextIOWrapper(file, encoding="utf-8", write_through=True))


def _exit_by_signal(number: int, _: Any) -> NoReturn:
    # Not again, while the first one is being attended to.
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


def _end_all_the_same(otherwise: Callable[[Any], Any], found: Any) -> None:
    """Raise once more, a moment later, what a signal raised in a finalizer, out of which Python lets nothing."""
    if not isinstance(found.exc_value, KeyboardInterrupt | SystemExit):
        otherwise(found)
        return

    def end(*_: Any, error: BaseException = found.exc_value) -> NoReturn:
        raise error

    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, 0.01)


def hang_up() -> None:
    """Let a hangup end a server as SIGTERM does, which it attends to: an exception in its loop is a traceback."""
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))


@contextmanager
def unhurried() -> Iterator[None]:
    """Let an impatient second Ctrl-C wait: cut short, a server would be left running."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def plain(text: str) -> str:
    """Return a text with its control characters written out: a terminal would do what those of a document say."""
    return _CONTROLS.sub(lambda found: repr(found[0])[1:-1], text)


def say(line: str) -> None:
    """Tell the person at the terminal something that is not data."""
    print(plain(line), file=sys.stderr, flush=True)  # noqa: T201


def fail(message: str, code: ExitCode = ExitCode.ERROR) -> NoReturn:
    """End the command with one line on standard error."""
    say(f"Error: {message}")
    raise typer.Exit(code)


def confirm(question: str, *, yes: bool) -> None:
    """Go on if the person says so, or has said so already; a program has to."""
    if yes:
        return
    if not sys.stdin.isatty():
        fail(f"{question} Say --yes, as there is nobody to ask.", ExitCode.USAGE)
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort as error:
        # It stands for Ctrl-C and for the end of the input, and leaves the line of the question open.
        say("")
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        agreed = False
    if not agreed:
        fail("Nothing was done.")


class Program(TyperGroup):
    """The root of all commands: whatever one of them raises ends here."""

    def make_context(self, *args: Any, **extra: Any) -> Any:
        """Read the command line, and print what `--help` and `--version` ask for."""
        with _outcome():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        with _outcome(debug=ctx.params.get("debug", False)):
            result = super().invoke(ctx)
            # Here, where a closed pipe is handled, and not when the interpreter ends.
            sys.stdout.flush()
            return result


@contextmanager
def _outcome(*, debug: bool = False) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as error:
        say(" ".join(["Interrupted.", *_notes(error)]))
        # Where it came within an `exec` of text, as each dataclass is made by, CPython would end by the signal itself,
        # handled or not; the next one has it forgotten.
        exec("")  # noqa: S102
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except BrokenPipeError:
        # Nobody reads on, as in `rowspace search ... | head`; the interpreter would complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(ExitCode.BROKEN_PIPE) from None
    except Exception as error:
        if not is_explained(error):
            raise
        if debug:
            traceback.print_exc()
        fail(" ".join([sentence_of(error), *_notes(error)]), _code(error))


def _notes(error: BaseException) -> list[str]:
    # What was known where the error passed by, such as what it left behind.
    return getattr(error, "__notes__", [])


def _code(error: Exception) -> ExitCode:
    return ExitCode.UNAVAILABLE if isinstance(error, StoreUnavailable | SchemaNotReady) else ExitCode.ERROR
