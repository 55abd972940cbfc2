"""The Wingfield client: what it sends, what it makes of each answer, and what it never tells."""

from __future__ import annotations

import json
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
from bridge.sandbox import Sandbox
from bridge.wingfield import client as wingfield
from bridge.wingfield.client import CourtMapping, StoredBooking, UserRelation, Wingfield

SERVICE_ID = "497f6eca-6276-4993-bfeb-53cbbbba6f08"
COURT = "79ae2927-a9bc-46ed-8f9e-079af32b7616"
TOKEN = "tok_ext_v1_hush"
CONFIG = WingfieldConfig(
    base_url="https://wingfield.test", external_service_id=SERVICE_ID, token=Secret(TOKEN)
)
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
BOOKING = StoredBooking("1005", model.Slot(COURT, START, END), VERSION, ("a@b.co",))


class Server:
    """Gives its answers in turn, the last for ever, and keeps what it was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, httpx.Response):
            return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
        return httpx.Response(200, json=answer)


def client(handler: Callable[[httpx.Request], httpx.Response]) -> Wingfield:
    http = Http("Wingfield", CONFIG.base_url, backoff=QUICK, transport=httpx.MockTransport(handler))
    return Wingfield(http, CONFIG)


def error(status: int, type_: Any, **more: Any) -> httpx.Response:
    return httpx.Response(status, json={"error": {"type": type_, "message": "a@b.co said no", **more}})


def page(*items: Any, total: int | None = None) -> dict[str, Any]:
    return {"items": list(items), "totalCount": len(items) if total is None else total}


async def upsert(client: Wingfield, external_id: str = "1005", **more: Any) -> None:
    await client.upsert(
        external_id,
        court_id=COURT,
        start=START,
        end=END,
        version_ms=VERSION,
        participants=("a@b.co", "c@d.co"),
        **more,
    )


async def everything(pages: AsyncIterator[list[StoredBooking]]) -> list[StoredBooking]:
    return [booking async for page in pages for booking in page]


# --- Writes -------------------------------------------------------------------------------------------


async def test_an_upsert_sends_the_documented_body() -> None:
    server = Server(STORED)
    await upsert(client(server))
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


async def test_an_external_id_is_one_part_of_the_path() -> None:
    odd = "../ä b/%?#"
    server = Server({**STORED, "externalCourtBookingId": odd})
    await upsert(client(server), odd)
    path = server.asked[0].url.raw_path.decode()
    assert path == f"{BASE}/court-bookings/by-external-id/..%2F%C3%A4%20b%2F%25%3F%23"


@pytest.mark.parametrize(
    "garbage",
    [[], {}, {"externalCourtBookingId": "1006"}, httpx.Response(200, text="<html>"), httpx.Response(200)],
)
async def test_an_upsert_is_done_only_when_the_answer_is_the_booking(garbage: Any) -> None:
    server = Server(garbage)
    with pytest.raises(Unavailable, match="not what the API promises"):
        await upsert(client(server))
    assert len(server.asked) == 2


async def test_a_delete_names_its_version() -> None:
    server = Server({})
    await client(server).delete("1005", VERSION)
    (request,) = server.asked
    assert (request.method, request.url.path) == ("DELETE", f"{BASE}/court-bookings/by-external-id/1005")
    assert dict(request.url.params) == {"externalUpdatedAt": "2026-11-19T08:00:00.500Z"}


async def test_a_web_page_does_not_say_that_a_delete_is_done() -> None:
    for page in (httpx.Response(200, text="<html>"), HTML):
        with pytest.raises(Unavailable, match="not what the API promises"):
            await client(Server(page)).delete("1005", VERSION)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, json={}),
        httpx.Response(200, text="OK"),
        httpx.Response(204),
        httpx.Response(404, json={"error": {"type": "court_booking_not_found", "message": ""}}),
    ],
)
async def test_a_delete_is_done_when_the_booking_is_not_there_whatever_says_so(
    answer: httpx.Response,
) -> None:
    server = Server(answer)
    await client(server).delete("1005", VERSION)
    assert len(server.asked) == 1


@pytest.mark.parametrize("answer", [httpx.Response(404), httpx.Response(404, json={"message": "no"})])
async def test_a_404_of_any_shape_but_a_web_page_reads_as_nothing_there(answer: httpx.Response) -> None:
    assert await client(Server(answer)).read("1005") is None


async def test_finishing_writes_go_out_while_stopping() -> None:
    server = Server(STORED)
    stopping = client(server)
    stopping.http.stop()
    await upsert(stopping, finishing=True)
    await stopping.delete("1005", VERSION, finishing=True)
    with pytest.raises(Unavailable, match="stopping"):
        await upsert(stopping)
    assert len(server.asked) == 2


# --- Refusals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (409, wingfield.StaleWrite),
        (409, wingfield.VersionConflict),
        (409, wingfield.CourtBookingOverlap),
        (404, wingfield.CourtNotFound),
        (403, wingfield.UserAccessDenied),
        (403, wingfield.OrganizationAccessDenied),
        (400, wingfield.InvalidSchema),
        (400, wingfield.InvalidTimeRange),
        (400, wingfield.InvalidFilterTimeRange),
        (400, wingfield.InvalidUpdatedFilterTimeRange),
        (400, wingfield.MutuallyExclusiveFieldsViolation),
        (400, wingfield.DuplicateEntriesProvided),
        (409, wingfield.ExternalCourtIdAlreadyInUse),
    ],
)
async def test_each_documented_error_has_a_class_of_its_own(status: int, kind: type[Rejected]) -> None:
    server = Server(error(status, kind.reason, issues=[{"path": "a@b.co"}]))
    with pytest.raises(Rejected) as caught:
        await upsert(client(server))
    assert type(caught.value) is kind
    assert caught.value.reason == kind.reason
    assert "a@b.co" not in str(caught.value)
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
        await upsert(client(Server(error(status, type_))))
    assert (type(caught.value), caught.value.reason) == (kind, reason)
    assert "a@b.co" not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        error(401, "invalid_api_token"),
        httpx.Response(401, html="<html>"),
        error(403, "scope_permission_denied"),
        error(403, "external_service_access_denied"),
    ],
)
async def test_a_refused_token_is_refused_credentials(answer: httpx.Response) -> None:
    server = Server(answer)
    with pytest.raises(CredentialsRefused) as caught:
        await upsert(client(server))
    assert TOKEN not in str(caught.value)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "answer",
    [
        HTML,
        httpx.Response(403, html="<html>"),
        httpx.Response(404, json={}),
        httpx.Response(400, json=[]),
        httpx.Response(400, json={"error": "no"}),
        error(400, 7),
        error(400, "rate_limit_exceeded"),
        error(429, "rate_limit_exceeded"),
        error(500, "internal_server_error"),
    ],
)
async def test_what_is_not_the_apis_word_is_tried_again_and_then_unavailable(answer: httpx.Response) -> None:
    server = Server(answer)
    with pytest.raises(Unavailable):
        await upsert(client(server))
    assert len(server.asked) == 2


# --- Reads --------------------------------------------------------------------------------------------


async def test_a_booking_is_read_back() -> None:
    server = Server(STORED)
    found = await client(server).read("1005")
    assert found == BOOKING
    assert found.fingerprint == model.fingerprint(BOOKING.slot, ["a@b.co"])
    assert "a@b.co" not in repr(found)
    assert server.asked[0].url.path == f"{BASE}/court-bookings/by-external-id/1005"


async def test_a_booking_that_is_not_there_is_none() -> None:
    assert await client(Server(error(404, "court_booking_not_found"))).read("1005") is None


@pytest.mark.parametrize(
    "participants", [None, "x", [{"userId": "7"}], [{"email": "a@b.co"}, {"email": ""}], [7], [{"email": 7}]]
)
async def test_participants_without_an_address_cannot_be_compared(participants: Any) -> None:
    found = await client(Server({**STORED, "participants": participants})).read("1005")
    assert found is not None
    assert found.participants is None
    assert found.fingerprint is None


ODD = [
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
    assert [booking.external_id for booking in found] == [str(number) for number in range(250)]
    assert asked == [0, 100, 200]


async def test_an_empty_list_is_complete() -> None:
    server = Server(page())
    assert await everything(client(server).list_bookings()) == []
    assert len(server.asked) == 1


async def test_a_list_that_lacks_bookings_is_not_complete() -> None:
    server = Server(page(STORED, total=2), page(total=2))
    with pytest.raises(Unavailable, match="listed 1 of 2 bookings"):
        await everything(client(server).list_bookings())


async def test_a_list_that_repeats_one_booking_for_another_is_not_complete() -> None:
    server = Server(page(STORED, total=2))
    with pytest.raises(Unavailable, match="listed 1 of 2 bookings"):
        await everything(client(server).list_bookings())


async def test_a_list_without_end_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wingfield, "MOST_PAGES", 20)
    server = Server(page(STORED, total=10**12))
    with pytest.raises(Unavailable, match="never ends"):
        await everything(client(server).list_bookings())
    assert len(server.asked) == 20


@pytest.mark.parametrize("odd", [*ODD, 7])
async def test_one_booking_out_of_shape_makes_the_list_no_answer(odd: Any) -> None:
    with pytest.raises(Unavailable, match="not what the API promises"):
        await everything(client(Server(page(STORED, odd))).list_bookings())


COURT_SHOWN = {"id": COURT, "name": "Court 1", "facilityId": "f", "facilityName": "Club", "mapping": None}
MAPPED = {**COURT_SHOWN, "mapping": {"externalCourtId": "c1", "externalCourtName": "One", "updatedAt": "x"}}


async def test_a_court_is_read() -> None:
    server = Server(MAPPED)
    found = await client(server).court(COURT)
    assert found == wingfield.Court(COURT, "Court 1", "f", "Club", "c1", "One")
    assert server.asked[0].url.path == f"/api/v1/courts/{COURT}"


async def test_a_court_that_is_not_there_is_said_so() -> None:
    with pytest.raises(NotFound):
        await client(Server(error(404, "court_not_found"))).court(COURT)


@pytest.mark.parametrize("answer", [[COURT_SHOWN, MAPPED], page(COURT_SHOWN, MAPPED)])
async def test_a_facilitys_courts_are_read_bare_or_paged(answer: Any) -> None:
    server = Server(answer)
    found = await client(server).facility_courts("f/1")
    assert [court.external_court_id for court in found] == [None, "c1"]
    assert server.asked[0].url.raw_path == b"/api/v1/facilities/f%2F1/courts"


async def test_court_mappings_are_read_to_the_end() -> None:
    one = {"courtId": COURT, "externalCourtId": "c1", "externalCourtName": "One"}
    server = Server(page(one, total=2), page({**one, "externalCourtName": None}, total=2))
    found = await client(server).court_mappings()
    assert found == [CourtMapping(COURT, "c1", "One"), CourtMapping(COURT, "c1", "")]
    assert [request.url.params["offset"] for request in server.asked] == ["0", "1"]


async def test_user_relations_are_read_by_status() -> None:
    one: dict[str, Any] = {
        "userId": "u",
        "email": "a@b.co",
        "externalUserId": None,
        "status": "ACCEPTED",
        "user": {},
    }
    server = Server(page(one))
    found = await client(server).user_relations("ACCEPTED")
    assert found == [UserRelation("u", "a@b.co", None, "ACCEPTED")]
    assert "a@b.co" not in repr(found)
    assert server.asked[0].url.params["status"] == "ACCEPTED"


def test_repr_shows_no_token() -> None:
    assert repr(client(Server({}))) == "Wingfield(Http('Wingfield', URL('https://wingfield.test')))"


# --- Over real sockets --------------------------------------------------------------------------------


async def test_against_the_simulated_service() -> None:
    async with Sandbox() as sandbox:
        simulated = sandbox.wingfield
        simulated.add_court(COURT, "Court 1")
        config = WingfieldConfig(
            base_url=simulated.url, external_service_id=simulated.service_id, token=Secret(simulated.token)
        )
        ours = Wingfield.connect(config)
        for kind in ("lose", "half", "garbage", "refuse"):
            simulated.faults.add(kind)
            await upsert(ours)
        stored = StoredBooking("1005", model.Slot(COURT, START, END), VERSION, ("a@b.co", "c@d.co"))

        assert await ours.read("1005") == stored
        assert await everything(ours.list_bookings()) == [stored]
        with pytest.raises(wingfield.CourtBookingOverlap):
            await upsert(ours, "1006")
        with pytest.raises(wingfield.StaleWrite):
            await ours.delete("1005", VERSION - 1)
        await ours.delete("1005", VERSION)
        assert await ours.read("1005") is None
        await ours.http.aclose()
