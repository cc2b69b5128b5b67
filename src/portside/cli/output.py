"""Everything that is printed: data to stdout, the rest to stderr.

Colors are left out where they are not wanted (`NO_COLOR`, a pipe), and every line
reads as well without them.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import click
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TransferSpeedColumn,
)
from rich.style import Style
from rich.text import Text

from portside.artifact.quantity import size
from portside.cli.table import fill, layout
from portside.client.entity import Span
from portside.errors import UsageError

SAY_AFTER_S, SAY_EVERY_S = 1.0, 2.0
"""Until the first line of progress, and between two, where no line can be overwritten."""

_COLORS = ("cyan", "yellow", "green", "magenta", "blue", "red")

_out = Console(highlight=False, soft_wrap=True)
_err = Console(stderr=True, highlight=False, soft_wrap=True)


def printable(text: str) -> str:
    r"""With bytes of a file's name that are no UTF-8 spelled out, as `\udcff`."""
    return text.encode("utf-8", "backslashreplace").decode()


def note(text: str) -> None:
    """A line on the way."""
    _err.print(escape(printable(text)))


def done(text: str, *, detail: str = "") -> None:
    """Something that is finished."""
    _err.print(
        f"[green]✓[/green] {escape(printable(text))}"
        f"[dim]{escape(f'  {detail}' if detail else '')}[/dim]"
    )


def failure(message: str, *, hint: str | None = None) -> None:
    """An error, and what to do about it, last."""
    _err.print(f"[bold red]error:[/bold red] {escape(printable(message))}")
    if hint:
        _err.print(f"\n[bold cyan]hint:[/bold cyan] {escape(printable(hint))}")


def title(text: str) -> None:
    """The beginning of a part."""
    _err.print(f"\n[bold]{escape(text)}[/bold]")


def data(text: str) -> None:
    """A result, as it is, to stdout: a file's name in its own bytes."""
    raw(os.fsencode(f"{text}\n"))


def spans(found: list[Span]) -> None:
    """A text with its entities as `[words](LABEL)`, a color a label, to stderr."""
    shown, colors = Text(), dict[str, str]()
    for span in found:
        if span.label is None:
            shown.append(span.text)
            continue
        color = colors.setdefault(span.label, _COLORS[len(colors) % len(_COLORS)])
        shown.append(f"[{span.text}]", Style(color=color, bold=True))
        shown.append(f"({span.label})", Style(color=color, dim=True))
    _err.print(shown)


def raw(body: bytes) -> None:
    """Bytes, untouched, to stdout."""
    sys.stdout.flush()
    sys.stdout.buffer.write(body)
    sys.stdout.buffer.flush()


def as_json(value: object) -> None:
    """A result for programs, to stdout."""
    _out.print(Text(json.dumps(value, indent=2, ensure_ascii=False, default=str)))


def json_line(value: object) -> None:
    """One result of many for programs, on a line of its own, to stdout."""
    _out.print(Text(json.dumps(value, ensure_ascii=False)))


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    below: Sequence[str] = (),
    aside: bool = False,
) -> None:
    """A result for people, to stdout; to stderr if it stands `aside` of the result."""
    console = _err if aside else _out
    for line in layout(columns, rows, below=below, width=_width(console)):
        console.print(line)


def folded(text: str, *, first: str = "", indent: str = "") -> None:
    """A result's line, to stdout, over several where the terminal is narrow; see `table.fill`."""
    for line in fill(text, width=_width(_out), first=first, indent=indent):
        data(line)


def fits(text: str) -> bool:
    """Whether a result's line fits into the terminal."""
    width = _width(_out)
    return width is None or cell_len(text) <= width


def _width(console: Console) -> int | None:
    """Cells of a terminal's line, or as many as `COLUMNS` says; in a pipe lines have no end."""
    return console.width if console.is_terminal or "COLUMNS" in os.environ else None


_MARKS = {"error": "[bold red]✗[/]", "warning": "[yellow]![/]", "note": "[blue]·[/]"}
"""Before a finding, by how bad it is."""


def finding(severity: str, *, where: str, what: str, mend: str, source: str) -> None:
    """One of the doctor's findings, to stdout: where, what, the way on, and who says so."""
    _out.print(
        f"{_MARKS[severity]} [bold]{escape(printable(where))}[/bold] [dim]{severity}[/dim]\n"
        f"  {escape(printable(what))}\n"
        f"  [cyan]mend:[/cyan] {escape(printable(mend))}\n"
        f"  [dim]{escape(printable(source))}[/dim]\n"
    )


def confirm(question: str) -> None:
    """Ask before something is removed; where nobody can answer, say how to go without."""
    if not sys.stdin.isatty():
        raise UsageError(
            "cannot ask whether to go on: there is no terminal", hint="add `--yes` to the command"
        )
    click.confirm(question, abort=True, err=True)


@contextmanager
def activity(text: str) -> Iterator[Callable[[str], None]]:
    """Something that takes a while: a spinner on a terminal, else a line now and then.

    Yields a function that changes the text; ends with a tick and the time it took.
    """
    began = time.monotonic()
    with passing(text) as say:
        yield say
    done(text, detail=seconds(time.monotonic() - began))


@contextmanager
def relaying(text: str) -> Iterator[Callable[[str], None]]:
    """As `activity`, of a program whose own lines are `relayed` meanwhile: it begins with a line.

    What the function that it yields is told comes between those lines, in order.
    """
    began = time.monotonic()
    note(f"… {text}")
    if _err.is_terminal:
        with _err.status(escape(text)) as status:
            yield lambda new: status.update(escape(f"{text}: {new}"))
    else:
        yield lambda new: note(f"  {new}")
    done(text, detail=seconds(time.monotonic() - began))


def relayed(line: str) -> None:
    """A line of another program's."""
    _err.print(f"[dim]    {escape(printable(line))}[/dim]")


@contextmanager
def passing(text: str) -> Iterator[Callable[[str], None]]:
    """As `activity`, of what nobody needs to read of afterwards: it leaves no tick."""
    if _err.is_terminal:
        with _err.status(escape(text)) as status:
            yield lambda new: status.update(escape(f"{text}: {new}"))
    else:
        with _spoken(text) as say:
            yield say


@contextmanager
def _spoken(text: str) -> Iterator[Callable[[str], None]]:
    """Where no line can be overwritten: silent about what is quick, else a line now and then."""
    ended, latest = threading.Event(), ""

    def tick() -> None:
        said = ""
        if not ended.wait(SAY_AFTER_S):
            note(f"… {text}")
        while not ended.is_set():
            if latest != said:
                said = latest
                note(f"  {said}")
            ended.wait(SAY_EVERY_S)

    def say(new: str) -> None:
        nonlocal latest
        latest = new

    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    try:
        yield say
    finally:
        ended.set()
        ticker.join()


@contextmanager
def transfer(text: str, *, total_bytes: int) -> Iterator[Callable[[int], None]]:
    """Bytes on their way, with a rate: a bar on a terminal, else a line now and then.

    Yields a function that is told each number of bytes.
    """
    began = time.monotonic()
    if _err.is_terminal:
        with Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=_err,
            transient=True,
        ) as progress:
            task = progress.add_task(escape(text), total=total_bytes)
            yield lambda sent: progress.advance(task, sent)
    else:
        with _spoken(text) as say:
            yield _counted(say, total_bytes=total_bytes, began=began)
    took = time.monotonic() - began
    done(text, detail=f"{size(total_bytes)} in {seconds(took)}")


def _counted(
    say: Callable[[str], None], *, total_bytes: int, began: float
) -> Callable[[int], None]:
    """Says the sum of what it is told, and the rate since `began`."""
    total = 0

    def count(sent: int) -> None:
        nonlocal total
        total += sent
        rate = round(total / max(time.monotonic() - began, 0.001))
        so_far = f"{size(total)} of {size(total_bytes)}"
        say(f"{so_far}, {size(rate)}/s" if rate else so_far)

    return count


def seconds(duration_s: float) -> str:
    """Seconds for people: `0.4 s`, `2 min 5 s`."""
    if duration_s < 60:
        return f"{duration_s:.1f} s"
    return f"{int(duration_s // 60)} min {int(duration_s % 60)} s"
