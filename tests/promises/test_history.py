"""History: each acknowledged write is told once, with its reason, whenever the process dies, at no transaction more."""

from __future__ import annotations

import pytest

from bridge.ledger.day import bars
from bridge.model import to_ms
from tests.support.builders import DAY, NOON
from tests.support.club import Club, is_write, keys


def happened(club: Club, number: int) -> list[tuple[str, str]]:
    """Return action and reason of all that happened to a booking, the oldest first."""
    return [(event.action, event.why) for event in reversed(club.ledger.history(99, str(number)))]


async def test_a_life_is_told_from_its_first_write_to_its_last(club: Club) -> None:
    number = await club.one()
    club.tick(minutes=1)
    club.move(number, 2, 30)
    await club.expect(updated=1)
    club.launch27.cancel(number)
    await club.expect(deleted=1)
    assert happened(club, number) == [
        ("create", "new"),
        ("update", "court and start and end changed"),
        ("delete", "cancelled or gone in Launch27"),
    ]
    assert club.ledger.history(1)[0].at_ms == to_ms(club.now)


async def test_a_new_state_begins_with_what_it_adopts(club: Club) -> None:
    number = await club.one()
    await club.lose_state()
    await club.expect(unchanged=1)
    assert happened(club, number) == [("adopt", "Wingfield had it when this state was new")]


@pytest.mark.parametrize("step", range(14))
async def test_whenever_the_process_dies_each_write_is_told_once_with_its_reason(club: Club, step: int) -> None:
    number = await club.one()
    club.move(number, 2, 30)
    new = club.book(3, 50)
    await club.run_and_die(step)
    await club.run()
    await club.expect(unchanged=2)
    assert happened(club, number) == [("create", "new"), ("update", "court and start and end changed")]
    assert happened(club, new) == [("create", "new")]


async def test_a_lost_answer_that_is_read_back_is_told_with_the_reason_of_the_write(club: Club) -> None:
    """The booking is held before it could be written again."""
    number = club.book()
    club.wingfield.faults.add("lose", times=None, match=is_write)
    await club.run()
    club.clear_faults()
    club.launch27.edit(number, email="")
    await club.run()
    assert happened(club, number) == [("create", "new; read back from Wingfield")]


async def test_the_history_costs_no_transaction(club: Club) -> None:
    commits: list[str] = []
    number = await club.one()
    trace = club.ledger._connection.set_trace_callback
    trace(lambda sql: commits.append(sql) if sql == "COMMIT" or "history" in sql else None)
    await club.expect(unchanged=1)
    assert commits == ["COMMIT"], "a quiet pass: its end"
    commits.clear()
    club.move(number, 2, 30)
    await club.expect(updated=1)
    assert commits.count("COMMIT") == 3, "intent, outcome, end"


async def test_a_persons_word_is_history(club: Club) -> None:
    club.limit(max_delete_count=0, max_delete_fraction=0.0)
    first, second = await club.some(2)
    club.vanish(first, second)
    await club.expect(withheld=2)
    club.tick(minutes=1)
    club.ledger.approve([str(first)], to_ms(club.now))
    await club.expect(deleted=1, withheld=1)
    assert happened(club, first)[1:] == [
        ("approve", "a person let its delete through"),
        ("delete", "cancelled or gone in Launch27"),
    ]


async def test_what_could_not_be_sent_is_pending_on_the_courts_also_where_it_was_never_its_turn(club: Club) -> None:
    first, second = await club.bridged((1, 24), (1, 25))
    club.move(first, 1, 25)
    club.move(second, 1, 30)
    club.wingfield.faults.add("refuse", times=None, match=is_write)
    await club.try_later()
    assert club.ledger.known[str(first)].unsettled == (), "it waits for the other to leave"
    found = bars(club.ledger.known.values(), club.ledger.held(), (), NOON, NOON + 10 * DAY)
    assert {bar.id: bar.state for court in found.values() for bar in court} == dict.fromkeys(
        keys([first, second]), "pending"
    )
