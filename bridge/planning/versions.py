"""The rule about versions, pure: which ``externalUpdatedAt`` a write carries.

For each booking the ledger remembers what Wingfield last acknowledged and what was last intended (sent, or
about to be). From these and the content that is wanted:

    content wanted                      version
    ----------------------------------  ---------------------------------------------------------
    what was last intended, and still   that same version: a repeated write is the same write
    above the acknowledged one
    anything else                       the source's modification time, or the moment the content
                                        was first seen; but at least 1 ms above the highest known

A version therefore never goes backwards, grows with every change of content, and is the same for the
same content, however often an answer was lost and whatever the clock does.

Source: Wingfield, Upsert court booking ("stale_write", "version_conflict").
"""

from __future__ import annotations

from bridge.model import CourtBooking, Known, to_ms


def next_version(known: Known | None, content: bytes, basis_ms: int) -> int:
    """Return the version, in milliseconds since 1970, under which ``content`` is to be written.

    ``basis_ms`` is the source's own moment for it: modification time, first sight, or found gone.
    """
    if known is None:
        return basis_ms
    if known.intended_fingerprint == content and known.intended_version_ms is not None:
        acked = known.acked_version_ms or 0
        repeats = known.intended_version_ms == acked and known.acked_fingerprint == content
        if known.intended_version_ms > acked or repeats:
            return known.intended_version_ms
    return max(basis_ms, known.highest_ms + 1)


def first_sight_ms(known: Known | None, content: bytes, now_ms: int) -> int:
    """Return the moment the bridge first saw this content: remembered, or now."""
    return known.seen_ms if known is not None and known.seen_fingerprint == content else now_ms


def booking_version(known: Known | None, booking: CourtBooking, now_ms: int) -> int:
    """Return the version for writing ``booking``, in milliseconds since 1970."""
    if booking.source_updated_at is not None:
        basis = to_ms(booking.source_updated_at)
    else:
        basis = first_sight_ms(known, booking.fingerprint, now_ms)
    return next_version(known, booking.fingerprint, basis)
