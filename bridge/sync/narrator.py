"""Tells the log what happens in a pass: the events that operators search for, each with its fields."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import structlog

from bridge.errors import ClockWrong, ServiceError
from bridge.log import Aside
from bridge.model import DAY_MS, HOUR_MS, Held, Verb, Write
from bridge.planning.deletes import FROZEN
from bridge.planning.drift import Finding
from bridge.sync.figures import Figures
from bridge.sync.result import PassResult
from bridge.sync.status import record_json, slot_json

_EVENTS = {Verb.CREATE: "booking_created", Verb.UPDATE: "booking_updated", Verb.DELETE: "booking_deleted"}
MOST_IDS = 20
MOST_CREATED = 50
"""So many new bookings of a pass have a line each at level info, the others at debug: a first pass creates all."""


@dataclass(slots=True)
class LogNarrator:
    """Logs one pass after another.

    As the daemon's (``lasting``), it says what lasts when it begins, when it changes and when it ends, and
    shows a pass in which nothing happened at debug level, but for one an hour. By hand it says everything.
    ``aside`` has what the clients wanted to log, ``figures`` what is counted. Once ``stopping``, what a pass could not
    do is no trouble. ``heard_at`` is when it last heard of a pass, in seconds of ``clock``, which is monotonic.
    ``written`` of the ``to_write`` requests that the pass has planned are done; ``created`` are new bookings.
    """

    lasting: bool = False
    aside: Aside = field(default_factory=Aside)
    figures: Figures = field(default_factory=Figures)
    stopping: bool = False
    log: Any = field(default_factory=structlog.get_logger)
    clock: Callable[[], float] = monotonic
    heard_at: float = 0.0
    is_writing: bool = False
    to_write: int = 0
    written: int = 0
    created: int = 0
    _troubles: dict[str, set[str]] = field(default_factory=dict)
    """By service: the kinds of its trouble that were told since it began."""
    _told: dict[str, object] = field(default_factory=dict)
    """What was told last of what lasts."""
    _told_ms: dict[str, int] = field(default_factory=dict)
    """When what comes once in a while was told, in milliseconds since 1970."""

    def pass_started(self) -> None:
        self.heard_at, self.is_writing, self.created = self.clock(), False, 0
        (self.log.debug if self.lasting else self.log.info)("pass_started")

    def asking(self, answered: int) -> None:  # noqa: ARG002 (a bar shows it)
        self.heard_at = self.clock()

    def planned(self, writes: int) -> None:
        """Take note that the pass writes from now on."""
        self.heard_at, self.is_writing = self.clock(), True
        self.to_write, self.written = writes, 0

    def wrote(self, write: Write) -> None:
        self.heard_at = self.clock()
        self.written += 1
        self.figures.writes[write.verb, "ok"] += 1
        if write.is_temporary:
            self.log.debug("booking_temporarily_deleted", id=write.id, why=write.why)
            return
        where = slot_json(write.slot) if write.slot else {}
        self.created += write.verb is Verb.CREATE
        is_one_of_many = write.verb is Verb.CREATE and self.created > MOST_CREATED
        log = self.log.debug if is_one_of_many else self.log.info
        log(_EVENTS[write.verb], id=write.id, **where, why=write.why)

    def failed(self, write: Write, result: str) -> None:
        """Count a write that was rejected, or got no answer."""
        self.figures.writes[write.verb, result] += 1

    def participants_skipped(self, id_: str, count: int) -> None:
        self.log.warning("participants_skipped", id=id_, count=count, detail="no usable e-mail addresses")

    def drift_found(self, finding: Finding) -> None:
        self.figures.drift[finding.kind.value] += 1
        self.log.warning("drift_found", id=finding.id, kind=finding.kind.value, detail=finding.in_words())

    def held_changed(self, began: Sequence[Held], ended: Sequence[Held]) -> None:
        for held in began:
            self.log.warning("booking_held", id=held.id, reason=held.reason, detail=held.detail)
        for past in ended:
            self.log.info("booking_released", id=past.id, reason=past.reason, since_ms=past.since_ms)

    def pass_finished(self, result: PassResult) -> None:
        self.heard_at = self.clock()
        if self.created > MOST_CREATED:
            count = self.created - MOST_CREATED
            self.log.info("more_created", count=count, detail="courtbridge history, or level debug, has each of them")
        self.figures.passed(result.record.kind, result.record.outcome, result.record.duration_ms)
        if not self.stopping:
            self._tell_troubles(result)
        if result.approved:
            self.log.info("deletes_approved", ids=list(result.approved))
        self._tell_withheld(result)
        self._tell_mass_change(result)
        status, record = result.account_status, result.record
        if status and self._is_news("account_frozen", status if status in FROZEN else ""):
            detail = "nothing is deleted while it lasts; renew the subscription in Launch27, or remove the account"
            self.log.warning("account_frozen", status=status, detail=detail)
        if result.expiring and self._is_due("token_expires", record.started_ms, DAY_MS):
            for words in result.expiring:
                self.log.warning("token_expires", detail=words)
        has_written = record.created or record.updated or record.deleted
        show = self._is_due("pass_finished", record.started_ms, 0 if has_written else HOUR_MS)
        (self.log.info if show else self.log.debug)("pass_finished", kind=record.kind, **record_json(record))

    def _is_news(self, event: str, what: object) -> bool:
        """Whether to tell what lasts: if it is anything, by hand always, else where it is not what was told last."""
        before, self._told[event] = self._told.get(event), what
        return bool(what) and not (self.lasting and what == before)

    def _is_due(self, event: str, now_ms: int, period_ms: int) -> bool:
        """Whether to tell what comes once in ``period_ms``; by hand always."""
        before_ms = self._told_ms.get(event)
        if self.lasting and before_ms is not None and 0 <= now_ms - before_ms < period_ms:
            return False
        self._told_ms = {each: ms for each, ms in self._told_ms.items() if now_ms - ms < DAY_MS} | {event: now_ms}
        return True

    def _tell_troubles(self, result: PassResult) -> None:
        """Say what keeps the pass from being complete, where that was not said before."""
        lines = self.aside.take()
        troubles: dict[str, dict[str, ServiceError]] = {}
        for error in result.errors:
            troubles.setdefault(error.service, {}).setdefault(error.kind, error)
        before = self._troubles if self.lasting else {}
        refusals = {f"Launch27: {line['error']}": line for line in lines if line["event"] == "login_refused"}
        for service, kinds in troubles.items():
            for kind in (each for each in kinds if each not in before.get(service, ())):
                text = str(kinds[kind])
                event = "clock_wrong" if isinstance(kinds[kind], ClockWrong) else "pass_incomplete"
                self.log.error(**refusals.get(text) or {"event": event, "error": text})
        self._tell_retries([line for line in lines if line.get("service") not in troubles], result)
        # Without Launch27's answers nobody asks Wingfield, so that nothing new is known of it.
        unknown = before.keys() - troubles.keys() if "Launch27" in troubles else set()
        for service in sorted(before.keys() - troubles.keys() - unknown):
            self.log.info("trouble_over", service=service)
        told = {service: before.get(service, set()) | kinds.keys() for service, kinds in troubles.items()}
        self._troubles = told | {service: before[service] for service in unknown}

    def _tell_retries(self, lines: Sequence[dict[str, Any]], result: PassResult) -> None:
        """Say that requests were answered only after retries: each kind at most once an hour."""
        for line in lines:
            kind = f"{line['event']} {line.get('service')} {line.get('error')}"
            if line["event"] == "request_retried" and self._is_due(kind, result.record.started_ms, HOUR_MS):
                self.log.warning(**line)

    def _tell_withheld(self, result: PassResult) -> None:
        withheld, before = result.record.withheld, self._told.get("deletes_withheld")
        if self._is_news("deletes_withheld", withheld):
            self.log.warning(
                "deletes_withheld",
                withheld_deletes=len(withheld),
                of=result.bridged,
                withheld=list(withheld),
                detail=withheld_advice(result),
            )
        elif before and not withheld:
            self.log.info("deletes_no_longer_withheld")

    def _tell_mass_change(self, result: PassResult) -> None:
        """Say once when a mass change begins to wait."""
        if self._is_news("mass_change_delayed", bool(result.waiting)):
            self.log.warning(
                "mass_change_delayed",
                count=len(result.waiting),
                ids=list(result.waiting[:MOST_IDS]),
                detail="more than half of all bookings want another place at once: written when they still do in a "
                "minute",
            )


def withheld_advice(result: PassResult) -> str:
    """Return how many deletes of how many are withheld, why, and the way to let them through."""
    count = len(result.record.withheld)
    return (
        f"{count} of {result.bridged} bookings would be deleted and are not: {result.objection}. "
        f"If they really are gone from Launch27, let them through: courtbridge approve"
    )
