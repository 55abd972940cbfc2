"""How the log is written: JSON lines for machines, coloured lines for a terminal, always to stderr.

Where stderr is the journal, each line begins with its priority (``<4>`` for a warning), as journald reads it.
Source: systemd, sd-daemon(3) and ``$JOURNAL_STREAM`` in systemd.exec(5).
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO, cast

import structlog

if TYPE_CHECKING:
    from structlog.typing import Processor

LEVELS = ("debug", "info", "warning", "error")
OF_CLIENTS = frozenset({"request_retried", "login_refused"})
"""Events that clients log of their own, in the middle of a pass."""
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_MOST_ASIDE = 1000
_NOISY = ("httpx", "httpcore", "apscheduler", "asyncio", "tzlocal")


class Aside:
    """Lays the clients' own lines aside until the pass is over.

    A pass that goes wrong every minute would repeat them every minute; whoever knows what was said before
    (the daemon's narrator) takes them, and writes what is new.
    """

    def __init__(self) -> None:
        self._lines: list[dict[str, Any]] = []
        self._is_open = False

    def __call__(self, _: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if event.get("event") not in OF_CLIENTS or self._is_open:
            return event
        if len(self._lines) < _MOST_ASIDE:
            self._lines.append(dict(event))
        raise structlog.DropEvent

    def take(self) -> list[dict[str, Any]]:
        """Return the lines laid aside, ``event`` and fields, and forget them."""
        lines, self._lines = self._lines, []
        return lines

    @contextmanager
    def letting_through(self) -> Iterator[None]:
        """Write such lines as they come."""
        self._is_open = True
        try:
            yield
        finally:
            self._is_open = False


def configure(level: str = "info", stream: TextIO | None = None, aside: Aside | None = None) -> None:
    """Set the log up for this process; ``level`` is one of ``LEVELS``.

    With ``aside``, the clients' own lines go there, unless the level is debug.
    """
    out = sys.stderr if stream is None else stream
    first: list[Processor] = [aside] if aside is not None and level != "debug" else []
    structlog.configure(
        processors=[*first, *_processors(out)],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Unfailing(out))),
        cache_logger_on_first_use=False,
    )
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    root = logging.getLogger()
    others = [handler for handler in root.handlers if not isinstance(handler, _Forward)]
    root.handlers[:] = [*others, _Forward(logging.WARNING)]


def get_logger(**fields: Any) -> Any:  # noqa: ANN401 (structlog's own type)
    """Return a logger whose every line has these fields."""
    return structlog.get_logger(**fields)


class _Unfailing:
    """A stream that loses lines rather than raising: a closed terminal must not end a pass."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            self._out.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._out.flush()


class _Forward(logging.Handler):
    """Writes what libraries warn about as lines like all others; their tracebacks stay out."""

    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= logging.ERROR else "warning"
        kind = record.exc_info[0] if record.exc_info else None
        structlog.get_logger().log(
            getattr(logging, level.upper()),
            "library_warning",
            library=record.name,
            # The first line says what happened; the others may show values.
            message=record.getMessage().partition("\n")[0],
            **({"exception_type": kind.__name__} if kind else {}),
        )


def _processors(out: TextIO) -> list[Processor]:
    level = structlog.processors.add_log_level
    if out.isatty():
        stamp = structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
        plain = structlog.dev.plain_traceback
        return [level, stamp, _without_controls, structlog.dev.ConsoleRenderer(exception_formatter=plain)]
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    error = structlog.processors.format_exc_info
    render = structlog.processors.JSONRenderer(ensure_ascii=False)
    lines: list[Processor] = [level, stamp, error, _with_the_event_first, render]
    return [*lines, _with_priority] if _is_journal(out) else lines


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
