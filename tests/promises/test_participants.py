"""Participants: the booking's address, then those in its fields, the first four."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from tests.support.club import Club, of


async def test_participants_are_the_bookings_address_then_those_in_the_fields(club: Club) -> None:
    club.remap(participant_fields=("players", "7"))
    number = club.book(
        1,
        24,
        email=" Anna@Example.COM ",
        custom_fields=[
            {"id": 7, "code": "coach", "value": "dora@example.com"},
            {"code": "players", "value": "ben@example.com,ANNA@example.com;\n carla@example.com"},
            {"code": "note", "value": "nobody@example.com"},
        ],
    )
    await club.run()
    names = ["anna", "ben", "carla", "dora"]
    assert club.emails_of(number) == [f"{name}@example.com" for name in names]


async def test_only_the_first_four_take_part(club: Club) -> None:
    others = " ".join(f"p{n}@example.com" for n in range(8))
    number = club.book(1, 24, custom_fields=[{"code": "players", "value": others}])
    await club.expect(created=1)
    expected = ["player@example.com", *(f"p{n}@example.com" for n in range(3))]
    assert club.emails_of(number) == expected


async def test_unusable_addresses_are_skipped_with_a_warning(club: Club) -> None:
    number = club.book(
        1, 24, email="not an address", custom_fields=[{"code": "players", "value": "ben@, ben@example.com"}]
    )
    await club.expect(created=1)
    assert club.emails_of(number) == ["ben@example.com"]
    assert [id_ for id_, _ in club.narrator.skipped] == [str(number)]
    await club.run()
    assert len(club.narrator.skipped) == 1


async def test_without_a_usable_address_a_booking_is_held_or_the_desk_stands_in(club: Club) -> None:
    number = club.book(1, 24, email=None)
    await club.expect(held={number: "no_participant"})
    club.remap(fallback_email="desk@example.com")
    await club.expect(created=1)
    assert club.emails_of(number) == ["desk@example.com"]


async def test_a_change_of_participants_is_an_update(club: Club) -> None:
    number = await club.one()
    club.launch27.edit(number, email="someone@example.com")
    await club.expect(updated=1)
    assert club.emails_of(number) == ["someone@example.com"]


# --- players as users ---

ANNA, BEN = "0a230c2c-5085-4924-a3e1-25fb4fc5965b", "0b230c2c-5085-4924-a3e1-25fb4fc5965b"
EMAILS = {ANNA: "anna@example.com", BEN: "ben@example.com"}


def relate(club: Club, *users: str) -> None:
    club.directory = {"connected_users": True}
    for user in users:
        club.wingfield.add_relation(user, EMAILS[user])


def relation_reads(club: Club) -> int:
    return sum(entry.path.endswith("/user-relations") for entry in club.wingfield.log)


def book_both(club: Club, *more: str) -> int:
    players = " ".join((EMAILS[BEN], *more))
    return club.book(1, 24, email=EMAILS[ANNA], custom_fields=[{"code": "players", "value": players}])


async def test_who_accepted_is_named_by_user_id_and_everybody_else_by_address(club: Club) -> None:
    relate(club, ANNA)
    club.wingfield.add_relation(BEN, EMAILS[BEN], status="PENDING")
    number = book_both(club)
    await club.expect(created=1)
    assert club.players_of(number) == [ANNA, EMAILS[BEN]]
    await club.expect(unchanged=1)


async def test_without_the_option_nobody_is_asked_for(club: Club) -> None:
    relate(club, ANNA)
    club.directory = {}
    number = book_both(club)
    await club.expect(created=1)
    assert (club.emails_of(number), relation_reads(club)) == (list(EMAILS.values()), 0)


async def test_one_user_with_two_addresses_counts_once_and_leaves_room_for_a_fourth(club: Club) -> None:
    relate(club, ANNA)
    club.wingfield.relations["x"] = {**club.wingfield.relations[ANNA], "email": EMAILS[BEN]}
    number = book_both(club, "c@example.com", "d@example.com", "e@example.com", "f@example.com")
    await club.expect(created=1)
    assert club.players_of(number) == [ANNA, "c@example.com", "d@example.com", "e@example.com"]


async def test_relations_are_read_page_by_page_once_an_hour_and_by_no_other_process_before(club: Club) -> None:
    relate(club, ANNA)
    for n in range(250):
        club.wingfield.add_relation(f"{n:08}-5085-4924-a3e1-25fb4fc5965b", f"p{n}@example.com")
    numbers = [club.book(1, 24 + n, email=f"p{n}@example.com") for n in range(3)]
    await club.expect(created=3)
    assert relation_reads(club) == 3
    assert all("@" not in club.players_of(number)[0] for number in numbers)
    for _ in range(3):
        await club.close()
        club.tick(minutes=15)
        await club.expect(unchanged=3)
    assert relation_reads(club) == 3
    club.tick(minutes=16)
    await club.expect(unchanged=3)
    assert relation_reads(club) == 6


async def test_no_address_is_kept_in_the_state(club: Club) -> None:
    relate(club, ANNA, BEN)
    book_both(club)
    await club.expect(created=1)
    dump = "\n".join(club.ledger._connection.iterdump())
    assert ANNA in dump
    assert "@" not in dump
    assert "616e6e61" not in dump  # anna, in hex


async def test_a_relation_that_begins_or_ends_sends_the_booking_again(club: Club) -> None:
    relate(club, ANNA)
    number = book_both(club)
    await club.expect(created=1)
    club.wingfield.add_relation(BEN, EMAILS[BEN])
    club.wingfield.end_relation(ANNA)
    club.tick(hours=1)
    await club.expect(updated=1)
    assert club.players_of(number) == [EMAILS[ANNA], BEN]
    assert len(set(club.sent_versions(number))) == 2
    assert club.rejections == []


async def test_relations_that_cannot_be_read_change_nobody(club: Club) -> None:
    relate(club, ANNA)
    number = await one_of(club, ANNA)
    for fault, more in (("status", {"status": 500}), ("answer", {"status": 404, "body": b"?"})):
        club.tick(hours=2)
        await club.close()
        club.wingfield.faults.add(fault, match=is_relations, times=None, **more)
        await club.expect(unchanged=1)
        club.clear_faults()
    assert club.players_of(number) == [ANNA]
    club.wingfield.end_relation(ANNA)
    club.tick(hours=1)
    await club.expect(updated=1)


async def test_a_list_of_relations_that_lacks_some_changes_nobody(club: Club) -> None:
    relate(club, ANNA)
    await one_of(club, ANNA)
    club.tick(hours=2)
    whole = b'{"items": [], "totalCount": 1}'
    club.wingfield.faults.add("answer", match=is_relations, status=200, body=whole, times=None)
    await club.expect(unchanged=1)


async def test_a_missing_scope_is_said_once_and_asked_for_again_after_an_hour(club: Club) -> None:
    relate(club, ANNA)
    await one_of(club, ANNA)
    club.wingfield.scopes["user"] = "none"
    club.tick(hours=2)
    before = relation_reads(club)
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            await club.expect(unchanged=1)
            club.tick(minutes=25)
        assert relation_reads(club) == before + 1
        await club.expect(unchanged=1)
    assert relation_reads(club) == before + 2
    assert [line["event"] for line in lines].count("relations_unread") == 1


async def test_a_missing_scope_from_the_beginning_bridges_by_address(club: Club) -> None:
    relate(club, ANNA)
    club.wingfield.scopes["user"] = "none"
    number = await one_of(club, ANNA)
    assert club.emails_of(number) == [EMAILS[ANNA]]


async def test_a_denied_user_is_sent_by_address_in_the_same_pass_one_millisecond_above(club: Club) -> None:
    relate(club, ANNA, BEN)
    other = await one_of(club, ANNA)
    club.wingfield.end_relation(ANNA)
    number = club.book(2, 24, email=EMAILS[ANNA], custom_fields=[{"code": "players", "value": EMAILS[BEN]}])
    await club.expect(created=1, unchanged=1)
    assert club.emails_of(number) == [EMAILS[ANNA], EMAILS[BEN]]
    first, second = map(datetime.fromisoformat, club.sent_versions(number))
    assert second - first == timedelta(milliseconds=1)
    assert club.rejections == ["user_access_denied"]
    await club.expect(updated=2)  # the relations were read: one ended, the other did not
    assert (club.emails_of(other), club.players_of(number)) == ([EMAILS[ANNA]], [EMAILS[ANNA], BEN])
    await club.expect(unchanged=2)
    assert club.rejections == ["user_access_denied"]


async def test_a_user_who_is_listed_and_denied_all_the_same_is_not_tried_in_every_pass(club: Club) -> None:
    relate(club, ANNA)
    denial = b'{"error": {"type": "user_access_denied", "message": "no"}}'
    number = club.book(1, 24, email=EMAILS[ANNA])
    club.wingfield.faults.add("answer", match=of("PUT", number), status=403, body=denial)
    await club.expect(created=1)
    await club.close()
    for _ in range(3):
        await club.expect(unchanged=1)
        club.tick(hours=2)
    assert (club.emails_of(number), len(club.writes)) == ([EMAILS[ANNA]], 2)
    club.tick(days=1)
    await club.expect(updated=1)
    assert club.players_of(number) == [ANNA]


async def test_a_denial_of_a_booking_without_users_holds_it(club: Club) -> None:
    number = club.book(1, 24)
    denial = b'{"error": {"type": "user_access_denied", "message": "no"}}'
    club.wingfield.faults.add("answer", match=of("PUT", number), status=403, body=denial)
    await club.expect(held={number: "user_access_denied"})


async def test_a_denied_user_of_a_write_whose_answer_was_lost_ends_by_address(club: Club) -> None:
    relate(club, ANNA)
    number = club.book(1, 24, email=EMAILS[ANNA])
    club.wingfield.faults.add("lose", match=of("PUT", number), times=None)
    await club.try_later()
    club.clear_faults()
    club.wingfield.end_relation(ANNA)
    await club.run()
    assert club.emails_of(number) == [EMAILS[ANNA]]
    await club.expect(unchanged=1)


async def test_with_the_database_gone_bookings_with_users_are_adopted_without_a_write(club: Club) -> None:
    relate(club, ANNA)
    number = book_both(club)
    await club.expect(created=1)
    stored = club.wingfield._stored[str(number)].wanted
    club.wingfield._keep(str(number), replace(stored, participants=stored.participants[::-1]))
    await club.lose_state()
    for _ in range(2):
        await club.expect(unchanged=1)
    assert len(club.writes) == 1


async def test_users_change_places_in_a_cycle_like_anybody(club: Club) -> None:
    relate(club, ANNA, BEN)
    one, two = club.book(1, 24, email=EMAILS[ANNA]), club.book(2, 24, email=EMAILS[BEN])
    await club.expect(created=2)
    club.tick(minutes=1)
    club.wingfield.end_relation(BEN)
    club.move(one, 2, 24)
    club.move(two, 1, 24)
    await club.expect(updated=2)
    assert (club.players_of(one), club.players_of(two)) == ([ANNA], [EMAILS[BEN]])
    await club.expect(unchanged=2)


async def one_of(club: Club, user: str) -> int:
    number = club.book(1, 24, email=EMAILS[user])
    await club.expect(created=1)
    return number


def is_relations(_method: str, path: str) -> bool:
    return path.endswith("/user-relations")
