"""11. Odd input ended the pass or the process: now each is one held booking, or one ignored value."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bridge.config.loading import load_config
from bridge.errors import ExitStatus
from tests.support.builders import TWO
from tests.support.club import Club, is_get
from tests.support.daemons import Process

pytestmark = pytest.mark.hurt(11)

LAST = datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
BOTH = pytest.mark.parametrize("world", ["launch27", "wingfield"])
ODD_WAITS = ["Fri, 31 Dec 99999999999 23:59:59 GMT", "Fri, 31 Dec 2026 23:59:59 +99999999999", "9" * 4000, "-1", "∞"]


@BOTH
@pytest.mark.parametrize("wait", ODD_WAITS)
async def test_an_unreadable_retry_after_is_ignored(club: Club, world: str, wait: str) -> None:
    club.book()
    headers = {"retry-after": wait.encode().decode("latin-1")}
    getattr(club, world).faults.add("answer", status=503, headers=headers)
    await club.expect(created=1)


ODD_HEADERS: list[dict[str, str]] = [
    {f"x-rate-limit-{kind}-{name}": odd for kind in ("read", "write") for name in ("limit", "ttl")}
    for odd in ("9" * 400, "-1", "0", "NaN", "inf", "1e308", "0x10", "", "soon")
]


@BOTH
@pytest.mark.parametrize(
    "headers", [*ODD_HEADERS, {"date": "x", "age": "9" * 400}, {"date": "Fri, 31 Dec 9999999 0:0:0 GMT"}]
)
async def test_odd_headers_are_ignored(club: Club, world: str, headers: dict[str, str]) -> None:
    club.books(12)
    getattr(club, world).faults.add("headers", times=None, headers=headers)
    await club.expect(created=12)


ODD_DATES = ["2026-11-21T10:00:00+99:99", "2026-11-21T10:00:00+24:00", "10000-01-01T10:00:00Z", "9999-12-31T23:59:59Z"]
ODD_DATES += ["0001-01-01T00:00:00+23:59", "2026-11-21T10:00:00+00:00:00.0000001", "9" * 5000, "99999999999999"]


@pytest.mark.parametrize("odd", ODD_DATES)
async def test_a_date_beyond_the_calendar_holds_one_booking(club: Club, odd: str) -> None:
    number, _ = await club.some(2)
    club.launch27.edit(number, service_date=odd)
    result = await club.run()
    assert result.status in {ExitStatus.ATTENTION, ExitStatus.OK}
    assert result.record.unchanged + result.record.updated + result.record.held == 2
    assert len(club.wingfield.bookings) == 2


async def test_the_last_version_there_is_holds_one_booking(club: Club) -> None:
    number, other = await club.some(2)
    club.overwrite(number, TWO, 50, at=LAST)
    club.move(number, 2, 30)
    club.move(other, 1, 40)
    await club.expect(updated=1, held={number: "version_conflict"})
    await club.lose_state()
    await club.expect(unchanged=1, held={number: "version_conflict"})
    club.launch27.cancel(number)
    await club.expect(deleted=1, unchanged=1)


async def test_the_last_version_there_is_may_stay_where_it_is_right(club: Club) -> None:
    number = await club.one()
    club.overwrite(number, club.stored(number)["courtId"], 24, at=LAST)
    await club.lose_state()
    await club.expect(unchanged=1)


ODD_BOOKINGS: list[Any] = [
    {"externalCourtBookingId": "theirs", "externalUpdatedAt": None},
    {"externalCourtBookingId": "theirs", "startDate": "9999-12-31T23:59:59-23:59", "participants": 7},
    {"externalCourtBookingId": 7},
    {},
    None,
    7,
]


@pytest.mark.parametrize("odd", ODD_BOOKINGS)
async def test_a_foreign_booking_in_any_shape_is_left_alone(club: Club, odd: Any) -> None:
    def with_odd(listed: Any) -> Any:
        return {"items": [odd, *listed["items"]], "totalCount": listed["totalCount"] + 1}

    numbers = await club.some(3)
    club.vanish(numbers[0])
    await club.lose_state()
    club.wingfield.faults.add("change", times=None, match=is_get, change=with_odd)
    await club.expect(deleted=1, unchanged=2)


async def test_a_booking_of_ours_in_odd_shape_is_not_guessed_at(club: Club) -> None:
    def odd(listed: Any) -> Any:
        return {**listed, "items": [{**item, "externalUpdatedAt": None} for item in listed["items"]]}

    await club.some(2)
    await club.lose_state()
    club.wingfield.faults.add("change", times=None, change=odd)
    await club.try_later()
    assert len(club.wingfield.bookings) == 2


async def test_courts_in_upper_case_are_the_same_courts(club: Club) -> None:
    def upper(listed: Any) -> Any:
        return {**listed, "items": [{**item, "courtId": item["courtId"].upper()} for item in listed["items"]]}

    await club.some(3)
    await club.lose_state()
    fault = club.wingfield.faults.add("change", match=is_listing_of_wingfield, change=upper)
    club.wingfield.log.clear()
    await club.expect(unchanged=3)
    assert fault.hits
    assert club.writes == []


def is_listing_of_wingfield(method: str, path: str) -> bool:
    return method == "GET" and path.endswith("/court-bookings")


def test_a_proxy_with_a_broken_port_is_a_wrong_configuration(
    write_config: Callable[..., Path], config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:port")
    url = load_config(config_file, {}).launch27.base_url
    config = write_config({url: "https://acme.test/latest"})
    for arguments in (("--once",), ()):
        with Process(config, *arguments) as process:
            assert process.ended() == ExitStatus.CONFIG
