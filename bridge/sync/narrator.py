"""Tells the log what happens in a pass: the events that operators search for, each with its fields."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any

import structlog

from bridge.log import Aside
from bridge.model import Held, HeldSince, Verb, Write, isoformat

if TYPE_CHECKING:
    from bridge.sync.run import PassResult

_EVENTS = {Verb.CREATE: "booking_created", Verb.UPDATE: "booking_updated", Verb.DELETE: "booking_deleted"}
HOUR_MS = 3_600_000


@dataclass(slots=True)
class LogNarrator:
    """Logs one pass after another.

    As the daemon's (``lasting``), it says what lasts when it begins, when it changes and when it ends, and
    shows a pass in which nothing happened at debug level, but for one an hour. By hand it says everything.
    ``aside`` has what the clients wanted to log. Once ``stopping``, what a pass could not do is no trouble.
    """

    lasting: bool = False
    aside: Aside = field(default_factory=Aside)
    stopping: bool = False
    log: Any = field(default_factory=structlog.get_logger)
    _troubles: dict[str, set[str]] = field(default_factory=dict)
    """By service: all that was said of its trouble since that began."""
    _retries: dict[str, int] = field(default_factory=dict)
    """When which kind of retry was told, in milliseconds since 1970."""
    _withheld: tuple[str, ...] = ()
    _told_ms: int = 0
    heard_at: float = field(default_factory=monotonic)
    """When a pass last made a step, in seconds of the monotonic clock."""

    def pass_started(self) -> None:
        """Say that a pass begins."""
        self.heard_at = monotonic()
        (self.log.debug if self.lasting else self.log.info)("pass_started")

    def asking(self, answered: int) -> None:  # noqa: ARG002 (the numbers are for progress bars)
        """Take note that so many questions by id are answered."""
        self.heard_at = monotonic()

    def planned(self, writes: int) -> None:  # noqa: ARG002
        """Take note of how many requests are planned."""
        self.heard_at = monotonic()

    def wrote(self, write: Write) -> None:
        """Say that Wingfield acknowledged a write."""
        self.heard_at = monotonic()
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
        self.heard_at = monotonic()
        if not self.stopping:
            self._tell_troubles(result)
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

    def _tell_troubles(self, result: PassResult) -> None:
        """Say what keeps the pass from being complete, where that was not said before."""
        lines = self.aside.take()
        troubles: dict[str, dict[str, str]] = {}
        for error in result.errors:
            troubles.setdefault(error.service, {}).setdefault(_kind(str(error)), str(error))
        before = self._troubles if self.lasting else {}
        refusals = {f"Launch27: {line['error']}": line for line in lines if line["event"] == "login_refused"}
        with self.aside.letting_through():
            for service, kinds in troubles.items():
                for kind in (each for each in kinds if each not in before.get(service, ())):
                    refusal = refusals.get(kinds[kind])
                    self.log.error(**refusal or {"event": "pass_incomplete", "error": kinds[kind]})
            self._tell_retries([line for line in lines if line.get("service") not in troubles], result)
        # Without Launch27's answers nobody asks Wingfield, so that nothing new is known of it.
        unknown = before.keys() - troubles.keys() if "Launch27" in troubles else set()
        for service in sorted(before.keys() - troubles.keys() - unknown):
            self.log.info("trouble_over", service=service)
        told = {service: before.get(service, set()) | kinds.keys() for service, kinds in troubles.items()}
        self._troubles = told | {service: before[service] for service in unknown}

    def _tell_retries(self, lines: Sequence[dict[str, Any]], result: PassResult) -> None:
        """Say that requests were answered only after retries: each kind at most once an hour."""
        now_ms = result.record.started_ms
        self._retries = {kind: ms for kind, ms in self._retries.items() if 0 <= now_ms - ms < HOUR_MS}
        for line in lines:
            kind = f"{line.get('service')} {_kind(str(line.get('error')))}"
            if line["event"] == "request_retried" and kind not in self._retries:
                self._retries[kind] = now_ms
                self.log.warning(**line)

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


_VARYING = re.compile(r" \(\d+ tries\)|not asked again in this pass, after: |(?<=wait for )\d+|(?<=/)\d+")


def _kind(trouble: str) -> str:
    """Return the sentence without what may differ from pass to pass while the trouble stays the same."""
    return _VARYING.sub("", trouble)


def withheld_advice(result: PassResult) -> str:
    """Return how many deletes of how many are withheld, why, and the way to let them through."""
    count = len(result.record.withheld)
    return (
        f"{count} of {result.bridged} bookings would be deleted and are not: {result.objection}. "
        f"If they really are gone from Launch27: stop the daemon (systemctl stop courtbridge), run "
        f"courtbridge --once --allow-mass-delete, and start it again (systemctl start courtbridge)"
    )
