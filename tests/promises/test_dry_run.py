"""One at a time, but for a dry run: it needs no lock, writes nothing anywhere, and says what a pass does."""

from __future__ import annotations

from pathlib import Path

from bridge.errors import ExitStatus
from bridge.model import Verb
from tests.support.builders import EMAIL
from tests.support.club import Club, counts, keys, reasons


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


async def test_a_dry_run_writes_nothing_anywhere_and_says_what_a_pass_then_does(club: Club) -> None:
    club.limit(max_delete_count=1, max_delete_fraction=0.5)
    numbers = await club.some(9)
    club.tick(minutes=5)
    for number, place in zip(numbers, [(2, 24), (1, 24), (3, 50)], strict=False):
        club.move(number, *place)
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
    shown = {write.id for write in dry.planned if write.verb is Verb.UPDATE and not write.is_temporary}
    assert shown == keys(numbers[:3])
    real = await club.run()
    assert (counts(dry), reasons(dry)) == (counts(real), reasons(real))
    planned = [(write.verb, write.id) for write in dry.planned]
    assert planned == [(write.verb, write.id) for write in real.planned]
    assert {id_ for _, id_ in planned} == {write.id for write in club.narrator.wrote_[-len(planned) :]}


async def test_a_dry_run_leaves_no_state_and_beside_an_open_one_sees_what_was_committed(club: Club) -> None:
    club.book()
    await club.expect(created=1, dry_run=True)
    assert (files(club.folder), club.writes) == ({}, [])
    await club.run()
    await club.expect(unchanged=1, dry_run=True)


async def test_a_dry_run_withholds_what_a_pass_would(club: Club) -> None:
    club.limit(max_delete_count=0, max_delete_fraction=0.0)
    number, _ = await club.some(2)
    club.launch27.vanish(number)
    await club.expect(unchanged=1, withheld=1, dry_run=True)
    await club.expect(unchanged=1, deleted=1, dry_run=True, allow=True)
    assert club.slot_of(number) is not None
    await club.expect(unchanged=1, withheld=1)


async def test_a_dry_run_meets_trouble_like_a_pass(club: Club) -> None:
    club.book(1, 24)
    club.launch27.add_account(EMAIL, "another one")
    dry = await club.run(dry_run=True)
    assert (dry.status, dry.record.outcome) == (ExitStatus.CREDENTIALS, "refused")
