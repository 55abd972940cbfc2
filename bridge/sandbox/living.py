"""A club that goes on living: its players book, move and cancel, and now and then a hand changes Wingfield."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from datetime import datetime, timedelta

from bridge.sandbox.playground import Pair, Place, Playground

_PEOPLE = (
    *("Anna Weber", "Jonas Klein", "Mia Hoffmann", "Emil Wagner", "Clara Schulz", "Ben Richter", "Lea Neumann"),
    *("Noah Braun", "Ida Lorenz", "Felix Hartmann", "Marie Krause", "Oskar Winter", "Greta Sommer", "Leon Vogel"),
    *("Nora Seidel", "Lena Vogt", "Tom Busch", "Frieda Lang", "Lotte Frank", "Max Berger", "Pia Roth", "Jan Haas"),
)
_OPENS_AT, _CLOSES_AT = 8, 22
_DAYS = 2
_FEWEST, _MOST = 16, 40
_TRIES = 100
_CANCELLED_KEPT = 20


class Living:
    """Lets one thing happen at a time; with the same ``seed``, clock and answers, always the same things."""

    def __init__(self, club: Playground, seed: int | None = None) -> None:
        self._club = club
        self._random = random.Random(seed)

    def fill(self, count: int) -> None:
        """Make so many bookings from this morning on, or as many as there is room for."""
        for _ in range(count):
            self._book(self._club.now.replace(hour=0))

    def happen(self) -> None:
        """Let something happen at the club."""
        self._club.forget_cancelled(_CANCELLED_KEPT)
        count = len(self._coming())
        if count < _FEWEST:
            return self._book()
        if count > _MOST:
            return self._cancel()
        happenings = (self._book, self._move, self._swap, self._cancel, self._hand)
        return self._random.choices(happenings, weights=(5, 5, 1, 3, 2))[0]()

    async def go_on(self, every_seconds: float) -> None:
        """Let something happen every few seconds, until cancelled."""
        while True:
            await asyncio.sleep(every_seconds)
            self.happen()

    def _coming(self) -> list[Pair]:
        now = self._club.now
        return [
            pair
            for pair in self._club.pairs()
            if pair.launch27 and pair.launch27.is_active and pair.launch27.place.start > now
        ]

    def _free(self, since: datetime | None = None) -> Place | None:
        """Return a place where nobody plays: within the next days, from now on if not from another time."""
        sides = (side for pair in self._club.pairs() for side in (pair.launch27, pair.wingfield))
        taken = [side.place for side in sides if side and side.is_active]
        for place in (self._somewhere() for _ in range(_TRIES)):
            if place.start > (since or self._club.now) and not any(place.overlaps(other) for other in taken):
                return place
        return None

    def _somewhere(self) -> Place:
        """Return any court at any time of the next days."""
        day = self._club.now + timedelta(days=self._random.randrange(_DAYS))
        hour, minute = self._random.randrange(_OPENS_AT, _CLOSES_AT), self._random.choice((0, 0, 30))
        start = datetime(day.year, day.month, day.day, hour, minute, tzinfo=self._club.zone)
        return self._club.place(self._random.choice([*self._club.courts]), start, self._random.choice((60, 60, 90)))

    def _book(self, since: datetime | None = None) -> None:
        name, other = self._random.sample(_PEOPLE, 2)
        if place := self._free(since):
            players = _address(other) if self._random.random() < 0.5 else ""
            self._club.book(name, _address(name), place, players)

    def _move(self) -> None:
        if place := self._free():
            self._club.move(int(self._random.choice(self._coming()).id), place)

    def _swap(self) -> None:
        """Let two that play at the same time change courts, or move one where none do."""
        coming = self._coming()
        self._random.shuffle(coming)
        times: dict[tuple[datetime, datetime], Pair] = {}
        for pair in coming:
            place = _place(pair)
            other = times.setdefault((place.start, place.end), pair)
            if other is not pair:
                self._club.move(int(pair.id), _place(other))
                self._club.move(int(other.id), place)
                return
        self._move()

    def _cancel(self) -> None:
        self._club.cancel(int(self._random.choice(self._coming()).id))

    def _hand(self) -> None:
        """Let somebody change Wingfield, where there is something to change."""
        standing = [pair.id for pair in self._coming() if pair.wingfield]
        place = self._free()
        if standing and place and self._random.random() < 0.5:
            with suppress(ValueError):  # taken meanwhile
                self._club.move_by_hand(self._random.choice(standing), place)
        elif standing:
            self._club.delete_by_hand(self._random.choice(standing))


def _place(pair: Pair) -> Place:
    if pair.launch27 is None:
        raise ValueError("not booked")
    return pair.launch27.place


def _address(name: str) -> str:
    return name.lower().replace(" ", ".") + "@example.com"
