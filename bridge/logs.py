"""How the log is written: JSON lines for machines, coloured lines for a terminal, always to stderr.

Where stderr is the journal, each line begins with its priority (``<4>`` for a warning), as journald reads it.
Source: systemd, sd-daemon(3) and ``$JOURNAL_STREAM`` in systemd.exec(5).
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, TextIO

import structlog

if TYPE_CHECKING:
    from structlog.typing import Processor

LEVELS = ("debug", "info", "warning", "error")
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
_NOISY = ("httpx", "httpcore", "apscheduler", "asyncio", "tzlocal")


def configure(level: str = "info", stream: TextIO | None = None) -> None:
    """Set the log up for this process; ``level`` is one of ``LEVELS``."""
    out = sys.stderr if stream is None else stream
    structlog.configure(
        processors=_processors(out),
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


def _processors(out: TextIO) -> list[Processor]:
    common: list[Processor] = [structlog.processors.add_log_level]
    if out.isatty():
        stamp = structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
        plain = structlog.dev.plain_traceback
        return [*common, stamp, _without_controls, structlog.dev.ConsoleRenderer(exception_formatter=plain)]
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    render = structlog.processors.JSONRenderer(ensure_ascii=False)
    processors: list[Processor] = [*common, stamp, structlog.processors.format_exc_info, render]
    return [*processors, _with_priority] if _is_journal(out) else processors


def _is_journal(out: TextIO) -> bool:
    """Whether ``out`` is the stream that systemd connected to the journal."""
    try:
        device, inode = os.environ.get("JOURNAL_STREAM", "").split(":")
        stat = os.fstat(out.fileno())
        return (int(device), int(inode)) == (stat.st_dev, stat.st_ino)
    except (ValueError, OSError):
        return False


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
