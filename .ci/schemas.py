"""Writes ``docs/schemas/1/*.json`` anew: what ``--json`` prints, as JSON Schema; words and counts come from the code.

Under one number a schema only grows: keys may be added, none goes or changes its meaning. Anything else needs a 2.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model

CHECKOUT = Path(__file__).parents[1]
sys.path.insert(0, str(CHECKOUT))

from bridge.model import Verb  # noqa: E402 (the checkout's modules are found only now)
from bridge.planning.drift import Kind  # noqa: E402
from bridge.records import PassRecord  # noqa: E402
from bridge.sync.status import record_json  # noqa: E402

FOLDER = CHECKOUT / "docs" / "schemas" / "1"

Count = Annotated[int, Field(ge=0)]
Instant = Annotated[datetime, Field(description="UTC, to the millisecond at most: 2026-11-20T09:00:00Z")]
Id = Annotated[str, Field(description="the booking's id in Launch27; empty where it has none that can be read")]
Outcome = Literal["in_sync", "attention", "incomplete", "refused"]


class Shape(BaseModel):
    """An object with these keys and no others."""

    model_config = ConfigDict(extra="forbid")


class Place(Shape):
    """A court and a time; null is what is not known."""

    court: str | None
    start: Instant | None
    end: Instant | None


class Held(Shape):
    """A booking that is not bridged, and why; `detail` is Courtbridge's own sentence."""

    id: Id
    reason: str
    detail: str
    since: Instant


class Action(Place):
    """A write that a pass would send."""

    action: Literal[tuple(Verb)]  # type: ignore[valid-type]
    id: Id
    why: str


class Event(Place):
    """Something that happened to a booking."""

    at: Instant
    id: Id
    action: Literal[(*Verb, "adopt", "drift", "approve")]  # type: ignore[valid-type]
    version: Instant | None
    why: str


class Failed(Shape):
    """The answer of every command that something kept from its work."""

    outcome: Literal["failed", "refused", "incomplete"]
    error: str


_SAMPLE = record_json(PassRecord(0, 0, "in_sync", *[0] * 8))
_COUNTS: dict[str, Any] = {name: Count for name, value in _SAMPLE.items() if isinstance(value, int)}
Counts = create_model("Counts", __base__=Shape, __doc__="How many bookings; `held` is a list in a pass.", **_COUNTS)
Drift = create_model("Drift", __base__=Shape, __doc__=None, **dict.fromkeys(map(str, Kind), Count))


class Pass(Counts):
    """What `--once` and `--dry-run` print."""

    outcome: Outcome
    error: str = Field("", description="what kept it from its end; only there where something did")
    held: list[Held]
    withheld: list[Id]
    drift: Drift | None = Field(description="what was found changed in Wingfield; null where it did not look")
    actions: list[Action] = Field([], description="with --dry-run only: what a pass would write")


class PassOfStatus(Counts):
    """One of the last passes."""

    started_at: Instant
    kind: Literal["full", "near"]
    outcome: Outcome


class Daemon(Shape):
    """Whether a daemon runs on this state; the other keys are there when it does."""

    running: bool
    pid: int = 0
    next_pass_at: Instant | None = None


class Unmapped(Shape):
    """A service whose bookings go to no court."""

    id: int
    name: str
    bookings: Count


class Watermark(Shape):
    """How far an account was read; accounts are counted as in the configuration, from 1."""

    account: int
    listed_at: Instant | None
    source_updated_at: Instant | None


class Status(Shape):
    """What `status` prints, and the page at `/api/status`."""

    outcome: Literal[Outcome, "failed"]
    error: str | None
    bookings: Count
    pending: Count
    held: list[Held]
    withheld_deletes: Count
    withheld: list[Id]
    last_success_at: Instant | None
    verified_at: Instant | None
    daemon: Daemon
    unmapped_services: list[Unmapped]
    watermarks: list[Watermark]
    passes: list[PassOfStatus] = Field(description="newest first")


class Finding(Shape):
    """One thing that `check` found out."""

    level: Literal["ok", "warning", "problem"]
    about: str
    detail: str


class Check(Shape):
    """What `check` prints: problems first."""

    problems: Count
    warnings: Count
    findings: list[Finding]


class Verify(Shape):
    """What `verify` prints: the ids of what differs, and how many were compared."""

    missing: list[Id]
    changed: list[Id]
    extra: list[Id]
    checked: Count


class Approve(Shape):
    """What `approve` prints: the ids that were let through."""

    approved: list[Id]


class Withdraw(Shape):
    """What `withdraw` prints: the ids of what was deleted, and of what is still there."""

    withdrawn: list[Id]
    left: list[Id]


class Court(Shape):
    """A court of Wingfield's; `service_ids` are those whose names say this court."""

    id: str
    name: str
    facility_id: str
    facility: str
    system_installed: bool | None = Field(description="whether it has a camera")
    external_court_id: str | None
    external_court_name: str | None
    service_ids: list[int]


class Service(Shape):
    """A service of Launch27's; `to_no_court` is how many bookings of it no rule gives a court."""

    id: int
    name: str
    minutes: int | None
    to_no_court: Count


class Courts(Shape):
    """What `courts` prints; `config` has the `[[courts]]` blocks to paste."""

    courts: list[Court]
    services: list[Service]
    config: str
    errors: list[str] = Field(description="what kept a service from answering")


class Connect(Shape):
    """What `connect` prints: the club, and the name it has for Launch27's account."""

    organization_id: str
    external_organization_id: str


class Notify(Shape):
    """What `notify` prints: by channel, what went wrong; null where it took the message."""

    channels: dict[str, str | None]


class Webhook(Shape):
    """What `[notify]` posts to `webhook_url`."""

    event: Literal["begins", "lasts", "over", "test"]
    club: str
    kinds: list[Literal["held", "pending", "withheld_deletes", "refused", "unreachable", "config_rejected", "drift"]]
    since: Instant
    text: str


def clubs(shape: Any) -> Any:
    """Return the shape of the answer for one club, for a directory of clubs, and where it failed."""
    many = create_model(
        "Clubs", __base__=Shape, __doc__="Of a directory of clubs.", clubs=(dict[str, shape | Failed], ...)
    )
    return shape | many | Failed


SCHEMAS: dict[str, Any] = {
    "pass": clubs(Pass),
    "status": clubs(Status),
    "check": clubs(Check),
    "verify": clubs(Verify),
    "approve": Approve | Failed,
    "history": list[Event] | Failed,
    "withdraw": Withdraw | Failed,
    "courts": Courts | Failed,
    "connect": Connect | Failed,
    "notify": Notify | Failed,
    "webhook": Webhook,
}


def files() -> dict[Path, str]:
    """Return every schema's file and its text."""
    made = {}
    for name, shape in SCHEMAS.items():
        head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"courtbridge/1/{name}.json"}
        text = json.dumps(head | TypeAdapter(shape).json_schema(), indent=2)
        made[FOLDER / f"{name}.json"] = text + "\n"
    return made


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
