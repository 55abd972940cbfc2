"""Launch27's answers: what is read, what counts as absent, what cannot be read."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.launch27.values import whole_minutes
from bridge.launch27.wire import CatalogueService, Parser, Settings, SourceBooking, Unreadable
from bridge.planning.memory import Lengths, Part

PARSER = Parser()

CUSTOMER: dict[str, Any] = {
    "id": 1,
    "service_date": "2019-08-15T14:30:00Z",
    "active": True,
    "location": {"id": 4, "name": "Sandbox"},
    "name": "First Last",
    "email": "user@email.com",
    "digest": "Nc3xc2",
    "services": [{"id": 7, "name": "Court", "extras": None, "hourly": {"quantity": 1, "minutes": 90}}],
    "teams": [{"id": 8, "title": "A"}, {"id": "9"}, {"id": None}, "odd"],
    "custom_fields": [{"id": 3, "code": "court", "label": "Court", "value": "1"}, None, 5],
}
LEGACY: dict[str, Any] = {"id": 2, "service_date": "2019-08-15T10:30", "services": [{"id": 1}]}
STAFF: dict[str, Any] = {
    "id": 3,
    "service_date": "2019-08-15T14:30:00Z",
    "user": {"id": 5, "email": " staff@email.com ", "name": "First Last"},
    "booking_status": "cancelled",
    "services": [],
}
STATE = ("active", "booking_status", "forecasted", "updated_at")
OPTIONAL = ("duration", "location", "teams", "custom_fields", "email", "user", *STATE)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=8)
    | st.sampled_from(["2026-01-01T10:00:00Z", "17", "cancelled"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "minutes", "email", "value", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
booking_like = st.dictionaries(
    st.sampled_from(["id", "service_date", "services", *OPTIONAL, "x"]), json_values, max_size=6
)


def encode(value: object) -> bytes:
    return json.dumps(value).encode()


def read(value: object) -> SourceBooking:
    found = PARSER.booking(encode(value))
    assert isinstance(found, SourceBooking)
    return found


def refused(**changes: object) -> Unreadable:
    found = PARSER.booking(encode({**CUSTOMER, **changes}))
    assert isinstance(found, Unreadable)
    return found


def facts(booking: SourceBooking) -> tuple[object, ...]:
    rest = (booking.custom_fields, booking.email, booking.modified, booking.is_active, booking.is_forecast)
    services = [(service.id, service.minutes) for service in booking.services]
    return (booking.id, booking.service_date, services, booking.minutes, booking.location_id, booking.team_ids, *rest)


def test_the_documented_booking_is_read() -> None:
    instant, fields = datetime(2019, 8, 15, 14, 30, tzinfo=UTC), [CUSTOMER["custom_fields"][0]]
    rest = (fields, "user@email.com", None, True, False)
    assert facts(read(CUSTOMER)) == ("1", instant, [(7, 90)], None, 4, {8, 9}, *rest)


def test_a_service_date_without_offset_stays_wall_time() -> None:
    booking = read(LEGACY)
    assert booking.service_date == datetime(2019, 8, 15, 10, 30)  # noqa: DTZ001
    assert booking.email is None
    assert booking.services[0].minutes is None


def test_the_staff_shape_is_read() -> None:
    booking = read(STAFF)
    assert (booking.email, booking.is_active, booking.services) == ("staff@email.com", False, [])


def test_the_bookings_own_address_goes_before_the_users() -> None:
    assert read({**STAFF, "email": "own@email.com"}).email == "own@email.com"
    assert read({**STAFF, "email": "  "}).email == "staff@email.com"
    assert read({**STAFF, "email": 7, "user": [1]}).email is None


def test_a_listing_keeps_its_order_and_an_empty_one_is_empty() -> None:
    found = PARSER.listing(encode([CUSTOMER, LEGACY, STAFF]))
    assert [booking.id for booking in found] == ["1", "2", "3"]
    assert PARSER.listing(b"[]") == []


def test_an_odd_booking_leaves_its_neighbours_unharmed() -> None:
    odd: list[Any] = [None, 7, "x", [], {}, {**CUSTOMER, "id": 5, "service_date": None}]
    found = PARSER.listing(encode([CUSTOMER, *odd, STAFF]))
    assert [facts(b) for b in found if isinstance(b, SourceBooking)] == [facts(read(CUSTOMER)), facts(read(STAFF))]
    assert [b.id for b in found if isinstance(b, Unreadable)] == ["", "", "", "", "", "5"]
    assert [isinstance(b, SourceBooking) for b in found] == [True, *[False] * 6, True]


@pytest.mark.parametrize(("given_id", "text"), [(1, "1"), ("12", "12"), ("007", "7"), (2**63 - 1, str(2**63 - 1))])
def test_an_id_is_a_positive_whole_number_or_its_digits(given_id: object, text: str) -> None:
    assert read({**CUSTOMER, "id": given_id}).id == text


@pytest.mark.parametrize(
    "odd", [None, True, 1.0, 1.5, 0, -1, "", "0", "-1", "1.0", "+1", " 1", "٣", "1\n", "x", {}, [1], 2**63, "9" * 40]
)
def test_an_odd_id_is_unreadable_and_empty(odd: object) -> None:
    assert refused(id=odd) == Unreadable("", "its id is missing or no positive whole number")
    assert PARSER.booking(b"{}") == refused(id=odd)


ODD_DATES = ["", "soon", "1565879400", "2019-08-15", "2019-W33-4T14:30:00", "2019-227T14:30", "2019-08-15T14"]
IMPOSSIBLE_DATES = [
    f"2019-{rest}" for rest in ("13-15T14:30:00Z", "02-30T14:30:00Z", "08-15T25:30:00Z", "08-15T14:30:00+99:00")
]
WRAPPED_DATES = ["2019-08-15T14:30:00 o'clock", " 2019-08-15T14:30:00Z", ["2019-08-15T14:30:00Z"]]
FAR_DATES = ["0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00", "9999-12-31T23:59:59-12:00", "10000-01-01T00:00:00Z"]


@pytest.mark.parametrize("odd", [None, 1565879400, {}, True, *ODD_DATES, *IMPOSSIBLE_DATES, *WRAPPED_DATES, *FAR_DATES])
def test_an_unreadable_service_date_keeps_the_id(odd: object) -> None:
    assert refused(service_date=odd) == Unreadable("1", "its service_date is missing or not a date and time")


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("2019-08-15T14:30:00Z", 0),
        ("2019-08-15t14:30:00z", 0),
        ("2019-08-15 14:30:00+00:00", 0),
        ("2019-08-15T16:30:00+02:00", 2),
        ("2019-08-15T16:30+0200", 2),
        ("2019-08-15T16:30:00.000+02", 2),
        ("2019-08-15T07:30:00-07:00", -7),
    ],
)
def test_a_service_date_may_have_any_offset(text: str, hours: int) -> None:
    zone = timezone(timedelta(hours=hours))
    found = read({**CUSTOMER, "service_date": text}).service_date
    assert found == datetime(2019, 8, 15, 14 + hours, 30, tzinfo=zone)
    assert found.utcoffset() == timedelta(hours=hours)


@pytest.mark.parametrize(
    "odd", [None, {}, "x", 1, [None], [7], [[]], [{}], [{"id": None}], [{"id": 1.0}], [{"id": 1}, {"id": "x"}]]
)
def test_services_out_of_shape_are_unreadable(odd: object) -> None:
    assert refused(services=odd) == Unreadable("1", "its services are missing, or one of them has no id")


def test_what_is_said_of_an_odd_booking_holds_nothing_of_it() -> None:
    found = PARSER.listing(encode([{"id": "Ann", "service_date": "ann@b.co", "services": "Ann"}]))
    assert "nn" not in repr(found)


def test_a_booking_names_nobody_in_its_repr() -> None:
    booking = read(CUSTOMER)
    assert repr(booking) == str(booking) == "SourceBooking(…)"
    assert repr(booking.services) == "[Service(…)]"


@pytest.mark.parametrize("field", OPTIONAL)
@pytest.mark.parametrize("odd", [None, 0, -1, 2.5, "", "odd", [], [[]], {}, {"id": [], "email": 1}, float("nan")])
def test_odd_optional_fields_count_as_absent(field: str, odd: object) -> None:
    absent = {key: value for key, value in CUSTOMER.items() if key != field}
    if field == "email" and odd == "odd":
        return  # a text is an address to judge later
    if field == "custom_fields" and odd == {"id": [], "email": 1}:
        return  # an object has fields by code
    if field == "forecasted" and odd:
        assert read({**absent, field: odd}).is_forecast
        return

    assert facts(read({**absent, field: odd})) == facts(read(absent))


@pytest.mark.parametrize(
    ("service", "minutes"),
    [
        ({"hourly": {"minutes": 90}, "duration": 60}, 90),
        ({"hourly": {"minutes": 0}, "duration": 60}, 60),
        ({"hourly": {"quantity": 2}, "duration": "45"}, 45),
        ({"hourly": 90, "duration": 60.0}, 60),
        ({"hourly": None, "duration": True}, None),
    ],
)
def test_a_services_length_is_hourly_minutes_then_duration(service: dict[str, Any], minutes: int | None) -> None:
    booking = read({**CUSTOMER, "services": [{"id": 1, **service}]})
    assert booking.services[0].minutes == minutes


@pytest.mark.parametrize(
    ("fields", "active", "forecast"),
    [
        ({}, True, False),
        ({"active": False}, False, False),
        ({"active": None}, True, False),
        ({"active": 0}, True, False),
        ({"booking_status": "cancelled"}, False, False),
        ({"booking_status": "assigned"}, True, False),
        ({"booking_status": "forecasted"}, True, True),
        ({"forecasted": True}, True, True),
        ({"forecasted": False}, True, False),
    ],
)
def test_cancelled_and_forecasted_are_told(fields: dict[str, Any], active: bool, forecast: bool) -> None:
    booking = read({**LEGACY, **fields})
    assert (booking.is_active, booking.is_forecast) == (active, forecast)


@pytest.mark.parametrize(
    ("text", "modified"),
    [("2026-01-02T03:04:05.6789Z", datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=UTC)), ("2026-01-02", None)],
)
def test_the_modification_time_is_read_where_there_is_one(text: str, modified: datetime | None) -> None:
    assert read({**LEGACY, "updated_at": text}).modified == modified


@pytest.mark.parametrize("field", ["changed", "meta.changed", "modified", "raw_modified", "", "service_date"])
def test_the_modification_time_may_have_any_name(field: str) -> None:
    text = "2026-01-02T03:04:05Z"
    body = encode({**LEGACY, "updated_at": "2020-01-01T00:00:00Z", field: text})
    for found in (Parser(field).booking(body), *Parser(field).listing(b"[" + body + b"]")):
        assert isinstance(found, SourceBooking)
        assert found.modified == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        assert repr(found) == str(found) == "SourceBooking(…)"


def test_only_documented_names_are_read() -> None:
    booking = read({**LEGACY, "number": 9, "raw_email": "x@y.zz", "modified": "2026-01-02T03:04:05Z"})
    assert (booking.id, booking.email, booking.modified) == ("2", None, None)


@pytest.mark.parametrize(
    "spoilt", [b'"\\ud800"', b'"\xff"', b"9" * 5000, b"-" + b"9" * 5000, b"1e999", b"NaN", b"[" * 400 + b"]" * 400]
)
def test_a_monstrous_value_costs_no_other_field(spoilt: bytes) -> None:
    body = encode([LEGACY, CUSTOMER]).replace(b'"Nc3xc2"', spoilt)
    assert [booking.id for booking in PARSER.listing(body)] == ["2", "1"]
    assert PARSER.booking(b'{"id": 2, "service_date": "2026-01-02T03:04", "services": [], "x": %b}' % spoilt) == read(
        {"id": 2, "service_date": "2026-01-02T03:04", "services": []}
    )


@pytest.mark.parametrize("parse", [PARSER.listing, PARSER.booking, PARSER.catalogue, PARSER.settings])
@pytest.mark.parametrize("body", [b'"ann@b.co"', b'[{"email": "ann@b.co"', b"ann@b.co"])
def test_a_refused_answer_leaves_no_trace_in_the_error(parse: Callable[[bytes], object], body: bytes) -> None:
    with pytest.raises(ValueError, match="the answer is no JSON") as caught:
        parse(body)

    assert caught.value.__context__ is None
    assert "ann" not in "".join(traceback.format_exception_only(caught.value))


def test_a_byte_order_mark_is_read_over() -> None:
    assert [booking.id for booking in PARSER.listing(b"\xef\xbb\xbf" + encode([LEGACY]))] == ["2"]


@pytest.mark.parametrize(
    ("parsers", "body", "kind"),
    [
        *(((PARSER.listing, PARSER.catalogue), body, "array") for body in (b"{}", b"[1", b"[" * 100_000, b"\xff\xfe")),
        *(((PARSER.booking, PARSER.settings), body, "object") for body in (b"[]", b"7", b'{"a": ', b'{"a":' * 100_000)),
        *(((PARSER.listing, PARSER.settings), body, "(array|object)") for body in (b"", b"<html>", b"null")),
    ],
)
def test_an_answer_of_another_kind_is_refused(parsers: list[Callable[[bytes], object]], body: bytes, kind: str) -> None:
    for parse in parsers:
        with pytest.raises(ValueError, match=rf"^the answer is no JSON {kind}$"):
            parse(body)


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ({"players": "a@b.co"}, [{"code": "players", "value": "a@b.co"}]),
        ({"court": {"values": 3}}, [{"code": "court", "values": 3}]),
        (
            {"court": {"code": "x", "value": "1"}, "": None},
            [{"code": "court", "value": "1"}, {"code": "", "value": None}],
        ),
        ([{"code": "a"}, 7, None], [{"code": "a"}]),
    ],
)
def test_custom_fields_come_as_a_list_or_as_an_object_by_code(written: object, read_as: list[Any]) -> None:
    assert read({**CUSTOMER, "custom_fields": written}).custom_fields == read_as


@pytest.mark.parametrize(
    ("quantity", "counts"),
    [(2, 2), ("3", 3), (2.0, 2), (0, 0), (None, 1), (True, 1), (-1, 1), ("two", 1), (1.5, 1), ([], 1), (10**30, 1)],
)
def test_a_service_lists_its_extras_and_pricing_parameters_with_their_quantities(quantity: object, counts: int) -> None:
    odd = [7, None, {}, {"id": "x", "quantity": 9}]
    chosen = {"extras": [{"id": 5, "quantity": quantity}, *odd], "pricing_parameters": [{"id": "5"}]}
    (service,) = read({**CUSTOMER, "services": [{"id": 1, **chosen}]}).services
    assert list(service.parts) == [("extra 5", counts), ("parameter 5", 1)]


@pytest.mark.parametrize("odd", [None, 7, "x", {}, {"id": 5}, [[]]])
def test_odd_extras_are_none(odd: object) -> None:
    (service,) = read({**CUSTOMER, "services": [{"id": 1, "extras": odd, "pricing_parameters": odd}]}).services
    assert list(service.parts) == []


Z, NOT_Z = ("2026-01-02T03:04:05Z", "2026-01-02t03:04z"), ("2026-01-02T03:04:05+00:00", "2026-01-02T03:04-05")


@pytest.mark.parametrize("written", [*Z, *NOT_Z])
@pytest.mark.parametrize("field", ["updated_at", "changed"])
def test_a_z_behind_a_service_date_may_say_nothing(written: str, field: str) -> None:
    body = encode({**LEGACY, "service_date": written, field: written})
    (booking,) = Parser(field, "wall").listing(b"[" + body + b"]")
    assert isinstance(booking, SourceBooking)
    assert (booking.service_date.tzinfo is None) is (written in Z)
    assert booking.service_date.hour == 3
    assert booking.modified is not None
    assert booking.modified.tzinfo is not None


def test_the_lengths_of_a_catalogue() -> None:
    extras = [{"id": 5, "quantity_based": True, "duration": 10}, {"id": 6, "duration": 5.0}, {"id": 7}, {"duration": 9}]
    whole = {"id": 1, "duration": "60", "extras": extras, "pricing_parameters": [{"id": 5, "duration": 0}]}
    parts = {"extra 5": Part(10, True), "extra 6": Part(5, False), "parameter 5": Part(0, True)}
    assert PARSER.catalogue(encode([whole])) == {1: CatalogueService("", Lengths(60, parts))}


@pytest.mark.parametrize(("part", "minutes"), [(30, 0), (0, None), (None, None)])
def test_a_service_of_no_minutes_has_a_length_where_its_parts_have(part: object, minutes: int | None) -> None:
    service = {"id": 1, "duration": 0, "pricing_parameters": [{"id": 5, "duration": part}]}
    assert PARSER.catalogue(encode([service]))[1].lengths.minutes == minutes


def test_the_catalogue_is_read_and_odd_items_left_out() -> None:
    odd: list[Any] = [{"id": "2", "name": None, "duration": "soon"}, {"name": "no id"}, None, 7]
    body = encode([{"id": 1, "name": " Court ", "price": 9.0, "duration": 60, "extras": []}, *odd])
    assert PARSER.catalogue(body) == {1: CatalogueService("Court", Lengths(60)), 2: CatalogueService("", Lengths())}


def test_the_settings_are_read() -> None:
    body = encode({"name": "Acme", "timezone": "America/New_York", "status": "active", "sandbox": True})
    assert PARSER.settings(body) == Settings("Acme", "America/New_York", "active")
    assert PARSER.settings(b'{"timezone": " ", "name": 3}') == Settings("", None, "")


NO_MINUTES: list[object] = [0, -5, 10081, 90.5, float("nan"), float("inf"), "", "9.5", "²", True, None, []]


@pytest.mark.parametrize(
    ("value", "minutes"), [*((1, 1), (90.0, 90), ("90", 90), (10080, 10080)), *((odd, None) for odd in NO_MINUTES)]
)
def test_minutes_are_whole_and_at_most_a_week(value: object, minutes: int | None) -> None:
    assert whole_minutes(value) == minutes


@settings(max_examples=80, deadline=None, derandomize=True)
@given(json_values | st.lists(booking_like, max_size=3) | booking_like)
def test_no_json_makes_a_parser_raise_but_value_error(value: object) -> None:
    body = encode(value)
    for parse in (PARSER.listing, PARSER.booking, PARSER.catalogue, PARSER.settings):
        try:
            found = parse(body)
        except ValueError as error:
            assert str(error).startswith("the answer is no JSON")  # noqa: PT017
        else:
            for booking in found if isinstance(found, list) else [found]:
                if isinstance(booking, SourceBooking):
                    assert facts(booking)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(booking_like | st.just(LEGACY), max_size=4))
def test_a_booking_is_read_the_same_alone_and_among_others(bookings: list[dict[str, Any]]) -> None:
    together = PARSER.listing(encode(bookings))
    alone = [PARSER.booking(encode(booking)) for booking in bookings]
    for one, other in zip(together, alone, strict=True):
        if isinstance(one, SourceBooking) and isinstance(other, SourceBooking):
            assert repr(facts(one)) == repr(facts(other))
        else:
            assert one == other
