"""Where the program speaks: data on stdout, everything else on stderr, one line an error."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

SOME_FAILED = 1
WRONG_COMMAND = 2

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

_screen: Console | None = None
"""While a bar is shown and both streams end at one terminal: the console that has the bar, and
must print all lines, whole ones, else they would be written into it."""


def hush() -> None:
    """Say nothing more: another process speaks for this one."""
    global out, err
    out, err = Console(quiet=True), Console(quiet=True)


def plain(text: str) -> str:
    """Return a stranger's text on one line, without what a terminal takes for a command."""
    shown = "".join(each if each.isprintable() else " " for each in _printable(text))
    return " ".join(shown.split()) if shown != text else text


def columns(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns as wide as they need, the first one flush left, on any terminal."""
    lines = [[plain(cell) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    out.print(plain(title), style="italic", markup=False)
    for number, row in enumerate(lines):
        cells = [row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]
        out.print("  ".join(cells), style=None if number else "bold", markup=False)


def data(text: str) -> None:
    """Print whole lines on stdout as they are, with file names that are not UTF-8."""
    if _screen is not None:
        _screen.print(_printable(text).removesuffix("\n"), markup=False)
    else:
        typer.echo(text.encode("utf-8", "surrogateescape"), nl=False)


def error(message: str) -> None:
    """Print one line on stderr, whatever is in the message."""
    line = Text("error: ", style="bold red")
    line.append(plain(" ".join(message.split())), style="not bold default")
    (_screen or err).print(line)


def note(message: str) -> None:
    """Print one line of information on stderr."""
    (_screen or err).print(_printable(message), style="dim", markup=False)


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def fail(message: str) -> NoReturn:
    """Print an error and end the program: the command was wrong."""
    error(message)
    raise typer.Exit(WRONG_COMMAND)


@contextmanager
def progress(description: str) -> Iterator[Callable[[int, int, str], None]]:
    """Show a bar on stderr while the block runs, none where that is not a terminal.

    Yields
    ------
    callable
        To be called as ``(done, total, what)``.
    """
    global _screen
    shared = out.is_terminal and err.is_terminal
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[what]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=out if shared else err,
        transient=True,
        disable=not err.is_terminal,
        redirect_stdout=False,  # else rich would send what we print on stdout to stderr
        redirect_stderr=False,
    )
    _screen = out if shared else None
    try:
        with bar:
            task = bar.add_task(description, total=None, what="")

            def report(done: int, total: int, what: str) -> None:
                bar.update(task, completed=done, total=total, what=what)

            yield report
    finally:
        _screen = None


def silence_native_code() -> None:
    """Send what C libraries print on stderr to nowhere; Python's own stderr stays.

    libmpg123 comments on damaged files there, beside the one line that we print.
    """
    try:
        kept = os.dup(2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
    except OSError:
        return  # no stderr at all: nothing to silence
    os.dup2(nowhere, 2)
    os.close(nowhere)
    sys.stderr = os.fdopen(kept, "w", encoding="utf-8", errors="backslashreplace", buffering=1)
