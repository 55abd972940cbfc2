"""The end of a pass: what is stored of it, in one transaction, and its result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bridge.config.schema import Account
from bridge.ledger import entry
from bridge.ledger.store import Ledger
from bridge.model import Held, Known, Watermark
from bridge.sync.narrator import Narrator
from bridge.sync.result import Pass, PassResult


def finish(
    ledger: Ledger, this: Pass, accounts: Sequence[Account], narrator: Narrator, *, is_stopping: bool
) -> PassResult:
    """Store the end of the pass, say what is held from now on, and return how it went."""
    held = this.held()
    lasting = this.still_held(held)
    status = this.status(held, is_stopping=is_stopping)
    record = this.counts(held, status)
    ledger.finish(
        record,
        [*held, *lasting],
        [_watermark(this, account) for account in accounts],
        entries=list(_entries(this)),
        forgotten=this.forgotten,
    )
    before, after = _keys(this.held_before), _keys([*held, *lasting])
    narrator.held_changed(
        [each for each in held if (each.id, each.reason) not in before],
        [each for each in this.held_before if (each.id, each.reason) not in after],
    )
    left_out = _keys(lasting)
    return PassResult(
        record,
        status,
        tuple(each for each in ledger.held() if (each.id, each.reason) not in left_out),
        this.planned,
        tuple(this.errors.values()),
        this.objection,
        this.bridged,
    )


def _keys(held: Sequence[Held]) -> set[tuple[str, str]]:
    return {(each.id, each.reason) for each in held}


def _entries(this: Pass) -> Iterator[Known]:
    """Yield the entries that the reading changes: first sights, other accounts, those that are back.

    A booking that is known for nothing else gets no entry for its account alone.
    """
    reading = this.reading
    for id_, account in reading.owners.items():
        known = before = this.known.get(id_)
        booking = reading.desired.get(id_)
        if booking is not None and id_ not in this.tally.planned:
            known = entry.sighted(id_, known, booking.fingerprint, this.now_ms)
        if known is None:
            continue
        if known.account != account:
            known = known._replace(account=account)
        if booking is not None and (known.gone_ms is not None or known.allowed):
            known = known._replace(gone_ms=None, allowed=0)
        if known is not before:
            yield known


def _watermark(this: Pass, account: Account) -> Watermark:
    """Return how far the account was read; an incomplete listing leaves it where it was."""
    before = this.watermarks.get(account.key) or Watermark(account.key, account.number, None, None, None)
    listing = next((one for one in this.reading.listings if one.account == account.key), None)
    if listing is None or not listing.is_complete:
        return replace(before, number=account.number)
    newest_ms = max(before.source_updated_ms or 0, listing.newest_ms or 0) or None
    return Watermark(account.key, account.number, this.now_ms, listing.items, newest_ms)
