"""What Wingfield answers and is sent, as pydantic shapes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Generic, NamedTuple, TypeVar, cast

from pydantic import (
    AfterValidator,
    AliasPath,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic.alias_generators import to_camel

from bridge.model import ABSENT, Slot, Stored, Write, fingerprint, from_ms, isoformat, to_ms


def _utc(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("beyond the years there are") from None


def _or_none(value: object, check: ValidatorFunctionWrapHandler) -> datetime | None:
    try:
        return cast(datetime, check(value))
    except ValidationError:
        return None


_Instant = Annotated[AwareDatetime, AfterValidator(_utc)]
_Moment = Annotated[_Instant | None, WrapValidator(_or_none)]
"""A time that only helps to read less: None where it is missing or odd."""
_Id = Annotated[str, AfterValidator(str.lower)]
"""A UUID, in lower case as the configuration has it."""
_Text = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]


class Wire(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )


class WireBooking(Wire):
    """A court booking. Source: Wingfield, Get court booking."""

    external_court_booking_id: str
    court_id: _Id
    start_date: _Instant
    end_date: _Instant
    external_updated_at: _Instant
    created_at: _Moment = None
    updated_at: _Moment = None
    participants: Any = Field(default=None, repr=False)

    def stored(self, id_prefix: str) -> Stored:
        """Return it in the bridge's words; its key is ours when it is ``id_prefix`` and digits."""
        id_ = id_of(self.external_court_booking_id, id_prefix)
        slot = Slot(self.court_id, self.start_date, self.end_date)
        participants = _addresses(self.participants)
        # No content has a participant without an "@": nothing equals a booking that names a user.
        content = fingerprint(slot, ("named user",) if participants is None else participants)
        version_ms = to_ms(self.external_updated_at)
        updated_ms = to_ms(self.updated_at) if self.updated_at else 0
        created_ms = to_ms(self.created_at) if self.created_at else 0
        return Stored(id_, version_ms, content, slot, participants, updated_ms, created_ms)


class Court(Wire):
    """A court of a facility; ``external_court_id`` and its name are the mapping's, None without one.

    Source: Wingfield, Get court.
    """

    id: _Id
    name: _Text = ""
    facility_id: _Text = ""
    facility_name: _Text = ""
    external_court_id: str | None = Field(None, validation_alias=AliasPath("mapping", "externalCourtId"))
    external_court_name: str | None = Field(None, validation_alias=AliasPath("mapping", "externalCourtName"))


class CourtMapping(Wire):
    """Which court a partner's own court id stands for. Source: Wingfield, List court mappings."""

    court_id: _Id
    external_court_id: str
    external_court_name: _Text = ""


class Error(Wire):
    """What a 4xx holds. Source: Wingfield, errors (``{"error": {"type", "message", "issues"?}}``)."""

    type: str = Field(validation_alias=AliasPath("error", "type"))


def id_of(key: str, id_prefix: str) -> str:
    """Return the Launch27 id of a key that is ours (``id_prefix`` and digits), else ""."""
    id_ = key.removeprefix(id_prefix)
    return id_ if key == id_prefix + id_ and id_.isascii() and id_.isdigit() else ""


_FOREIGN: Final = Stored("", 0, ABSENT, None)

W = TypeVar("W", bound=Wire)


class Page(Wire, Generic[W]):
    """A part of a list, and how long all of it is."""

    items: list[W]
    total_count: int


class Listed(NamedTuple):
    """An item of the list of court bookings: its key, or whatever tells it from others; and what it is."""

    key: str
    stored: Stored


def oldest_ms(page: Iterable[Listed]) -> int:
    """Return the oldest of Wingfield's own times of change on a page, in milliseconds since 1970; 0 for none."""
    return min((each.stored.updated_ms for each in page if each.stored.updated_ms), default=0)


class _Items(Wire):
    items: list[Any]
    total_count: int


def read_listed(body: bytes, id_prefix: str) -> tuple[list[Listed], int]:
    """Return a page of court bookings, and how many there are in all.

    Raises ValueError where the page is out of shape, or one of ours is; of a foreign one nothing is needed.
    """
    try:
        page = Page[WireBooking].model_validate_json(body)
    except ValidationError:
        odd = _Items.model_validate_json(body)
        return [_listed(item, id_prefix) for item in odd.items], odd.total_count
    return [Listed(each.external_court_booking_id, each.stored(id_prefix)) for each in page.items], page.total_count


def _listed(item: Any, id_prefix: str) -> Listed:  # noqa: ANN401  # JSON of any kind
    key = item.get("externalCourtBookingId") if isinstance(item, dict) else None
    if not isinstance(key, str):
        return Listed(repr(item), _FOREIGN)
    try:
        return Listed(key, WireBooking.model_validate(item).stored(id_prefix))
    except ValidationError:
        if id_of(key, id_prefix):
            raise
        return Listed(key, _FOREIGN)


def _addresses(participants: object) -> tuple[str, ...] | None:
    """Return the e-mail addresses in lower case; None when anyone is named without one."""
    if not isinstance(participants, list):
        return None
    emails = [each.get("email") if isinstance(each, dict) else None for each in participants]
    if not all(isinstance(email, str) and email for email in emails):
        return None
    return tuple(str(email).lower() for email in emails)


def put_body(write: Write, slot: Slot) -> dict[str, object]:
    """Return what is sent to have a booking stand at ``slot``. Source: Wingfield, Upsert court booking."""
    return {
        "courtId": slot.court_id,
        "startDate": isoformat(slot.start),
        "endDate": isoformat(slot.end),
        "externalUpdatedAt": isoformat(from_ms(write.version_ms)),
        "participants": [{"email": email} for email in write.participants],
    }
