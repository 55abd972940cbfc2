"""Looks for the day the bridge fails: every source edit, fault, crash and loss, in any order.

Passes are near or full. After a full one without faults Wingfield equals the mapping of the source, and a further pass
writes nothing.

The long form: ``COURTBRIDGE_EXAMPLES=2000 pytest tests/machine -s``; it prints its seed.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import structlog
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from bridge.errors import ExitStatus
from bridge.launch27.client import Absent, Launch27
from bridge.launch27.wire import Parser, SourceBooking
from bridge.mapping import Mapper
from bridge.model import CourtBooking, Held, Kind, Reason, Slot, from_ms, to_ms
from bridge.planning.memory import Lengths, Memory
from bridge.sync.result import PassResult
from tests.support.builders import COURT_IDS, DAY, EMAIL, HOUR, NOON, SECOND
from tests.support.club import Club, counts, reasons

EXAMPLES = int(os.environ.get("COURTBRIDGE_EXAMPLES", "40"))
SHRINK = "COURTBRIDGE_SHRINK" in os.environ
SEED = int(os.environ.get("COURTBRIDGE_SEED", "0")) or random.SystemRandom().randrange(2**32)

ZONE = "Europe/Berlin"
CATALOGUE = Memory(catalogues=dict.fromkeys((0, 1), dict.fromkeys((1, 2, 3, 9), Lengths(90))))
DOUBTS: list[bool] = []
"""Not empty while every look-up is answered 404 in an odd shape."""

hours = st.integers(24, 35)
courts = st.integers(1, 3)
lengths = st.sampled_from([60, 60, 60, 60, 90, 120, 180])
numbers = st.integers(0, 10_000)
HOUR_MS = 3_600_000
kinds = st.sampled_from(
    ["refuse", "lose", "status", "garbage", "half", "wrong_shape", "truncate_listing", "shift", "redirect"]
)


def some_booking(how: str, **fields: st.SearchStrategy[Any]) -> Callable[..., None]:
    """Return a rule by which this happens to some booking of the source."""

    @rule(number=numbers, fields=st.fixed_dictionaries(fields))
    def happens(self: Bridge, number: int, fields: dict[str, Any]) -> None:
        if (id_ := self.pick(number)) is not None:
            getattr(self.club.launch27, how)(id_, **fields)

    return happens


class Bridge(RuleBasedStateMachine):
    """Rules are what a world does to a bridge; the last one is what the bridge promises."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="courtbridge-"))
        self.runner = asyncio.Runner()
        self.strangers: list[str] = []
        self.foreign: dict[str, Any] = {}
        self.is_tampered = False
        self.has_doubted = False

    @initialize(times=st.booleans(), accounts=st.integers(1, 2))
    def open(self, times: bool, accounts: int) -> None:
        self.club = Club(self.folder, modification_times=times, accounts=accounts)
        self.catalogue = [{**entry, "duration": 90} for entry in self.club.launch27.catalogue]
        self.club.launch27.catalogue = list(self.catalogue)
        self.runner.run(self.club.__aenter__())

    def teardown(self) -> None:
        if hasattr(self, "club"):
            self.runner.run(self.club.__aexit__())
        self.runner.close()
        shutil.rmtree(self.folder)

    # --- the source ---

    def pick(self, number: int) -> int | None:
        ids = sorted(self.club.launch27.bookings)
        return ids[number % len(ids)] if ids else None

    @rule(court=courts, hour=hours, minutes=lengths, second=st.booleans())
    def new(self, court: int, hour: int, minutes: int, second: bool) -> None:
        self.club.book(court, hour, minutes, owner=SECOND if second else EMAIL)

    @rule(first=st.lists(st.tuples(courts, hours), min_size=3, max_size=12, unique=True))
    def busy_day(self, first: list[tuple[int, int]]) -> None:
        for court, hour in first:
            self.club.book(court, hour)

    @rule()
    def full_day(self) -> None:
        for n in range(24):
            self.club.book(1 + n % 3, 24 + n // 3, owner=SECOND if n % 5 == 0 else EMAIL)

    @rule(hours=st.integers(-1, 2))
    def everything_later(self, hours: int) -> None:
        world = self.club.launch27
        for id_, raw in list(world.bookings.items()):
            with suppress(ValueError, TypeError):
                when = datetime.fromisoformat(raw["service_date"]) + hours * HOUR
                world.edit(id_, service_date=when)

    @rule(number=numbers, court=courts, hour=hours, minutes=lengths)
    def moved(self, number: int, court: int, hour: int, minutes: int) -> None:
        if (id_ := self.pick(number)) is not None:
            self.club.move(id_, court, hour, minutes)

    @rule(picks=st.lists(numbers, min_size=2, max_size=5))
    def rotated(self, picks: list[int]) -> None:
        """Two swap, three go round."""
        world = self.club.launch27
        ids = list(dict.fromkeys(id_ for pick in picks if (id_ := self.pick(pick)) is not None))
        places = [{key: world.bookings[id_].get(key) for key in ("service_date", "services")} for id_ in ids]
        for id_, place in zip(ids, places[1:] + places[:1], strict=True):
            world.edit(id_, **place)

    @rule(number=numbers)
    def restored(self, number: int) -> None:
        world = self.club.launch27
        gone = sorted({*world._vanished, *(i for i, raw in world.bookings.items() if not raw.get("active"))})
        if gone:
            world.restore(gone[number % len(gone)])

    cancelled = some_booking("cancel")
    vanished = some_booking("vanish")
    slipped_between_pages = some_booking("hide", hidden=st.booleans())
    touched = some_booking("edit", customer_notes=st.just("please sweep the lines"))
    other_player = some_booking(
        "edit", email=st.sampled_from(["player@example.com", "other@example.com", "nobody", None])
    )
    unreadable_date = some_booking("edit", service_date=st.just("soon"))
    malformed_services = some_booking("edit", services=st.sampled_from([None, 7]))
    no_court = some_booking("edit", services=st.just([9]))
    two_courts = some_booking("edit", services=st.just([1, 2]))
    as_long_as_the_catalogue_says = some_booking("edit", services=st.sampled_from([[1], [2], [3]]))
    wall_time = some_booking("edit", service_date=hours.map(lambda hour: (NOON + hour * HOUR).replace(tzinfo=None)))
    handed_over = some_booking("give", owner=st.sampled_from([EMAIL, SECOND]))
    beyond_the_window = some_booking("edit", service_date=st.integers(12, 30).map(lambda days: NOON + days * DAY))

    @rule(cap=st.sampled_from([None, 1, 3, 7]))
    def page_size(self, cap: int | None) -> None:
        self.club.launch27.max_page = cap

    @rule(left=st.integers(0, 4), lengths=st.booleans())
    def odd_catalogue(self, left: int, lengths: bool) -> None:
        entries = self.catalogue[:left]
        self.club.launch27.catalogue = entries if lengths else [{**e, "duration": None} for e in entries]

    @rule(zone=st.sampled_from(["America/New_York", "", None, "Mars/Olympus", ZONE]))
    def another_zone(self, zone: str | None) -> None:
        self.club.launch27.settings["timezone"] = zone

    @rule(status=st.sampled_from(["active", "frozen"]))
    def frozen(self, status: str) -> None:
        self.club.launch27.settings["status"] = status

    # --- the configuration ---

    @rule(minutes=st.sampled_from([{}, {1: 90}, {2: 60, 3: 45}]))
    def service_minutes(self, minutes: dict[int, int]) -> None:
        self.club.remap(service_minutes=minutes)

    @rule(number=st.integers(0, 3))
    def court_unmapped(self, number: int) -> None:
        full = Club(self.folder).rules
        self.club.rules = tuple(rule for i, rule in enumerate(full, 1) if i != number)

    @rule(court=courts, other=courts)
    def court_remapped(self, court: int, other: int) -> None:
        """Two courts change their services."""
        rules = list(self.club.rules)
        if len(rules) == 3:
            a, b = rules[court - 1], rules[other - 1]
            rules[court - 1] = a.model_copy(update={"service_ids": b.service_ids})
            rules[other - 1] = b.model_copy(update={"service_ids": a.service_ids})
            self.club.rules = tuple(rules)

    @rule(accounts=st.integers(1, 2))
    def accounts(self, accounts: int) -> None:
        self.club.accounts = accounts

    # --- the world ---

    @rule(seconds=st.sampled_from([1, 60, 3600, 90_000, -3600]))
    def time_passes(self, seconds: int) -> None:
        self.club.tick(seconds=seconds)

    @rule(court=courts, hour=hours)
    def stranger(self, court: int, hour: int) -> None:
        with suppress(ValueError):  # somebody else has it
            self.strangers.append(self.club.stranger(COURT_IDS[court - 1], hour))

    @precondition(lambda self: self.strangers)
    @rule(number=numbers)
    def stranger_leaves(self, number: int) -> None:
        self.club.wingfield.remove_stranger(self.strangers.pop(number % len(self.strangers)))

    # --- hands in Wingfield ---

    def some_of_ours(self, number: int) -> str | None:
        ids = sorted(self.club.wingfield.bookings.keys() - self.foreign.keys())
        return ids[number % len(ids)] if ids else None

    @rule(number=numbers, tombstone=st.booleans())
    def deleted_by_hand(self, number: int, tombstone: bool) -> None:
        if (key := self.some_of_ours(number)) is not None:
            self.is_tampered = True
            self.club.wingfield.remove(key, tombstone=tombstone)

    @rule(number=numbers, court=courts, hour=hours, minutes=lengths, later=st.sampled_from([0, 0, 1, 3_600_000]))
    def moved_by_hand(self, number: int, court: int, hour: int, minutes: int, later: int) -> None:
        if (key := self.some_of_ours(number)) is not None:
            start = NOON + hour * HOUR
            self.by_hand(key, later, court_id=COURT_IDS[court - 1], start=start, end=start + timedelta(minutes=minutes))

    @rule(number=numbers, later=st.sampled_from([0, 0, 1, 3_600_000]))
    def other_people_by_hand(self, number: int, later: int) -> None:
        if (key := self.some_of_ours(number)) is not None:
            slot, _ = self.stored(key)
            place = {"court_id": slot.court_id, "start": slot.start, "end": slot.end}
            self.by_hand(key, later, **place, emails=["eve@example.com"])

    def by_hand(self, key: str, later: int, **content: Any) -> None:
        version = from_ms(self.club.wingfield._stored[key].wanted.version_ms + later)
        with suppress(ValueError):  # somebody else has it
            self.club.wingfield.store(key, updated_at=version, **content)
            self.is_tampered = True

    @rule(name=st.integers(1, 3), court=courts, hour=hours)
    def foreign_key_written(self, name: int, court: int, hour: int) -> None:
        """At a millisecond of its own: what is as old as the newest that is known adds nothing to the list's length."""
        self.club.tick(milliseconds=1)
        key = f"theirs-{name}"
        with suppress(ValueError):  # somebody else has it
            self.club.overwrite(key, COURT_IDS[court - 1], hour, at=self.club.now)
            self.foreign[key] = self.club.wingfield.bookings[key]

    @precondition(lambda self: self.foreign)
    @rule(number=numbers)
    def foreign_key_removed(self, number: int) -> None:
        key = sorted(self.foreign)[number % len(self.foreign)]
        self.foreign.pop(key)
        self.club.wingfield.remove(key)

    @rule(passes=st.integers(1, 2))
    def second_bridge_for_a_while(self, passes: int) -> None:
        """Another machine, with a ledger of its own."""
        ours, theirs, aside = (self.club.state.with_suffix(end) for end in (".db", ".second", ".aside"))
        for count in (passes, 0):
            self.runner.run(self.club.close())
            for source, target in ((ours, aside), (theirs, ours), (aside, theirs)):
                if source.exists():
                    source.replace(target)
            for _ in range(count):
                self.runner.run(self.club.run(allow=True))
        self.is_tampered = True

    @rule(on_target=st.booleans(), kind=kinds, after=st.integers(0, 12), times=st.integers(1, 6))
    def fault(self, on_target: bool, kind: str, after: int, times: int) -> None:
        world = self.club.wingfield if on_target else self.club.launch27
        self.is_tampered |= on_target and kind == "shift"
        details: dict[str, Any] = {"location": "http://127.0.0.1:9/"} if kind == "redirect" else {}
        world.faults.add(kind, after=after, times=times, **details)

    @rule(status=st.sampled_from([429, 500, 503, 401, 403, 404]), after=st.integers(0, 8), on_target=st.booleans())
    def error(self, status: int, after: int, on_target: bool) -> None:
        world = self.club.wingfield if on_target else self.club.launch27
        status = status if on_target else max(status, 429)
        world.faults.add("status", after=after, times=3, status=status, applied=status == 500)

    @rule(times=st.integers(1, 30))
    def questions_without_an_answer(self, times: int) -> None:
        self.club.launch27.faults.add("status", times=times, match=lambda _, path: "/customer/bookings/" in path)

    @rule(court=courts, applied=st.booleans())
    def one_court_fails(self, court: int, applied: bool) -> None:
        there = {id_ for id_, raw in self.club.launch27.bookings.items() if self.is_on(raw, court)}
        self.club.wingfield.faults.add(
            "status",
            times=40,
            applied=applied,
            match=lambda method, path: method == "PUT" and path.endswith(tuple(f"/{id_}" for id_ in there)),
        )

    @staticmethod
    def is_on(raw: Any, court: int) -> bool:
        services = raw.get("services")
        return isinstance(services, list) and any(service["id"] == court for service in services)

    @precondition(lambda self: not self.has_doubted)
    @rule()
    def pass_with_gateways_404s(self) -> None:
        """Once: said again a minute later, it would be believed."""
        self.has_doubted, DOUBTS[:] = True, [True]
        self.runner.run(self.club.run())
        DOUBTS.clear()

    @rule(days=st.sampled_from([-3, 3]))
    def skewed_clock(self, days: int) -> None:
        """The machine's clock is wrong, so to speak: both services say another time."""
        for service in (self.club.launch27, self.club.wingfield):
            service.date_skew_seconds = days * 86_400.0

    @rule()
    def tokens_die(self) -> None:
        self.club.launch27.expire_tokens()

    # --- the bridge ---

    @rule(allow=st.booleans())
    def troubled_pass(self, allow: bool) -> None:
        self.runner.run(self.club.run(allow=allow))

    @rule(picks=st.lists(numbers, max_size=3), days=st.integers(0, 3), only_hinted=st.booleans())
    def near_pass(self, picks: list[int], days: int, only_hinted: bool) -> None:
        """After any trouble, with any hints, or by these only; tomorrow is in it, or less, or more than there is."""
        self.club.limits["near"] = timedelta(days=days)
        hinted = [id_ for pick in picks if (id_ := self.pick(pick)) is not None]
        self.runner.run(self.club.run(kind="near", hinted=[*hinted, 999_999], only_hinted=only_hinted, allow=True))

    @rule()
    def state_backed_up(self) -> None:
        self.runner.run(self.club.close())
        if self.club.state.exists():
            shutil.copy(self.club.state, self.club.state.with_suffix(".backup"))

    @rule()
    def state_restored_from_backup(self) -> None:
        """What was written since is not known: only what Wingfield answers can show it."""
        self.runner.run(self.club.close())
        backup = self.club.state.with_suffix(".backup")
        if backup.exists():
            shutil.copy(backup, self.club.state)
            self.is_tampered = True

    @rule(step=st.integers(0, 40), kind=st.sampled_from(["full", "near"]))
    def killed_pass(self, step: int, kind: Kind) -> None:
        self.runner.run(self.club.run_and_die(step, kind))

    @rule()
    def restarted(self) -> None:
        self.runner.run(self.club.close())

    @rule()
    def state_lost(self) -> None:
        self.runner.run(self.club.lose_state())

    @rule()
    def clear_pass(self) -> None:
        """What is promised."""
        club = self.club
        club.clear_faults()
        club.launch27.catalogue = list(self.catalogue)
        club.launch27.settings.update(timezone=ZONE, status="active")
        club.launch27.date_skew_seconds = club.wingfield.date_skew_seconds = 0.0
        club._synchronizer = None  # settings and catalogues are due again, as an hour later
        if self.is_tampered:
            self.club.tick(minutes=10)  # somebody else's traffic has all of the list read so often
            self.converged()
            self.is_tampered = False
        before = len(club.wingfield.log)
        result = self.converged()
        self.is_right(result)
        conflicts = {"stale_write", "version_conflict"}
        assert not conflicts & {entry.error_type for entry in club.wingfield.log[before:]}
        writes = [entry.status for entry in club.writes].count(200)
        self.runner.run(club.run(kind="near"))
        assert [entry.status for entry in club.writes].count(200) == writes, "nor does a near pass"
        again = self.run_a_minute_later()
        assert [entry.status for entry in club.writes].count(200) == writes, "a further pass writes nothing"
        assert reasons(again).items() <= reasons(result).items()

    def run_a_minute_later(self) -> PassResult:
        self.club.tick(minutes=1)
        return self.runner.run(self.club.run(allow=True))

    def converged(self) -> PassResult:
        """Return the pass that ends it: another one for a mass change, and two where another zone is believed."""
        result = self.run_a_minute_later()
        for _ in range(3):
            if not result.record.pending and self.club.ledger.recall(Memory).zone == ZONE:
                break
            result = self.run_a_minute_later()
        return result

    def is_right(self, result: PassResult) -> None:
        assert result.status in (ExitStatus.OK, ExitStatus.ATTENTION), result.errors
        counts(result)  # seen is their sum
        wanted, frozen = self.mapped()
        there = {id_: self.stored(id_) for id_ in self.club.wingfield.bookings.keys() - self.foreign.keys()}
        for key, booking in self.foreign.items():
            assert self.club.wingfield.bookings.get(key, booking) == booking, "what is not ours was touched"
        assert not {entry.id for entry in self.club.writes} & {"theirs-1", "theirs-2", "theirs-3"}
        held = reasons(result)
        for id_, booking in wanted.items():
            if held.get(id_) == "court_booking_overlap":
                self.is_in_the_way(id_, booking.slot, wanted, there)
            elif id_ in held:
                self.was_rejected_lately(id_)
            elif not (self.may_be_stale(booking.slot) and (id_ not in there or self.may_be_stale(there[id_][0]))):
                assert there.get(id_) == (booking.slot, booking.participants), f"{id_} is wrong"
        for id_, (slot, _) in there.items():
            assert id_ in wanted or id_ in frozen or self.may_be_stale(slot), f"{id_} is left over"

    def was_rejected_lately(self, id_: str) -> None:
        """What Wingfield rejected for its content is not sent again for an hour."""
        rejection = self.club.ledger.known[id_].rejection
        assert rejection is not None, f"{id_} is held for no reason"
        assert 0 <= to_ms(self.club.now) - rejection.at_ms < HOUR_MS
        injected = [
            entry for entry in self.club.writes if entry.id == id_ and str(entry.error_type).startswith("fault:")
        ]
        assert injected, f"{id_} was rejected by no fault"

    def may_be_stale(self, slot: Slot) -> bool:
        """Beyond the window a booking is looked up once a day; before it, it is history."""
        first = (self.club.now - timedelta(days=2)).replace(hour=23)
        last = (self.club.now + timedelta(days=10)).replace(hour=0)
        return slot.start < first + timedelta(days=1) or slot.start > last

    def is_in_the_way(self, id_: str, slot: Slot, wanted: dict[str, CourtBooking], there: dict[str, Any]) -> None:
        ours = any(other != id_ and place.overlaps(slot) for other, (place, _) in there.items())
        theirs = self.club.wingfield._occupancy.overlaps(slot.court_id, to_ms(slot.start), to_ms(slot.end), own=id_)
        wanted_by_others = any(other != id_ and booking.slot.overlaps(slot) for other, booking in wanted.items())
        assert ours or theirs or wanted_by_others, f"{id_} is held for no reason"

    def stored(self, id_: str) -> tuple[Slot, tuple[str, ...]]:
        stored = self.club.wingfield._stored[id_].wanted
        start, end = from_ms(stored.start_ms), from_ms(stored.end_ms)
        return Slot(stored.court_id, start, end), tuple(p.email or "" for p in stored.participants)

    def mapped(self) -> tuple[dict[str, CourtBooking], set[str]]:
        """What the source wants in Wingfield, and whose earlier state stays there."""
        config = self.club.config
        mapper = Mapper(config.courts, config.mapping, CATALOGUE, ZoneInfo(ZONE))
        wanted: dict[str, CourtBooking] = {}
        frozen: set[str] = set()
        for id_, raw in self.club.launch27.bookings.items():
            if raw.get("active") is False or not self.club.is_visible(str(id_)):
                continue
            if self.club.launch27._behind[id_].hidden and str(id_) not in self.club.wingfield.bookings:
                continue
            booking = Parser().booking(json.dumps(raw).encode())
            mapped = mapper.map(booking)
            if isinstance(mapped, CourtBooking):
                wanted[str(id_)] = mapped
            elif isinstance(mapped, Held) and mapped.reason != Reason.NO_COURT:
                frozen.add(str(id_))
            assert isinstance(booking, SourceBooking) or booking.id == str(id_)
        return wanted, frozen


@pytest.fixture(autouse=True)
def _silence() -> Iterator[None]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def _gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Launch27.booking

    async def booking(*args: Any) -> Any:
        return Absent.DOUBTFUL if DOUBTS else await real(*args)

    monkeypatch.setattr(Launch27, "booking", booking)


def test_no_sequence_of_edits_faults_and_crashes_leaves_wingfield_wrong() -> None:
    print(f"\nseed {SEED}, {EXAMPLES} examples")
    machine = seed(SEED)(Bridge)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
            database=None,
            phases=(Phase.generate, Phase.shrink) if SHRINK else (Phase.generate,),
        ),
    )
