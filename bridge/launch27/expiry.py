"""When a bearer token ends, as far as it says so. Pure: no I/O, no clock."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from bridge.model import from_ms

SOON = timedelta(days=7)


def expiry(token: str) -> datetime | None:
    """Return the moment a token expires, in UTC; None where that cannot be read.

    Source: Launch27, ``POST /login``: a bearer is a JWT with ``exp``, in seconds since 1970.
    """
    try:
        claims = json.loads(urlsafe_b64decode(token.split(".")[1] + "=="))
        return datetime.fromtimestamp(claims["exp"], UTC)
    except (ValueError, LookupError, TypeError, OverflowError, OSError, RecursionError):
        return None


def expires(at: datetime, now: datetime) -> str:
    """Return when it expires, or did, in words."""
    return f"{'expires' if at > now else 'expired'} on {at:%Y-%m-%d at %H:%M} UTC"


def warnings(ends_ms: Mapping[int, int], now: datetime) -> list[str]:
    """Return a sentence for each account, by its number, whose token ends within a week (in ms since 1970)."""
    ends = ((number, from_ms(ms)) for number, ms in sorted(ends_ms.items()))
    soon = ((number, expires(at, now)) for number, at in ends if at - now < SOON)
    return [f"account {number}: its token {when}; put a new one in its place" for number, when in soon]
