"""What Launch27 answers, as pydantic shapes: bytes in, typed answers out. Pure: no I/O, no clock.

Of a booking only its ``id``, ``service_date`` and ``services`` are insisted on. Anything else may be missing
or odd, and then counts as absent: it stays raw (``Any`` is free in pydantic's core) until a property looks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model

from bridge.launch27.values import MOST_DIGITS, Id, Instant, WallTime, quantity, whole_minutes, whole_number
from bridge.planning.memory import Lengths, Part

T = TypeVar("T")

DEFAULT_UPDATED_AT: Final = "updated_at"

_MaybeInstant = Annotated[Instant | Any, Field(union_mode="left_to_right")]


def _part(value: object, key: str) -> Any:  # noqa: ANN401  # JSON of any kind
    return value.get(key) if isinstance(value, dict) else None


def _parts(extras: object, parameters: object) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a service's extras and pricing parameters, each with its key in a catalogue's ``parts``."""
    for kind, items in (("extra", extras), ("parameter", parameters)):
        for item in items if isinstance(items, list) else ():
            if (number := whole_number(_part(item, "id"))) is not None:
                yield f"{kind} {number}", item


class _Wire(BaseModel):
    """A part of an answer. Its ``repr`` shows nothing of it, since it may name people."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True, defer_build=True)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    __str__ = __repr__


class Service(_Wire):
    """One service of a booking. Source: Launch27, ``GET /customer/bookings``."""

    id: Id
    raw_hourly: Any = Field(default=None, validation_alias="hourly")
    raw_duration: Any = Field(default=None, validation_alias="duration")
    raw_extras: Any = Field(default=None, validation_alias="extras")
    raw_parameters: Any = Field(default=None, validation_alias="pricing_parameters")

    @property
    def parts(self) -> Iterator[tuple[str, int]]:
        """The extras and pricing parameters it lists, by their keys, each with its quantity."""
        for key, item in _parts(self.raw_extras, self.raw_parameters):
            yield key, quantity(item.get("quantity"))

    @property
    def minutes(self) -> int | None:
        """The length the booking gives this service: ``hourly.minutes``, else ``duration``; in minutes."""
        hourly = whole_minutes(_part(self.raw_hourly, "minutes"))
        return whole_minutes(self.raw_duration) if hourly is None else hourly


class SourceBooking(_Wire):
    """A booking as Launch27's customer and staff listings have it, odd fields counted as absent.

    Source: Launch27, ``GET /customer/bookings``; the staff shape is *seen*, not documented.
    """

    number: Id = Field(validation_alias="id")
    service_date: Instant
    services: list[Service]
    raw_duration: Any = Field(default=None, validation_alias="duration")
    raw_location: Any = Field(default=None, validation_alias="location")
    raw_teams: Any = Field(default=None, validation_alias="teams")
    raw_custom_fields: Any = Field(default=None, validation_alias="custom_fields")
    raw_email: Any = Field(default=None, validation_alias="email")
    raw_user: Any = Field(default=None, validation_alias="user")
    raw_active: Any = Field(default=None, validation_alias="active")
    raw_status: Any = Field(default=None, validation_alias="booking_status")
    raw_forecasted: Any = Field(default=None, validation_alias="forecasted")
    raw_modified: _MaybeInstant = Field(default=None, validation_alias=DEFAULT_UPDATED_AT)

    @property
    def id(self) -> str:
        return str(self.number)

    @property
    def modified(self) -> datetime | None:
        """The configured modification time as written (naive without an offset), if it can be read."""
        return self.raw_modified if isinstance(self.raw_modified, datetime) else None

    @property
    def minutes(self) -> int | None:
        """The booking's own ``duration``, in minutes: the length of the whole of it."""
        return whole_minutes(self.raw_duration)

    @property
    def location_id(self) -> int | None:
        return whole_number(_part(self.raw_location, "id"))

    @property
    def service_ids(self) -> frozenset[int]:
        return frozenset(service.id for service in self.services)

    @property
    def team_ids(self) -> frozenset[int]:
        teams = self.raw_teams if isinstance(self.raw_teams, list) else ()
        found = (whole_number(_part(team, "id")) for team in teams)
        return frozenset(number for number in found if number is not None)

    @property
    def custom_fields(self) -> list[dict[str, Any]]:
        """The items of ``custom_fields`` that are objects, as they came; an object by code (*seen*) as such a list."""
        fields = self.raw_custom_fields
        if isinstance(fields, dict):
            contents = ((code, each if isinstance(each, dict) else {"value": each}) for code, each in fields.items())
            fields = [{**content, "code": code} for code, content in contents]
        return [item for item in fields if isinstance(item, dict)] if isinstance(fields, list) else []

    @property
    def email(self) -> str | None:
        """The customer's address as written, else (staff) ``user.email``; None where both are blank."""
        for value in (self.raw_email, _part(self.raw_user, "email")):
            if isinstance(value, str) and (text := value.strip()):
                return text
        return None

    @property
    def is_active(self) -> bool:
        """Whether the booking stands: not ``active: false``, not ``booking_status: "cancelled"``."""
        return _is_active(self.raw_active, self.raw_status)

    @property
    def is_forecast(self) -> bool:
        """Whether this is only a recurring series' future, not booked yet. *Seen* in staff listings."""
        return bool(self.raw_forecasted) or self.raw_status == "forecasted"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A booking out of its documented shape; ``id`` is "" where it has none that can be read.

    ``detail`` is the bridge's own sentence: nothing of the answer is in it. A cancelled booking is cancelled
    in whatever shape it is.
    """

    id: str
    detail: str
    is_active: bool = True
    is_forecast: bool = False


@dataclass(frozen=True, slots=True)
class CatalogueService:
    """A service of a location's catalogue; it has ``lengths`` where the account has durations switched on."""

    name: str
    lengths: Lengths


@dataclass(frozen=True, slots=True)
class Settings:
    """The account's settings; ``timezone`` is an IANA name, ``status`` e.g. ``active`` or ``frozen``.

    ``pubsub_url`` is where events are told, if anywhere; whoever knows it may listen.
    """

    name: str
    timezone: str | None
    status: str
    pubsub_url: str = field(default="", repr=False)


def _is_active(active: object, status: object) -> bool:
    return active is not False and not (isinstance(status, str) and status.casefold() in {"cancelled", "canceled"})


_FAULTS = {
    "id": "its id is missing or no positive whole number",
    "service_date": "its service_date is missing or not a date and time",
    "services": "its services are missing, or one of them has no id",
}


def _lengths(service: Mapping[str, Any]) -> Lengths:
    """Return the lengths of a catalogue's service; a service of no minutes has a length if its parts have."""
    parts = {}
    for key, item in _parts(service.get("extras"), service.get("pricing_parameters")):
        if (minutes := whole_minutes(item.get("duration"), least=0)) is not None:
            parts[key] = Part(minutes, key.startswith("parameter") or item.get("quantity_based") is True)
    has_parts = any(part.minutes for part in parts.values())
    return Lengths(whole_minutes(service.get("duration"), least=0 if has_parts else 1), parts)


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _read_integer(digits: str) -> int | float:
    # Python refuses to read integers beyond 4300 digits; one such number must not cost a whole page.
    return int(digits) if len(digits) <= MOST_DIGITS + 1 else float(digits)


def _load(body: bytes, kind: type[T]) -> T:
    """Return ``body`` as JSON, read more kindly than the standard asks: a bad byte spoils one text only.

    Raises ValueError when it is no JSON of that kind; the message holds nothing of the body.
    """
    loaded = None
    with suppress(ValueError, RecursionError):
        loaded = json.loads(body.decode("utf-8-sig", "replace"), parse_int=_read_integer)
    # Raised out here: the error that was suppressed carries the body, and must not be its context.
    if isinstance(loaded, kind):
        return loaded
    raise ValueError(f"the answer is no JSON {'array' if kind is list else 'object'}")


def is_object(body: bytes) -> bool:
    """Whether an answer is a JSON object, as all of Launch27's own errors are."""
    try:
        _load(body, dict)
    except ValueError:
        return False
    return True


class Parser:
    """Reads Launch27's answers; ``updated_at_field`` names the booking's modification time.

    With ``service_dates="wall"`` a ``Z`` behind a service date says nothing: the date is wall time.
    """

    def __init__(self, updated_at_field: str = DEFAULT_UPDATED_AT, service_dates: str = "utc") -> None:
        model, other = SourceBooking, dict[str, Any]()
        if updated_at_field != DEFAULT_UPDATED_AT:
            other["raw_modified"] = (_MaybeInstant, Field(default=None, validation_alias=updated_at_field))
        if service_dates == "wall":
            other["service_date"] = (WallTime, ...)
        if other:
            model = create_model("SourceBooking", __base__=SourceBooking, **other)
        self._one = model
        self._page = TypeAdapter(list[model])

    def listing(self, body: bytes) -> list[SourceBooking | Unreadable]:
        """Return a page's bookings in its order. Raises ValueError when the answer is no JSON array."""
        with suppress(ValidationError):
            return list(self._page.validate_json(body))
        # One odd booking costs its neighbours nothing but time.
        return [self._read(item) for item in _load(body, list)]

    def booking(self, body: bytes) -> SourceBooking | Unreadable:
        """Return the one booking of an answer. Raises ValueError when it is no JSON object."""
        with suppress(ValidationError):
            return self._one.model_validate_json(body)
        return self._read(_load(body, dict))

    def catalogue(self, body: bytes) -> dict[int, CatalogueService]:
        """Return the catalogue's services by id, where that can be read. Raises ValueError when it is no JSON array.

        Source: Launch27, ``GET /booking/services`` (``duration``, in minutes, is *seen*).
        """
        found = {}
        for item in _load(body, list):
            number = whole_number(_part(item, "id"))
            if number is not None:
                found[number] = CatalogueService(_text(_part(item, "name")), _lengths(item))
        return found

    def settings(self, body: bytes) -> Settings:
        """Return the account's settings. Raises ValueError when they are no JSON object. Source: ``GET /settings``."""
        found = _load(body, dict)
        name, timezone, status, url = (_text(found.get(key)) for key in ("name", "timezone", "status", "pubsub_url"))
        return Settings(name, timezone or None, status, url)

    def _read(self, item: object) -> SourceBooking | Unreadable:
        try:
            return self._one.model_validate(item)
        except ValidationError as error:
            number, status = whole_number(_part(item, "id")), _part(item, "booking_status")
            faults = error.errors(include_url=False, include_input=False)
            places = {fault["loc"][0] for fault in faults if fault["loc"]}
            return Unreadable(
                "" if number is None else str(number),
                next((words for place, words in _FAULTS.items() if place in places), "it is no JSON object"),
                _is_active(_part(item, "active"), status),
                bool(_part(item, "forecasted")) or status == "forecasted",
            )
