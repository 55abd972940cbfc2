"""Tells the log what happens in a pass: the events that operators search for, each with its fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog

from bridge.model import Held, HeldSince, Verb, Write, isoformat

if TYPE_CHECKING:
    from bridge.sync import PassResult

_EVENTS = {Verb.CREATE: "booking_created", Verb.UPDATE: "booking_updated", Verb.DELETE: "booking_deleted"}
HOUR_MS = 3_600_000


@dataclass(slots=True)
class LogNarrator:
    """Logs one pass after another.

    As the daemon's (``lasting``), it says what lasts when it begins, when it changes and when it ends, and
    shows a pass in which nothing happened at debug level, but for one an hour. By hand it says everything.
    """

    lasting: bool = False
    log: Any = field(default_factory=structlog.get_logger)
    _troubles: dict[str, str] = field(default_factory=dict)
    _withheld: tuple[str, ...] = ()
    _told_ms: int = 0

    def pass_started(self) -> None:
        """Say that a pass begins."""
        (self.log.debug if self.lasting else self.log.info)("pass_started")

    def asking(self, answered: int) -> None:
        """Take note that so many questions by id are answered."""

    def planned(self, writes: int) -> None:
        """Take note of how many requests are planned."""

    def wrote(self, write: Write) -> None:
        """Say that Wingfield acknowledged a write."""
        if write.takes_out:
            self.log.debug("booking_taken_out", id=write.id, why=write.why)
            return
        where = {}
        if write.slot is not None:
            slot = write.slot
            where = {"court": slot.court_id, "start": isoformat(slot.start), "end": isoformat(slot.end)}
        self.log.info(_EVENTS[write.verb], id=write.id, **where, why=write.why)

    def participants_skipped(self, id_: str, count: int) -> None:
        """Warn that some of a new booking's addresses cannot be used."""
        self.log.warning("participants_skipped", id=id_, count=count, detail="no usable e-mail addresses")

    def held_changed(self, began: Sequence[Held], ended: Sequence[HeldSince]) -> None:
        """Say who is held back from now on, and who is no longer."""
        for held in began:
            self.log.warning("booking_held", id=held.id, reason=held.reason, detail=held.detail)
        for past in ended:
            self.log.info("booking_released", id=past.id, reason=past.reason, since_ms=past.since_ms)

    def pass_finished(self, result: PassResult) -> None:
        """Say how the pass went, and what keeps it from being in step."""
        self._tell_troubles({error.__class__.__name__ + str(error): str(error) for error in result.errors})
        self._tell_withheld(result)
        record = result.record
        hourly = record.started_ms - self._told_ms >= HOUR_MS or record.started_ms < self._told_ms
        show = not self.lasting or hourly or (record.created or record.updated or record.deleted)
        if show:
            self._told_ms = record.started_ms
        (self.log.info if show else self.log.debug)(
            "pass_finished",
            outcome=record.outcome,
            seen=record.seen,
            created=record.created,
            updated=record.updated,
            deleted=record.deleted,
            unchanged=record.unchanged,
            ignored=record.ignored,
            held=record.held,
            withheld_deletes=len(record.withheld),
            duration_ms=record.duration_ms,
        )

    def _tell_troubles(self, troubles: dict[str, str]) -> None:
        before = self._troubles if self.lasting else {}
        for key, trouble in troubles.items():
            if key not in before:
                self.log.error("pass_incomplete", error=trouble)
        if before and not troubles:
            self.log.info("pass_complete_again")
        self._troubles = troubles

    def _tell_withheld(self, result: PassResult) -> None:
        withheld = result.record.withheld
        if withheld and not (self.lasting and withheld == self._withheld):
            self.log.warning(
                "deletes_withheld",
                withheld_deletes=len(withheld),
                of=result.bridged,
                withheld=list(withheld),
                detail=withheld_advice(result),
            )
        elif self._withheld and not withheld:
            self.log.info("deletes_no_longer_withheld")
        self._withheld = withheld


def withheld_advice(result: PassResult) -> str:
    """Return how many deletes of how many are withheld, why, and the way to let them through."""
    count = len(result.record.withheld)
    return (
        f"{count} of {result.bridged} bookings would be deleted and are not: {result.objection}. "
        f"If they really are gone from Launch27: stop the daemon (systemctl stop courtbridge), run "
        f"courtbridge --once --allow-mass-delete, and start it again (systemctl start courtbridge)"
    )
