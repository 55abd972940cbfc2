"""The page to play with, over real sockets: what its forms do, what it shows, what it breaks and mends."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import httpx
import pytest

from bridge.sandbox import Launch27, Wingfield
from bridge.sandbox.breakages import BREAKAGES
from bridge.sandbox.page import served
from bridge.sandbox.playground import EMAIL, PASSWORD, Playground, courts
from tests.sandbox.conftest import TLS, Clock, wanted

DAY = "2025-11-21"
BOOKED = {"name": "Anna", "email": "Anna@b.co", "players": "Ben@b.co", "court": "1", "time": "18:30", "minutes": "90"}


class Guest:
    """Somebody at the page, which is about ``DAY``."""

    def __init__(self, club: Playground, http: httpx.AsyncClient) -> None:
        self.club, self.http = club, http

    async def sends(self, action: str, **fields: str) -> None:
        """Send a form, and see that it was taken."""
        answer = await self.http.post(f"/{action}", data={"day": DAY, **fields})
        assert (answer.status_code, answer.headers["location"]) == (303, f"/?day={fields.get('day', DAY)}"), answer.text

    async def sees(self, **query: str) -> str:
        """Return the page as somebody reads it: without tags, each run of white space a blank."""
        answer = await self.http.get("/", params={"day": DAY, **query})
        return " ".join(re.sub("<[^>]*>", " ", answer.text).split())

    async def books(self, **fields: str) -> str:
        """Book, and return the booking's id."""
        await self.sends("book", **(BOOKED | fields))
        return str(max(self.club.launch27.bookings))

    def bridge(self, number: str) -> None:
        """Put the booking into Wingfield as a bridge would."""
        side = next(pair.launch27 for pair in self.club.pairs() if pair.id == number)
        assert side is not None
        self.club.wingfield.store(
            number,
            court_id=self.club.courts[side.place.court],
            start=side.place.start,
            end=side.place.end,
            updated_at="2025-11-20T08:00:00Z",
            emails=side.people,
        )


@pytest.fixture
async def guest(clock: Clock) -> AsyncIterator[Guest]:
    club = Playground(Launch27(clock=clock), Wingfield(courts=courts(2), clock=clock))
    async with served(club) as address, httpx.AsyncClient(base_url=address, verify=TLS, trust_env=False) as http:
        yield Guest(club, http)


def in_launch27(guest: Guest, number: str) -> tuple[Any, ...]:
    raw = guest.club.launch27.bookings[int(number)]
    service = raw["services"][0]
    return raw["service_date"], service["id"], service["hourly"]["minutes"], raw["email"], raw["active"]


async def test_a_booking_is_made_moved_given_players_cancelled_and_restored(guest: Guest) -> None:
    number = await guest.books()
    assert in_launch27(guest, number) == ("2025-11-21T17:30:00Z", 1, 90, "Anna@b.co", True)
    seen = await guest.sees()
    assert "18:30–20:00 Court 1 Anna · booking 1001 anna@b.co, ben@b.co" in seen
    assert "→ not in Wingfield" in seen

    await guest.sends("move", id=number, court="2", day="2025-11-22", time="09:00", minutes="60")
    assert in_launch27(guest, number) == ("2025-11-22T08:00:00Z", 2, 60, "Anna@b.co", True)
    await guest.sends("players", id=number, email="eve@b.co")
    assert guest.club.launch27.bookings[int(number)]["custom_fields"] == []
    await guest.sends("cancel", id=number)
    assert in_launch27(guest, number) == ("2025-11-22T08:00:00Z", 2, 60, "eve@b.co", False)
    assert "∅ cancelled" in await guest.sees(day="2025-11-22")
    await guest.sends("restore", id=number)
    assert in_launch27(guest, number)[-1] is True
    assert "Anna plays after all (booking 1001)." in await guest.sees()
    assert "Nothing on this day, on either side." in await guest.sees()


async def test_both_sides_are_compared(guest: Guest) -> None:
    number = await guest.books()
    guest.bridge(number)
    assert "= the same 18:30–20:00 Court 1 court booking 1001 anna@b.co, ben@b.co" in await guest.sees()
    await guest.sends("players", id=number, email="anna@b.co")
    assert "≠ differs" in await guest.sees()
    guest.bridge(number)
    await guest.sends("move", id=number, court="1", day="2025-11-22", time="18:30", minutes="90")
    for day, other in ((DAY, "Sat 22 Nov"), ("2025-11-22", "Fri 21 Nov")):
        seen = await guest.sees(day=day)
        assert "≠ differs" in seen
        assert f"Court 1 on {other}" in seen
    await guest.sends("cancel", id=number)
    assert "! should be gone" in await guest.sees()


async def test_a_hand_moves_deletes_and_books_in_wingfield(guest: Guest) -> None:
    number, wingfield = await guest.books(), guest.club.wingfield
    guest.bridge(number)
    version = wingfield.bookings[number]["externalUpdatedAt"]
    await guest.sends("hand-move", id=number, court="2", time="10:00", minutes="60")
    moved = wingfield.bookings[number]
    assert (moved["courtId"], moved["startDate"]) == (guest.club.courts[2], "2025-11-21T09:00:00Z")
    assert (moved["externalUpdatedAt"], len(moved["participants"])) == (version, 2)
    assert "≠ differs" in await guest.sees()

    await guest.sends("hand-book", court="2", time="11:00", minutes="60")
    assert "· not the bridge’s 11:00–12:00 Court 2 booked by hand" in await guest.sees()
    for action, fields in (("hand-move", {"id": number}), ("hand-book", {})):
        data = {"day": DAY, "court": "2", "time": "11:30", "minutes": "60", **fields}
        refused = await guest.http.post(f"/{action}", data=data)
        assert refused.status_code == 400
        assert "Court 2, Fri 21 Nov 11:30–12:30 is taken in Wingfield. Nothing was changed." in refused.text
    await guest.sends("hand-delete", id="stranger-1")
    await guest.sends("hand-move", id=number, court="2", time="11:30", minutes="60")
    await guest.sends("hand-delete", id=number)
    assert wingfield.bookings == {}
    assert "→ not in Wingfield" in await guest.sees()


async def asked(guest: Guest) -> dict[str, Any]:
    """Return what a bridge gets from both services: an answer's JSON, a status, or "nothing"."""
    launch27, wingfield = guest.club.launch27, guest.club.wingfield
    got: dict[str, Any] = {}

    async def ask(name: str, method: str, url: str, bearer: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        try:
            answer = await guest.http.request(method, url, json=body, headers=headers)
        except httpx.TransportError:
            got[name] = "nothing"
            return {}
        got[name] = answer.status_code
        return answer.json() if answer.is_success else {}

    login = {"email": EMAIL, "password": PASSWORD}
    bearer = (await ask("login", "POST", f"{launch27.url}/login", "", login)).get("bearer", "none")
    listed = await ask("listing", "GET", f"{launch27.url}/customer/bookings", bearer)
    await ask("unknown", "GET", f"{launch27.url}/customer/bookings/7", bearer)
    got["dates"] = [booking["service_date"] for booking in listed]
    got["services"] = len(await ask("catalogue", "GET", f"{launch27.url}/booking/services", bearer))
    for number, court_id in guest.club.courts.items():
        path = f"/api/v1/external-services/{wingfield.service_id}/court-bookings/by-external-id/{number}"
        await ask(f"court {number}", "PUT", wingfield.url + path, wingfield.token, wanted(courtId=court_id))
    return got


FINE: dict[str, Any] = dict.fromkeys(("login", "listing", "catalogue", "court 1", "court 2"), 200) | {
    "unknown": 404,
    "dates": ["2025-11-21T17:30:00Z"],
    "services": 2,
}
AWAY = dict.fromkeys(("login", "listing", "catalogue", "unknown"), "nothing") | {"dates": [], "services": 0}
REFUSED = dict.fromkeys(("login", "listing", "catalogue", "unknown"), 401) | {"dates": [], "services": 0}
BROKEN: dict[str, dict[str, Any]] = {
    "launch27": AWAY,
    "wingfield": {"court 1": "nothing", "court 2": "nothing"},
    "court": {"court 2": 500},
    "password": REFUSED,
    "listing": {"dates": []},
    "catalogue": {"services": 0},
    "late": {"dates": ["2025-11-21T18:30:00Z"]},
}


@pytest.mark.parametrize("what", BREAKAGES)
async def test_what_is_broken_stays_so_until_it_is_mended(guest: Guest, what: str) -> None:
    await guest.books()
    await guest.sends("break", what=what, court="2")
    await guest.sends("break", what=what, court="2")
    for _ in range(2):
        assert await asked(guest) == FINE | BROKEN[what]
    title = "One court failing: Court 2" if what == "court" else BREAKAGES[what].title
    assert f"Broken now: {title}." in await guest.sees()
    await guest.sends("mend", what=what)
    assert await asked(guest) == FINE
    seen = await guest.sees()
    assert "Broken now" not in seen
    assert f"Mended: {title}." in seen
    await guest.sends("mend", what=what)


@pytest.mark.parametrize(
    ("action", "fields", "sentence"),
    [
        ("book", BOOKED | {"name": " "}, "Fill in: name."),
        ("book", BOOKED | {"court": "3"}, "There is no Court 3."),
        ("book", BOOKED | {"court": "1e3"}, "court: “1e3” is not a number."),
        ("book", BOOKED | {"minutes": "45"}, "Courts are booked for 30 to 1440 minutes, in steps of 30."),
        ("book", BOOKED | {"time": "half past"}, "time: “half past” is not a time; write it like 18:30."),
        ("book", BOOKED | {"day": "9999-12-31"}, "day: “9999-12-31” is not a day; write it like 2025-11-20."),
        ("cancel", {"id": "7"}, "Launch27 has no booking 7."),
        ("hand-delete", {"id": "7"}, "Wingfield has no court booking 7."),
        ("break", {"what": "everything"}, "There is no such thing to break."),
        ("break", {"what": "court"}, "There is no Court 0."),
    ],
)
async def test_what_cannot_be_done_is_said(guest: Guest, action: str, fields: dict[str, str], sentence: str) -> None:
    answer = await guest.http.post(f"/{action}", data={"day": DAY, **fields})
    assert answer.status_code == 400
    assert f"{sentence} Nothing was changed." in answer.text
    assert not guest.club.launch27.bookings
    assert not guest.club.journal


async def test_whatever_is_typed_is_shown_as_text_and_nothing_runs(guest: Guest) -> None:
    evil = "<script>alert(1)</script>\"'"
    await guest.books(name=evil, email=f"a@b.co{evil}", players=f"c@d.co{evil}")
    answer = await guest.http.get("/", params={"day": DAY})
    assert answer.text.count("alert(1)") >= 4
    assert "<script" not in answer.text
    assert 'alert(1)&lt;/script&gt;"' not in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
    assert "(1)" in (await guest.http.get("/", params={"day": "<b>(1)"})).text
    assert "<b>" not in (await guest.http.get("/", params={"day": "<b>(1)"})).text


async def test_it_says_that_it_is_simulated_and_how_to_bridge_it(guest: Guest) -> None:
    seen = await guest.sees()
    assert "Simulated. This Launch27 and this Wingfield exist only in this process" in seen
    assert f"base_url = &#34;{guest.club.launch27.url}&#34;" in seen
    assert (await guest.http.get("/style.css")).headers["content-type"].startswith("text/css")


async def test_while_it_is_watched_it_reloads_itself_and_has_no_form(guest: Guest) -> None:
    await guest.books()
    answer = await guest.http.get("/", params={"day": DAY, "watch": ""})
    assert answer.headers["refresh"] == "3"
    assert "<form" not in answer.text
    assert "booking 1001" in answer.text
    assert "refresh" not in (await guest.http.get("/")).headers


async def test_other_paths_methods_and_days_are_answered(guest: Guest) -> None:
    assert (await guest.http.post("/format")).status_code == 404
    assert (await guest.http.get("/a/b")).status_code == 404
    assert (await guest.http.delete("/")).status_code == 405
    odd = await guest.http.get("/", params={"day": "2025-13-01"})
    assert odd.status_code == 400
    assert "Thursday, 20 November 2025 (today)" in odd.text


async def test_where_its_port_is_taken_it_has_another(guest: Guest) -> None:
    async with served(guest.club) as one, served(guest.club) as other:
        assert one != other != str(guest.http.base_url)
        assert (await guest.http.get(other)).status_code == 200
    with pytest.raises(OSError, match="in use"):
        await served(guest.club, port=guest.http.base_url.port).__aenter__()


async def test_the_logs_of_requests_stay_short(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.sandbox.page._FORGET_SECONDS", 0.0)
    monkeypatch.setattr("bridge.sandbox.page._REQUESTS_KEPT", 2)
    async with served(club := guest.club) as address:
        for _ in range(5):
            await guest.http.get(f"{club.launch27.url}/settings")
        await guest.http.get(address)
        assert len(club.launch27.log) == 2


async def test_a_place_ends_as_many_minutes_later_in_the_night_of_the_change(guest: Guest) -> None:
    place = guest.club.place(1, datetime.fromisoformat("2025-10-26T00:30:00Z"), 60)
    assert str(place) == "Court 1, Sun 26 Oct 02:30–02:30"
