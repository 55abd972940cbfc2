"""What single values of the configuration may be: types that check themselves and say what would be right."""

from __future__ import annotations

import difflib
import ipaddress
import re
import zoneinfo
from datetime import timedelta
from pathlib import Path
from typing import Annotated, TypeAlias
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from bridge.config.paths import expanded
from bridge.config.problems import Reading, Wrong, has_control_character, shown


def between(low: float, high: float) -> AfterValidator:
    """Return a check that a number is at least ``low`` and at most ``high``."""

    def check(value: float) -> float:
        if not low <= value <= high:  # so written, it rejects nan too
            raise Wrong(f"{shown(value)} is not between {low} and {high}")
        return value

    return AfterValidator(check)


_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def uuid(remedy: str) -> AfterValidator:
    """Return a check that a text is a UUID, which makes it lower case."""

    def check(value: str) -> str:
        if not _UUID.fullmatch(value.lower()):
            raise Wrong(f"{shown(value)} is not a valid UUID; {remedy}")
        return value.lower()

    return AfterValidator(check)


_DURATION = re.compile(r"([0-9]{1,9})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _duration(low: timedelta, high: timedelta) -> BeforeValidator:
    def check(value: object) -> timedelta:
        length = value if isinstance(value, timedelta) else _length(value)
        if length < low:
            raise Wrong(f'{shown(value)} is too short; write at least "{low.seconds}s"')
        if length > high:
            raise Wrong(f'{shown(value)} is too long; write at most "{high.days}d"')
        return length

    return BeforeValidator(check)


def _length(value: object) -> timedelta:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise Wrong(f'{shown(value)} is not a valid length of time; write it like "30s", "5m", "1h" or "2d"')
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


_ADDRESS = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)*")


def _address(value: str) -> str:
    if not _ADDRESS.fullmatch(value) or has_control_character(value):
        raise Wrong("the value is not a valid e-mail address; write the whole address")
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise Wrong("is empty; fill it in or leave it out")
    return value


def _service_id(key: object) -> object:
    # TOML's keys are texts, even those that are numbers.
    if not isinstance(key, str):
        return key
    if not re.fullmatch(r"0|[1-9][0-9]{0,17}", key):
        remedy = 'write the whole number that "courtbridge courts" shows'
        raise Wrong(f"{shown(key)} is not a valid service id; {remedy}")
    return int(key)


def _zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        close = difflib.get_close_matches(name[:60], zoneinfo.available_timezones(), 1)
        remedy = f"did you mean {shown(close[0])}?" if close else 'write one like "Europe/Berlin"'
        raise Wrong(f"{shown(name)} is not a valid time zone; {remedy}") from None
    return name


def _id_prefix(value: str) -> str:
    if not value.isprintable():
        raise Wrong("holds a control character; use letters, dashes and the like")
    if "/" in value or "\\" in value:
        raise Wrong(f'{shown(value)} holds a slash; use a dash instead, as in "club-"')
    if value[-1:].isnumeric():
        raise Wrong(f'{shown(value)} ends in a digit, which would run into the ids; end it like "club-"')
    return value


def file_name(value: str) -> str:
    """Return the value if it can be the name of a file. Raises Wrong."""
    if not value.strip() or value.endswith("/") or has_control_character(value):
        raise Wrong("names no file; write the path of one")
    return value


def _state_file(value: object, info: ValidationInfo) -> object:
    """Return the path; a relative one counts from the file it is written in, the context of validation."""
    reading = info.context
    if not (isinstance(value, str) and isinstance(reading, Reading)):
        return value
    return reading.path.parent / expanded(file_name(value), reading.environ)


def _base_url(value: str) -> str:
    """Return the URL without its trailing slashes; one with secrets in it is rejected without being shown."""
    if "@" in value:
        raise Wrong('has an "@" in it; leave user name and password out')
    if "?" in value or "#" in value:
        raise Wrong('has a "?" or a "#" in it; end it with the path')
    if (parts := _parts(value)) is None:
        remedy = 'write one like "https://host/path"'
        raise Wrong(f"{shown(value)} is not a valid address of a service; {remedy}")
    if not _has_possible_port(parts):
        raise Wrong(f"{shown(value)} has a port that does not exist; leave it out or write 1 to 65535")
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise Wrong(f"{shown(value)} would send secrets unencrypted; write https://")
    return value.rstrip("/")


def _parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode()
    except ValueError:
        return None
    # A colon only gets into a host within brackets, and these hold what urlsplit knows to be an IP address.
    is_right = parts.scheme in {"http", "https"} and re.fullmatch(r"[\w.:-]+", host)
    return parts if is_right and url.isprintable() and " " not in url else None


def _has_possible_port(parts: SplitResult) -> bool:
    try:
        return parts.port != 0
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


Id: TypeAlias = Annotated[int, between(0, 10**18 - 1)]
Ids: TypeAlias = Annotated[frozenset[Id], Field(strict=False, min_length=1)]
ServiceId: TypeAlias = Annotated[int, BeforeValidator(_service_id)]
Minutes: TypeAlias = Annotated[int, between(1, 1440)]
Name: TypeAlias = Annotated[str, AfterValidator(_not_blank)]
Names: TypeAlias = Annotated[tuple[Name, ...], Field(strict=False)]
Url: TypeAlias = Annotated[str, AfterValidator(_base_url)]
Address: TypeAlias = Annotated[str, AfterValidator(_address)]
TimeZone: TypeAlias = Annotated[str, AfterValidator(_zone)]
IdPrefix: TypeAlias = Annotated[str, AfterValidator(_id_prefix)]
StateFile: TypeAlias = Annotated[Path, BeforeValidator(_state_file)]
# Ten years on both sides is more than any club plans, and no sum of dates overflows.
Window: TypeAlias = Annotated[timedelta, _duration(timedelta(0), timedelta(days=3650))]
Interval: TypeAlias = Annotated[timedelta, _duration(timedelta(seconds=1), timedelta(days=365))]
