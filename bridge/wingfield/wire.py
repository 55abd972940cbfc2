"""What Wingfield answers and is sent, as pydantic shapes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Generic, NamedTuple, TypeVar

from pydantic import (
    AfterValidator,
    AliasPath,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    ValidationError,
)
from pydantic.alias_generators import to_camel

from bridge.model import ABSENT, Slot, Stored, Write, fingerprint, from_ms, isoformat, to_ms

USER: Final = "user:"
"""Begins a participant who is named by a user id; every other is an e-mail address."""


def _utc(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("beyond the years there are") from None


_Instant = Annotated[AwareDatetime, AfterValidator(_utc)]
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
    participants: Any = Field(default=None, repr=False)

    def stored(self, id_prefix: str) -> Stored:
        """Return it in the bridge's words; its key is ours when it is ``id_prefix`` and digits."""
        id_ = id_of(self.external_court_booking_id, id_prefix)
        slot = Slot(self.court_id, self.start_date, self.end_date)
        participants = _names(self.participants)
        # No content has a participant without a name: nothing equals a booking that cannot be read.
        content = fingerprint(slot, ("",) if participants is None else participants)
        version_ms = to_ms(self.external_updated_at)
        return Stored(id_, version_ms, content, slot, participants)


class Court(Wire):
    """A court of a facility; ``external_court_id`` and its name are the mapping's, None without one.

    ``system_installed`` is whether there is a camera, None where that is not said. Source: Wingfield, Get court.
    """

    id: _Id
    name: _Text = ""
    facility_id: _Text = ""
    facility_name: _Text = ""
    system_installed: bool | None = None
    external_court_id: str | None = Field(None, validation_alias=AliasPath("mapping", "externalCourtId"))
    external_court_name: str | None = Field(None, validation_alias=AliasPath("mapping", "externalCourtName"))


class CourtMapping(Wire):
    """Which court a partner's own court id stands for. Source: Wingfield, List court mappings."""

    court_id: _Id
    external_court_id: str
    external_court_name: _Text = ""


class UserRelation(Wire):
    """Whether a user has accepted us. Source: Wingfield, List user relations."""

    user_id: _Id
    email: _Text = Field("", repr=False)
    status: _Text = ""


class Claim(Wire):
    """A club that is connected, and how it is known there. Source: Wingfield, Claim connect token."""

    organization_id: str
    external_organization_id: str


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


class Total(Wire):
    """How long a list is, whatever is in it."""

    total_count: NonNegativeInt


class Listed(NamedTuple):
    """An item of the list of court bookings: its key, or whatever tells it from others; and what it is."""

    key: str
    stored: Stored


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


def _names(participants: Any) -> tuple[str, ...] | None:  # noqa: ANN401  # JSON of any kind
    """Return how each is named, in lower case; None when anyone is not."""
    try:
        both = ((each.get("userId") and USER + each["userId"], each.get("email")) for each in participants)
        names = tuple(" ".join(filter(None, each)).lower() for each in both)
    except (TypeError, AttributeError):
        return None
    return names if all(names) else None


def put_body(write: Write, slot: Slot) -> dict[str, object]:
    """Return what is sent to have a booking stand at ``slot``. Source: Wingfield, Upsert court booking."""
    return {
        "courtId": slot.court_id,
        "startDate": isoformat(slot.start),
        "endDate": isoformat(slot.end),
        "externalUpdatedAt": isoformat(from_ms(write.version_ms)),
        "participants": [
            {"userId": name.removeprefix(USER)} if name.startswith(USER) else {"email": name}
            for name in write.participants
        ],
    }
