"""What a pass promises: held back, login, whose state, adoption, dry run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bridge.config.schema import CourtRule
from bridge.errors import ExitStatus, StateError
from bridge.model import Verb
from tests.support.club import COURT_IDS, EMAIL, NOON, SECOND, Club, counts, reasons

ONE, TWO, THREE = COURT_IDS
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
NOWHERE = "00000000-0000-4000-8000-00000000000f"


@pytest.fixture
async def club(tmp_path: Path) -> AsyncIterator[Club]:
    async with Club(tmp_path) as club:
        yield club


def is_put(number: int) -> Callable[[str, str], bool]:
    return lambda method, path: method == "PUT" and path.endswith(f"/{number}")


def puts(club: Club, number: int) -> int:
    return sum(entry[0] == "PUT" and entry[2] == str(number) for entry in club.writes)


def stranger(club: Club, court: str = ONE) -> str:
    return club.wingfield.add_stranger(court, NOON + DAY, NOON + DAY + HOUR)


def put_there(club: Club, key: str, court: str = ONE, hour: int = 24, **more: Any) -> None:
    start = NOON + timedelta(hours=hour)
    more = {"updated_at": NOON - DAY, **more}
    club.wingfield.store(key, court_id=court, start=start, end=start + HOUR, **more)


# --- held back ---

REASONS: list[tuple[str, dict[str, Any]]] = [
    ("invalid_booking", {"service_date": "soon"}),
    ("no_duration", {"services": [{"id": 1}]}),
    ("no_participant", {"email": None}),
    ("ambiguous_court", {"services": [{"id": 1}, {"id": 2}]}),
]


@pytest.mark.parametrize(("reason", "damage"), REASONS, ids=[reason for reason, _ in REASONS])
async def test_one_bookings_trouble_never_stops_anothers(
    club: Club, reason: str, damage: dict[str, Any]
) -> None:
    club.remap(default_minutes=None)
    numbers = [club.book(1, 24 + n) for n in range(3)]
    club.launch27.bookings[numbers[1]].update(damage)
    result = await club.run()
    assert (counts(result), result.status) == ({"created": 2, "held": 1}, ExitStatus.ATTENTION)
    assert reasons(result) == {str(numbers[1]): reason}
    assert result.held[0].detail


@pytest.mark.parametrize("reason", ["court_not_found", "organization_access_denied", "invalid_schema"])
async def test_wingfields_own_error_types_are_reasons(club: Club, reason: str) -> None:
    number, other = club.book(1, 24), club.book(2, 24)
    if reason == "court_not_found":
        club.rules = (CourtRule(court_id=NOWHERE, service_ids=frozenset({1})), *club.rules[1:])
    elif reason == "organization_access_denied":
        club.wingfield.denied_courts.add(ONE)
    else:
        club.wingfield.faults.add("status", status=400, match=is_put(number))
    result = await club.run()
    assert (counts(result), result.status) == ({"created": 1, "held": 1}, ExitStatus.ATTENTION)
    assert reasons(result) == {str(number): reason}
    assert club.slot_of(other) is not None


async def test_what_was_refused_for_its_content_is_not_sent_again_for_an_hour(club: Club) -> None:
    club.wingfield.denied_courts.add(ONE)
    number = club.book(1, 24)
    await club.run()
    for minutes in (1, 30, 28):
        club.tick(minutes=minutes)
        await club.close()
        result = await club.run()
        assert reasons(result) == {str(number): "organization_access_denied"}
        assert (counts(result), result.status) == ({"held": 1}, ExitStatus.ATTENTION)
        assert puts(club, number) == 1
    club.tick(minutes=1)
    await club.run()
    assert puts(club, number) == 2
    club.wingfield.denied_courts.clear()
    club.tick(minutes=60)
    assert counts(await club.run()) == {"created": 1}


async def test_a_refused_booking_is_sent_again_when_it_changes(club: Club) -> None:
    club.wingfield.denied_courts.add(ONE)
    number = club.book(1, 24)
    await club.run()
    club.move(number, 2, 24)
    assert counts(await club.run()) == {"created": 1}


async def test_a_refused_booking_is_sent_again_when_the_configuration_changes(club: Club) -> None:
    club.wingfield.denied_courts.add(ONE)
    number = club.book(1, 24)
    await club.run()
    club.wingfield.denied_courts.clear()
    assert counts(await club.run()) == {"held": 1}
    club.remap(fallback_email="desk@example.com")
    assert counts(await club.run()) == {"created": 1}
    assert puts(club, number) == 2


async def test_a_refused_update_stays_as_it_was_and_is_held(club: Club) -> None:
    number = club.book(1, 24)
    await club.run()
    club.wingfield.denied_courts.add(TWO)
    club.move(number, 2, 24)
    for _ in range(2):
        assert reasons(await club.run()) == {str(number): "organization_access_denied"}
    assert club.slot_of(number) == (ONE, "2026-11-21T12:00:00Z")
    assert puts(club, number) == 2
    club.move(number, 1, 24)
    result = await club.run()
    assert (counts(result), result.status) == ({"unchanged": 1}, ExitStatus.OK)


async def test_a_refusal_is_not_repeated_after_a_clock_that_went_back(club: Club) -> None:
    club.wingfield.denied_courts.add(ONE)
    number = club.book(1, 24)
    await club.run()
    club.wingfield.denied_courts.clear()
    club.tick(hours=-30)
    await club.run()
    assert club.slot_of(number) is not None


async def test_an_overlap_with_a_stranger_is_tried_again_in_every_pass(club: Club) -> None:
    handle = stranger(club)
    number, other = club.book(1, 24), club.book(2, 24)
    for n in range(1, 4):
        result = await club.run()
        assert reasons(result) == {str(number): "court_booking_overlap"}
        assert puts(club, number) == n
        assert result.held[0].since_ms == club.narrator.results[0].record.started_ms
        club.tick(seconds=10)
    club.wingfield.remove_stranger(handle)
    result = await club.run()
    assert (counts(result), result.status) == ({"created": 1, "unchanged": 1}, ExitStatus.OK)
    assert other


async def test_held_is_told_once_when_it_begins_and_once_when_it_ends(club: Club) -> None:
    number = club.book(1, 24, email=None)
    for _ in range(3):
        await club.run()
    assert [(held.id, held.reason) for held in club.narrator.began] == [(str(number), "no_participant")]
    assert club.narrator.ended == []
    club.launch27.edit(number, email="player@example.com")
    await club.run()
    assert [held.id for held in club.narrator.ended] == [str(number)]


async def test_since_is_when_it_began_also_across_restarts(club: Club) -> None:
    club.book(1, 24, email=None)
    first = (await club.run()).held[0].since_ms
    await club.close()
    club.tick(hours=5)
    assert (await club.run()).held[0].since_ms == first


async def test_a_detail_is_the_bridges_own_sentence(club: Club) -> None:
    club.wingfield.denied_courts.add(ONE)
    handle = stranger(club, TWO)
    club.book(1, 24)
    club.book(2, 24)
    club.book(3, 24, email="max@@mustermann")
    result = await club.run()
    details = " ".join(held.detail for held in result.held)
    assert len(result.held) == 3
    for foreign in ("mustermann", "player@", "Court booking overlap", "Organization access denied"):
        assert foreign not in details
    assert handle


async def test_no_court_holds_nothing_back(club: Club) -> None:
    club.book(9, 24)
    club.book(1, 24)
    result = await club.run()
    assert (counts(result), result.status) == ({"created": 1, "ignored": 1}, ExitStatus.OK)


async def test_a_held_booking_that_is_cancelled_is_not_held_any_more(club: Club) -> None:
    number = club.book(1, 24, email=None)
    await club.run()
    club.launch27.cancel(number)
    result = await club.run()
    assert (counts(result), result.status) == ({}, ExitStatus.OK)
    assert result.held == ()


# --- login ---


async def test_one_login_per_account_kept_until_it_is_refused(club: Club) -> None:
    club.accounts = 2
    for hour in range(30):
        club.book(1 + hour % 3, 24 + hour, owner=(EMAIL, SECOND)[hour % 2])
    for _ in range(3):
        assert (await club.run()).status is ExitStatus.OK
    assert len(club.logins) == 2


async def test_a_token_that_died_between_two_passes_is_replaced_once(club: Club) -> None:
    club.book(1, 24)
    await club.run()
    club.launch27.expire_tokens()
    result = await club.run()
    assert (counts(result), result.status) == ({"unchanged": 1}, ExitStatus.OK)
    assert len(club.logins) == 2


@pytest.mark.parametrize("after", range(6))
async def test_a_401_in_mid_pass_logs_in_again_once(club: Club, after: int) -> None:
    numbers = [club.book(1 + n % 3, 24 + n) for n in range(30)]
    await club.run()
    club.launch27.vanish(numbers[0])
    fault = club.launch27.faults.add(
        "status", status=401, after=after, match=lambda _, path: not path.endswith(("/login", "/settings"))
    )
    result = await club.run()
    assert fault.hits == 1
    assert (counts(result), result.status) == ({"unchanged": 29, "deleted": 1}, ExitStatus.OK)
    assert len(club.logins) == 2


async def test_tokens_that_are_refused_right_after_the_login_end_it(club: Club) -> None:
    club.book(1, 24)
    club.launch27.faults.add(
        "status", status=401, times=None, match=lambda _, path: not path.endswith(("/login", "/settings"))
    )
    result = await club.run()
    assert (result.status, result.record.outcome) == (ExitStatus.CREDENTIALS, "refused")
    assert len(club.logins) == 2


async def test_a_refused_password_is_tried_once_a_pass(club: Club) -> None:
    club.book(1, 24)
    await club.run()
    club.launch27.add_account(EMAIL, "another one")
    club.launch27.expire_tokens()
    before = len(club.logins)
    for n in range(1, 4):
        result = await club.run()
        assert (result.status, result.record.outcome) == (ExitStatus.CREDENTIALS, "refused")
        assert len(club.logins) == before + n
        club.tick(minutes=5)
    assert club.slot_of(1001) is not None
    club.launch27.add_account(EMAIL, club.password)
    assert (await club.run()).status is ExitStatus.OK


async def test_an_account_that_is_refused_does_not_stop_the_others(club: Club) -> None:
    club.accounts = 2
    club.launch27.add_account(EMAIL, "another one")
    first, second = club.book(1, 24, owner=EMAIL), club.book(2, 24, owner=SECOND)
    result = await club.run()
    assert result.status is ExitStatus.CREDENTIALS
    assert (club.slot_of(first), club.slot_of(second) is not None) == (None, True)


async def test_the_wrong_role_is_refused_credentials(club: Club) -> None:
    club.role = "staff"
    assert (await club.run()).status is ExitStatus.CREDENTIALS


async def test_a_wrong_token_for_wingfield_is_refused_credentials_and_asked_with_once(club: Club) -> None:
    numbers = [club.book(1, 24 + n) for n in range(10)]
    await club.run()
    for n, number in enumerate(numbers):
        club.move(number, 2, 24 + n)
    before = len(club.writes)
    club.wingfield.faults.add("status", status=401, times=None)
    result = await club.run()
    assert (result.status, result.record.outcome) == (ExitStatus.CREDENTIALS, "refused")
    assert len(club.writes) - before <= club.concurrency
    club.wingfield.faults.clear()
    assert counts(await club.run()) == {"updated": 10}


# --- the state is disposable ---


async def lose_state(club: Club) -> None:
    await club.close()
    club.lose_state()


async def test_with_the_database_gone_what_is_right_is_adopted_without_a_write(club: Club) -> None:
    for n in range(130):
        club.book(1 + n % 3, 24 + n // 3)
    await club.run()
    await lose_state(club)
    writes = len(club.writes)
    result = await club.run()
    assert (counts(result), result.status) == ({"unchanged": 130}, ExitStatus.OK)
    assert len(club.writes) == writes
    assert counts(await club.run()) == {"unchanged": 130}


async def test_with_the_database_gone_what_is_wrong_is_mended(club: Club) -> None:
    right, moved, gone = (club.book(1, 24 + n) for n in range(3))
    await club.run()
    await lose_state(club)
    club.tick(minutes=5)
    club.move(moved, 2, 24)
    club.launch27.cancel(gone)
    new = club.book(3, 24)
    result = await club.run()
    assert counts(result) == {"created": 1, "updated": 1, "deleted": 1, "unchanged": 1}
    assert set(club.wingfield.bookings) == {str(right), str(moved), str(new)}
    assert club.refusals == []


async def test_an_adopted_version_is_never_gone_below(club: Club) -> None:
    number = club.book(1, 24)
    put_there(club, str(number), TWO, updated_at=NOON + DAY)
    assert counts(await club.run()) == {"updated": 1}
    assert club.version(number) == "2026-11-21T12:00:00.001Z"
    assert club.refusals == []


async def test_orphans_are_asked_for_before_they_are_deleted(club: Club) -> None:
    alive, dead = club.book(1, 24), club.book(2, 24)
    await club.run()
    await lose_state(club)
    club.launch27.hide(alive)
    club.launch27.cancel(dead)
    club.book(3, 24)
    result = await club.run()
    assert counts(result) == {"created": 1, "deleted": 1, "unchanged": 1}
    assert club.asked("bookings", str(alive))
    assert club.asked("bookings", str(dead))


async def test_orphans_are_under_the_guard(club: Club) -> None:
    club.limit(max_delete_count=2, max_delete_fraction=0.2)
    club.book(1, 24)
    for n in range(4):
        put_there(club, str(5000 + n), TWO, 24 + n)
    result = await club.run()
    assert (counts(result), result.status) == ({"created": 1, "withheld": 4}, ExitStatus.ATTENTION)
    assert len(club.wingfield.bookings) == 5
    assert counts(await club.run(allow=True)) == {"unchanged": 1, "deleted": 4}


async def test_history_found_in_wingfield_is_left_alone(club: Club) -> None:
    put_there(club, "5000", hour=-100)
    result = await club.run()
    assert (counts(result), result.status) == ({}, ExitStatus.OK)
    assert club.writes == []


@pytest.mark.parametrize(
    ("prefix", "foreign"),
    [
        ("", ["club-7", "a7", "7a", "7-7", " 7", "٧", "²", "south-1001"]),
        ("north-", ["7", "1001", "south-7", "north-", "north-x", "north-7x", "NORTH-7", "north-north-7"]),
    ],
)
async def test_foreign_keys_are_left_alone(club: Club, prefix: str, foreign: list[str]) -> None:
    club.remap(id_prefix=prefix)
    for n, key in enumerate(foreign):
        put_there(club, key, THREE, 24 + n)
    number = club.book(1, 24)
    await club.run()
    await lose_state(club)
    result = await club.run()
    assert (counts(result), result.status) == ({"unchanged": 1}, ExitStatus.OK)
    assert set(club.wingfield.bookings) == {*foreign, f"{prefix}{number}"}
    assert len(club.writes) == 1


async def test_a_key_of_digits_that_no_launch27_id_is_written_with_is_an_orphan(club: Club) -> None:
    """Ours are the keys made of digits; booking 7's own key is "7"."""
    number = club.book(1, 24, id=7)
    put_there(club, "007", TWO)
    result = await club.run()
    assert result.status is ExitStatus.OK
    assert set(club.wingfield.bookings) == {str(number)}


async def test_while_wingfields_list_cannot_be_read_nothing_is_written(club: Club) -> None:
    number = club.book(1, 24)
    put_there(club, "5000", TWO)
    club.wingfield.faults.add("status", times=3)
    result = await club.run()
    assert result.status is ExitStatus.TRY_LATER
    assert club.writes == []
    result = await club.run()
    assert (counts(result), result.status) == ({"created": 1, "deleted": 1}, ExitStatus.OK)
    assert number


async def test_a_list_that_lacks_bookings_is_not_adopted(club: Club) -> None:
    for n in range(8):
        put_there(club, str(5000 + n), TWO, 24 + n)
    club.wingfield.faults.add("truncate_listing", keep=0)
    assert (await club.run()).status is ExitStatus.TRY_LATER
    assert not club.ledger.is_adopted


async def test_orphans_of_a_lost_state_free_their_place_first(club: Club) -> None:
    put_there(club, "5000", ONE)
    number = club.book(1, 24)
    result = await club.run()
    assert (counts(result), result.status) == ({"created": 1, "deleted": 1}, ExitStatus.OK)
    assert club.refusals == []
    assert set(club.wingfield.bookings) == {str(number)}


async def test_an_interrupted_adoption_is_done_again(club: Club) -> None:
    club.book(1, 24)
    await club.run()
    for step in range(4):
        await lose_state(club)
        await club.run_and_die(step)
        assert counts(await club.run()) == {"unchanged": 1}
    assert len(club.writes) == 1


# --- whose state ---


async def test_a_state_belongs_to_one_host_one_service_and_one_prefix(club: Club) -> None:
    club.book(1, 24)
    await club.run()
    await club.close()
    requests = club.launch27.requests, club.wingfield.requests
    host, service = club.config.launch27.host, club.config.wingfield.external_service_id
    club.remap(id_prefix="north-")
    with pytest.raises(StateError) as caught:
        await club.run()
    assert caught.value.exit_status is ExitStatus.STATE
    for part in (str(club.state), host, service, "north-"):
        assert part in str(caught.value)
    club.remap(id_prefix="")
    address = club.launch27.address
    club.launch27.address = "http://127.0.0.1:9"
    with pytest.raises(StateError, match=host):
        await club.run(dry_run=True)
    club.launch27.address = address
    club.wingfield.service_id = "00000000-0000-4000-8000-0000000000aa"
    with pytest.raises(StateError, match=service):
        await club.run()
    club.wingfield.service_id = service
    assert (club.launch27.requests, club.wingfield.requests) == requests
    assert counts(await club.run()) == {"unchanged": 1}


async def test_an_account_that_left_is_asked_about_in_those_that_stay(club: Club) -> None:
    """One of its bookings is the other account's, too: that one stays."""
    club.accounts = 2
    club.launch27.add_account("third@example.com", club.password)
    shared, own = club.book(1, 24, owner=SECOND), club.book(2, 24, owner=SECOND)
    club.book(3, 24, owner=EMAIL)
    await club.run()
    club.accounts = 1
    club.launch27.give(shared, EMAIL)
    assert counts(await club.run()) == {"unchanged": 2, "deleted": 1}
    assert club.slot_of(own) is None


async def test_a_changed_password_is_the_same_account(club: Club) -> None:
    club.book(1, 24)
    await club.run()
    await club.close()
    club.password = "a new one"
    club.launch27.add_account(EMAIL, club.password)
    assert counts(await club.run()) == {"unchanged": 1}


# --- dry run ---


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


async def test_a_dry_run_without_a_state_leaves_none(club: Club) -> None:
    club.book(1, 24)
    result = await club.run(dry_run=True)
    assert counts(result) == {"created": 1}
    assert files(club.folder) == {}
    assert club.writes == []


async def test_a_dry_run_writes_nothing_anywhere_and_says_what_a_pass_then_does(club: Club) -> None:
    club.limit(max_delete_count=1, max_delete_fraction=0.5)
    numbers = [club.book(1 + n % 3, 24 + n // 3) for n in range(9)]
    await club.run()
    club.tick(minutes=5)
    club.move(numbers[0], 2, 24)
    club.move(numbers[1], 1, 24)
    club.move(numbers[2], 3, 50)
    club.launch27.vanish(numbers[3])
    club.launch27.edit(numbers[4], services=[9])
    club.launch27.edit(numbers[5], email=None)
    club.book(1, 60)
    club.book(1, 60.5)
    await club.close()
    before, writes = files(club.folder), len(club.writes)
    dry = await club.run(dry_run=True)
    assert files(club.folder) == before
    assert len(club.writes) == writes
    real = await club.run()
    assert counts(dry) == counts(real)
    assert reasons(dry) == reasons(real)
    planned = [(write.verb, write.id) for write in dry.planned]
    assert planned == [(write.verb, write.id) for write in real.planned]
    done = {write.id for write in club.narrator.wrote_[-len(planned) :]}
    assert {id_ for _, id_ in planned} == done


async def test_a_dry_run_beside_an_open_state_sees_what_was_committed(club: Club) -> None:
    club.book(1, 24)
    await club.run()
    assert counts(await club.run(dry_run=True)) == {"unchanged": 1}


async def test_a_dry_run_withholds_what_a_pass_would(club: Club) -> None:
    club.limit(max_delete_count=0, max_delete_fraction=0.0)
    number = club.book(1, 24)
    club.book(2, 24)
    await club.run()
    club.launch27.vanish(number)
    dry = await club.run(dry_run=True)
    assert (counts(dry), dry.status) == ({"unchanged": 1, "withheld": 1}, ExitStatus.ATTENTION)
    assert counts(await club.run(dry_run=True, allow=True)) == {"unchanged": 1, "deleted": 1}
    assert club.slot_of(number) is not None
    assert counts(await club.run()) == {"unchanged": 1, "withheld": 1}


async def test_a_dry_run_over_a_swap_shows_two_updates(club: Club) -> None:
    first, second = club.book(1, 24), club.book(2, 24)
    await club.run()
    club.move(first, 2, 24)
    club.move(second, 1, 24)
    dry = await club.run(dry_run=True)
    assert counts(dry) == {"updated": 2}
    shown = [(write.verb, write.id) for write in dry.planned if not write.is_temporary]
    assert sorted(shown) == [(Verb.UPDATE, str(first)), (Verb.UPDATE, str(second))]


async def test_a_dry_run_meets_trouble_like_a_pass(club: Club) -> None:
    club.book(1, 24)
    club.launch27.add_account(EMAIL, "another one")
    dry = await club.run(dry_run=True)
    assert (dry.status, dry.record.outcome) == (ExitStatus.CREDENTIALS, "refused")
