"""Players as users: who is named by a user id, remembered without an address. No I/O, no clock."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from hashlib import blake2b

from pydantic import Field

from bridge.model import DAY_MS, HOUR_MS, usable_address
from bridge.wingfield.hourly import Hourly
from bridge.wingfield.wire import USER, UserRelation


class Relations(Hourly):
    """The players who accepted this external service: participants by a hash of the address, keyed with ``key``.

    ``denied`` are the users of bookings that Wingfield denied, each with the moment (milliseconds since 1970). They
    are named by address until the list explains it, one of them being gone from it, or for a day.
    """

    key: str = Field("", repr=False)
    users: dict[str, str] = Field({}, repr=False)
    denied: tuple[tuple[int, frozenset[str]], ...] = ()

    def participant(self, address: str) -> str:
        """Return how Wingfield is told of a player: as a user who accepted, else by address."""
        user = self.users.get(_hashed(self.key, address), address) if self.users else address
        return address if any(user in users for _, users in self.denied) else user

    def heard(self, relations: Iterable[UserRelation], now_ms: int) -> Relations:
        """Return what is known after all relations were read. Of two users with one address the lower id counts."""
        key, users = self.key or secrets.token_hex(16), dict[str, str]()
        for each in sorted(relations, key=lambda each: each.user_id):
            address = usable_address(each.email.strip())
            if address is not None and each.status == "ACCEPTED":
                users.setdefault(_hashed(key, address), USER + each.user_id)
        denied = (one for one in self.denied if 0 <= now_ms - one[0] < DAY_MS and one[1].issubset(users.values()))
        return Relations(due_ms=now_ms + HOUR_MS, key=key, users=users, denied=tuple(denied))


def _hashed(key: str, address: str) -> str:
    return blake2b(address.encode(), key=key.encode(), digest_size=16).hexdigest()
