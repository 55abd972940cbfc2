"""Wingfield's request schemas, checked strictly: what a request says, or every issue with it.

Source: Wingfield, Upsert court booking; Delete court booking; List court bookings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.sandbox.watched import Json
from bridge.sandbox.wire import decode, instant_ms

Issue = dict[str, Any]

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_EMAIL = re.compile(r"[^@\s,;<>]+@[^@\s,;<>.]+(\.[^@\s,;<>.]+)+")


class SchemaError(ValueError):
    """A request breaks its schema; ``issues`` has everything that does."""

    def __init__(self, issues: Iterable[Issue]) -> None:
        self.issues = list(issues)
        super().__init__(f"{len(self.issues)} issues")


@dataclass(frozen=True, slots=True)
class Participant:
    """Somebody on the court; a request may name both or neither, which is an error of its own."""

    user_id: str | None
    email: str | None

    def as_json(self) -> dict[str, str]:
        return {"userId": self.user_id} if self.user_id is not None else {"email": self.email or ""}


@dataclass(frozen=True, slots=True)
class Upsert:
    """The body of an upsert; times are milliseconds since 1970."""

    court_id: str
    start_ms: int
    end_ms: int
    version_ms: int
    participants: tuple[Participant, ...]


Check = Callable[[Any], Any]


def uuid(value: Json) -> str:
    """Return a UUID in lower case."""
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise ValueError("Invalid UUID")
    return value.lower()


def email(value: Json) -> str:
    """Return an e-mail address in lower case."""
    if not isinstance(value, str) or not _EMAIL.fullmatch(value):
        raise ValueError("Invalid email address")
    return value.lower()


def text(value: Json) -> str:
    """Return a text of at least one character."""
    if not isinstance(value, str) or not value:
        raise ValueError("Expected a string of at least one character")
    return value


def count(least: int, most: int | None = None) -> Check:
    """Return a check for a whole number, written in digits, within bounds that are both included."""

    def check(value: Json) -> int:
        if not re.fullmatch(r"\d{1,9}", value, re.ASCII):
            raise ValueError("Expected a whole number")
        number = int(value)
        if number < least or (most is not None and number > most):
            raise ValueError(f"Expected a number from {least} to {most}")
        return number

    return check


def one_of(*choices: str) -> Check:
    """Return a check for one of the words."""

    def check(value: Json) -> str:
        if value not in choices:
            raise ValueError(f"Expected one of {', '.join(choices)}")
        return str(value)

    return check


def checked(
    sent: Mapping[str, Any], required: Mapping[str, Check], optional: Mapping[str, Check], path: tuple[Any, ...] = ()
) -> dict[str, Any]:
    """Return what the checks make of ``sent``; raise :class:`SchemaError` with every issue."""
    checks = {**required, **optional}
    issues = [_issue((*path, key), "Unrecognized key") for key in sent if key not in checks]
    issues += [_issue((*path, key), "Required") for key in required if key not in sent]
    values = {}
    for key in sent.keys() & checks.keys():
        try:
            values[key] = checks[key](sent[key])
        except SchemaError as error:
            issues += error.issues
        except ValueError as error:
            issues.append(_issue((*path, key), str(error)))
    if issues:
        raise SchemaError(issues)
    return values


def body_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body."""
    try:
        sent = decode(body)
    except ValueError:
        raise SchemaError([_issue((), "Expected JSON")]) from None
    if not isinstance(sent, dict):
        raise SchemaError([_issue((), "Expected an object")])
    return sent


def upsert(body: bytes) -> Upsert:
    """Return what the body of an upsert says."""
    values = checked(
        body_object(body),
        {
            "courtId": uuid,
            "startDate": instant_ms,
            "endDate": instant_ms,
            "externalUpdatedAt": instant_ms,
            "participants": _participants,
        },
        {},
    )
    return Upsert(
        values["courtId"], values["startDate"], values["endDate"], values["externalUpdatedAt"], values["participants"]
    )


def _participants(value: Json) -> tuple[Participant, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= 4:
        raise ValueError("Expected 1 to 4 participants")
    issues: list[Issue] = []
    found = []
    for place, each in enumerate(value):
        try:
            found.append(_participant(each, ("participants", place)))
        except SchemaError as error:
            issues += error.issues
    if issues:
        raise SchemaError(issues)
    return tuple(found)


def _participant(value: Json, path: tuple[Any, ...]) -> Participant:
    if not isinstance(value, dict):
        raise SchemaError([_issue(path, "Expected an object")])
    values = checked(value, {}, {"userId": uuid, "email": email}, path)
    return Participant(values.get("userId"), values.get("email"))


def _issue(path: tuple[Any, ...], message: str) -> Issue:
    return {"path": list(path), "message": message}
