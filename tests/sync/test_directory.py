"""What Wingfield knows of players and courts: when it is read, and what is made of it when it cannot be."""

from __future__ import annotations

from bridge.errors import ServiceError, Unavailable
from bridge.mapping import Names
from bridge.model import to_ms
from bridge.sync.directory import Directory
from bridge.sync.result import Since
from bridge.wingfield.hourly import Relations
from tests.support.builders import COURT_IDS, NOON, ONE
from tests.support.club import Club

NOW = to_ms(NOON)


async def names(club: Club, now_ms: int = NOW) -> Names | ServiceError:
    """Ask as a new process would, by hand."""
    return await Directory(club.clients.wingfield, club.ledger, club.config.wingfield).names(
        now_ms, Since.by_hand(now_ms).directory_ms
    )


async def test_nothing_is_asked_unless_it_is_configured(club: Club) -> None:
    await club.run()
    club.wingfield.log.clear()
    assert isinstance(await names(club), Names)
    assert club.wingfield.log == []


async def test_how_many_courts_there_are_is_learnt_from_the_mappings(club: Club) -> None:
    club.rules, club.directory = (), {"court_mappings": "service"}
    for number, court_id in enumerate(COURT_IDS):
        club.wingfield.map_court(court_id, str(number))
    await club.run()
    assert club.clients.wingfield.http.parts == 3


async def test_a_memory_that_cannot_be_read_is_read_anew(club: Club) -> None:
    await club.run()
    club.directory = {"court_mappings": "service"}
    club.wingfield.map_court(ONE, "1")
    club.ledger._rows("INSERT OR REPLACE INTO meta VALUES ('mappings', '{\"courts\": 7}')")
    found = await names(club)
    assert isinstance(found, Names)
    assert found.courts == {"1": ONE}


async def test_what_failed_is_asked_for_again_after_five_minutes_and_what_was_refused_after_an_hour(club: Club) -> None:
    await club.run()
    club.directory = {"connected_users": True}
    for status, minutes in ((500, 5), (404, 60)):
        club.ledger.remember(Relations())
        asked = []
        for minute in (0, minutes - 1, minutes):
            club.wingfield.log.clear()
            body = b'{"error": {"type": "not_found", "message": "no"}}'
            club.wingfield.faults.add("answer", status=status, body=body, times=None)
            await names(club, NOW + minute * 60_000)
            club.clients.new_pass()
            asked.append(bool(club.wingfield.log))
            club.clear_faults()
        assert asked == [True, False, True]


async def test_mappings_that_are_rejected_and_were_never_read_keep_the_pass_from_its_end(club: Club) -> None:
    await club.run()
    club.directory = {"court_mappings": "team"}
    club.wingfield.faults.add("answer", status=404, body=b'{"error": {"type": "not_found", "message": "no"}}')
    found = await names(club)
    assert isinstance(found, Unavailable)
    assert "court mappings: Wingfield" in str(found)
