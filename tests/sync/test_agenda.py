"""Which writes may be sent now: those whose predecessors are done, the late ones last."""

from __future__ import annotations

from dataclasses import replace

from bridge.model import Write
from bridge.sync.agenda import Agenda
from tests.support.builders import delete, put

WRITES = [put("0"), put("1"), replace(put("2"), after=(0, 1)), replace(put("3"), after=(2,)), put("4")]


def agenda(*late: str) -> Agenda:
    return Agenda(WRITES, late=lambda write: write.id in late)


def test_a_write_follows_when_all_that_it_waits_for_is_done() -> None:
    todo = agenda()
    assert (todo.take(2), todo.take(9), bool(todo)) == ([0, 1], [4], False)
    todo.done(0)
    assert not todo
    todo.done(1)
    assert todo.take(9) == [2]
    todo.done(2)
    assert todo.take(9) == [3]


def test_the_late_come_after_all_others_and_what_is_sent_again_before_them() -> None:
    todo = agenda("0", "2")
    assert todo.take(9) == [1, 4]
    todo.again(4, replace(WRITES[4], version_ms=9000))
    assert (todo.take(9), todo.writes[4].version_ms, bool(todo)) == ([4], 9000, False)
    todo.come_to_the_late()
    assert todo.take(9) == [0]
    todo.done(0)
    todo.done(1)
    assert not todo, "the third is late as well"
    todo.come_to_the_late()
    assert todo.take(9) == [2]


def test_nothing_but_what_is_wanted_is_left_late_or_not() -> None:
    todo = agenda("0")
    todo.only({0, 4})
    assert sorted(todo.take(9)) == [0, 4]


def test_what_recreates_a_booking_needs_all_that_frees_its_place() -> None:
    cut: Write = delete("0", is_temporary=True)
    writes = [cut, replace(put("1"), after=(0,)), replace(put("0"), after=(0, 1)), put("5"), delete("6")]
    todo = Agenda(writes, late=lambda _: False)
    assert todo.recreating({"0"}) == {0, 1, 2}
    assert todo.recreating({"6"}) == set()
