"""From a source booking and the rules to a court booking, a held one, or none."""

from __future__ import annotations

import json
import zoneinfo
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.addresses import usable_address
from bridge.config.schema import CourtRule, MappingConfig
from bridge.launch27.wire import Parser, SourceBooking, Unreadable
from bridge.mapping import Mapper
from bridge.model import CourtBooking, Held, Slot, fingerprint, from_ms
from bridge.planning.memory import DEFAULT_LOCATION, Lengths, Memory, Part

BERLIN = ZoneInfo("Europe/Berlin")


def rule(court_id: str, name: str = "", **conditions: Any) -> CourtRule:
    """Return a rule for a court whose id is easier on the eye than a UUID."""
    return CourtRule.model_construct(court_id=court_id, name=name, **conditions)


ONE = rule("court-1", "Court 1", service_ids=frozenset({1, 2}))
TWO = rule("court-2", "Court 2", service_ids=frozenset({3}))


def booking(**fields: Any) -> SourceBooking:
    shape = {"id": 5, "service_date": "2026-08-15T14:30:00Z", "services": [{"id": 1}], "email": "a@b.co"}
    found = Parser().booking(json.dumps({**shape, **fields}).encode())
    assert isinstance(found, SourceBooking)
    return found


def mapper(
    *courts: CourtRule, catalogue: dict[int, int] | None = None, zone: ZoneInfo = BERLIN, **mapping: Any
) -> Mapper:
    config = MappingConfig.model_construct(**{"default_minutes": 60, **mapping})
    lengths = {id_: Lengths(minutes) for id_, minutes in (catalogue or {}).items()}
    return Mapper(courts or (ONE, TWO), config, Memory(catalogues=dict.fromkeys(range(10), lengths)), zone)


def mapped(found: CourtBooking | Held) -> CourtBooking:
    assert isinstance(found, CourtBooking)
    return found


def held(found: CourtBooking | Held) -> Held:
    assert isinstance(found, Held)
    return found


def is_no_court(found: CourtBooking | Held) -> bool:
    return isinstance(found, Held) and found.reason == "no_court"


def minutes(mapper: Mapper, **fields: Any) -> int:
    slot = mapped(mapper.map(booking(**fields))).slot
    return (slot.end - slot.start) // timedelta(minutes=1)


def court(mapper: Mapper, **fields: Any) -> str | None:
    found = mapper.map(booking(**fields))
    return None if is_no_court(found) else mapped(found).slot.court_id


def participants(mapper: Mapper, **fields: Any) -> tuple[str, ...]:
    return mapped(mapper.map(booking(**fields))).participants


def test_an_ordinary_booking_becomes_a_court_booking() -> None:
    start = datetime(2026, 8, 15, 14, 30, tzinfo=UTC)
    slot = Slot("court-1", start, start + timedelta(hours=1))
    found = mapper().map(booking(updated_at="2026-08-01T10:00:00.1239Z"))
    modified = datetime(2026, 8, 1, 10, 0, 0, 123900, tzinfo=UTC)
    assert found == CourtBooking("5", slot, ("a@b.co",), modified, fingerprint(slot, ["a@b.co"]))


def test_an_unreadable_booking_is_held_with_its_own_sentence() -> None:
    assert mapper().map(Unreadable("5", "it is odd")) == Held("5", "invalid_booking", "it is odd")
    assert mapper().skipped_participants(Unreadable("5", "it is odd")) == 0


# Start and end


@pytest.mark.parametrize(
    ("text", "start"),
    [
        pytest.param("2026-08-15T14:30:00Z", "2026-08-15T14:30", id="UTC"),
        pytest.param("2026-08-15T14:30:00", "2026-08-15T12:30", id="summer"),
        pytest.param("2026-08-15T14:30:00-04:00", "2026-08-15T18:30", id="an offset"),
        pytest.param("2026-01-15T14:30", "2026-01-15T13:30", id="winter"),
        pytest.param("2026-03-29T02:30:00", "2026-03-29T01:30", id="skipped: as if not changed yet"),
        pytest.param("2026-10-25T02:30:00", "2026-10-25T00:30", id="shown twice: the first"),
        pytest.param("2026-08-15T14:30:00.1239Z", "2026-08-15T14:30:00.123", id="milliseconds"),
        pytest.param("2026-08-15T14:30:00.000999+00:00", "2026-08-15T14:30", id="less than one"),
    ],
)
def test_the_start_is_an_instant_in_utc(text: str, start: str) -> None:
    slot = mapped(mapper().map(booking(service_date=text))).slot
    assert slot.start == datetime.fromisoformat(start).replace(tzinfo=UTC)
    assert slot.start.tzinfo is slot.end.tzinfo is UTC


@pytest.mark.parametrize("year", ["1000", "8999"])
@pytest.mark.parametrize("offset", ["", "+23:59", "-23:59", "Z"])
@pytest.mark.parametrize("day", ["01-01T00:00:00", "12-31T23:59:59"])
def test_dates_far_away_are_no_trouble(year: str, offset: str, day: str) -> None:
    assert minutes(mapper(), service_date=f"{year}-{day}{offset}") == 60


@pytest.mark.parametrize("length", [10**10, 10**20])
def test_an_end_beyond_the_calendar_is_held(length: int) -> None:
    found = mapper(service_minutes={1: length}).map(booking())
    assert found == Held("5", "invalid_booking", "its end is beyond the calendar")


@pytest.mark.parametrize(
    ("text", "modified"),
    [
        ("2026-08-01T10:00:00+02:00", datetime(2026, 8, 1, 8, tzinfo=UTC)),
        ("2026-08-01T10:00:00", datetime(2026, 8, 1, 8, tzinfo=UTC)),
        ("1990-01-01T00:00:00Z", datetime(1990, 1, 1, tzinfo=UTC)),
        ("1989-12-31T00:00:00Z", None),
        ("2201-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59", None),
        ("yesterday", None),
        (1785000000, None),
        (None, None),
    ],
)
def test_the_modification_time_is_an_instant_or_none(text: object, modified: datetime | None) -> None:
    assert mapped(mapper().map(booking(updated_at=text))).source_updated_at == modified


def test_the_modification_time_is_not_part_of_the_content() -> None:
    found = [mapped(mapper().map(booking(updated_at=f"2026-08-0{day}T00:00:00Z"))) for day in (1, 2)]
    assert found[0].fingerprint == found[1].fingerprint


# Length


@pytest.mark.parametrize(
    ("settings", "fields", "length"),
    [
        ({"service_minutes": {1: 75}}, {"services": [{"id": 1, "hourly": {"minutes": 90}}]}, 75),
        ({}, {"services": [{"id": 1, "hourly": {"minutes": 90}, "duration": 45}], "duration": 30}, 90),
        ({}, {"services": [{"id": 1, "duration": 45}], "duration": 30}, 45),
        ({}, {"duration": 30}, 30),
        ({"catalogue": {1: 120}}, {"duration": 30}, 30),
        ({"catalogue": {1: 120}}, {}, 120),
        ({"catalogue": {}}, {}, 60),
        ({}, {"duration": 0}, 60),
    ],
)
def test_the_first_that_says_how_long_decides(settings: dict[str, Any], fields: dict[str, Any], length: int) -> None:
    assert minutes(mapper(**settings), **fields) == length


HALF_AN_HOUR, UNKNOWN = {"id": 1, "duration": 30}, {"id": 2}


@pytest.mark.parametrize(
    ("services", "settings", "duration", "length"),
    [
        ([HALF_AN_HOUR, {"id": 2, "duration": 45}, HALF_AN_HOUR], {}, None, 105),
        ([HALF_AN_HOUR, UNKNOWN], {}, None, 90),
        ([HALF_AN_HOUR, UNKNOWN], {"catalogue": {2: 45}}, None, 75),
        ([HALF_AN_HOUR, UNKNOWN], {"service_minutes": {2: 15}}, 500, 45),
        ([HALF_AN_HOUR, UNKNOWN], {"catalogue": {2: 45}}, 100, 100),
        ([HALF_AN_HOUR, {"id": 99, "duration": 600}, {"id": 98}], {"default_minutes": None}, None, 30),
    ],
    ids=["all", "default", "catalogue", "configured", "whole", "those that are no court add nothing"],
)
def test_services_add_up_each_with_the_first_length_it_has_unless_the_whole_is_known(
    services: list[Any], settings: dict[str, Any], duration: int | None, length: int
) -> None:
    assert minutes(mapper(**settings), services=services, duration=duration) == length


@pytest.mark.parametrize(
    ("services", "named"),
    [([UNKNOWN, {"id": 1}, {"id": 99}], "service 1, 2 "), ([{"id": 2, "duration": 30}, {"id": 1}], "service 1 ")],
)
def test_a_service_without_any_length_holds_the_booking(services: list[Any], named: str) -> None:
    found = held(mapper(default_minutes=None).map(booking(services=services)))
    assert found.reason == "no_duration"
    assert named in found.detail


def located(*lengths: tuple[int, int]) -> Memory:
    """Return what is known where service 1 takes so many minutes at each location, and each extra 1 takes ten."""
    return Memory(catalogues={place: {1: Lengths(own, {"extra 1": Part(10, True)})} for place, own in lengths})


@pytest.mark.parametrize(("location", "length"), [({"id": 3}, 110), ({"id": "5"}, 60), (None, 50), ({"name": "x"}, 50)])
def test_the_catalogue_is_that_of_the_bookings_location(location: object, length: int) -> None:
    config = MappingConfig.model_construct(default_minutes=10)
    rules = Mapper((ONE,), config, located((DEFAULT_LOCATION, 30), (3, 90), (5, 40)), BERLIN)
    chosen = {"id": 1, "extras": [{"id": 1, "quantity": 2}]}
    assert minutes(rules, services=[chosen], location=location) == length
    assert minutes(rules, services=[{**chosen, "hourly": {"minutes": 30}}], location=location) == 30
    assert minutes(rules, services=[chosen], location=location, duration=45) == 45


def test_a_location_whose_catalogue_nobody_saw_yet_has_no_lengths() -> None:
    rules = Mapper((ONE,), MappingConfig.model_construct(default_minutes=10), located((3, 90)), BERLIN)
    for location in ({"id": 5}, None):
        assert held(rules.map(booking(location=location))).reason == "no_duration"
        assert minutes(rules, location=location, duration=45) == 45


def test_extras_without_a_service_length_are_no_length() -> None:
    memory = Memory(catalogues={DEFAULT_LOCATION: {1: Lengths(None, {"extra 1": Part(10, True)})}})
    rules = Mapper((ONE,), MappingConfig.model_construct(default_minutes=25), memory, BERLIN)
    assert minutes(rules, services=[{"id": 1, "extras": [{"id": 1}]}]) == 25


def test_a_rule_without_services_counts_the_services_other_rules_name() -> None:
    rules = mapper(
        rule("court-3", location_ids=frozenset({9})),
        rule("court-1", service_ids=frozenset({1}), location_ids=frozenset({8})),
    )
    services = [{"id": 1, "duration": 30}, {"id": 99, "duration": 600}]
    assert court(rules, services=services, location={"id": 9}) == "court-3"
    assert minutes(rules, services=services, location={"id": 9}) == 30


@pytest.mark.parametrize(
    ("services", "default", "length"),
    [
        ([{"id": 1, "duration": 30}, {"id": 2}], 60, 30),
        ([{"id": 1, "duration": 30}, {"id": 2, "duration": 45}], 60, 75),
        ([{"id": 1, "duration": 30}, {"id": 3}], None, 50),
        ([{"id": 1}, {"id": 2}], 60, 60),
        ([], 60, 60),
    ],
)
def test_where_no_rule_names_services_those_with_a_length_count(
    services: list[Any], default: int | None, length: int
) -> None:
    anywhere = rule("court-1", location_ids=frozenset({9}))
    rules = mapper(anywhere, default_minutes=default, catalogue={3: 20})
    assert minutes(rules, services=services, location={"id": 9}) == length
    assert minutes(rules, services=[{"id": 1}, *services], location={"id": 9}, duration=25) == 25


@pytest.mark.parametrize("services", [[], [{"id": 1}]])
def test_a_court_by_place_without_any_length_is_held(services: list[Any]) -> None:
    rules = mapper(rule("court-1", location_ids=frozenset({9})), default_minutes=None)
    assert held(rules.map(booking(services=services, location={"id": 9}))).reason == "no_duration"
    assert minutes(rules, services=services, location={"id": 9}, duration=25) == 25


# Court


@pytest.mark.parametrize("services", [[{"id": 99}], []])
def test_a_booking_that_no_rule_matches_has_no_court(services: list[Any]) -> None:
    assert is_no_court(mapper().map(booking(services=services)))


def test_two_courts_are_ambiguous_and_both_are_named() -> None:
    found = held(mapper().map(booking(services=[{"id": 3}, {"id": 1}, {"id": 99}])))
    assert found.reason == "ambiguous_court"
    assert found.detail == ("it would go to 2 courts: Court 1 (court-1), Court 2 (court-2) (it has services 1, 3)")


def test_two_courts_by_place_are_ambiguous_without_services() -> None:
    rules = mapper(*(rule(f"court-{n}", location_ids=frozenset({9})) for n in (1, 2)))
    place = {"id": 9}
    assert held(rules.map(booking(location=place, services=[]))).detail == (
        "it would go to 2 courts: court-1, court-2 (it has no services)"
    )
    assert held(rules.map(booking(location=place))).detail.endswith("(it has services 1)")


def test_several_rules_may_name_one_court() -> None:
    rules = mapper(
        rule("court-1", service_ids=frozenset({1})),
        rule("court-1", "Centre", service_ids=frozenset({2})),
        rule("court-1", "Other", location_ids=frozenset({9})),
        TWO,
    )
    both = [{"id": 1, "duration": 30}, {"id": 2, "duration": 45}]
    assert court(rules, services=both, location={"id": 9}) == "court-1"
    assert minutes(rules, services=both, location={"id": 9}) == 75
    assert "Centre (court-1)" in held(rules.map(booking(services=[*both, {"id": 3}]))).detail


@pytest.mark.parametrize(
    ("location", "teams", "found"),
    [
        ({"id": 3}, [{"id": 7}, {"id": 8}], "court-1"),
        ({"id": "3"}, [{"id": 8}], "court-1"),
        ({"id": 4}, [{"id": 8}], None),
        ({"id": 3}, [{"id": 7}], None),
        ({"id": 3}, [], None),
        (None, [{"id": 8}], None),
    ],
)
def test_every_condition_must_hold(location: object, teams: object, found: str | None) -> None:
    places, teams_ = frozenset({3, 5}), frozenset({8, 9})
    rules = mapper(rule("court-1", service_ids=frozenset({1}), location_ids=places, team_ids=teams_))
    assert court(rules, location=location, teams=teams) == found


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ({"code": "court", "value": "Court 1"}, True),
        ({"label": " COURT ", "value": " court 1 "}, True),
        ({"id": "Court", "value": "court 1"}, True),
        ({"code": "court", "values": [{"label": "Court 1"}]}, True),
        ({"code": "court", "values": [{"id": 4, "label": "x"}, {"other": "COURT 1"}]}, True),
        ({"code": "court", "values": [{"value": "Court 1"}]}, True),
        ({"code": "court", "values": ["Court 1"]}, True),
        ({"code": "court", "values": [{"id": 31}]}, True),
        ({"code": "court", "value": 31}, True),
        ({"code": "court", "value": 31.0}, True),
        ({"code": "court", "value": True}, True),
        ({"code": "court", "value": 2.5}, True),
        ({"code": "court", "value": False}, False),
        ({"code": "court", "value": "Court 2"}, False),
        ({"code": "court", "value": None, "values": None}, False),
        ({"code": "court", "values": "odd"}, False),
        ({"code": "court", "values": [None, [], {"label": {}}]}, False),
        ({"code": "other", "value": "Court 1"}, False),
        ({"value": "Court 1"}, False),
        ("Court 1", False),
    ],
)
def test_a_custom_field_is_found_by_any_of_its_names_and_compared_as_people_read(field: object, found: bool) -> None:
    by_field = rule("court-1", custom_field="Court ", custom_values=("Court 1", "31", "TRUE", "2.5"))
    by_number = rule("court-2", custom_field="12", custom_values=("a",))
    fields = [{"code": "x"}, {"id": 12, "value": "B"}, field]
    assert court(mapper(by_field, by_number), custom_fields=fields) == ("court-1" if found else None)
    assert court(mapper(by_number), custom_fields=[{"id": 12, "value": "A"}, field]) == "court-2"


def test_two_values_of_one_field_may_name_two_courts() -> None:
    rules = [rule(f"court-{n}", custom_field="court", custom_values=(f"{n}",)) for n in (1, 2)]
    found = mapper(*rules).map(booking(custom_fields=[{"code": "court", "values": ["1", "2"]}]))
    assert held(found).reason == "ambiguous_court"


# Participants


PLAYERS: dict[str, Any] = {"participant_fields": ("Players", "guest")}


def players(value: object, **more: object) -> list[dict[str, object]]:
    return [{"code": "players", "value": value, **more}]


def test_participants_are_the_customer_then_the_players() -> None:
    fields = [{"label": "Guest", "value": "e@b.co"}, *players("C@b.co, d@B.co;a@b.co\n c@b.co")]
    assert participants(mapper(**PLAYERS), email=" A@b.co ", custom_fields=fields) == (
        "a@b.co",
        "c@b.co",
        "d@b.co",
        "e@b.co",
    )


def test_only_the_first_four_take_part() -> None:
    fields = players(" ".join(f"{name}@b.co" for name in "bcdef"))
    assert participants(mapper(**PLAYERS), custom_fields=fields) == ("a@b.co", "b@b.co", "c@b.co", "d@b.co")


def test_unusable_addresses_are_skipped_and_counted() -> None:
    found = booking(email="nobody", custom_fields=players("Ann, d@b.co; e@b"))
    assert mapped(mapper(**PLAYERS).map(found)).participants == ("d@b.co",)
    assert mapper(**PLAYERS).skipped_participants(found) == 3
    assert mapper().skipped_participants(booking()) == 0


def test_a_choice_names_players_too_and_its_labels_are_no_bad_addresses() -> None:
    values = [
        {"id": 5, "label": "Member", "value": "c@b.co"},
        {"label": "d@b.co"},
        {"label": "Other", "other": "e@b.co"},
        "f@b.co",
        7,
    ]
    found = booking(email=None, custom_fields=players(None, values=values))
    assert mapped(mapper(**PLAYERS).map(found)).participants == ("c@b.co", "d@b.co", "e@b.co", "f@b.co")
    assert mapper(**PLAYERS).skipped_participants(found) == 0


@pytest.mark.parametrize(
    ("settings", "fields", "address"),
    [
        ({}, {"email": None, "user": {"email": "U@b.co"}}, "u@b.co"),
        ({"fallback_email": "Desk@b.co"}, {"email": "nobody"}, "desk@b.co"),
        ({"fallback_email": "Desk@b.co"}, {}, "a@b.co"),
        (PLAYERS, {"custom_fields": [{"code": "notes", "value": "c@b.co"}, {"value": "d@b.co"}, None]}, "a@b.co"),
    ],
    ids=["staff name the user", "the fallback", "the fallback only for none", "fields that are not named"],
)
def test_one_takes_part(settings: dict[str, Any], fields: dict[str, Any], address: str) -> None:
    assert participants(mapper(**settings), **fields) == (address,)


def test_a_booking_of_nobody_is_held_and_nobody_is_named() -> None:
    found = held(mapper().map(booking(email="ann at home", user={"email": "ann@b.co"})))
    assert found.reason == "no_participant"
    assert "ann" not in found.detail


@pytest.mark.parametrize(
    "address",
    [
        "a@b.co",
        "first.last+tag@sub.example-club.com",
        "o'neil_1@x1.museum",
        "x@xn--bcher-kva.xn--p1ai",
        "a" * 64 + "@b.co",
    ],
)
def test_ordinary_addresses_are_usable(address: str) -> None:
    assert usable_address(address.upper()) == address


UNUSABLE = """
    a @b.co a@ a@b a@b.c a@b.c0 a@@b.co a@b@c.co .a@b.co a.@b.co a..b@b.co a@.co a@b..co a@b.co. a@-b.co
    a@b-.co a@b_c.co a@127.0.0.1 a@[127.0.0.1] <a@b.co> ä@b.co a@bücher.de
"""
KELVIN = "\u212a"
"""A sign whose lower case is a plain k."""
TOO_LONG = ["a" * 65 + "@b.co", "a@" + "b" * 64 + ".co", "a@" + "b.".join(["x" * 50] * 6) + ".co"]
ODD = ["", '"a b"@b.co', "a b@b.co", "a@b.co\n", KELVIN + "@b.co", "\ud800@b.co"]


@pytest.mark.parametrize("address", [*UNUSABLE.split(), *ODD, *TOO_LONG])
def test_what_wingfield_may_not_take_is_unusable(address: str) -> None:
    assert usable_address(address) is None


# The order of questions


@pytest.mark.parametrize(
    ("services", "default", "reason"),
    [
        ([{"id": 99}], None, "no_court"),
        ([{"id": 1}, {"id": 3}], None, "ambiguous_court"),
        ([{"id": 1}], None, "no_duration"),
        ([{"id": 1}], 60, "no_participant"),
    ],
)
def test_the_court_is_asked_first_then_the_length_then_the_people(
    services: list[Any], default: int | None, reason: str
) -> None:
    found = mapper(default_minutes=default).map(booking(services=services, email=None))
    assert held(found).reason == reason


# Properties


ZONES = sorted(zoneinfo.available_timezones() - {"localtime"})
QUICK = settings(max_examples=80, deadline=None, derandomize=True)
RICH = mapper(
    rule("court-1", service_ids=frozenset({1, 2})),
    rule("court-2", service_ids=frozenset({3}), location_ids=frozenset({1})),
    rule("court-3", location_ids=frozenset({2})),
    service_minutes={2: 75},
    default_minutes=None,
)
services = st.lists(
    st.fixed_dictionaries(
        {"id": st.integers(1, 5)}, optional={"duration": st.integers(0, 90), "hourly": st.just({"minutes": 30})}
    ),
    max_size=5,
)
scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
junk = st.one_of(
    scalars,
    st.lists(scalars, max_size=2),
    st.dictionaries(st.sampled_from(["id", "minutes", "x"]), scalars, max_size=2),
)


@st.composite
def moments_around_clock_changes(draw: st.DrawFn) -> tuple[ZoneInfo, datetime]:
    """A wall time within four hours of noon, midnight or a change of some zone's clock."""
    zone = ZoneInfo(draw(st.sampled_from(ZONES)))
    low = draw(st.integers(1900, 2099).map(lambda year: int(datetime(year, 1, 1, tzinfo=UTC).timestamp())))

    def offset(second: int) -> timedelta | None:
        return datetime.fromtimestamp(second, UTC).astimezone(zone).utcoffset()

    high = next((low + days * 86400 for days in range(30, 400, 30) if offset(low + days * 86400) != offset(low)), low)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if offset(middle) != offset(low) else (middle, high)
    wall = from_ms(high * 1000).astimezone(zone).replace(tzinfo=None, fold=0)
    return zone, wall + timedelta(seconds=draw(st.integers(-4 * 3600, 4 * 3600)))


@QUICK
@given(moments_around_clock_changes(), st.integers(1, 10080))
def test_the_length_is_kept_across_any_change_of_any_clock(moment: tuple[ZoneInfo, datetime], length: int) -> None:
    zone, wall = moment
    slot = mapped(mapper(zone=zone).map(booking(service_date=wall.isoformat(), duration=length))).slot
    assert slot.end - slot.start == timedelta(minutes=length)
    offsets = {wall.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1)}
    shown = slot.start.astimezone(zone).replace(tzinfo=None, fold=0)
    assert shown == wall or len(offsets) == 2  # only a time the clock skips is shown as another
    assert wall - slot.start.replace(tzinfo=None) == wall.replace(tzinfo=zone).utcoffset()


@QUICK
@given(services, st.integers(1, 3), st.randoms(use_true_random=False))
def test_the_order_of_services_changes_nothing(items: list[Any], place: int, random: Any) -> None:
    shuffled = random.sample(items, len(items))
    found = RICH.map(booking(services=items, location={"id": place}))
    assert found == RICH.map(booking(services=shuffled, location={"id": place}))


USED = ("location", "teams", "custom_fields", "hourly", "duration", "email", "user", "updated_at")
UNUSED = ("name", "phone", "actions", "frequency", "location", "teams", "custom_fields", "user", "active", "odd")


@QUICK
@given(st.dictionaries(st.sampled_from(UNUSED), junk, max_size=5), junk)
def test_junk_in_what_is_not_used_changes_nothing(fields: dict[str, Any], more: object) -> None:
    rules = mapper()
    wanted = rules.map(booking())
    assert rules.map(booking(**fields)) == wanted
    assert rules.map(booking(services=[{"id": 1, "name": more, "extras": more, "price": more}])) == wanted


@QUICK
@given(st.dictionaries(st.sampled_from(USED), junk), junk)
def test_junk_anywhere_is_mapped_or_held_and_never_raises(fields: dict[str, Any], more: object) -> None:
    rules = mapper(rule("court-1", team_ids=frozenset({1}), custom_field="1", custom_values=("1",)), ONE, **PLAYERS)
    found = rules.map(booking(**fields, services=[{"id": 1, "hourly": more, "duration": more, "extras": more}]))
    assert isinstance(found, CourtBooking | Held)


@QUICK
@given(st.text(st.sampled_from("ab@. -ä\n1,"), max_size=14))
def test_what_is_sent_has_one_at_and_a_dotted_domain(text: str) -> None:
    address = usable_address(text)
    if address is not None:
        local, domain = address.split("@")
        assert address.isascii()
        assert local.strip(".") == local
        assert "." in domain.strip(".")
        assert ".." not in address


# Where a held booking wants to stand


@pytest.mark.parametrize(
    ("settings", "fields", "expected"),
    [
        pytest.param({}, {"email": ""}, ("no_participant", "court-1", 60, 1), id="all is known"),
        pytest.param({"default_minutes": None}, {}, ("no_duration", "court-1", 0, 1), id="but for its length"),
        pytest.param(
            {}, {"services": [{"id": 9}, {"id": 3}, {"id": 2}]}, ("ambiguous_court", "", 0, 2), id="but for its court"
        ),
    ],
)
def test_a_held_booking_says_where_it_wants_to_stand(
    settings: dict[str, Any], fields: dict[str, Any], expected: tuple[str, str, int, int]
) -> None:
    found = held(mapper(**settings).map(booking(**fields)))
    assert found.slot is not None
    assert found.slot.start == datetime(2026, 8, 15, 14, 30, tzinfo=UTC)
    minutes = (found.slot.end - found.slot.start) // timedelta(minutes=1)
    assert (found.reason, found.slot.court_id, minutes, found.service_id) == expected
