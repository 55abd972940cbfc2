"""Prints what people and scripts read: lines and tables, drawn on a terminal and plain elsewhere; JSON.

Rich is imported only where it draws, and the log's module only where a name holds something odd.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from io import StringIO
from typing import Any, TextIO

from bridge.errors import BridgeError
from bridge.model import Held
from bridge.planning.drift import Finding
from bridge.sync.words import Places, since

_gathered: ContextVar[list[Any] | None] = ContextVar("gathered", default=None)
SHOWN = 50
"""Rows of a table that people read; ``--json`` has all."""

VERDICTS = {
    "in_sync": ("In sync.", "green"),
    "attention": ("Something needs a person.", "yellow"),
    "incomplete": ("Not complete; the next pass goes on where this one stopped.", "red"),
    "refused": ("Credentials were refused.", "red"),
}
"""By the outcome of a pass: what it means, and its style."""


def line(text: str = "", style: str = "") -> None:
    """Print a line, on a terminal wrapped between its words; ``style`` is one of rich's, for a terminal."""
    if _is_drawn():
        _draw(wrapped(visible(text)), style=style, soft_wrap=True)
    else:
        say(f"{visible(text)}\n")


def wrapped(text: str) -> str:
    """Return ``text`` wrapped to the terminal's width between its words; what is indented stays so."""
    indent, width = text[: len(text) - len(text.lstrip())], shutil.get_terminal_size().columns
    lines = textwrap.wrap(text.strip(), width - len(indent), break_long_words=False, break_on_hyphens=False)
    return "\n".join(f"{indent}{each}" for each in lines)


def complain(text: str) -> None:
    """Write a line about what went wrong to standard error, where there is one."""
    if sys.stderr is not None:
        sys.stderr.write(f"{_fitted_to(sys.stderr, visible(text))}\n")


def _fitted_to(stream: TextIO, text: str) -> str:
    return wrapped(text) if stream.isatty() else text


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], most: int | None = None) -> None:
    """Print a table of at most ``most`` rows; each has a cell for each of ``columns``, None for an empty one.

    On a terminal too narrow for its longest words side by side, each row is a paragraph.
    """
    cells = [["" if cell is None else visible(str(cell)) for cell in row] for row in rows]
    shown = cells[:most]
    line()
    line(title, "bold")
    if not _is_drawn():
        widths = [max(map(len, column)) for column in zip(columns, *shown, strict=True)]
        for row in ([*columns], *shown):
            line(f"  {'  '.join(map(str.ljust, row, widths))}".rstrip())
    elif widths := _widths([columns, *shown], shutil.get_terminal_size().columns - 3 * len(columns) + 1):
        _draw_table(columns, widths, shown)
    else:
        for row in shown:
            line(f"- {', '.join(f'{name}: {cell}' for name, cell in zip(columns, row, strict=True) if cell)}")
    if most is not None and len(cells) > most:
        line(f"  … and {len(cells) - most} more; --json lists all")


def _widths(rows: Sequence[Sequence[str]], room: int) -> list[int]:
    """Return the widths of columns whose sum is at most ``room`` and that break no word; [] where there are none."""
    columns = list(zip(*rows, strict=True))
    least = [max(len(word) for cell in column for word in (*cell.split(), "")) for column in columns]
    widths = [max(map(len, column)) for column in columns]
    while sum(widths) > room >= sum(least):
        widest = max((n for n in range(len(widths)) if widths[n] > least[n]), key=widths.__getitem__)
        widths[widest] -= 1
    return widths if sum(widths) <= room else []


def _draw_table(columns: Sequence[str], widths: Sequence[int], rows: Iterable[Sequence[str]]) -> None:
    from rich import box
    from rich.table import Column, Table

    headers = [Column(name, width=width) for name, width in zip(columns, widths, strict=True)]
    drawn = Table(*headers, box=box.SIMPLE_HEAD, show_edge=False)
    for row in rows:
        drawn.add_row(*row)
    _draw(drawn)


def _is_drawn() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


def _draw(content: object, **options: Any) -> None:  # noqa: ANN401 (rich's own types)
    from rich.console import Console

    width = shutil.get_terminal_size().columns
    out = StringIO()
    console = Console(file=out, force_terminal=True, width=width, highlight=False, markup=False, emoji=False)
    console.print(content, **options)
    say(out.getvalue())


def visible(text: str) -> str:
    """Return ``text`` with whatever could steer a terminal made visible: names come from the services."""
    if text.isprintable():
        return text
    from bridge.log import printable

    return printable(text)


def show_json(value: Mapping[str, Any] | Sequence[Any]) -> None:
    """Print one JSON object or list, in ASCII: no name in it can steer a terminal."""
    if (gathered := _gathered.get()) is None:
        say(json.dumps(value) + "\n")
    else:
        gathered.append(value)


def is_gathering() -> bool:
    """Whether what is said here is kept, and printed later."""
    return _gathered.get() is not None


@contextmanager
def gathering() -> Iterator[list[Any]]:
    """Keep what would be printed inside in the list that is yielded: JSON as it is, and pieces of text."""
    gathered: list[Any] = []
    token = _gathered.set(gathered)
    try:
        yield gathered
    finally:
        _gathered.reset(token)


def show_failure(error: str, outcome: str = "failed") -> None:
    """Print the JSON object of a call that something kept from its work; ``error`` says what."""
    show_json({"outcome": outcome, "error": error})


def say(text: str) -> None:
    """Write to standard output, where there is one.

    A reader that has gone (``| head``) changes nothing about what was done. Raises BridgeError when the
    result cannot be written for another reason.
    """
    if (gathered := _gathered.get()) is not None:
        gathered.append(text)
        return
    if sys.stdout is None:
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        abandon(sys.stdout)
        if not isinstance(error, BrokenPipeError):
            message = f"the result could not be written to standard output: {error.strerror}"
            raise BridgeError(message) from None


def is_confirmed(question: str) -> bool:
    """Ask the person at the terminal; nobody there says no."""
    if sys.stdin is None or not sys.stdin.isatty() or sys.stderr is None:
        return False
    sys.stderr.write(f"{_fitted_to(sys.stderr, question)} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def abandon(stream: TextIO) -> None:
    """Let what is still buffered for ``stream`` go nowhere, so that ending does not fail over it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def several(count: int, thing: str) -> str:
    """Return ``1 booking``, ``2 bookings``."""
    return f"{count} {thing}{'' if count == 1 else 's'}"


def print_held(held: Iterable[Held], places: Places, now: datetime) -> None:
    """Print a table for each reason why bookings are held, the most frequent first; in each, the next comes first."""
    groups: dict[str, list[Held]] = {}
    for each in sorted(held, key=lambda each: str(each.slot and each.slot.start)):
        groups.setdefault(each.reason, []).append(each)
    columns = ("booking", "court", "when", "service", "since", "detail")
    for reason, group in sorted(groups.items(), key=lambda item: -len(item[1])):
        rows = [
            (
                each.id or "(no id)",
                *places.cells(each.slot),
                each.service_id,
                since(each.since_ms, now),
                places.told(each.detail),
            )
            for each in group
        ]
        table(f"Held: {len(group)} × {reason}", columns, rows, SHOWN)


def print_drift(title: str, found: Collection[Finding], places: Places) -> None:
    """Print the table of what differs in Wingfield; nothing where nothing does."""
    if found:
        rows = [(each.kind, each.id, places.told(each.in_words())) for each in found]
        table(f"{title} ({len(rows)})", ("what", "booking", "how"), rows, SHOWN)


def print_withheld(words: str, withheld: Sequence[str], advice: str) -> None:
    """Print which deletes are withheld, and how they are let through; nothing where none is."""
    if withheld:
        more = f" … and {len(withheld) - SHOWN} more" if len(withheld) > SHOWN else ""
        line()
        line(f"{words}: {', '.join(withheld[:SHOWN])}{more}", "yellow")
        line(f"  {advice}")
