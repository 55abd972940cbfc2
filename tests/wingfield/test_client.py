"""The Wingfield client: what it sends, what it makes of each answer, and what it never tells."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import math
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from bridge import model
from bridge.config.schema import WingfieldConfig
from bridge.config.secrets import Secret
from bridge.errors import AccessDenied, CredentialsRefused, NotFound, Rejected, Unavailable
from bridge.http.client import Backoff, Http
from bridge.planning.refusals import MEANINGS
from bridge.wingfield import client as wingfield
from bridge.wingfield.client import Wingfield
from bridge.wingfield.wire import Court, Listed
from tests.support.answers import Server

SERVICE_ID = "497f6eca-6276-4993-bfeb-53cbbbba6f08"
USER = "2c4a230c-5085-4924-a3e1-25fb4fc5965b"
COURT = "79ae2927-a9bc-46ed-8f9e-079af32b7616"
TOKEN = "tok_ext_v1_hush"
CONFIG = WingfieldConfig(base_url="https://wingfield.test", external_service_id=SERVICE_ID, token=Secret(TOKEN))
START = datetime(2026, 11, 20, 9, tzinfo=UTC)
END = datetime(2026, 11, 20, 10, tzinfo=UTC)
VERSION = model.to_ms(datetime(2026, 11, 19, 8, 0, 0, 500_000, tzinfo=UTC))
BASE = f"/api/v1/external-services/{SERVICE_ID}"
QUICK = Backoff(tries=2, first=0.001, longest=0.002, jitter=0.0)
HTML = httpx.Response(404, html="<html>")

STORED = {
    "externalServiceId": SERVICE_ID,
    "externalCourtBookingId": "1005",
    "courtId": COURT,
    "startDate": "2026-11-20T10:00:00+01:00",
    "endDate": "2026-11-20T10:00:00.000Z",
    "externalUpdatedAt": "2026-11-19T08:00:00.500Z",
    "participants": [{"email": "A@b.co", "userId": None}],
    "createdAt": "x",
}
SLOT = model.Slot(COURT, START, END)
BOOKING = model.Stored("1005", VERSION, model.fingerprint(SLOT, ["a@b.co"]), SLOT, ("a@b.co",))
PUT = model.Write(model.Verb.CREATE, "1005", SLOT, ("a@b.co", "c@d.co"), b"", VERSION, "new")
DELETE = model.Write(model.Verb.DELETE, "1005", SLOT, (), model.ABSENT, VERSION, "gone")


def client(handler: Callable[[httpx.Request], Any], id_prefix: str = "") -> Wingfield:
    http = Http("Wingfield", CONFIG.base_url, backoff=QUICK, transport=httpx.MockTransport(handler))
    return Wingfield(CONFIG, id_prefix, http=http)


def error(status: int, type_: Any, **more: Any) -> httpx.Response:
    return httpx.Response(status, json={"error": {"type": type_, "message": "a@b.co said no", **more}})


def page(*items: Any, total: int | None = None) -> dict[str, Any]:
    return {"items": list(items), "totalCount": len(items) if total is None else total}


async def everything(pages: AsyncIterator[tuple[list[Listed], int]]) -> list[model.Stored]:
    return [each.stored async for page, _ in pages for each in page]


async def test_an_upsert_sends_the_documented_body() -> None:
    server = Server(STORED)
    await client(server).write(PUT)
    (request,) = server.asked
    assert (request.method, request.url.path) == ("PUT", f"{BASE}/court-bookings/by-external-id/1005")
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert json.loads(request.content) == {
        "courtId": COURT,
        "startDate": "2026-11-20T09:00:00Z",
        "endDate": "2026-11-20T10:00:00Z",
        "externalUpdatedAt": "2026-11-19T08:00:00.500Z",
        "participants": [{"email": "a@b.co"}, {"email": "c@d.co"}],
    }


async def test_the_key_is_one_part_of_the_path() -> None:
    server = Server({**STORED, "externalCourtBookingId": "../ä b/%?#1005"})
    await client(server, id_prefix="../ä b/%?#").write(PUT)
    path = server.asked[0].url.raw_path.decode()
    assert path == f"{BASE}/court-bookings/by-external-id/..%2F%C3%A4%20b%2F%25%3F%231005"


@pytest.mark.parametrize(
    "garbage", [[], {}, {"externalCourtBookingId": "1006"}, httpx.Response(200, text="<html>"), httpx.Response(200)]
)
async def test_an_upsert_is_done_only_when_the_answer_is_the_booking(garbage: Any) -> None:
    server = Server(garbage)
    with pytest.raises(Unavailable, match="not what the API promises"):
        await client(server).write(PUT)
    assert len(server.asked) == 2


async def test_a_delete_names_its_version() -> None:
    server = Server({})
    await client(server).write(DELETE)
    (request,) = server.asked
    assert (request.method, request.url.path) == ("DELETE", f"{BASE}/court-bookings/by-external-id/1005")
    assert dict(request.url.params) == {"externalUpdatedAt": "2026-11-19T08:00:00.500Z"}


@pytest.mark.parametrize("answer", [httpx.Response(200, text="<html>")])
async def test_a_web_page_does_not_say_that_a_delete_is_done(answer: httpx.Response) -> None:
    with pytest.raises(Unavailable, match="not what the API promises"):
        await client(Server(answer)).write(DELETE)


COURT_GONE = error(404, "court_not_found")
DONE = [httpx.Response(200, json={}), httpx.Response(200, text="OK"), httpx.Response(204)]


@pytest.mark.parametrize("answer", [*DONE, COURT_GONE])
async def test_a_delete_is_done_when_the_booking_or_its_court_is_not_there(answer: httpx.Response) -> None:
    server = Server(answer)
    await client(server).write(DELETE)
    assert len(server.asked) == 1


OTHER_404S = [
    (error(404, "court_booking_not_found"), "court_booking_not_found"),
    (httpx.Response(404, json={"message": "no"}), "refused"),
    (httpx.Response(404, text="no Route matched"), "refused"),
    (httpx.Response(404), "refused"),
    (HTML, "refused"),
]


@pytest.mark.parametrize(("answer", "reason"), OTHER_404S)
async def test_no_other_404_says_that_a_delete_is_done(answer: httpx.Response, reason: str) -> None:
    server = Server(answer)
    with pytest.raises(Rejected) as caught:
        await client(server).write(DELETE)
    assert caught.value.reason == reason
    assert len(server.asked) == 1


@pytest.mark.parametrize("answer", [httpx.Response(404), httpx.Response(404, json={"message": "no"}), error(404, "x")])
async def test_a_404_of_any_shape_but_a_web_page_reads_as_nothing_there(answer: httpx.Response) -> None:
    assert await client(Server(answer)).read("1005") is None


async def test_finishing_writes_go_out_while_stopping() -> None:
    server = Server(STORED)
    stopping = client(server)
    stopping.http.stop()
    await stopping.write(PUT, finishing=True)
    await stopping.write(DELETE, finishing=True)
    with pytest.raises(Unavailable, match="stopping"):
        await stopping.write(PUT)
    assert len(server.asked) == 2


CONFLICTS = ("stale_write", "version_conflict", "court_booking_overlap", "external_court_id_already_in_use")
TIME_RANGES = (f"invalid_{which}time_range" for which in ("", "filter_", "updated_filter_"))
MALFORMED = ("invalid_schema", "mutually_exclusive_fields_violation", "duplicate_entries_provided", *TIME_RANGES)


@pytest.mark.parametrize(
    ("status", "type_", "kind"),
    [
        *((409, type_, Rejected) for type_ in CONFLICTS),
        *((400, type_, Rejected) for type_ in MALFORMED),
        (404, "court_not_found", NotFound),
        *((403, f"{owner}_access_denied", AccessDenied) for owner in ("user", "organization")),
    ],
)
async def test_each_documented_error_has_its_meaning(status: int, type_: str, kind: type[Rejected]) -> None:
    server = Server(error(status, type_, issues=[{"path": "a@b.co"}]))
    with pytest.raises(Rejected) as caught:
        await client(server).write(PUT)
    assert (type(caught.value), caught.value.reason) == (kind, type_)
    assert str(caught.value) == f"Wingfield: {MEANINGS[type_]} ({type_})"
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("status", "type_", "kind", "reason"),
    [
        (400, "too_many_courts", Rejected, "too_many_courts"),
        (403, "court_asleep", AccessDenied, "court_asleep"),
        (404, "service_not_found", NotFound, "service_not_found"),
        (409, "Anna Muster <a@b.co>", Rejected, "unexpected_answer"),
        (409, "a" * 65, Rejected, "unexpected_answer"),
        (409, "x\n", Rejected, "unexpected_answer"),
    ],
)
async def test_an_unknown_error_type_is_kept_only_when_it_is_a_word(
    status: int, type_: str, kind: type[Rejected], reason: str
) -> None:
    with pytest.raises(Rejected) as caught:
        await client(Server(error(status, type_))).write(PUT)
    assert (type(caught.value), caught.value.reason) == (kind, reason)
    assert "a@b.co" not in str(caught.value)


DENIED = [error(403, "scope_permission_denied"), error(403, "external_service_access_denied")]


@pytest.mark.parametrize("answer", [error(401, "invalid_api_token"), httpx.Response(401, html="<html>"), *DENIED])
async def test_a_refused_token_is_refused_credentials(answer: httpx.Response) -> None:
    server = Server(answer)
    with pytest.raises(CredentialsRefused) as caught:
        await client(server).write(PUT)
    assert TOKEN not in str(caught.value)
    assert len(server.asked) == 1


ODD_ERRORS = [httpx.Response(404, json={}), httpx.Response(400, json=[]), httpx.Response(400, json={"error": "no"})]
TEXTS = [HTML, httpx.Response(403, html="<html>"), httpx.Response(413, text="too large"), httpx.Response(400)]


@pytest.mark.parametrize("write", [PUT, DELETE])
@pytest.mark.parametrize("answer", [*ODD_ERRORS, *TEXTS, error(400, 7)])
async def test_a_4xx_of_any_shape_rejects_a_write(answer: httpx.Response, write: model.Write) -> None:
    server = Server(answer)
    with pytest.raises(Rejected) as caught:
        await client(server).write(write)
    assert caught.value.reason == "refused"
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert len(server.asked) == 1


async def test_a_write_without_patience_is_tried_once() -> None:
    server = Server(httpx.Response(500))
    for write in (PUT, DELETE):
        with pytest.raises(Unavailable):
            await client(server).write(write, patient=False)
    assert len(server.asked) == 2


NOT_NOW = [
    httpx.Response(408),
    error(400, "rate_limit_exceeded"),
    error(429, "rate_limit_exceeded"),
    error(500, "internal_server_error"),
]


@pytest.mark.parametrize("answer", NOT_NOW)
async def test_what_is_not_the_apis_word_is_tried_again_and_then_unavailable(answer: httpx.Response) -> None:
    server = Server(answer)
    with pytest.raises(Unavailable):
        await client(server).write(PUT)
    assert len(server.asked) == 2


async def test_a_booking_is_read_back() -> None:
    server = Server(STORED)
    found = await client(server).read("1005")
    assert found == BOOKING
    assert "a@b.co" not in repr(found)
    assert server.asked[0].url.path == f"{BASE}/court-bookings/by-external-id/1005"


@pytest.mark.parametrize(
    "participants", [None, "x", [{}], [{"email": "a@b.co"}, {"email": ""}], [7], [{"email": 7}], [{"userId": 7}]]
)
async def test_participants_without_a_name_cannot_be_compared(participants: Any) -> None:
    found = await client(Server({**STORED, "participants": participants})).read("1005")
    assert found is not None
    assert found.participants is None
    assert found.fingerprint != model.fingerprint(SLOT, [])


ODD: list[dict[str, Any]] = [
    {**STORED, "startDate": "2026-11-20T09:00:00"},
    {**STORED, "endDate": "soon"},
    {**STORED, "startDate": "0001-01-01T00:00:00+12:00"},
    {**STORED, "externalUpdatedAt": None},
    {**STORED, "courtId": None},
    {key: value for key, value in STORED.items() if key != "externalCourtBookingId"},
]


@pytest.mark.parametrize("odd", [HTML, [], *ODD, {**STORED, "externalCourtBookingId": "1006"}])
async def test_a_booking_out_of_shape_is_no_answer(odd: Any) -> None:
    with pytest.raises(Unavailable, match="not what the API promises"):
        await client(Server(odd)).read("1005")


async def test_all_bookings_are_listed_page_by_page() -> None:
    items = [{**STORED, "externalCourtBookingId": str(number)} for number in range(250)]

    def answer(request: httpx.Request) -> httpx.Response:
        offset, limit = (int(request.url.params[name]) for name in ("offset", "limit"))
        assert limit == 100
        asked.append(offset)
        return httpx.Response(200, json=page(*items[offset : offset + limit], total=250))

    asked: list[int] = []
    found = await everything(client(answer).list_bookings())
    assert [booking.id for booking in found] == [str(number) for number in range(250)]
    assert asked == [0, 100, 200]


async def test_only_keys_of_the_prefix_and_digits_are_ours() -> None:
    keys = ["club-7", "club-007", "7", "club-", "club-x", "club-²", "other-7"]
    server = Server(page(*({**STORED, "externalCourtBookingId": key} for key in keys)))
    found = await everything(client(server, id_prefix="club-").list_bookings())
    assert [booking.id for booking in found] == ["7", "007", "", "", "", "", ""]


async def test_what_moves_to_the_front_while_the_list_is_read_is_found_there() -> None:
    """Newest first: what is written meanwhile is nowhere behind."""
    items = [
        {**STORED, "externalCourtBookingId": str(n), "updatedAt": f"2026-11-20T09:{59 - n // 5}:00Z"}
        for n in range(250)
    ]

    def answer(request: httpx.Request) -> httpx.Response:
        offset = int(request.url.params["offset"])
        if offset == 100:
            items.insert(0, {**items.pop(240), "updatedAt": "2026-11-20T10:00:00Z"})
        asked.append(offset)
        return httpx.Response(200, json=page(*items[offset : offset + 100], total=250))

    asked: list[int] = []
    found = await everything(client(answer).list_bookings())
    assert {booking.id for booking in found} == {str(number) for number in range(250)}
    assert asked == [0, 100, 200, 0]


@pytest.mark.parametrize("odd", [None, "soon", [], "2026-11-20T09:00:00"])
async def test_wingfields_own_times_may_be_odd(odd: Any) -> None:
    (found,) = await everything(client(Server(page({**STORED, "updatedAt": odd, "createdAt": odd}))).list_bookings())
    assert (found, found.updated_ms, found.created_ms) == (BOOKING, 0, 0)


async def test_an_empty_list_is_complete() -> None:
    server = Server(page())
    assert await everything(client(server).list_bookings()) == []
    assert len(server.asked) == 1


@pytest.mark.parametrize("second", [page(total=2), page(STORED, total=2)])
async def test_a_list_that_lacks_or_repeats_bookings_is_not_complete(second: Any) -> None:
    with pytest.raises(Unavailable, match="listed 1 of 2 bookings"):
        await everything(client(Server(page(STORED, total=2), second)).list_bookings())


async def test_a_list_without_end_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wingfield, "MOST_PAGES", 20)
    keys = map(str, itertools.count())
    asked = []

    def always_new(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json=page({**STORED, "externalCourtBookingId": next(keys)}, total=10**12))

    with pytest.raises(Unavailable, match="never ends"):
        await everything(client(always_new).list_bookings())
    assert len(asked) == 20


async def test_a_list_that_is_the_same_at_every_offset_is_not_read_ten_thousand_times() -> None:
    server = Server(page(STORED, total=10**12))
    with pytest.raises(Unavailable, match="never ends"):
        await everything(client(server).list_bookings())
    assert len(server.asked) == 2


def numbered(*numbers: int, total: int) -> dict[str, Any]:
    return page(*({**STORED, "externalCourtBookingId": str(number)} for number in numbers), total=total)


async def asked_at_once(monkeypatch: pytest.MonkeyPatch, ahead: float) -> tuple[int, list[int]]:
    """List six bookings, two a page; return how many pages were asked for at once, and all offsets."""
    monkeypatch.setattr(wingfield, "PAGE_SIZE", 2)
    waiting = most = 0

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal waiting, most
        waiting, most = waiting + 1, max(most, waiting + 1)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting -= 1
        offset = int(request.url.params["offset"])
        return httpx.Response(200, json=numbered(offset, offset + 1, total=6))

    server = Server(answer)
    listed = await everything(client(server).list_bookings(2, ahead))
    assert [each.id for each in listed] == ["0", "1", "2", "3", "4", "5"]
    return most, [int(request.url.params["offset"]) for request in server.asked]


async def test_pages_that_are_surely_wanted_are_read_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await asked_at_once(monkeypatch, math.inf) == (2, [0, 2, 4])
    assert await asked_at_once(monkeypatch, 0) == (1, [0, 2, 4])


async def test_where_pages_are_shorter_than_asked_for_nothing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wingfield, "PAGE_SIZE", 2)

    async def capped(request: httpx.Request) -> httpx.Response:
        offset = int(request.url.params["offset"])
        return httpx.Response(200, json=numbered(*range(offset, min(offset + (1 if offset else 2), 5)), total=5))

    listed = await everything(client(Server(capped)).list_bookings(2))
    assert [each.id for each in listed] == ["0", "1", "2", "3", "4"]


NO_KEY, THEIRS = ODD[-1], [{**each, "externalCourtBookingId": "theirs"} for each in ODD[:-1]]


@pytest.mark.parametrize("odd", [*THEIRS, NO_KEY, {**STORED, "externalCourtBookingId": 1006}, 7, None, [], "x"])
async def test_a_foreign_booking_may_be_in_any_shape(odd: Any) -> None:
    other = {**STORED, "externalCourtBookingId": "other"}
    found = await everything(client(Server(page(STORED, odd, other))).list_bookings())
    assert found == [
        BOOKING,
        model.Stored("", 0, b"", None),
        model.Stored("", VERSION, BOOKING.fingerprint, SLOT, ("a@b.co",)),
    ]


async def test_a_court_in_upper_case_is_the_same_court() -> None:
    assert await client(Server({**STORED, "courtId": COURT.upper()})).read("1005") == BOOKING
    assert (await client(Server({**COURT_SHOWN, "id": COURT.upper()})).court(COURT)).id == COURT


async def test_the_last_version_there_is_can_be_read_and_nothing_is_sent_above_it() -> None:
    last = "9999-12-31T23:59:59.999Z"
    found = await client(Server({**STORED, "externalUpdatedAt": last})).read("1005")
    assert found is not None
    server = Server(error(409, "version_conflict"))
    with pytest.raises(Rejected):
        await client(server).write(dataclasses.replace(PUT, version_ms=found.version_ms + 1))
    assert json.loads(server.asked[0].content)["externalUpdatedAt"] == last


@pytest.mark.parametrize("odd", ODD[:-1])
async def test_one_of_ours_out_of_shape_makes_the_list_no_answer(odd: Any) -> None:
    with pytest.raises(Unavailable, match="not what the API promises"):
        await everything(client(Server(page(STORED, odd))).list_bookings())


COURT_SHOWN = {"id": COURT, "name": "Court 1", "facilityId": "f", "facilityName": "Club", "mapping": None}
MAPPED = {**COURT_SHOWN, "mapping": {"externalCourtId": "c1", "externalCourtName": "One", "updatedAt": "x"}}


async def test_a_court_is_read() -> None:
    server = Server(MAPPED)
    found = await client(server).court(COURT)
    mapping = {"external_court_id": "c1", "external_court_name": "One"}
    assert found == Court(id=COURT, name="Court 1", facility_id="f", facility_name="Club", **mapping)
    assert server.asked[0].url.path == f"/api/v1/courts/{COURT}"


async def test_a_court_that_is_not_there_is_said_so() -> None:
    with pytest.raises(NotFound):
        await client(Server(error(404, "court_not_found"))).court(COURT)


async def test_all_pages_of_a_facilitys_courts_are_read() -> None:
    first, second = {**COURT_SHOWN, "systemInstalled": True}, {**MAPPED, "systemInstalled": False}
    server = Server(page(first, total=3), page(second, total=3), page(COURT_SHOWN, total=3))
    found = await client(server).facility_courts("f/1")
    shown = [(court.external_court_id, court.system_installed) for court in found]
    assert shown == [(None, True), ("c1", False), (None, None)]
    queries = ("limit=100&offset=0", "limit=100&offset=1", "limit=100&offset=2")
    assert [asked.url.raw_path.decode() for asked in server.asked] == [
        f"/api/v1/facilities/f%2F1/courts?{query}" for query in queries
    ]


async def test_the_users_who_accepted_are_asked_for_and_read_to_the_end() -> None:
    one = {"userId": USER.upper(), "email": None, "status": "ACCEPTED", "user": None}
    server = Server(page(one, total=2), page({**one, "userId": COURT}, total=2))
    found = await client(server).user_relations()
    assert [(each.user_id, each.email, each.status) for each in found] == [
        (USER, "", "ACCEPTED"),
        (COURT, "", "ACCEPTED"),
    ]
    assert dict(server.asked[1].url.params) == {"status": "ACCEPTED", "limit": "100", "offset": "1"}


async def test_a_list_that_is_shorter_than_it_says_is_no_answer() -> None:
    one = {"courtId": COURT, "externalCourtId": "c1"}
    with pytest.raises(Unavailable, match="listed 1 of 2"):
        await client(Server(page(one, total=2), page(one, total=2))).court_mappings()


async def test_a_user_is_sent_as_a_user_and_read_back_as_one() -> None:
    server = Server({**STORED, "participants": [{"userId": USER.upper()}, {"userId": COURT, "email": "C@d.co"}]})
    await client(server).write(dataclasses.replace(PUT, participants=(f"user:{USER}", "c@d.co")))
    assert json.loads(server.asked[0].content)["participants"] == [{"userId": USER}, {"email": "c@d.co"}]
    found = await client(server).read("1005")
    assert found is not None
    assert found.participants == (f"user:{USER}", f"user:{COURT} c@d.co")
    assert found.fingerprint == model.fingerprint(SLOT, found.participants)


async def test_a_connect_token_is_claimed_for_a_name_and_never_shown() -> None:
    server = Server({"id": "r", "organizationId": "o", "externalOrganizationId": "acme"}, {})
    claimed = await client(server).claim("ct_hush", "acme")
    assert (claimed.organization_id, claimed.external_organization_id) == ("o", "acme")
    (request,) = server.asked
    assert (request.method, request.url.path) == ("POST", f"{BASE}/organization-relations/claim")
    assert json.loads(request.content) == {"connectToken": "ct_hush", "externalOrganizationId": "acme"}
    with pytest.raises(Unavailable) as caught:
        await client(server).claim("ct_hush", "acme")
    assert "hush" not in str(caught.value)


async def test_court_mappings_are_read_to_the_end() -> None:
    one = {"courtId": COURT, "externalCourtId": "c1", "externalCourtName": "One"}
    server = Server(page(one, total=2), page({**one, "externalCourtName": None}, total=2))
    found = await client(server).court_mappings()
    assert [(each.court_id, each.external_court_name) for each in found] == [(COURT, "One"), (COURT, "")]
    assert [request.url.params["offset"] for request in server.asked] == ["0", "1"]


def test_repr_shows_no_token() -> None:
    assert repr(client(Server({}))) == "Wingfield(Http('Wingfield', URL('https://wingfield.test')))"
