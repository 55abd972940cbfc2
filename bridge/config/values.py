"""What single values of the configuration may be: types that check themselves and say what would be right."""

from __future__ import annotations

import ipaddress
import re
import zoneinfo
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from bridge.addresses import usable_address
from bridge.config.paths import file_named
from bridge.config.problems import Reading, Wrong, has_control_character, shown
from bridge.config.secrets import Secret

_OF_THE_EXAMPLE = frozenset({"acme.launch27.com", "acme-sandbox.l27.co"})


def require(is_right: Callable[[Any], object], otherwise: str) -> AfterValidator:
    """Return a check that says ``otherwise``, the value for its ``{}``, where ``is_right`` is not true or raises."""

    def check(value: object) -> object:
        with suppress(ValueError):
            if is_right(value):
                return value
        raise Wrong(otherwise.format(shown(value)))

    return AfterValidator(check)


def between(low: float, high: float) -> AfterValidator:
    """Return a check that a number is at least ``low`` and at most ``high``, which nan is not."""
    return require(lambda number: low <= number <= high, f"{{}} is not between {low} and {high}")


def uuid(remedy: str) -> AfterValidator:
    """Return a check that a text is a UUID."""
    pattern = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
    return require(pattern.fullmatch, f"{{}} is not a valid UUID; {remedy}")


def length(value: object) -> timedelta:
    """Return the length of time that a text like "30s", "5m", "1h" or "2d" means; raises Wrong for any other."""
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"([0-9]{1,9})([smhd])", value) if isinstance(value, str) else None
    if not match:
        raise Wrong(f'{shown(value)} is not a valid length of time; write it like "30s", "5m", "1h" or "2d"')
    unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[match[2]]
    return timedelta(**{unit: int(match[1])})


def _length_between(least: str, most: str) -> BeforeValidator:
    def check(value: object) -> timedelta:
        given = length(value)
        if given < length(least):
            raise Wrong(f'{shown(value)} is too short; write at least "{least}"')
        if given > length(most):
            raise Wrong(f'{shown(value)} is too long; write at most "{most}"')
        return given

    return BeforeValidator(check)


def full_interval(sync: dict[str, timedelta]) -> timedelta:
    """Return how often there is a full pass where nothing says it: every five minutes, but not before a near one."""
    return max(timedelta(minutes=5), sync["interval"])


def _not_below_the_interval(length: timedelta, info: ValidationInfo) -> timedelta:
    if length < info.data.get("interval", length):
        raise Wrong("is shorter than sync.interval; write at least as much")
    return length


def _service_id(key: object) -> int:
    # TOML's keys are texts, even those that are numbers.
    if not re.fullmatch(r"0|[1-9][0-9]{0,17}", str(key)):
        raise Wrong(f'{shown(key)} is not a valid service id; write the whole number that "courtbridge courts" shows')
    return int(str(key))


def _zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        import difflib  # a right configuration need not wait for it

        close = difflib.get_close_matches(name[:60], zoneinfo.available_timezones(), 1)
        remedy = f"did you mean {shown(close[0])}?" if close else 'write one like "Europe/Berlin"'
        raise Wrong(f"{shown(name)} is not a valid time zone; {remedy}") from None
    return name


def _state_file(value: object, info: ValidationInfo) -> object:
    """Return the path; a relative one counts from the file it is written in, the context of validation."""
    reading = info.context
    if not (isinstance(value, str) and isinstance(reading, Reading)):
        return value
    return reading.path.parent / file_named(value)


def _is_of_a_service(url: str) -> bool:
    parts = urlsplit(url)
    host = (parts.hostname or "").encode("idna").decode()
    # A colon only gets into a host within brackets, and these hold what urlsplit knows to be an IP address.
    is_host = re.fullmatch(r"[\w.:-]+", host) is not None
    return is_host and parts.scheme in {"http", "https"} and url.isprintable() and " " not in url


def _keeps_secrets(url: str) -> bool:
    parts = urlsplit(url)
    if parts.scheme == "https" or parts.hostname == "localhost":
        return True
    return ipaddress.ip_address(parts.hostname or "").is_loopback


def listen_address(text: str) -> tuple[str, int]:
    """Return the IP address and the port of e.g. "127.0.0.1:8027" or "[::1]:8027". Raises ValueError for others."""
    host, colon, port = text.rpartition(":")
    if not (colon and re.fullmatch(r"[0-9]{1,5}", port) and int(port) <= 65_535):
        raise ValueError(text)
    address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host.strip("[]"))
    if (address.version == 6) != host.startswith("["):
        raise ValueError(text)
    return str(address), int(port)


Id: TypeAlias = Annotated[int, between(0, 10**18 - 1)]
Ids: TypeAlias = Annotated[frozenset[Id], Field(strict=False, min_length=1)]
ServiceId: TypeAlias = Annotated[int, BeforeValidator(_service_id)]
Minutes: TypeAlias = Annotated[int, between(1, 1440)]
Name: TypeAlias = Annotated[str, require(str.strip, "is empty; fill it in or leave it out")]
Names: TypeAlias = Annotated[tuple[Name, ...], Field(strict=False)]
CourtMappings: TypeAlias = Annotated[
    str,
    require(
        re.compile(r"service|location|team|field:.*\S.*").fullmatch,
        '{} is none of "service", "location", "team", and "field:" with the name of a custom field',
    ),
]
TimeZone: TypeAlias = Annotated[str, AfterValidator(_zone)]
StateFile: TypeAlias = Annotated[Path, BeforeValidator(_state_file)]
# Ten years on both sides is more than any club plans, and no sum of dates overflows.
Window: TypeAlias = Annotated[timedelta, _length_between("0s", "3650d")]
Interval: TypeAlias = Annotated[timedelta, _length_between("1s", "365d")]
FullInterval: TypeAlias = Annotated[Interval, AfterValidator(_not_below_the_interval)]
Address: TypeAlias = Annotated[
    str,
    require(
        lambda text: re.fullmatch(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)*", text) and not has_control_character(text),
        "the value is not a valid e-mail address; write the whole address",
    ),
]
UsableAddress: TypeAlias = Annotated[
    Address,
    require(usable_address, "the value is no address that Wingfield takes as a player's; write one like name@club.com"),
]
IdPrefix: TypeAlias = Annotated[
    str,
    require(str.isprintable, "holds a control character; use letters, dashes and the like"),
    require(re.compile(r"[^/\\]*").fullmatch, '{} holds a slash; use a dash instead, as in "club-"'),
    require(lambda text: not text[-1:].isnumeric(), '{} ends in a digit, and an id follows; end it like "club-"'),
]
Url: TypeAlias = Annotated[
    str,
    # What may hold secrets is rejected first, without being shown.
    require(lambda url: "@" not in url, 'has an "@" in it; leave user name and password out'),
    require(lambda url: "?" not in url and "#" not in url, 'has a "?" or a "#" in it; end it with the path'),
    require(_is_of_a_service, '{} is not a valid address of a service; write one like "https://host/path"'),
    require(lambda url: urlsplit(url).port != 0, "{} has a port that does not exist; leave it out or write 1 to 65535"),
    require(_keeps_secrets, "{} would send secrets unencrypted; write https://"),
    AfterValidator(lambda url: url.rstrip("/")),
]
Listen: TypeAlias = Annotated[
    str, require(listen_address, '{} is not an IP address with a port; write it like "127.0.0.1:8027" or "[::1]:8027"')
]
SecretUrl: TypeAlias = Annotated[
    Secret,
    require(
        lambda url: not url.reveal() or (_is_of_a_service(url.reveal()) and _keeps_secrets(url.reveal())),
        "the value is not a valid address; write one like https://host/path",
    ),
]
Launch27Url: TypeAlias = Annotated[
    Url,
    require(
        lambda url: (urlsplit(url).hostname or "").rstrip(".") not in _OF_THE_EXAMPLE,
        "{} is the example's account, which gets nobody's password from here; write the address of yours",
    ),
]
