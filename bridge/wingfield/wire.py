"""What Wingfield answers and is sent, as pydantic shapes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, AliasPath, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from bridge.model import Slot, Stored, Write, fingerprint, from_ms, isoformat, to_ms


def _utc(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("beyond the years there are") from None


_Instant = Annotated[AwareDatetime, AfterValidator(_utc)]
_Text = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]


class Wire(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )


class WireBooking(Wire):
    """A court booking. Source: Wingfield, Get court booking."""

    external_court_booking_id: str
    court_id: str
    start_date: _Instant
    end_date: _Instant
    external_updated_at: _Instant
    participants: Any = Field(default=None, repr=False)

    def stored(self, id_prefix: str) -> Stored:
        """Return it in the bridge's words; its key is ours when it is ``id_prefix`` and digits."""
        key = self.external_court_booking_id
        id_ = key.removeprefix(id_prefix)
        is_ours = key == id_prefix + id_ and id_.isascii() and id_.isdigit()
        slot = Slot(self.court_id, self.start_date, self.end_date)
        participants = _addresses(self.participants)
        # No content has a participant without an "@": nothing equals a booking that names a user.
        content = fingerprint(slot, ("named user",) if participants is None else participants)
        version_ms = to_ms(self.external_updated_at)
        return Stored(id_ if is_ours else "", version_ms, content, slot, participants)


class Court(Wire):
    """A court of a facility; ``external_court_id`` and its name are the mapping's, None without one.

    Source: Wingfield, Get court.
    """

    id: str
    name: _Text = ""
    facility_id: _Text = ""
    facility_name: _Text = ""
    external_court_id: str | None = Field(None, validation_alias=AliasPath("mapping", "externalCourtId"))
    external_court_name: str | None = Field(None, validation_alias=AliasPath("mapping", "externalCourtName"))


class CourtMapping(Wire):
    """Which court a partner's own court id stands for. Source: Wingfield, List court mappings."""

    court_id: str
    external_court_id: str
    external_court_name: _Text = ""


class Error(Wire):
    """What a 4xx holds. Source: Wingfield, errors (``{"error": {"type", "message", "issues"?}}``)."""

    type: str = Field(validation_alias=AliasPath("error", "type"))


W = TypeVar("W", bound=Wire)


class Page(Wire, Generic[W]):
    """A part of a list, and how long all of it is."""

    items: list[W]
    total_count: int


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
