from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from bridge.sandbox import Sandbox, Signal, Wingfield
from bridge.sandbox.wingfield import COURTS, FACILITY_ID

ONE, TWO = COURTS
USER = "2c4a230c-5085-4924-a3e1-25fb4fc5965b"
NOWHERE = "00000000-0000-4000-8000-000000000000"
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # unused, and quicker than loading the certificates
NOON = 1_763_640_000.0  # 2025-11-20T12:00:00Z


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world(clock: Clock) -> Wingfield:
    return Wingfield(clock=clock)


@pytest.fixture
async def sandbox(world: Wingfield) -> AsyncIterator[Sandbox]:
    async with Sandbox(wingfield=world) as sandbox:
        yield sandbox


@pytest.fixture
async def partner(sandbox: Sandbox, world: Wingfield) -> AsyncIterator[Partner]:
    async with httpx.AsyncClient(base_url=sandbox.wingfield.url, verify=TLS, trust_env=False) as http:
        yield Partner(http, world)


def at(hour: int, minute: int = 0) -> str:
    return f"2025-11-21T{hour:02}:{minute:02}:00Z"


def wanted(**changes: Any) -> dict[str, Any]:
    return {
        "courtId": ONE,
        "startDate": at(10),
        "endDate": at(11),
        "externalUpdatedAt": "2025-11-20T08:00:00Z",
        "participants": [{"email": "a@b.co"}],
    } | changes


class Partner:
    """What a partner does, with its token."""

    def __init__(self, http: httpx.AsyncClient, world: Wingfield) -> None:
        self.http = http
        self.headers = {"Authorization": f"Bearer {world.token}"}
        self.service = f"/api/v1/external-services/{world.service_id}"

    async def put(self, external_id: str, body: object = None, **changes: Any) -> httpx.Response:
        path = f"{self.service}/court-bookings/by-external-id/{external_id}"
        content = wanted(**changes) if body is None else body
        return await self.http.put(path, json=content, headers=self.headers)

    async def delete(self, external_id: str, version: str | None) -> httpx.Response:
        path = f"{self.service}/court-bookings/by-external-id/{external_id}"
        query = {} if version is None else {"externalUpdatedAt": version}
        return await self.http.delete(path, params=query, headers=self.headers)

    async def get(self, path: str, **query: str | int) -> httpx.Response:
        return await self.http.get(self.service + path, params=query, headers=self.headers)

    async def listed(self, **query: str | int) -> list[str]:
        answer = await self.get("/court-bookings", **query)
        assert answer.status_code == 200, answer.text
        return [item["externalCourtBookingId"] for item in answer.json()["items"]]


def kind(answer: httpx.Response) -> tuple[int, str | None]:
    """Status and error type; the shape of every error is checked on the way."""
    if answer.status_code == 200:
        return 200, None
    assert set(answer.json()) == {"error"}
    error = answer.json()["error"]
    assert set(error) - {"issues"} == {"type", "message"}
    assert isinstance(error["message"], str)
    return answer.status_code, error["type"]


OK = (200, None)
STALE = (409, "stale_write")
CONFLICT = (409, "version_conflict")
OVERLAP = (409, "court_booking_overlap")
SCHEMA = (400, "invalid_schema")


# --- authorization -----------------------------------------------------------------------------------


PATHS = [
    "/court-bookings",
    "/court-bookings/by-external-id/1",
    "/court-mappings",
    f"/courts/{ONE}/mapping",
    "/user-relations",
]


@pytest.mark.parametrize("path", PATHS)
async def test_every_request_needs_the_right_token(partner: Partner, path: str) -> None:
    partner.headers = {}
    assert kind(await partner.get(path)) == (401, "missing_api_token")
    partner.headers = {"Authorization": "Bearer tok_ext_v1_wrong"}
    assert kind(await partner.get(path)) == (401, "invalid_api_token")


@pytest.mark.parametrize("path", PATHS)
async def test_another_service_is_not_ours(partner: Partner, path: str) -> None:
    partner.service = f"/api/v1/external-services/{NOWHERE}"
    assert kind(await partner.get(path)) == (403, "external_service_access_denied")
    partner.service = "/api/v1/external-services/no-uuid"
    assert kind(await partner.get(path)) == SCHEMA


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        (path, "organization" if "court-mapp" in path or "/courts" in path else "court-booking")
        for path in PATHS[:4]
    ],
)
async def test_reading_needs_the_scope_at_least_for_reading(
    partner: Partner, world: Wingfield, path: str, scope: str
) -> None:
    world.scopes[scope] = "read"
    assert kind(await partner.get(path))[0] in {200, 404}
    world.scopes[scope] = "none"
    assert kind(await partner.get(path)) == (403, "scope_permission_denied")


async def test_relations_have_a_scope_of_their_own(partner: Partner, world: Wingfield) -> None:
    world.scopes["user"] = "none"
    assert kind(await partner.get("/user-relations")) == (403, "scope_permission_denied")
    assert kind(await partner.get("/court-bookings")) == OK


async def test_writing_needs_the_scope_for_writing(partner: Partner, world: Wingfield) -> None:
    world.scopes["court-booking"] = "read"
    assert kind(await partner.put("1")) == (403, "scope_permission_denied")
    assert kind(await partner.delete("1", at(0))) == (403, "scope_permission_denied")
    assert world.bookings == {}


async def test_an_unknown_path_or_method_is_404_in_the_shape_of_errors(partner: Partner) -> None:
    assert kind(await partner.get("/nowhere")) == (404, "not_found")
    assert kind(await partner.http.post(f"{partner.service}/court-bookings", headers=partner.headers)) == (
        404,
        "not_found",
    )


# --- upsert ------------------------------------------------------------------------------------------


async def test_an_upsert_creates_and_answers_the_stored_booking(
    partner: Partner, world: Wingfield, clock: Clock
) -> None:
    clock.now += 0.25
    answer = await partner.put("1001")
    assert answer.status_code == 200
    assert answer.json() == {
        **wanted(),
        "externalServiceId": world.service_id,
        "externalCourtBookingId": "1001",
        "createdAt": "2025-11-20T12:00:00.250Z",
        "updatedAt": "2025-11-20T12:00:00.250Z",
    }
    assert world.bookings == {"1001": answer.json()}


async def test_an_upsert_updates_and_keeps_the_moment_of_creation(partner: Partner, clock: Clock) -> None:
    await partner.put("1")
    clock.now += 60
    answer = await partner.put("1", endDate=at(12), externalUpdatedAt="2025-11-20T08:00:00.001Z")
    assert answer.status_code == 200
    assert answer.json()["endDate"] == at(12)
    assert answer.json()["createdAt"] == "2025-11-20T12:00:00Z"
    assert answer.json()["updatedAt"] == "2025-11-20T12:01:00Z"


async def test_times_may_have_any_offset_and_are_answered_in_utc(partner: Partner) -> None:
    answer = await partner.put("1", startDate="2025-11-21T11:00:00+01:00", endDate="2025-11-21T11:30Z")
    assert answer.json()["startDate"] == at(10)
    assert answer.json()["endDate"] == at(11, 30)


async def test_ids_are_ours_and_may_be_any_text(partner: Partner, world: Wingfield) -> None:
    assert kind(await partner.put("club%2F7 ä?".replace("?", "%3F"))) == OK
    assert list(world.bookings) == ["club/7 ä?"]
    assert kind(await partner.put("")) == SCHEMA


@pytest.mark.parametrize("missing", list(wanted()))
async def test_every_field_is_required(partner: Partner, missing: str) -> None:
    body = wanted()
    del body[missing]
    answer = await partner.put("1", body)
    assert kind(answer) == SCHEMA
    assert answer.json()["error"]["issues"] == [{"path": [missing], "message": "Required"}]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("courtId", "court-one"),
        ("courtId", 1),
        ("startDate", "2025-11-21T10:00:00"),
        ("startDate", "2025-11-21"),
        ("endDate", 1_763_640_000),
        ("endDate", "2025-13-21T10:00:00Z"),
        ("externalUpdatedAt", None),
        ("externalUpdatedAt", "yesterday"),
        ("participants", None),
        ("participants", []),
        ("participants", [{"email": f"p{n}@b.co"} for n in range(5)]),
        ("participants", ["a@b.co"]),
        ("participants", [{"email": "no address"}]),
        ("participants", [{"userId": "no uuid"}]),
        ("participants", [{"email": "a@b.co", "name": "A"}]),
        ("unknown", True),
    ],
)
async def test_a_body_that_breaks_its_schema_is_refused_with_its_place(
    partner: Partner, world: Wingfield, field: str, value: object
) -> None:
    answer = await partner.put("1", wanted(**{field: value}))
    assert kind(answer) == SCHEMA
    assert answer.json()["error"]["issues"][0]["path"][0] == field
    assert world.bookings == {}


async def test_every_issue_is_told_at_once(partner: Partner) -> None:
    answer = await partner.put("1", wanted(courtId=1, extra=1, participants=[{"email": 1}, {"userId": 2}]))
    paths = [issue["path"] for issue in answer.json()["error"]["issues"]]
    assert sorted(paths, key=str) == [
        ["courtId"],
        ["extra"],
        ["participants", 0, "email"],
        ["participants", 1, "userId"],
    ]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"text"', b"\xff"])
async def test_a_body_that_is_no_object_is_refused(partner: Partner, content: bytes) -> None:
    path = f"{partner.service}/court-bookings/by-external-id/1"
    assert kind(await partner.http.put(path, content=content, headers=partner.headers)) == SCHEMA


async def test_addresses_are_lower_cased(partner: Partner) -> None:
    answer = await partner.put("1", participants=[{"email": "Ada@Example.COM"}])
    assert answer.json()["participants"] == [{"email": "ada@example.com"}]


async def test_four_participants_are_allowed(partner: Partner) -> None:
    assert kind(await partner.put("1", participants=[{"email": f"p{n}@b.co"} for n in range(4)])) == OK


@pytest.mark.parametrize("participant", [{}, {"userId": USER, "email": "a@b.co"}])
async def test_a_participant_has_exactly_one_of_user_and_address(
    partner: Partner, participant: dict[str, str]
) -> None:
    assert kind(await partner.put("1", participants=[participant])) == (
        400,
        "mutually_exclusive_fields_violation",
    )


@pytest.mark.parametrize("twice", [[{"email": "a@b.co"}, {"email": "A@B.co"}], [{"userId": USER}] * 2])
async def test_participants_are_unique(partner: Partner, twice: list[dict[str, str]]) -> None:
    assert kind(await partner.put("1", participants=twice)) == (400, "duplicate_entries_provided")


async def test_only_users_who_accepted_may_be_named(partner: Partner, world: Wingfield) -> None:
    for status in ("PENDING", "REJECTED"):
        world.add_relation(USER, "u@b.co", status=status)
        assert kind(await partner.put("1", participants=[{"userId": USER}])) == (403, "user_access_denied")
    assert kind(await partner.put("1", participants=[{"userId": NOWHERE}])) == (403, "user_access_denied")
    world.add_relation(USER, "u@b.co")
    answer = await partner.put("1", participants=[{"userId": USER.upper()}])
    assert answer.json()["participants"] == [{"userId": USER}]


@pytest.mark.parametrize("end", [at(10), at(9)])
async def test_the_end_is_after_the_start(partner: Partner, end: str) -> None:
    assert kind(await partner.put("1", endDate=end)) == (400, "invalid_time_range")


async def test_an_unknown_court_is_404(partner: Partner) -> None:
    assert kind(await partner.put("1", courtId=NOWHERE)) == (404, "court_not_found")


async def test_a_court_of_a_club_that_did_not_let_us_in_is_403(partner: Partner, world: Wingfield) -> None:
    world.denied_courts.add(ONE)
    assert kind(await partner.put("1")) == (403, "organization_access_denied")


async def test_an_older_version_is_a_stale_write(partner: Partner, world: Wingfield) -> None:
    await partner.put("1")
    before = dict(world.bookings["1"])
    assert kind(await partner.put("1", externalUpdatedAt="2025-11-20T07:59:59.999Z")) == STALE
    assert world.bookings["1"] == before


@pytest.mark.parametrize(
    "change",
    [
        {"courtId": TWO},
        {"startDate": at(10, 1)},
        {"endDate": at(11, 1)},
        {"participants": [{"email": "b@b.co"}]},
        {"participants": [{"email": "a@b.co"}, {"email": "b@b.co"}]},
    ],
)
async def test_an_equal_version_is_a_conflict_when_anything_else_changed(
    partner: Partner, change: dict[str, Any]
) -> None:
    await partner.put("1")
    assert kind(await partner.put("1", **change)) == CONFLICT


async def test_an_equal_version_is_accepted_when_the_rest_is_unchanged(
    partner: Partner, clock: Clock
) -> None:
    first = await partner.put("1")
    clock.now += 60
    again = await partner.put(
        "1", startDate="2025-11-21T11:00:00.000+01:00", participants=[{"email": "A@b.co"}]
    )
    assert kind(again) == OK
    assert again.json() == first.json()


# --- overlaps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (at(10), at(11)),
        (at(9), at(10, 1)),
        (at(10, 59), at(12)),
        (at(9), at(12)),
        (at(10, 15), at(10, 30)),
    ],
)
async def test_bookings_that_share_a_moment_overlap(partner: Partner, start: str, end: str) -> None:
    await partner.put("1")
    assert kind(await partner.put("2", startDate=start, endDate=end)) == OVERLAP


async def test_bookings_that_only_touch_do_not_overlap(partner: Partner) -> None:
    await partner.put("1")
    assert kind(await partner.put("2", startDate=at(9), endDate=at(10))) == OK
    assert kind(await partner.put("3", startDate=at(11), endDate=at(12))) == OK
    assert kind(await partner.put("4", courtId=TWO)) == OK


async def test_a_booking_does_not_overlap_itself_and_still_others_behind_it(partner: Partner) -> None:
    await partner.put("1")
    await partner.put("2", startDate=at(11), endDate=at(12))
    later = {"externalUpdatedAt": "2025-11-20T09:00:00Z"}
    assert kind(await partner.put("1", startDate=at(9, 30), endDate=at(10, 30), **later)) == OK
    assert kind(await partner.put("1", startDate=at(10), endDate=at(12), **later, courtId=ONE)) == CONFLICT
    later = {"externalUpdatedAt": "2025-11-20T10:00:00Z"}
    assert kind(await partner.put("1", startDate=at(10), endDate=at(12), **later)) == OVERLAP


async def test_a_move_and_a_delete_free_the_place(partner: Partner) -> None:
    await partner.put("1")
    later = {"externalUpdatedAt": "2025-11-20T09:00:00Z"}
    assert kind(await partner.put("1", courtId=TWO, **later)) == OK
    assert kind(await partner.put("2")) == OK
    assert kind(await partner.delete("2", at(0))) == OK
    assert kind(await partner.put("3")) == OK


async def test_a_stranger_takes_the_place_and_is_never_listed(partner: Partner, world: Wingfield) -> None:
    stranger = world.add_stranger(ONE, datetime(2025, 11, 21, 10, 30, tzinfo=UTC), at(12))
    assert kind(await partner.put("1")) == OVERLAP
    assert await partner.listed() == []
    with pytest.raises(ValueError, match="is taken"):
        world.add_stranger(ONE, at(11), at(13))
    world.remove_stranger(stranger)
    assert kind(await partner.put("1")) == OK


# --- delete ------------------------------------------------------------------------------------------


VERSION = "2025-11-20T08:00:00Z"
OLDER, NEWER = "2025-11-20T07:00:00Z", "2025-11-20T09:00:00Z"


@pytest.mark.parametrize("version", [VERSION, NEWER])
async def test_a_delete_takes_the_same_or_a_newer_version(
    partner: Partner, world: Wingfield, version: str
) -> None:
    await partner.put("1")
    answer = await partner.delete("1", version)
    assert (answer.status_code, answer.json()) == (200, {})
    assert world.bookings == {}


async def test_a_delete_of_nothing_is_200(partner: Partner, world: Wingfield) -> None:
    assert (await partner.delete("1", VERSION)).json() == {}
    assert world.tombstones == {}


async def test_a_delete_may_be_repeated_with_the_same_or_a_newer_time(
    partner: Partner, world: Wingfield
) -> None:
    await partner.put("1")
    for version in (VERSION, VERSION, NEWER):
        assert (await partner.delete("1", version)).json() == {}
    assert kind(await partner.delete("1", VERSION)) == STALE
    assert list(world.tombstones) == ["1"]


async def test_a_delete_older_than_the_stored_version_is_a_stale_write(
    partner: Partner, world: Wingfield
) -> None:
    await partner.put("1")
    assert kind(await partner.delete("1", OLDER)) == STALE
    assert list(world.bookings) == ["1"]


@pytest.mark.parametrize("version", [None, "2025-11-20T08:00:00", "now"])
async def test_a_delete_needs_a_time_with_a_zone(partner: Partner, version: str | None) -> None:
    answer = await partner.delete("1", version)
    assert kind(answer) == SCHEMA
    assert answer.json()["error"]["issues"][0]["path"] == ["externalUpdatedAt"]


async def test_a_deleted_version_is_remembered(partner: Partner, world: Wingfield) -> None:
    await partner.put("1")
    await partner.delete("1", NEWER)
    assert kind(await partner.put("1")) == STALE
    assert kind(await partner.put("1", externalUpdatedAt=NEWER)) == CONFLICT
    assert kind(await partner.put("1", externalUpdatedAt="2025-11-20T09:00:00.001Z")) == OK
    assert world.tombstones == {}


async def test_a_world_may_forget_deleted_versions(partner: Partner, world: Wingfield) -> None:
    world.remembers_tombstones = False
    await partner.put("1")
    await partner.delete("1", NEWER)
    assert kind(await partner.put("1")) == OK


# --- listing and reading -----------------------------------------------------------------------------


async def test_a_listing_has_items_and_a_total_newest_update_first_then_by_id(
    partner: Partner, clock: Clock
) -> None:
    for number in (2, 1, 3):
        await partner.put(str(number), startDate=at(10 + number), endDate=at(11 + number))
    clock.now += 1
    await partner.put("3", externalUpdatedAt=NEWER, startDate=at(13), endDate=at(14))
    answer = (await partner.get("/court-bookings")).json()
    assert set(answer) == {"items", "totalCount"}
    assert answer["totalCount"] == 3
    assert [item["externalCourtBookingId"] for item in answer["items"]] == ["3", "1", "2"]


async def test_deleted_ones_are_never_listed_nor_found(partner: Partner) -> None:
    await partner.put("1")
    assert (await partner.get("/court-bookings/by-external-id/1")).json()["courtId"] == ONE
    await partner.delete("1", VERSION)
    assert await partner.listed() == []
    assert kind(await partner.get("/court-bookings/by-external-id/1")) == (404, "court_booking_not_found")


def fill(world: Wingfield, count: int) -> None:
    for number in range(count):
        start = datetime.fromtimestamp(NOON + 3600 * number, UTC)
        end = datetime.fromtimestamp(NOON + 3600 * number + 3600, UTC)
        world.store(f"{number:03}", court_id=ONE, start=start, end=end, updated_at=VERSION)


async def test_pages_have_fifty_unless_told_and_a_hundred_at_most(partner: Partner, world: Wingfield) -> None:
    fill(world, 120)
    assert len(await partner.listed()) == 50
    assert len(await partner.listed(limit=100)) == 100
    assert await partner.listed(limit=2, offset=1) == ["001", "002"]
    assert await partner.listed(offset=120) == []
    assert (await partner.get("/court-bookings", offset=119)).json()["totalCount"] == 120


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", 0),
        ("limit", 101),
        ("limit", "ten"),
        ("offset", -1),
        ("courtId", "one"),
        ("from", "2025-11-21"),
        ("participantEmail", "nobody"),
        ("participantUserId", "me"),
        ("externalCourtBookingId", ""),
        ("sort", "id"),
    ],
)
async def test_a_query_that_breaks_its_schema_is_refused(
    partner: Partner, name: str, value: str | int
) -> None:
    assert kind(await partner.get("/court-bookings", **{name: value})) == SCHEMA


async def test_every_filter_filters(partner: Partner, world: Wingfield, clock: Clock) -> None:
    world.add_relation(USER, "u@b.co")
    await partner.put("1")
    clock.now += 60
    await partner.put("2", courtId=TWO, participants=[{"email": "two@b.co"}, {"userId": USER}])
    clock.now += 60
    await partner.put("3", startDate=at(12), endDate=at(13))
    listed = partner.listed
    assert await listed(courtId=TWO.upper()) == ["2"]
    assert await listed(externalCourtBookingId="3") == ["3"]
    assert await listed(**{"from": at(11)}) == ["3"]
    assert await listed(to=at(12)) == ["2", "1"]
    assert await listed(**{"from": at(10, 30), "to": at(10, 45), "courtId": ONE}) == ["1"]
    assert await listed(updatedFrom="2025-11-20T12:01:00Z") == ["3", "2"]
    assert await listed(updatedTo="2025-11-20T12:01:00Z") == ["2", "1"]
    assert await listed(participantEmail="TWO@b.co") == ["2"]
    assert await listed(participantUserId=USER) == ["2"]
    filtered = await partner.get("/court-bookings", courtId=ONE, limit=1)
    assert filtered.json()["totalCount"] == 2
    assert len(filtered.json()["items"]) == 1


async def test_ranges_that_end_before_they_begin_are_refused(partner: Partner) -> None:
    assert kind(await partner.get("/court-bookings", **{"from": at(11), "to": at(10)})) == (
        400,
        "invalid_filter_time_range",
    )
    assert kind(await partner.get("/court-bookings", updatedFrom=at(11), updatedTo=at(10))) == (
        400,
        "invalid_updated_filter_time_range",
    )


# --- courts, mappings, relations ---------------------------------------------------------------------


async def bare(partner: Partner, path: str) -> httpx.Response:
    return await partner.http.get(f"/api/v1{path}", headers=partner.headers)


async def test_a_court_has_its_documented_shape(partner: Partner) -> None:
    assert (await bare(partner, f"/courts/{ONE}")).json() == {
        "id": ONE,
        "name": "Court 1",
        "facilityId": FACILITY_ID,
        "facilityName": "Sandbox Club",
        "systemInstalled": True,
        "mapping": None,
    }


async def test_an_unknown_court_or_facility_is_404(partner: Partner) -> None:
    assert kind(await bare(partner, f"/courts/{NOWHERE}")) == (404, "court_not_found")
    assert kind(await bare(partner, f"/facilities/{NOWHERE}/courts")) == (404, "facility_not_found")
    assert kind(await bare(partner, "/courts/one")) == SCHEMA


async def test_a_facility_has_its_courts(partner: Partner, world: Wingfield) -> None:
    world.add_court(NOWHERE, "Elsewhere", facility_id=USER, facility_name="Other Club")
    courts = (await bare(partner, f"/facilities/{FACILITY_ID}/courts")).json()
    assert [court["name"] for court in courts] == ["Court 1", "Court 2"]
    world.facility_courts_paged = True
    assert (await bare(partner, f"/facilities/{FACILITY_ID}/courts")).json() == {
        "items": courts,
        "totalCount": 2,
    }


async def test_a_club_that_did_not_let_us_in_shows_no_courts(partner: Partner, world: Wingfield) -> None:
    world.denied_courts.add(ONE)
    assert kind(await bare(partner, f"/courts/{ONE}")) == (403, "organization_access_denied")
    assert kind(await bare(partner, f"/facilities/{FACILITY_ID}/courts")) == (
        403,
        "organization_access_denied",
    )


async def map_court(partner: Partner, court_id: str, **body: object) -> httpx.Response:
    path = f"{partner.service}/courts/{court_id}/mapping"
    return await partner.http.put(path, json=body, headers=partner.headers)


async def test_a_mapping_is_put_read_and_shown_with_the_court(partner: Partner) -> None:
    path = f"/courts/{ONE}/mapping"
    assert kind(await partner.get(path)) == (404, "court_mapping_not_found")
    answer = await map_court(partner, ONE, externalCourtId="1", externalCourtName="Centre")
    assert answer.json() == (await partner.get(path)).json()
    assert answer.json()["courtId"] == ONE
    assert (await bare(partner, f"/courts/{ONE}")).json()["mapping"] == {
        "externalCourtId": "1",
        "externalCourtName": "Centre",
        "updatedAt": "2025-11-20T12:00:00Z",
    }


async def test_an_external_court_id_belongs_to_one_court(partner: Partner) -> None:
    await map_court(partner, ONE, externalCourtId="1", externalCourtName="Centre")
    assert kind(await map_court(partner, ONE, externalCourtId="1", externalCourtName="Again")) == OK
    assert kind(await map_court(partner, TWO, externalCourtId="1", externalCourtName="Two")) == (
        409,
        "external_court_id_already_in_use",
    )


async def test_a_mapping_has_a_schema_a_court_and_a_scope(partner: Partner, world: Wingfield) -> None:
    assert kind(await map_court(partner, ONE, externalCourtId="", externalCourtName="One")) == SCHEMA
    assert kind(await map_court(partner, NOWHERE, externalCourtId="1", externalCourtName="One")) == (
        404,
        "court_not_found",
    )
    world.scopes["organization"] = "read"
    assert kind(await map_court(partner, ONE, externalCourtId="1", externalCourtName="One")) == (
        403,
        "scope_permission_denied",
    )


async def test_mappings_are_paged_and_filtered(partner: Partner) -> None:
    await map_court(partner, ONE, externalCourtId="1", externalCourtName="One")
    await map_court(partner, TWO, externalCourtId="2", externalCourtName="Two")
    page = (await partner.get("/court-mappings", limit=1, offset=1)).json()
    assert ([item["courtId"] for item in page["items"]], page["totalCount"]) == ([TWO], 2)
    found = (await partner.get("/court-mappings", externalCourtId="1")).json()
    assert ([item["externalCourtName"] for item in found["items"]], found["totalCount"]) == (["One"], 1)


async def test_relations_are_filtered_by_status_and_external_user(partner: Partner, world: Wingfield) -> None:
    world.add_relation(USER, "U@b.co", external_user_id="77")
    world.add_relation(NOWHERE, "n@b.co", status="PENDING")
    accepted = (await partner.get("/user-relations", status="ACCEPTED")).json()
    assert accepted == {
        "items": [
            {
                "userId": USER,
                "email": "u@b.co",
                "externalUserId": "77",
                "status": "ACCEPTED",
                "user": {"id": USER, "email": "u@b.co"},
            }
        ],
        "totalCount": 1,
    }
    assert (await partner.get("/user-relations", externalUserId="77")).json() == accepted
    assert (await partner.get("/user-relations")).json()["totalCount"] == 2
    assert kind(await partner.get("/user-relations", status="MAYBE")) == SCHEMA


# --- editing the world -------------------------------------------------------------------------------


async def test_bookings_can_be_stored_and_removed_behind_the_bridges_back(
    partner: Partner, world: Wingfield
) -> None:
    world.store("7", court_id=ONE, start=at(10), end=at(11), updated_at=VERSION, emails=["A@b.co"])
    assert kind(await partner.put("7")) == OK  # the very same
    with pytest.raises(ValueError, match="is taken"):
        world.store("8", court_id=ONE, start=at(10), end=at(11), updated_at=VERSION)
    world.remove("7")
    assert await partner.listed() == []
    world.store("7", court_id=ONE, start=at(10), end=at(11), updated_at=VERSION)
    world.remove("7", tombstone=True)
    assert kind(await partner.put("7")) == CONFLICT


# --- the log -----------------------------------------------------------------------------------------


async def test_the_log_has_every_request_and_what_became_of_it(partner: Partner, world: Wingfield) -> None:
    await partner.put("1")
    await partner.put("2")
    await partner.delete("1", VERSION)
    await partner.get("/court-bookings", limit=7)
    await partner.get("/court-bookings")
    await partner.http.put(
        f"{partner.service}/court-bookings/by-external-id/3", content=b"{", headers=partner.headers
    )
    path = f"{partner.service}/court-bookings"
    assert world.log == [
        ("PUT", f"{path}/by-external-id/1", "1", 200, None, wanted()),
        ("PUT", f"{path}/by-external-id/2", "2", 409, "court_booking_overlap", wanted()),
        ("DELETE", f"{path}/by-external-id/1", "1", 200, None, {"externalUpdatedAt": VERSION}),
        ("GET", path, None, 200, None, {"limit": "7"}),
        ("GET", path, None, 200, None, None),
        ("PUT", f"{path}/by-external-id/3", "3", 400, "invalid_schema", b"{"),
    ]
    assert "a@b.co" not in repr(world.log)
    assert world.requests == 6


# --- faults ------------------------------------------------------------------------------------------


def outcomes(world: Wingfield) -> list[tuple[int, str | None]]:
    return [(entry.status, entry.error_type) for entry in world.log]


async def test_a_refused_connection_is_reset_before_the_request_is_applied(
    partner: Partner, world: Wingfield
) -> None:
    world.faults.add("refuse")
    with pytest.raises(httpx.ReadError):
        await partner.put("1")
    assert world.bookings == {}
    assert outcomes(world) == [(0, "fault:refuse")]
    assert kind(await partner.put("1")) == OK


async def test_a_lost_answer_leaves_the_request_applied(partner: Partner, world: Wingfield) -> None:
    world.faults.add("lose")
    with pytest.raises(httpx.RemoteProtocolError):
        await partner.put("1")
    assert list(world.bookings) == ["1"]
    assert outcomes(world) == [(200, None)]
    assert kind(await partner.put("1")) == OK


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (500, "internal_server_error"),
        (502, "internal_server_error"),
        (429, "rate_limit_exceeded"),
        (418, "invalid_schema"),
    ],
)
async def test_an_injected_status_is_not_applied(
    partner: Partner, world: Wingfield, status: int, error: str
) -> None:
    world.faults.add("status", status=status)
    assert kind(await partner.put("1")) == (status, error)
    assert world.bookings == {}
    assert outcomes(world) == [(status, "fault:status")]


async def test_an_injected_status_may_come_after_the_request_was_applied(
    partner: Partner, world: Wingfield
) -> None:
    world.faults.add("status", status=503, applied=True, retry_after="Fri, 21 Nov 2025 12:00:00 GMT")
    answer = await partner.put("1")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "Fri, 21 Nov 2025 12:00:00 GMT")
    assert list(world.bookings) == ["1"]
    assert outcomes(world) == [(200, None)]


async def test_garbage_is_a_page_of_html_and_nothing_is_applied(partner: Partner, world: Wingfield) -> None:
    world.faults.add("garbage")
    answer = await partner.put("1")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.text.startswith("<!doctype html>")
    assert world.bookings == {}


async def test_half_a_body_is_an_applied_request(partner: Partner, world: Wingfield) -> None:
    world.faults.add("half")
    with pytest.raises(httpx.RemoteProtocolError, match=r"incomplete|without sending complete"):
        await partner.put("1")
    assert list(world.bookings) == ["1"]


async def test_an_object_comes_as_a_list(partner: Partner, world: Wingfield) -> None:
    world.faults.add("wrong_shape")
    assert (await partner.get("/court-bookings")).json() == [{"items": [], "totalCount": 0}]


async def test_a_redirect_goes_where_it_is_told(partner: Partner, world: Wingfield) -> None:
    world.faults.add("redirect", location="http://elsewhere.invalid/")
    answer = await partner.put("1")
    assert (answer.status_code, answer.headers["location"]) == (302, "http://elsewhere.invalid/")
    assert world.bookings == {}


async def test_a_hanging_request_is_applied_and_answered_when_released(
    partner: Partner, world: Wingfield
) -> None:
    fault = world.faults.add("hang")
    writing = asyncio.create_task(partner.put("1"))
    await fault.struck.reached()
    assert world.bookings == {}
    fault.release()
    assert kind(await writing) == OK
    assert outcomes(world) == [(0, "fault:hang"), (200, None)]


async def test_a_hanging_request_whose_client_goes_is_never_applied(
    partner: Partner, world: Wingfield, sandbox: Sandbox
) -> None:
    fault = world.faults.add("hang")
    writing = asyncio.create_task(partner.put("1"))
    await fault.struck.reached()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert kind(await partner.put("2")) == OK
    assert list(world.bookings) == ["2"]


async def test_a_truncated_listing_keeps_its_total(partner: Partner, world: Wingfield) -> None:
    fill(world, 4)
    world.faults.add("truncate_listing", keep=1)
    answer = (await partner.get("/court-bookings")).json()
    assert (len(answer["items"]), answer["totalCount"]) == (1, 4)


async def test_a_listing_shifts_between_two_pages(partner: Partner, world: Wingfield) -> None:
    fill(world, 4)
    world.faults.add("shift")
    pages = [await partner.listed(limit=2, offset=offset) for offset in (0, 2)]
    assert pages == [["000", "001"], ["003"]]
    for number in ("001", "002", "003"):
        world.remove(number)
    world.faults.add("shift")
    assert await partner.listed(offset=1) == []


async def test_a_huge_body_is_streamed_and_may_be_left(partner: Partner, world: Wingfield) -> None:
    world.faults.add("huge", times=2, size_bytes=200_000)
    whole = await partner.get("/court-bookings")
    assert len(whole.content) > 200_000
    assert whole.json()["totalCount"] == 0
    world.faults.clear()
    world.faults.add("huge", size_bytes=1 << 40)
    url = f"{partner.service}/court-bookings"
    async with partner.http.stream("GET", url, headers=partner.headers) as answer:
        assert "content-length" not in answer.headers
        async for chunk in answer.aiter_bytes():
            assert chunk.isspace()
            break
    assert kind(await partner.get("/court-bookings")) == OK


async def test_a_trickle_outlives_every_time_out_but_the_total(partner: Partner, world: Wingfield) -> None:
    world.faults.add("trickle", interval_seconds=0.001)
    url = f"{partner.service}/court-bookings"
    async with partner.http.stream("GET", url, headers=partner.headers, timeout=5) as answer:
        seen = 0
        async for chunk in answer.aiter_bytes():
            assert chunk.isspace()
            seen += len(chunk)
            if seen > 3:
                break
    fault = world.faults.add("trickle", interval_seconds=60)
    reading = asyncio.create_task(partner.get("/court-bookings"))
    await fault.struck.reached()
    fault.release()
    assert (await reading).json() == {"items": [], "totalCount": 0}


async def test_faults_match_wait_and_are_spent(partner: Partner, world: Wingfield) -> None:
    fault = world.faults.add("status", times=2, after=1, match=lambda method, _: method == "PUT")
    statuses = []
    for number in range(4):
        statuses.append(
            (await partner.put(str(number), startDate=at(10 + number), endDate=at(11 + number))).status_code
        )
        assert kind(await partner.get("/court-bookings")) == OK
    assert statuses == [200, 500, 500, 200]
    assert (fault.hits, fault.spent, world.faults.pending) == (2, True, [])


async def test_a_fault_without_times_never_ends_until_cleared(partner: Partner, world: Wingfield) -> None:
    world.faults.add("status", times=None)
    assert [(await partner.get("/court-bookings")).status_code for _ in range(3)] == [500] * 3
    world.faults.clear()
    assert kind(await partner.get("/court-bookings")) == OK


async def test_a_schedule_gives_each_request_its_fault(partner: Partner, world: Wingfield) -> None:
    planned = world.faults.schedule(["status", None, "garbage", "status"], status=503)
    answers = [(await partner.get("/court-bookings")) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [503, 200, 200, 503, 200]
    assert answers[2].text.startswith("<!doctype")
    assert [fault.hits for fault in planned] == [1, 1, 1]


async def test_two_faults_for_one_request_strike_one_after_the_other(
    partner: Partner, world: Wingfield
) -> None:
    world.faults.add("status", status=500)
    world.faults.add("status", status=502)
    assert [(await partner.get("/court-bookings")).status_code for _ in range(3)] == [500, 502, 200]


async def test_a_signal_outlives_the_loop_that_waited_for_it() -> None:
    signal = Signal()

    def wait_in_a_loop_that_ends() -> None:
        async def wait() -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(signal.reached(), 0.001)

        asyncio.run(wait())

    await asyncio.to_thread(wait_in_a_loop_that_ends)
    signal.set()
    assert signal.is_set()
    assert signal.wait(0)
    await signal.reached()
