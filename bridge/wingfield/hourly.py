"""Players as users, and courts by Wingfield's mappings: asked for once an hour, and kept in the state in between.

No address of a player is kept. No I/O, no clock.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from hashlib import blake2b

from pydantic import BaseModel, ConfigDict, Field

from bridge.addresses import usable_address
from bridge.model import DAY_MS, MINUTE_MS
from bridge.wingfield.wire import USER, CourtMapping, UserRelation


class Hourly(BaseModel):
    """A list, when it was last asked for, and when it is to be asked for again before its hour (0: not before).

    Both moments are in milliseconds since 1970. ``trouble`` is the kind of error that kept it from being read the last
    time; "" where nothing did.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    asked_ms: int = -1
    again_ms: int = 0
    trouble: str = ""

    def is_due(self, now_ms: int, since_ms: int) -> bool:
        """Whether to ask for it now: where that was last done before ``since_ms``, or the clock went back, too."""
        return not since_ms <= self.asked_ms <= now_ms or 0 < self.again_ms <= now_ms


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
        return Relations(asked_ms=now_ms, key=key, users=users, denied=tuple(denied))


class Mappings(Hourly):
    """Court ids by ``externalCourtId``; None until they were read.

    ``doubted_ms`` is when no mapping at all was first answered in place of them (milliseconds since 1970), else 0.
    """

    courts: dict[str, str] | None = None
    doubted_ms: int = 0

    def heard(self, mappings: Iterable[CourtMapping], now_ms: int) -> Mappings:
        """Return what is believed after all were read: that all are gone, only a minute after it was first said."""
        courts = {each.external_court_id: each.court_id for each in mappings}
        doubted_ms = self.doubted_ms if 0 < self.doubted_ms <= now_ms else now_ms
        if self.courts and not courts and now_ms - doubted_ms < MINUTE_MS:
            again_ms = now_ms + MINUTE_MS
            return Mappings(asked_ms=now_ms, again_ms=again_ms, courts=self.courts, doubted_ms=doubted_ms)
        return Mappings(asked_ms=now_ms, courts=courts)


def _hashed(key: str, address: str) -> str:
    return blake2b(address.encode(), key=key.encode(), digest_size=16).hexdigest()
