"""The end of a pass: what is stored of it, in one transaction, and its result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bridge.launch27 import expiry
from bridge.ledger import entry
from bridge.ledger.store import Ledger
from bridge.model import ABSENT, CourtBooking, Held, Known, from_ms
from bridge.records import Watermark
from bridge.sync.narrator import LogNarrator
from bridge.sync.result import FAILURES, Pass, PassResult


def finish(ledger: Ledger, this: Pass, narrator: LogNarrator, *, is_stopping: bool) -> PassResult:
    """Store the end of the pass, say what is held from now on, and return how it went."""
    if not ledger.is_adopted:  # nobody knows what Wingfield has
        this.undecided = set(this.reading.desired)
    since_ms = {_key(each): each.since_ms for each in this.held_before}
    held = [replace(each, since_ms=since_ms.get(_key(each), this.now_ms)) for each in this.held()]
    lasting = this.still_held(held)
    troubles = this.troubles()
    forgotten = sum(bool(this.known[id_].acked_fingerprint) for id_ in this.forgotten)  # still in Wingfield's list
    status = this.status([*held, *lasting], is_stopping=is_stopping)
    record = this.counts(held, status)
    ledger.finish(
        record,
        [*held, *lasting],
        [_watermark(this, number, account) for number, account in enumerate(this.reading.accounts, 1)],
        error="" if is_stopping else "; ".join(dict.fromkeys(map(str, this.errors.values()))),
        remembered=(this.reading.memory, replace(this.mark, others=this.mark.others + forgotten)),
        entries=list(_entries(this)),
        forgotten=this.forgotten,
    )
    now = {_key(each) for each in (*held, *lasting)}
    narrator.held_changed(
        [each for each in held if _key(each) not in since_ms],
        [each for each in this.held_before if _key(each) not in now],
    )
    return PassResult(
        record,
        status,
        tuple(sorted(held, key=lambda each: each.id)),
        this.planned,
        tuple(troubles),
        this.objection,
        this.bridged,
        this.approved,
        tuple(sorted(this.waiting)),
        this.reading.status,
        tuple(expiry.warnings(this.reading.memory.token_ends_ms, from_ms(this.now_ms))),
        frozenset(this.reading.accounts) if this.extent.only_hinted else this.reading.complete,
        this.needs_full,
        None if this.drift is None else tuple(this.drift),
        this.extent.only_hinted,
    )


def _key(held: Held) -> tuple[str, str]:
    return held.id, held.reason


def _entries(this: Pass) -> Iterator[Known]:
    """Yield the entries that the pass changes: by what the source says, and by answers that did not come.

    A booking that is known for nothing else gets no entry for its account alone.
    """
    no_court, unanswered = this.reading.no_court, this.tally.unanswered
    for id_, account in this.reading.owners.items():
        before = this.known.get(id_)
        if id_ in no_court:  # since when it is none counts in mass changes
            known = before and entry.sighted(id_, before, ABSENT, this.now_ms)
        else:
            known = _listed(this, before, this.reading.desired.get(id_))
        if known is not None and known.account != account:
            known = known._replace(account=account)
        if known is not None and known is not before and id_ not in unanswered:
            yield known
    if this.has_wingfield_answered:
        for id_ in unanswered & this.known.keys():
            yield this.known[id_]._replace(failures=min(this.known[id_].failures + 1, FAILURES))


def _listed(this: Pass, known: Known | None, booking: CourtBooking | None) -> Known | None:
    """Return the entry of an active booking: first sight, back again, in sync under this configuration."""
    if booking is not None and (booking.id not in this.tally.planned or booking.id in this.tally.not_sent):
        known = entry.sighted(booking.id, known, booking.fingerprint, this.now_ms)
    if known is None:
        return None
    if known.gone_ms is not None or known.doubted_ms is not None or known.allowed_ms:
        known = known._replace(gone_ms=None, doubted_ms=None, allowed_ms=0, is_approved=0)
    if booking is not None and known.config != this.config and known.stands_as(booking.fingerprint):
        known = known._replace(config=this.config)
    return known


def _watermark(this: Pass, number: int, account: str) -> Watermark:
    """Return how far the account was read, by full passes; an incomplete listing leaves that, and begins to fail."""
    before = replace(this.watermarks.get(account) or Watermark(account, number, None, None, None), number=number)
    listing = next((one for one in this.reading.listings if one.account == account), None)
    if this.kind == "near" or listing is None or (listing.error is not None and listing.error.kind == "stopping"):
        return before
    if not listing.is_complete:
        return replace(before, failing_since_ms=min(before.failing_since_ms or this.now_ms, this.now_ms))
    newest_ms = max(before.source_updated_ms or 0, listing.newest_ms or 0) or None
    return Watermark(account, number, this.now_ms, listing.items, newest_ms)
