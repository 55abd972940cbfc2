"""Every error the bridge raises on purpose, and the exit status each one means.

    BridgeError
    ├── ConfigError              78  the configuration is wrong
    ├── StateError               74  the state database cannot be used
    │   └── StateBusy        75  another program has locked it for too long
    ├── AlreadyRunning           75  another process has the lock
    └── ServiceError                 something about one of the two services
        ├── CredentialsRefused   77  password, token or role refused
        ├── ClockWrong           75  this machine's clock is wrong
        ├── Unavailable          75  no answer, 5xx, 429 to the end, or no answer of the API's
        └── Rejected               1  this one request was answered 4xx
            ├── NotFound             the thing asked for is not there
            └── AccessDenied         it is there, and not for us

Messages say place, value and remedy, and never contain a secret, an e-mail address or a sentence of a
service's own (it could name people).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


class ExitStatus(enum.IntEnum):
    """What the process says when it ends. Numbers above 64 are those of ``sysexits.h``."""

    OK = 0
    ATTENTION = 1
    USAGE = 2
    STATE = 74
    TRY_LATER = 75
    CREDENTIALS = 77
    CONFIG = 78


_FIRST_COUNTS = (
    ExitStatus.CONFIG,
    ExitStatus.STATE,
    ExitStatus.CREDENTIALS,
    ExitStatus.TRY_LATER,
    ExitStatus.ATTENTION,
)


def worst(statuses: Iterable[int]) -> ExitStatus:
    """Return the status that counts where several are true: 78, 74, 77, 75, 1, then 0."""
    found = set(statuses)
    return next((status for status in _FIRST_COUNTS if status in found), ExitStatus.OK)


class BridgeError(Exception):
    """Any error the bridge raises on purpose."""

    exit_status = ExitStatus.ATTENTION


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the configuration, and where."""

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class ConfigError(BridgeError):
    """The configuration is wrong; ``problems`` has everything that was found, not just the first.

    ``files`` are those that were read or looked for: an edit of one of them may put it right.
    """

    exit_status = ExitStatus.CONFIG

    def __init__(self, problems: Iterable[Problem], *, files: Iterable[Path] = ()) -> None:
        self.problems = tuple(problems)
        self.files = tuple(files)
        super().__init__("\n".join(map(str, self.problems)))


class StateError(BridgeError):
    """The state database is corrupt, read-only, full, newer than this program, or another bridge's."""

    exit_status = ExitStatus.STATE


class StateBusy(StateError):
    """Another program has locked the state for longer than is waited for: this pass ends, the next may go on."""

    exit_status = ExitStatus.TRY_LATER


class AlreadyRunning(BridgeError):
    """Another process has the lock; the message says which."""

    exit_status = ExitStatus.TRY_LATER


class ServiceError(BridgeError):
    """Something about ``service`` ("Launch27" or "Wingfield").

    ``kind`` stays the same while the trouble stays the same, whatever numbers the message holds.
    """

    def __init__(self, service: str, message: str, *, kind: str = "") -> None:
        self.service = service
        self.kind = kind or message
        super().__init__(f"{service}: {message}")


class CredentialsRefused(ServiceError):
    """The password, the token or the role was refused."""

    exit_status = ExitStatus.CREDENTIALS


class Unavailable(ServiceError):
    """No usable answer, after every try.

    A write may or may not have been applied, unless ``maybe_applied`` is false: then it never left.
    """

    exit_status = ExitStatus.TRY_LATER

    def __init__(self, service: str, message: str, *, kind: str = "", maybe_applied: bool = True) -> None:
        super().__init__(service, message, kind=kind)
        self.maybe_applied = maybe_applied


class ClockWrong(ServiceError):
    """The clock of this machine differs too much from the services' to write anything under its moments."""

    exit_status = ExitStatus.TRY_LATER


class Rejected(ServiceError):
    """The service understood the request and rejected it (4xx); it was not applied.

    ``reason`` is the service's own error type (a word, like ``court_not_found``).
    """

    reason = "refused"

    def __init__(self, service: str, message: str, *, reason: str | None = None) -> None:
        super().__init__(service, message)
        if reason is not None:
            self.reason = reason


class NotFound(Rejected):
    """The thing asked for is not there (404)."""

    reason = "not_found"


class AccessDenied(Rejected):
    """The thing asked for is not for us (403)."""

    reason = "access_denied"
