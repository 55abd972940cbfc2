"""Participants: the booking's address, then those in its fields, the first four."""

from __future__ import annotations

from tests.support.club import Club


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
