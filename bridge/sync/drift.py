"""Looks at Wingfield's list, and takes over into the ledger what somebody else did; ``planning/drift.py`` compares.

Every full pass looks at its beginning, beside the listings of Launch27: the first page, newest first, and further
while that is new. It shows whether Wingfield lets us in. After writes it looks past them, so that the next look is
short again. All of the list is read with a new ledger (before anything is planned), and after the writes of a pass
where that is due.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta

from bridge.config.schema import SyncConfig
from bridge.errors import ServiceError
from bridge.ledger.history import Event
from bridge.ledger.store import Ledger
from bridge.model import ABSENT, Known, Reason, Rejection, Stored
from bridge.planning.drift import Finding, Look, Mark
from bridge.sync.narrator import LogNarrator
from bridge.sync.result import Pass
from bridge.wingfield.client import Wingfield, oldest_ms

LOOK_SIZE = 20
"""A look is mostly at nothing new: to read and compare a whole page would cost 3 ms."""


async def read(wingfield: Wingfield, known: Mapping[str, Known], mark: Mark | None = None, news: int = 0) -> Look:
    """Return Wingfield's list: all of it, or what is newer than ``mark``, at least ``news``. Raises ServiceError.

    A list is read in pages while it changes: what seems to be missing is asked for by its id.
    """
    look = Look(is_whole=mark is None)
    async with aclosing(
        wingfield.list_bookings() if mark is None else wingfield.list_bookings(LOOK_SIZE, news)
    ) as pages:
        async for page, look.total in pages:
            for key, stored in page:
                look.take(key, stored, known)
            if mark is not None and not mark.goes_on([each.stored for each in page], oldest_ms(page), known):
                break
    if look.is_whole:
        unlisted = look.unlisted(known)
        asked = (wingfield.read(entry.id, court=entry.court_id) for entry in unlisted)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for entry, answer in zip(unlisted, answers, strict=True):
            if isinstance(answer, BaseException):
                raise answer
            look.ours[entry.id] = answer or Stored(entry.id, entry.highest_ms, ABSENT, None)
    return look


async def look(this: Pass, wingfield: Wingfield, *, whole: bool) -> Look | None:
    """Return what Wingfield has, as far as it is new; None, with the reason noted, where it does not say.

    A near pass does not ask.
    """
    if this.kind == "near":
        return None
    written = len(this.tally.created) + len(this.tally.updated)
    try:
        found = await read(wingfield, this.known, None if whole else this.mark, written)
    except ServiceError as error:
        this.note(error)
        return None
    this.has_wingfield_answered = True
    return found


async def look_after_writes(
    this: Pass, wingfield: Wingfield, ledger: Ledger, limits: SyncConfig, narrator: LogNarrator
) -> bool:
    """Look past what the pass has written, or at all of the list where that is due; return whether there is drift."""
    interval_ms = limits.verify_interval // timedelta(milliseconds=1)
    is_due = this.mark.is_due(this.now_ms, interval_ms, this.since.list_ms, fits=this.does_list_fit)
    can_tell = this.kind == "full" and this.has_wingfield_answered and this.reading.first_ms
    if not can_tell or not (is_due or this.tally.planned):
        return False
    found = await look(this, wingfield, whole=is_due)
    return found is not None and take(this, found, ledger, limits, narrator)


def take(this: Pass, found: Look, ledger: Ledger, limits: SyncConfig, narrator: LogNarrator) -> bool:
    """Take over into the ledger what differs, and return whether anything did.

    A new ledger takes all of it, and none of it is drift. Else, without a window there is nothing to judge by.
    """
    reading, is_new = this.reading, not ledger.is_adopted
    if not is_new and not reading.first_ms:
        return False
    if limits.drift == "repair" and any(held.reason == Reason.DRIFT for held in this.held_before):
        # What was only reported is repaired, now that the configuration says so.
        ledger.save([known._replace(rejection=None) for known in this.known.values() if known.drift])
    findings = found.compare(this.known, reading.desired, 0 if is_new else reading.first_ms)
    if findings or is_new:
        is_held = limits.drift == "report" and not is_new
        reported = {each.id: held for each in findings if is_held and (held := _reported(this, each))}
        happened = [_event(this, each, is_new=is_new) for each in findings]
        ledger.adopt([each.stored for each in findings], happened, reported)
    mark = this.mark.after(found, this.known, this.now_ms)
    is_foreign = mark.others != this.mark.others or not mark.fits(found.total, this.known)
    if found.is_whole and not this.does_list_fit and not findings and is_foreign:
        mark = replace(mark, foreign_ms=this.now_ms)
    this.mark, this.does_list_fit = mark, found.is_whole or mark.fits(found.total, this.known)
    if is_new:
        return False
    this.drift = [*(this.drift or ()), *findings]
    for each in findings:
        narrator.drift_found(each)
    return bool(findings)


def _event(this: Pass, finding: Finding, *, is_new: bool) -> Event:
    """Return what the history has of it."""
    action, why = ("adopt", "Wingfield had it when this state was new") if is_new else ("drift", finding.in_words())
    return Event(this.now_ms, finding.id, action, finding.stored.version_ms, why, finding.stored.slot)


def _reported(this: Pass, finding: Finding) -> Rejection | None:
    """Return what keeps the booking as it is: what the source wanted, until it wants something else.

    None where Wingfield has just what the source wants.
    """
    before, wanted = finding.before, this.reading.desired.get(finding.id)
    if wanted is not None and wanted.fingerprint == finding.stored.fingerprint:
        return None
    if before is not None and before.drift is not None:
        return before.drift
    content = (before and before.acked_fingerprint) or (wanted.fingerprint if wanted else ABSENT)
    return Rejection(content, Reason.DRIFT, this.config, this.now_ms)
