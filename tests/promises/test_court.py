"""Court: the one whose rules match."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.config.schema import CourtRule
from bridge.errors import ExitStatus
from tests.support.builders import COURT_IDS, ONE, THREE, TWO
from tests.support.club import Club, of, service


async def test_any_of_several_rules_for_one_court_will_do(club: Club) -> None:
    club.rules = (
        CourtRule(court_id=ONE, service_ids=frozenset({1})),
        CourtRule(court_id=ONE, service_ids=frozenset({2}), location_ids=frozenset({1})),
        CourtRule(court_id=TWO, location_ids=frozenset({7})),
    )
    numbers = [club.book(1, 24), club.book(2, 26), club.book(3, 28, location={"id": 7})]
    await club.expect(created=3)
    assert [club.slot_of(number)[0] for number in numbers] == [ONE, ONE, TWO]  # type: ignore[index]


async def test_services_that_no_rule_names_do_not_disturb(club: Club) -> None:
    number = club.book(1, 24, services=[{"id": 9}, service(1, 60)])
    await club.expect(created=1)
    assert club.slot_of(number) == (ONE, "2026-11-21T12:00:00Z")


async def test_a_booking_without_a_court_is_ignored_and_holds_nothing(club: Club) -> None:
    club.book(9)
    club.book(9, services=[])
    club.book(1)
    await club.expect(created=1, ignored=2)


async def test_a_booking_for_two_different_courts_is_held(club: Club) -> None:
    number = club.book(services=[service(1, 60), service(2, 60)])
    await club.expect(held={number: "ambiguous_court"})
    assert club.writes == []


# --- courts by Wingfield's mappings ---


def mapped(club: Club, by: str, *external_ids: str) -> None:
    """Leave the rules out, and map the courts in their order."""
    club.rules, club.directory = (), {"court_mappings": by}
    for court_id, external_id in zip(COURT_IDS, external_ids, strict=False):
        club.wingfield.map_court(court_id, external_id)


def reads(club: Club) -> int:
    return sum(is_mappings(entry.method, entry.path) for entry in club.wingfield.log)


def is_mappings(_method: str, path: str) -> bool:
    return path.endswith("/court-mappings")


@pytest.mark.parametrize(
    ("by", "booking"),
    [
        ("service", {"services": [{"id": 9}, service(8, 60)]}),
        ("location", {"location": {"id": 8, "name": "North"}}),
        ("team", {"teams": [{"id": 8}, {"id": 3}]}),
        ("field:Court", {"custom_fields": [{"code": "court", "value": " 8 "}]}),
    ],
)
async def test_a_court_is_that_of_wingfields_mapping(club: Club, by: str, booking: dict[str, Any]) -> None:
    mapped(club, by, "7", "8")
    number = club.book(1, 24, **booking)
    club.book(5, 24)
    await club.expect(created=1, ignored=1)
    assert club.slot_of(number) == (TWO, "2026-11-21T12:00:00Z")
    await club.expect(unchanged=1, ignored=1)
    assert reads(club) == 1


async def test_rules_go_before_mappings(club: Club) -> None:
    mapped(club, "service", "1", "2")
    club.rules = (CourtRule(court_id=THREE, service_ids=frozenset({1})),)
    numbers = [club.book(1, 24), club.book(2, 24)]
    await club.expect(created=2)
    assert [club.slot_of(number)[0] for number in numbers] == [THREE, TWO]  # type: ignore[index]


async def test_two_mapped_courts_are_ambiguous(club: Club) -> None:
    mapped(club, "service", "1", "2")
    number = club.book(services=[service(1, 60), service(2, 60)])
    await club.expect(held={number: "ambiguous_court"})


async def test_lengths_add_up_for_the_services_that_are_mapped(club: Club) -> None:
    mapped(club, "service", "1")
    number = club.book(services=[service(1, 60), service(1, 30), service(9, 45)])
    await club.expect(created=1)
    assert club.times_of(number) == ("2026-11-21T12:00:00Z", "2026-11-21T13:30:00Z")


async def test_a_court_that_is_mapped_anew_takes_its_bookings_along(club: Club) -> None:
    mapped(club, "service", "1", "2")
    number = await club.one()
    club.wingfield.unmap_court(ONE)
    club.wingfield.map_court(THREE, "1")
    await club.expect(unchanged=1)
    club.tick(hours=1)
    await club.expect(updated=1)
    assert club.slot_of(number) == (THREE, "2026-11-21T12:00:00Z")


async def test_a_mapping_that_goes_withdraws_its_bookings(club: Club) -> None:
    mapped(club, "service", "1", "2")
    kept, gone = club.book(1, 24), club.book(2, 24)
    await club.expect(created=2)
    club.wingfield.unmap_court(TWO)
    club.tick(hours=1)
    await club.expect(deleted=1, unchanged=1, ignored=1)
    assert (club.deletes, set(club.wingfield.bookings)) == ([str(gone)], {str(kept)})


async def test_what_a_lost_mapping_withdraws_is_under_the_guard(club: Club) -> None:
    mapped(club, "service", "1", "2")
    club.limit(max_delete_count=2, max_delete_fraction=0.2)
    for n in range(3):
        club.book(1, 24 + n)
        club.book(2, 24 + n)
    await club.expect(created=6)
    club.wingfield.unmap_court(TWO)
    club.tick(hours=1)
    await club.expect(unchanged=3, withheld=3, ignored=3)
    assert club.deletes == []


async def test_what_a_lost_mapping_withdraws_is_a_mass_change_where_it_is_most_of_all(club: Club) -> None:
    mapped(club, "service", "1", "2")
    club.book(2, 24)
    for n in range(24):
        club.book(1, 24 + n)
    await club.expect(created=25)
    club.wingfield.unmap_court(ONE)
    club.tick(hours=1)
    await club.expect(unchanged=1, pending=24)
    club.tick(minutes=1)
    await club.expect(unchanged=1, deleted=24, ignored=24)


async def test_mappings_that_cannot_be_read_or_are_refused_change_nothing(club: Club) -> None:
    mapped(club, "service", "1")
    await club.one()
    for prepare in (
        lambda: club.wingfield.faults.add("status", match=is_mappings, status=500, times=None),
        lambda: club.wingfield.faults.add("answer", match=is_mappings, status=404, body=b"?", times=None),
        lambda: club.wingfield.faults.add("answer", match=is_mappings, body=b'{"items":[],"totalCount":1}', times=None),
        lambda: club.wingfield.scopes.update(organization="none"),
    ):
        prepare()
        club.tick(hours=2)
        await club.close()
        await club.expect(unchanged=1)
        club.clear_faults()
    club.wingfield.scopes["organization"] = "read"
    club.book(1, 30)
    await club.expect(created=1, unchanged=1)


async def test_that_all_mappings_are_gone_is_believed_a_minute_later(club: Club) -> None:
    mapped(club, "service", "1")
    await club.one()
    club.wingfield.unmap_court(ONE)
    club.tick(hours=1)
    await club.expect(unchanged=1)
    club.wingfield.map_court(ONE, "1")
    club.tick(minutes=1)
    await club.expect(unchanged=1)
    club.wingfield.unmap_court(ONE)
    club.tick(hours=1)
    await club.expect(unchanged=1)
    await club.close()
    club.tick(seconds=59)
    await club.expect(unchanged=1)
    club.tick(seconds=1)
    await club.expect(deleted=1, ignored=1)


@pytest.mark.parametrize(
    ("scope", "status"), [("none", ExitStatus.CREDENTIALS), ("read", ExitStatus.TRY_LATER)], ids=["refused", "away"]
)
async def test_where_mappings_were_never_read_nothing_is_withdrawn(club: Club, scope: str, status: ExitStatus) -> None:
    mapped(club, "service", "1")
    number = await club.one()
    await club.lose_state()
    club.wingfield.scopes["organization"] = scope
    club.wingfield.faults.add("answer", match=is_mappings, status=404, body=REFUSAL, times=None, after=0)
    if scope == "none":
        club.clear_faults()
    for _ in range(2):
        assert (await club.run()).status is status
        club.tick(minutes=2)
    assert (set(club.wingfield.bookings), len(club.writes)) == ({str(number)}, 1)
    club.clear_faults()
    club.wingfield.scopes["organization"] = "read"
    await club.expect(unchanged=1)


REFUSAL = b'{"error": {"type": "not_found", "message": "no"}}'


@pytest.mark.parametrize(
    ("by", "change"), [("service", {"court_mappings": "team"}), ("service", {})], ids=["by another", "no more"]
)
async def test_what_an_edit_of_the_mappings_withdraws_needs_a_persons_word(
    club: Club, by: str, change: dict[str, Any]
) -> None:
    mapped(club, by, "1")
    await club.one()
    club.directory = change
    await club.expect(withheld=1, ignored=1)


async def test_a_delete_whose_court_is_gone_is_done(club: Club) -> None:
    number = await club.one()
    del club.wingfield.courts[ONE]
    club.launch27.cancel(number)
    await club.expect(deleted=1)
    assert club.rejections == ["court_not_found"]
    await club.expect()


async def test_a_delete_with_any_other_404_is_not(club: Club) -> None:
    number = await club.one()
    club.launch27.cancel(number)
    club.wingfield.faults.add(
        "answer", match=of("DELETE", number), status=404, body=b'{"error": {"type": "not_found"}}'
    )
    await club.expect(held={number: "not_found"})
    await club.expect(deleted=1)
