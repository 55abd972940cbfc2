"""A club that goes on living: the same for the same seed, never two players on a court, and for weeks."""

from __future__ import annotations

import asyncio
from itertools import combinations

from bridge.sandbox import Launch27, Wingfield
from bridge.sandbox.living import Living
from bridge.sandbox.playground import Pair, Playground, courts
from tests.sandbox.conftest import Clock


def a_club(clock: Clock) -> tuple[Playground, list[str]]:
    told: list[str] = []
    club = Playground(Launch27(clock=clock), Wingfield(courts=courts(3), clock=clock))
    club.tell = told.append
    return club, told


def bridge(club: Playground) -> None:
    """Make Wingfield what Launch27 says."""
    for key in list(club.wingfield.bookings):
        club.wingfield.remove(key)
    for pair in active(club):
        assert pair.launch27 is not None
        place, people = pair.launch27.place, pair.launch27.people
        court_id, start, end = club.courts[place.court], place.start, place.end
        club.wingfield.store(pair.id, court_id=court_id, start=start, end=end, updated_at=start, emails=people)


def active(club: Playground) -> list[Pair]:
    return [pair for pair in club.pairs() if pair.launch27 and pair.launch27.is_active]


def lived(seed: int, hours: int) -> tuple[Playground, list[str]]:
    """Let a club live, with something happening six times an hour."""
    club, told = a_club(clock := Clock())
    living = Living(club, seed)
    living.fill(10)
    for hour in range(hours):
        clock.now = Clock.now + hour * 3600
        bridge(club)
        for _ in range(6):
            living.happen()
    return club, told


def test_the_same_seed_tells_the_same_story() -> None:
    assert lived(7, 12)[1] == lived(7, 12)[1] != lived(8, 12)[1]


def test_everything_happens_and_nobody_books_a_court_that_is_taken() -> None:
    club, told = lived(1, 72)
    for words in (
        "books Court",
        "moves to Court",
        "cancels",
        "A hand in Wingfield moves",
        "A hand in Wingfield deletes",
    ):
        assert any(words in sentence for sentence in told), words
    places = [pair.launch27.place for pair in active(club) if pair.launch27]
    assert not [pair for pair in combinations(places, 2) if pair[0].overlaps(pair[1])]
    coming = [place for place in places if place.start > club.now]
    assert 10 <= len(coming) <= 42
    cancelled = sum(not raw["active"] for raw in club.launch27.bookings.values())
    assert cancelled <= 21 < sum("cancels" in sentence for sentence in told), "the older ones are forgotten"


async def test_it_goes_on_until_it_is_cancelled() -> None:
    club, told = a_club(Clock())
    enough = asyncio.Event()
    club.tell = lambda sentence: enough.set() if len(told) == 5 else told.append(sentence)
    task = asyncio.create_task(Living(club, 1).go_on(0.0))
    await asyncio.wait_for(enough.wait(), 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
