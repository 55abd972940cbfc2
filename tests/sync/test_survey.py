"""What bookings show of an account's habits, and what of the configuration does not fit them."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bridge.config.schema import Config, CourtRule, Launch27Config, MappingConfig, WingfieldConfig
from bridge.sync.survey import Seen, findings
from tests.test_mapping import ONE, TWO, booking, rule

BERLIN, CHICAGO = ZoneInfo("Europe/Berlin"), ZoneInfo("America/Chicago")


def seen(*shapes: dict[str, Any], **fields: Any) -> Seen:
    bookings = [booking(**{"id": number, **shape}) for number, shape in enumerate(shapes, 1)]
    return Seen({each.id: each for each in bookings}, **{"pages": [[len(bookings)]], **fields})


def found(what: Seen, *courts: CourtRule, zone: ZoneInfo = BERLIN, **options: Any) -> dict[str, tuple[str, str]]:
    """Return the findings by what they are about; ``options`` are those of all tables."""
    launch27 = {"accounts": (), "page_size": 100, "service_dates": options.pop("service_dates", "utc")}
    tables: dict[str, Any] = {
        "launch27": _table(Launch27Config, launch27),
        "wingfield": _table(WingfieldConfig, {"court_mappings": options.pop("court_mappings", None)}),
        "mapping": _table(MappingConfig, options),
        "courts": courts or (ONE, TWO),
    }
    config: Config = _table(Config, tables)
    return {about: (level, detail) for level, about, detail in findings(what, config, zone)}


def _table(kind: Any, values: dict[str, Any]) -> Any:
    return kind.model_construct(**values)


def test_without_bookings_nothing_is_known() -> None:
    assert list(found(seen()).items()) == [
        ("bookings", ("ok", "there is none in the window: what they look like is not known yet"))
    ]


def test_bookings_that_cannot_be_read_are_counted() -> None:
    level, detail = found(seen({}, unreadable=3))["bookings"]
    assert (level, detail.partition(",")[0]) == ("warning", "3 cannot be read")


def test_what_fits_is_said_with_its_evidence_and_needs_nobody() -> None:
    told = found(seen(*[{"updated_at": "2026-08-01T09:00:00Z"}] * 3, {}), ONE)
    assert {level for level, _ in told.values()} == {"ok"}
    assert list(told) == ["modification times", "service_date", "page size", "forecasts"]
    assert told["modification times"][1] == "3 of 4 bookings have updated_at"


def test_another_field_with_the_time_of_the_change_is_named() -> None:
    what = seen({}, {}, dated=["created_at", "last_changed", "service_date"])
    level, detail = found(what)["modification times"]
    assert (level, "0 of 2" in detail, 'mapping.updated_at_field = "last_changed"' in detail) == ("warning", True, True)
    assert found(seen({}, dated=["created_at"]))["modification times"] == (
        "ok",
        "0 of 1 bookings have updated_at; a change counts from when it is first seen",
    )


@pytest.mark.parametrize(
    ("hours", "setting", "level", "counts"),
    [
        (
            range(8, 22),
            "utc",
            "warning",
            "UTC, 11 of them begin between 6:00 and 23:00, as wall time 14",
        ),  # 8:00 to 21:00 in Chicago, with a wrong Z
        (range(8, 22), "wall", "ok", "UTC, 11 of them begin between 6:00 and 23:00, as wall time 14"),
        (
            [*range(13, 24), 0, 1, 2],
            "utc",
            "ok",
            "UTC, 14 of them begin between 6:00 and 23:00, as wall time 10",
        ),  # the same hours, rightly as UTC
        ([*range(13, 24), 0, 1, 2], "wall", "warning", "UTC, 14 of them begin between 6:00 and 23:00, as wall time 10"),
        ([14, 15], "utc", "ok", "UTC, 2 of them begin between 6:00 and 23:00, as wall time 2"),
        (
            [5, 5, 14],
            "utc",
            "ok",
            "UTC, 1 of them begin between 6:00 and 23:00, as wall time 1",
        ),  # 5:00 is nobody's hour, 0:00 neither
        (
            [8, 9],
            "utc",
            "ok",
            "UTC, 0 of them begin between 6:00 and 23:00, as wall time 2",
        ),  # two bookings prove nothing
    ],
)
def test_a_z_is_read_both_ways(hours: Any, setting: str, level: str, counts: str) -> None:
    what = seen(*({"service_date": f"2026-08-15T{hour:02}:00:00Z"} for hour in hours))
    told = found(what, zone=CHICAGO, service_dates=setting)["service_date"]
    assert (told[0], counts in told[1]) == (level, True), told
    other = {"utc": "wall", "wall": "utc"}[setting]
    assert (f'launch27.service_dates = "{other}"' in told[1]) is (level == "warning")


def test_a_date_without_a_z_says_nothing_about_it() -> None:
    what = seen(*({"service_date": f"2026-08-15T03:00:00{offset}"} for offset in ("", "+02:00")))
    assert found(what)["service_date"][1].startswith("0 of 2 bookings have a Z")


@pytest.mark.parametrize(
    ("pages", "words"),
    [
        ([[20, 20, 3], [7]], "100 asked for, 20 given"),
        ([[100]], "100 asked for, 100 given"),
        ([[100, 5], [50, 1]], "100 asked for, 50 given"),
        ([[7], []], "100 asked for, and all came on one page"),
    ],
)
def test_the_page_size_is_the_one_that_was_given(pages: list[list[int]], words: str) -> None:
    assert found(seen({}, pages=pages))["page size"] == ("ok", words)


def test_bookings_that_only_exclude_forecasted_loses_are_told() -> None:
    level, detail = found(seen({}, unmarked={str(n) for n in range(7, 14)}))["forecasts"]
    assert (level, "(7 bookings: 7, 8, 9, 10, 11, …)" in detail) == ("warning", True)
    assert found(seen({}, unmarked=set()))["forecasts"][0] == "ok"


def test_services_that_go_to_no_court_are_counted_and_those_beside_a_court_are_not() -> None:
    shapes: list[dict[str, Any]] = [{"services": [{"id": 4}]}] * 3 + [{"services": [{"id": 1}, {"id": 9}]}]
    what = seen(*shapes, services={4: "Court 4"})
    assert found(what)["services"] == ("warning", "service 4, Court 4: 3 bookings go to no court")
    what.mapped = {"4": "court-4"}
    assert "services" in found(what)
    assert "services" not in found(what, court_mappings="service")


def test_two_rules_that_hold_for_one_booking_are_told() -> None:
    level, detail = found(seen({"services": [{"id": 1}, {"id": 3}]}, {}))["courts"]
    assert (level, "1 booking: 1; 1: it would go to 2 courts" in detail) == ("warning", True)


def test_conditions_and_fields_that_no_booking_has_are_told() -> None:
    what = seen({"location": {"id": 3}, "teams": [{"id": 8}], "custom_fields": {"court": "A"}}, {"teams": None})
    ids: dict[str, Any] = {"location_ids": frozenset({3, 4}), "team_ids": frozenset({5, 6, 8})}
    rules = rule("court-1", **ids, custom_field="Court", custom_values=("A",)), rule("court-2", custom_field="hall")
    told = found(what, *rules, participant_fields=("players", "COURT"))
    assert {about: detail for about, (level, detail) in told.items() if level == "warning" and about != "services"} == {
        "courts[0].location_ids": "no booking has location 4",
        "courts[0].team_ids": "no booking has team 5 or 6",
        "courts[1].custom_field": 'no booking has a custom field "hall"',
        "mapping.participant_fields": 'no booking has a custom field "players"',
    }
