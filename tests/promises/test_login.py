"""Login: one for each account, kept until it is refused, and a refused password is tried once a pass."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bridge.errors import ExitStatus
from bridge.planning.memory import Memory
from bridge.sync.result import PassResult
from tests.support.builders import EMAIL, PASSWORD, SECOND
from tests.support.club import Club


async def refused(club: Club) -> PassResult:
    """Run a pass that ends with refused credentials."""
    result = await club.run()
    assert (result.status, result.record.outcome) == (ExitStatus.CREDENTIALS, "refused")
    return result


def needs_login(_method: str, path: str) -> bool:
    return not path.endswith(("/login", "/settings"))


async def test_one_login_per_account_kept_until_it_is_refused(club: Club) -> None:
    club.accounts = 2
    club.books(15, owner=EMAIL)
    club.books(15, 40, owner=SECOND)
    for _ in range(3):
        assert (await club.run()).status is ExitStatus.OK
    assert club.logins == 2
    club.launch27.expire_tokens()
    await club.expect(unchanged=30)
    assert club.logins == 4


@pytest.mark.parametrize("after", range(6))
async def test_a_401_in_mid_pass_logs_in_again_once(club: Club, after: int) -> None:
    club.launch27.vanish((await club.some(30))[0])
    club.tick(hours=1)
    fault = club.launch27.faults.add("status", status=401, after=after, match=needs_login)
    await club.expect(unchanged=29, deleted=1)
    assert (fault.hits, club.logins) == (1, 2)


async def test_tokens_that_are_refused_right_after_the_login_end_it(club: Club) -> None:
    club.book()
    club.launch27.faults.add("status", status=401, times=None, match=needs_login)
    await refused(club)
    assert club.logins == 2


async def test_a_refused_password_is_tried_once_a_pass(club: Club) -> None:
    number = await club.one()
    club.launch27.add_account(EMAIL, "another one")
    club.launch27.expire_tokens()
    before = club.logins
    for n in range(1, 4):
        await refused(club)
        assert club.logins == before + n
        club.tick(minutes=5)
    assert club.slot_of(number) is not None
    club.launch27.add_account(EMAIL, club.password)
    assert (await club.run()).status is ExitStatus.OK


async def test_an_account_that_is_refused_does_not_stop_the_others(club: Club) -> None:
    club.accounts = 2
    club.launch27.add_account(EMAIL, "another one")
    first, second = club.book(1, 24, owner=EMAIL), club.book(2, 24, owner=SECOND)
    assert (await club.run()).status is ExitStatus.CREDENTIALS
    assert (club.slot_of(first), club.slot_of(second) is not None) == (None, True)


async def test_the_wrong_role_is_refused_credentials(club: Club) -> None:
    club.role = "staff"
    await refused(club)


# --- tokens in place of passwords ---


def two_factor(club: Club, days: float = 90) -> None:
    """Let the first login want a one-time token, and give the bridge a bearer that lives for so long."""
    club.launch27.add_account(EMAIL, PASSWORD, two_factor=True, token_lifetime_seconds=days * 86_400)
    club.tokens[EMAIL] = club.launch27.new_token(EMAIL)


async def test_a_login_with_two_factors_needs_a_token(club: Club) -> None:
    club.launch27.add_account(EMAIL, PASSWORD, two_factor=True)
    number = club.book()
    assert "in place of the password" in str((await refused(club)).errors[0])
    two_factor(club)
    before = club.logins
    await club.expect(created=1)
    assert (club.logins, club.slot_of(number) is not None) == (before, True)


async def test_a_booking_stays_its_accounts_when_a_token_takes_the_passwords_place(club: Club) -> None:
    number = await club.one()
    account = club.ledger.known[str(number)].account
    two_factor(club)
    await club.expect(unchanged=1)
    assert club.ledger.known[str(number)].account == account


async def test_a_refused_token_is_said_with_its_end_and_deletes_nothing(club: Club) -> None:
    two_factor(club, days=30)
    number = await club.one()
    club.launch27.expire_tokens()
    club.launch27.vanish(number)
    (error,) = (await refused(club)).errors
    end = f"{club.now + timedelta(days=30):%Y-%m-%d at %H:%M} UTC"
    assert f"account 1: its token is refused (it expires on {end})" in str(error)
    assert club.tokens[EMAIL] not in str(error)
    assert (club.logins, club.deletes) == (0, [])
    two_factor(club)
    await club.expect(deleted=1)


@pytest.mark.parametrize(("days", "warned"), [(6.9, True), (7.1, False)])
async def test_a_token_near_its_end_is_warned_about(club: Club, days: float, *, warned: bool) -> None:
    two_factor(club, days)
    club.book()
    result = await club.expect(created=1)
    assert bool(result.expiring) is warned
    assert [*club.ledger.recall(Memory).token_ends_ms.values()] == [
        int((club.now + timedelta(days=days)).timestamp() * 1000)
    ]
    del club.tokens[EMAIL]
    club.launch27.add_account(EMAIL, PASSWORD)
    assert (await club.expect(unchanged=1)).expiring == ()


async def test_a_wrong_token_for_wingfield_is_refused_credentials_and_asked_with_once(club: Club) -> None:
    for number in await club.some(10):
        club.launch27.edit(number, email="somebody@example.com")
    club.wingfield.faults.add("status", status=401, times=None)
    await refused(club)
    assert len(club.writes) - 10 <= club.concurrency
    club.clear_faults()
    await club.expect(updated=10)
