"""How the log is written: JSON lines for machines, lines for people, coloured on a terminal; always to stderr.

Where stderr is the journal, each line begins with its priority (``<4>`` for a warning), as journald reads it.
Source: systemd, sd-daemon(3) and ``$JOURNAL_STREAM`` in systemd.exec(5).
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import sys
from collections import deque
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path
from traceback import extract_tb
from typing import Any, TextIO

import structlog
from structlog.contextvars import get_contextvars, merge_contextvars
from structlog.processors import JSONRenderer, TimeStamper, add_log_level, format_exc_info
from structlog.typing import Processor

_OF_CLIENTS = frozenset({"request_retried", "login_refused"})
"""Events that clients log of their own, in the middle of a pass."""
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}


class Aside:
    """Lays the clients' own lines aside until the pass is over; one that is logged once more is written.

    A pass that goes wrong every minute would repeat them every minute; whoever knows what was said before
    (the daemon's narrator) takes them, and writes what is new. Each club's are kept apart.
    """

    def __init__(self) -> None:
        self._lines: dict[str | None, deque[dict[str, Any]]] = {}

    def __call__(self, _: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if event.get("event") not in _OF_CLIENTS or event.pop("was_aside", False):
            return event
        self._lines.setdefault(event.get("club"), deque(maxlen=1000)).append({**event, "was_aside": True})
        raise structlog.DropEvent

    def take(self) -> list[dict[str, Any]]:
        """Return the running club's lines laid aside, ``event`` and fields, and forget them."""
        return list(self._lines.pop(get_contextvars().get("club"), ()))


def configure(
    level: str = "info", stream: TextIO | None = None, aside: Aside | None = None, form: str = "auto"
) -> None:
    """Set the log up for this process; ``level`` is "debug", "info", "warning" or "error".

    ``form`` is "json" (an object a line), "text" (lines, with colours on a terminal), "plain" (without), or "auto":
    text on a terminal, else json. What is bound to the running task's context (``club``) is on each of its lines.
    With ``aside``, the clients' own lines go there, unless the level is debug.
    """
    out = stream or sys.stderr
    lines = _Lines(stream)
    first: list[Processor] = [aside] if aside is not None and level != "debug" else []
    structlog.configure(
        processors=[merge_contextvars, *first, *_processors(out, form)],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=lambda: lines,
        cache_logger_on_first_use=False,
    )
    logging.getLogger().addHandler(_OF_LIBRARIES)


def get_logger(**fields: Any) -> Any:  # noqa: ANN401 (structlog's own type)
    """Return a logger whose every line has these fields."""
    return structlog.get_logger(**fields)


def origin(error: BaseException) -> dict[str, Any]:
    """Return the fields that say where an error came from: without its message, which could hold anything."""
    at = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in extract_tb(error.__traceback__)]
    return {"exception_type": type(error).__name__, "at": at}


class _Lines:
    """Writes lines to the stream, or to what stderr is then: a progress bar takes it over for a while."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def msg(self, message: str) -> None:
        out = self._stream or sys.stderr
        with suppress(OSError, ValueError):  # a closed terminal must not end a pass
            out.write(f"{message}\n")
            out.flush()

    debug = info = warning = error = critical = msg


class _Forward(logging.Handler):
    """Writes what libraries warn about as lines like all others; their tracebacks stay out."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        kind = record.exc_info[0] if record.exc_info else None
        (log.error if record.levelno >= logging.ERROR else log.warning)(
            "library_warning",
            library=record.name,
            # The first line says what happened; the others may show values.
            message=record.getMessage().partition("\n")[0],
            **({"exception_type": kind.__name__} if kind else {}),
        )


_OF_LIBRARIES = _Forward(logging.WARNING)


def _processors(out: TextIO, form: str) -> list[Processor]:
    is_terminal = out.isatty()
    if form in {"text", "plain"} or (form == "auto" and is_terminal):
        lines: list[Processor] = [add_log_level, TimeStamper(fmt="%H:%M:%S", utc=False), _without_controls]
        colors = is_terminal and form != "plain"
        lines.append(structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback))
        lines += [_wrapped] * is_terminal
    else:
        json = JSONRenderer(ensure_ascii=False)
        lines = [add_log_level, TimeStamper("iso"), format_exc_info, _with_the_event_first, json]
    return [*lines, _with_priority] if _is_journal(out) else lines


def _wrapped(_: object, __: str, text: Any) -> str:  # noqa: ANN401 (structlog's own type)
    """Wrap each line that is wider than the terminal between its words; colours take no room."""
    width, rows = shutil.get_terminal_size().columns, list[str]()
    for line in text.splitlines():
        row, *words = (_width(line) > width and line.split()) or [line]
        for word in words:
            if _width(longer := f"{row} {word}") > width:
                rows.append(row)
                longer = f"  {word}"
            row = longer
        rows.append(row)
    return "\n".join(rows)


def _width(text: str) -> int:
    return len(re.sub("\x1b\\[[0-9;]*m", "", text))


def _is_journal(out: TextIO) -> bool:
    """Whether ``out`` is the stream that systemd connected to the journal."""
    try:
        device, inode = os.environ.get("JOURNAL_STREAM", "").split(":")
        stat = os.fstat(out.fileno())
        return (int(device), int(inode)) == (stat.st_dev, stat.st_ino)
    except (ValueError, OSError):
        return False


def _with_the_event_first(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    first = {name: event.pop(name) for name in ("timestamp", "level", "event") if name in event}
    return {**first, **event}


def _with_priority(_: object, method: str, line: Any) -> str:  # noqa: ANN401 (structlog's own type)
    return f"<{_PRIORITIES.get(method, 6)}>{line}"


def printable(text: str) -> str:
    """Return ``text`` with everything that could steer a terminal made visible."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _without_controls(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str) and key != "exception":
            event[key] = printable(value)
    return event
