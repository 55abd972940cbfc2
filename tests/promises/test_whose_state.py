"""Whose state: of one Launch27 host, one external service and one prefix."""

from __future__ import annotations

import pytest

from bridge.errors import ExitStatus, StateError
from tests.support.builders import EMAIL, SECOND
from tests.support.club import Club


async def test_a_state_belongs_to_one_host_one_service_and_one_prefix(club: Club) -> None:
    await club.one()
    await club.close()
    requests = club.launch27.requests, club.wingfield.requests
    host, service = club.config.launch27.host, club.config.wingfield.external_service_id
    club.remap(id_prefix="north-")
    with pytest.raises(StateError) as caught:
        await club.run()
    assert caught.value.exit_status is ExitStatus.STATE
    assert all(part in str(caught.value) for part in (str(club.state), host, service, "north-"))
    club.remap(id_prefix="")
    address, club.launch27.address = club.launch27.address, "http://127.0.0.1:9"
    with pytest.raises(StateError, match=host):
        await club.run(dry_run=True)
    club.launch27.address = address
    club.wingfield.service_id = "00000000-0000-4000-8000-0000000000aa"
    with pytest.raises(StateError, match=service):
        await club.run()
    club.wingfield.service_id = service
    assert (club.launch27.requests, club.wingfield.requests) == requests
    await club.expect(unchanged=1)


async def test_the_bookings_of_an_account_that_left_are_looked_up_in_those_that_stay(club: Club) -> None:
    """One of its bookings is the other account's, too: that one stays."""
    club.accounts = 2
    shared, own = club.books(2, owner=SECOND)
    club.book(3, owner=EMAIL)
    await club.run()
    club.accounts = 1
    club.launch27.give(shared, EMAIL)
    await club.expect(unchanged=2, withheld=1)
    await club.expect(unchanged=2, deleted=1, allow=True)
    assert club.slot_of(own) is None


async def test_a_changed_password_is_the_same_account(club: Club) -> None:
    await club.one()
    await club.close()
    club.password = "a new one"
    club.launch27.add_account(EMAIL, club.password)
    await club.expect(unchanged=1)
