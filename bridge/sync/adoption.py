"""Wingfield at the start of a pass: whether it lets us in, and what a new ledger takes over from it."""

from __future__ import annotations

from dataclasses import replace

from bridge.errors import ServiceError
from bridge.ledger.store import Ledger
from bridge.model import Stored
from bridge.sync.result import Pass
from bridge.wingfield.client import Wingfield


async def greet(this: Pass, wingfield: Wingfield) -> None:
    """Ask Wingfield something in every pass, so that a refused token or a service that is away is noticed."""
    try:
        await wingfield.count()
        this.has_wingfield_answered = True
    except ServiceError as error:
        this.note(error)


async def adopt(this: Pass, wingfield: Wingfield, ledger: Ledger) -> bool:
    """Read Wingfield's list into a new ledger; return whether the pass can go on.

    What equals the source's booking is adopted as it is, whatever the order of its participants.
    """
    if ledger.is_adopted:
        return True
    ours: dict[str, Stored] = {}
    try:
        async for page in wingfield.list_bookings():
            ours.update((stored.id, _as_wanted(this, stored)) for stored in page if stored.id)
    except ServiceError as error:
        this.note(error)
        return False
    ledger.adopt(ours.values(), this.now_ms)
    return True


def _as_wanted(this: Pass, stored: Stored) -> Stored:
    wanted = this.reading.desired.get(stored.id)
    if wanted is None or not stored.has(wanted.slot, wanted.participants):
        return stored
    return replace(stored, fingerprint=wanted.fingerprint)
