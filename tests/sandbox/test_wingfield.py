"""Wingfield's Partner API, simulated: what it takes, what it rejects and why, what it lists."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bridge.sandbox import ConnectToken, Wingfield
from bridge.sandbox.wingfield import COURTS, FACILITY_ID
from tests.sandbox.conftest import NOON, Clock, Partner, kind, wanted

ONE, TWO = COURTS
USER = "2c4a230c-5085-4924-a3e1-25fb4fc5965b"
NOWHERE = "00000000-0000-4000-8000-000000000000"
OK = (200, None)
STALE = (409, "stale_write")
CONFLICT = (409, "version_conflict")
OVERLAP = (409, "court_booking_overlap")
SCHEMA = (400, "invalid_schema")
DENIED = (403, "scope_permission_denied")
NO_COURT = (404, "court_not_found")
NOT_LET_IN = (403, "organization_access_denied")
OLDER, VERSION, NEWER = (f"2025-11-20T0{hour}:00:00Z" for hour in (7, 8, 9))


def at(hour: int, minute: int = 0) -> str:
    return f"2025-11-21T{hour:02}:{minute:02}:00Z"


def fill(world: Wingfield, count: int) -> None:
    for number in range(count):
        start, end = (datetime.fromtimestamp(NOON + 3600 * n, UTC) for n in (number, number + 1))
        world.store(f"{number:03}", court_id=ONE, start=start, end=end, updated_at=VERSION)


# --- authorization ---

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
    ("path", "scope"), [*zip(PATHS, ["court-booking"] * 2 + ["organization"] * 2 + ["user"], strict=True)]
)
async def test_reading_needs_the_scope_at_least_for_reading(partner: Partner, path: str, scope: str) -> None:
    partner.world.scopes[scope] = "read"
    assert kind(await partner.get(path))[0] in {200, 404}
    partner.world.scopes[scope] = "none"
    assert kind(await partner.get(path)) == DENIED


async def test_writing_needs_the_scope_for_writing(partner: Partner) -> None:
    partner.world.scopes |= {"court-booking": "read", "organization": "read"}
    mapped = await partner.map_court(ONE, externalCourtId="1", externalCourtName="One")
    assert kind(await partner.put("1")) == kind(await partner.delete("1", at(0))) == kind(mapped) == DENIED
    assert partner.world.bookings == {}


# --- upsert ---


async def test_an_upsert_creates_and_answers_the_stored_booking(partner: Partner, clock: Clock) -> None:
    clock.now += 0.25
    answer = await partner.put("1001")
    assert answer.status_code == 200
    assert answer.json() == {
        **wanted(),
        "externalServiceId": partner.world.service_id,
        "externalCourtBookingId": "1001",
        "createdAt": "2025-11-20T12:00:00.250Z",
        "updatedAt": "2025-11-20T12:00:00.250Z",
    }
    assert partner.world.bookings == {"1001": answer.json()}
    assert (await partner.get("/court-bookings/by-external-id/1001")).json() == answer.json()


async def test_an_upsert_updates_and_is_answered_in_utc_and_lower_case(partner: Partner, clock: Clock) -> None:
    await partner.put("1")
    clock.now += 60
    changes = {"startDate": "2025-11-21T11:00:00+01:00", "endDate": "2025-11-21T11:30Z", "externalUpdatedAt": NEWER}
    answer = await partner.put("1", **changes, participants=[{"email": "Ada@Example.COM"}])
    assert answer.status_code == 200
    assert (answer.json()["startDate"], answer.json()["endDate"]) == (at(10), at(11, 30))
    assert answer.json()["participants"] == [{"email": "ada@example.com"}]
    assert answer.json()["createdAt"] == "2025-11-20T12:00:00Z"
    assert answer.json()["updatedAt"] == "2025-11-20T12:01:00Z"


@pytest.mark.parametrize("missing", list(wanted()))
async def test_every_field_is_required(partner: Partner, missing: str) -> None:
    body = wanted()
    del body[missing]
    answer = await partner.put("1", body)
    assert kind(answer) == SCHEMA
    assert answer.json()["error"]["issues"] == [{"path": [missing], "message": "Required"}]


BROKEN: dict[str, list[object]] = {
    "courtId": ["court-one", 1],
    "startDate": ["2025-11-21T10:00:00", "2025-11-21"],
    "endDate": [1_763_640_000, "2025-13-21T10:00:00Z"],
    "externalUpdatedAt": [None, "yesterday"],
    "participants": [
        *(None, [], ["a@b.co"], [{"email": "no address"}], [{"userId": "no uuid"}]),
        *([{"email": f"p{n}@b.co"} for n in range(5)], [{"email": "a@b.co", "name": "A"}]),
    ],
    "unknown": [True],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in BROKEN for value in BROKEN[field]])
async def test_a_body_that_breaks_its_schema_is_rejected_with_its_place(
    partner: Partner, field: str, value: object
) -> None:
    answer = await partner.put("1", wanted(**{field: value}))
    assert kind(answer) == SCHEMA
    assert answer.json()["error"]["issues"][0]["path"][0] == field
    assert partner.world.bookings == {}


@pytest.mark.parametrize(
    ("participants", "error"),
    [
        ([{"email": f"p{n}@b.co"} for n in range(4)], None),
        ([{}], "mutually_exclusive_fields_violation"),
        ([{"userId": USER, "email": "a@b.co"}], "mutually_exclusive_fields_violation"),
        ([{"email": "a@b.co"}, {"email": "A@B.co"}], "duplicate_entries_provided"),
        ([{"userId": USER}] * 2, "duplicate_entries_provided"),
    ],
)
async def test_up_to_four_participants_are_unique_and_each_is_a_user_or_an_address(
    partner: Partner, participants: list[dict[str, str]], error: str | None
) -> None:
    assert kind(await partner.put("1", participants=participants)) == (400 if error else 200, error)


async def test_only_users_who_accepted_may_be_named(partner: Partner) -> None:
    for status in ("NONE", "PENDING", "REJECTED"):
        if status != "NONE":
            partner.world.add_relation(USER, "u@b.co", status=status)
        assert kind(await partner.put("1", participants=[{"userId": USER}])) == (403, "user_access_denied")
    partner.world.add_relation(USER, "u@b.co")
    answer = await partner.put("1", participants=[{"userId": USER.upper()}])
    assert answer.json()["participants"] == [{"userId": USER}]


async def test_a_court_must_be_there_its_club_must_have_let_us_in_and_the_end_is_after_the_start(
    partner: Partner,
) -> None:
    for end in (at(10), at(9)):
        assert kind(await partner.put("1", endDate=end)) == (400, "invalid_time_range")
    assert kind(await partner.put("1", courtId=NOWHERE)) == NO_COURT
    partner.world.denied_courts.add(ONE)
    for answer in (
        await partner.put("1"),
        await partner.bare(f"/courts/{ONE}"),
        await partner.bare(f"/facilities/{FACILITY_ID}/courts"),
    ):
        assert kind(answer) == NOT_LET_IN


async def test_an_older_version_is_a_stale_write(partner: Partner) -> None:
    await partner.put("1")
    before = dict(partner.world.bookings["1"])
    assert kind(await partner.put("1", externalUpdatedAt="2025-11-20T07:59:59.999Z")) == STALE
    assert partner.world.bookings["1"] == before


@pytest.mark.parametrize(
    ("field", "value"),
    [("courtId", TWO), ("startDate", at(10, 1)), ("endDate", at(11, 1)), ("participants", [{"email": "b@b.co"}])],
)
async def test_an_equal_version_is_a_conflict_when_anything_else_changed(
    partner: Partner, field: str, value: object
) -> None:
    await partner.put("1")
    assert kind(await partner.put("1", **{field: value})) == CONFLICT


async def test_an_equal_version_is_accepted_when_the_rest_is_unchanged(partner: Partner, clock: Clock) -> None:
    first = await partner.put("1")
    clock.now += 60
    again = await partner.put("1", startDate="2025-11-21T11:00:00.000+01:00", participants=[{"email": "A@b.co"}])
    assert kind(again) == OK
    assert again.json() == first.json()


# --- overlaps ---


@pytest.mark.parametrize(
    ("start", "end", "answer"),
    [
        *((at(10), at(11), OVERLAP), (at(9), at(10, 1), OVERLAP), (at(10, 59), at(12), OVERLAP)),
        *((at(9), at(12), OVERLAP), (at(10, 15), at(10, 30), OVERLAP)),
        *((at(9), at(10), OK), (at(11), at(12), OK)),
    ],
)
async def test_bookings_of_a_court_that_share_a_moment_overlap(
    partner: Partner, start: str, end: str, answer: tuple[int, str | None]
) -> None:
    await partner.put("1")
    assert kind(await partner.put("2", startDate=start, endDate=end)) == answer
    assert kind(await partner.put("3", startDate=start, endDate=end, courtId=TWO)) == OK


async def test_a_move_and_a_delete_free_the_place(partner: Partner) -> None:
    await partner.put("1")
    later = {"externalUpdatedAt": NEWER}
    assert kind(await partner.put("1", courtId=TWO, **later)) == OK
    assert kind(await partner.put("2")) == OK
    assert kind(await partner.delete("2", at(0))) == OK
    assert kind(await partner.put("3")) == OK


async def test_a_stranger_takes_the_place_and_is_never_listed(partner: Partner) -> None:
    stranger = partner.world.add_stranger(ONE, datetime(2025, 11, 21, 10, 30, tzinfo=UTC), at(12))
    assert kind(await partner.put("1")) == OVERLAP
    assert await partner.listed() == []
    with pytest.raises(ValueError, match="is taken"):
        partner.world.add_stranger(ONE, at(11), at(13))
    partner.world.remove_stranger(stranger)
    assert kind(await partner.put("1")) == OK


# --- delete ---


@pytest.mark.parametrize(
    "deletes",
    [
        [(VERSION, OK), (VERSION, OK), (NEWER, OK), (VERSION, STALE)],
        [(NEWER, OK), (VERSION, STALE)],
        [(OLDER, STALE), (VERSION, OK)],
    ],
    ids=["may be repeated", "takes a newer version", "takes no older one"],
)
async def test_a_delete(partner: Partner, deletes: list[tuple[str, tuple[int, str | None]]]) -> None:
    assert (await partner.delete("1", NEWER)).json() == partner.world.tombstones == {}, "nothing was there"
    await partner.put("1")
    for version, answer in deletes:
        there = await partner.listed()
        assert kind(await partner.delete("1", version)) == answer
        assert await partner.listed() == ([] if answer == OK else there)
    assert kind(await partner.get("/court-bookings/by-external-id/1")) == (404, "court_booking_not_found")
    assert list(partner.world.tombstones) == ["1"]


@pytest.mark.parametrize("version", [None, "2025-11-20T08:00:00", "now"])
async def test_a_delete_needs_a_time_with_a_zone(partner: Partner, version: str | None) -> None:
    answer = await partner.delete("1", version)
    assert kind(answer) == SCHEMA
    assert answer.json()["error"]["issues"][0]["path"] == ["externalUpdatedAt"]


async def test_a_deleted_version_is_remembered(partner: Partner) -> None:
    await partner.put("1")
    await partner.delete("1", NEWER)
    assert kind(await partner.put("1")) == STALE
    assert kind(await partner.put("1", externalUpdatedAt=NEWER)) == CONFLICT
    assert kind(await partner.put("1", externalUpdatedAt="2025-11-20T09:00:00.001Z")) == OK
    assert partner.world.tombstones == {}


# --- listing and reading ---


async def test_a_listing_has_items_and_a_total_newest_update_first_then_by_id(partner: Partner, clock: Clock) -> None:
    for number in (2, 1, 3):
        await partner.put(str(number), startDate=at(10 + number), endDate=at(11 + number))
    clock.now += 1
    await partner.put("3", externalUpdatedAt=NEWER, startDate=at(13), endDate=at(14))
    answer = (await partner.get("/court-bookings")).json()
    assert set(answer) == {"items", "totalCount"}
    assert answer["totalCount"] == 3
    assert [item["externalCourtBookingId"] for item in answer["items"]] == ["3", "1", "2"]


async def test_pages_have_fifty_unless_told_and_a_hundred_at_most(partner: Partner) -> None:
    fill(partner.world, 120)
    assert (len(await partner.listed()), len(await partner.listed(limit=100))) == (50, 100)
    assert await partner.listed(limit=2, offset=1) == ["001", "002"]
    assert (await partner.get("/court-bookings", offset=120)).json() == {"items": [], "totalCount": 120}


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "offset=-1", "courtId=one", "from=2025-11-21", "participantEmail=nobody", "sort=id"],
)
async def test_a_query_that_breaks_its_schema_is_rejected(partner: Partner, query: str) -> None:
    name, value = query.split("=")
    assert kind(await partner.get("/court-bookings", **{name: value})) == SCHEMA


async def test_every_filter_filters(partner: Partner, clock: Clock) -> None:
    partner.world.add_relation(USER, "u@b.co")
    await partner.put("1")
    clock.now += 60
    await partner.put("2", courtId=TWO, participants=[{"email": "two@b.co"}, {"userId": USER}])
    clock.now += 60
    await partner.put("3", startDate=at(12), endDate=at(13))
    queries: list[tuple[dict[str, str], list[str]]] = [
        ({"courtId": TWO.upper()}, ["2"]),
        ({"externalCourtBookingId": "3"}, ["3"]),
        ({"from": at(11)}, ["3"]),
        ({"to": at(12)}, ["2", "1"]),
        ({"from": at(10, 30), "to": at(10, 45), "courtId": ONE}, ["1"]),
        ({"updatedFrom": "2025-11-20T12:01:00Z"}, ["3", "2"]),
        ({"updatedTo": "2025-11-20T12:01:00Z"}, ["2", "1"]),
        ({"participantEmail": "TWO@b.co"}, ["2"]),
        ({"participantUserId": USER}, ["2"]),
    ]
    assert [await partner.listed(**query) for query, _ in queries] == [found for _, found in queries]
    filtered = (await partner.get("/court-bookings", courtId=ONE, limit=1)).json()
    assert (filtered["totalCount"], len(filtered["items"])) == (2, 1)


@pytest.mark.parametrize("name", ["", "updated_"])
async def test_ranges_that_end_before_they_begin_are_rejected(partner: Partner, name: str) -> None:
    first, last = ("updatedFrom", "updatedTo") if name else ("from", "to")
    answer = await partner.get("/court-bookings", **{first: at(11), last: at(10)})
    assert kind(answer) == (400, f"invalid_{name}filter_time_range")


# --- courts, mappings, relations ---


async def test_a_court_has_its_documented_shape(partner: Partner) -> None:
    facility = {"facilityId": FACILITY_ID, "facilityName": "Sandbox Club"}
    court = {"id": ONE, "name": "Court 1", **facility, "systemInstalled": True, "mapping": None}
    assert (await partner.bare(f"/courts/{ONE}")).json() == court
    assert kind(await partner.bare(f"/courts/{NOWHERE}")) == NO_COURT
    assert kind(await partner.bare("/courts/one")) == SCHEMA


async def test_a_facility_has_its_courts(partner: Partner) -> None:
    partner.world.add_court(NOWHERE, "Elsewhere", facility_id=USER, facility_name="Other Club")
    courts = (await partner.bare(f"/facilities/{FACILITY_ID}/courts")).json()
    assert ([court["name"] for court in courts["items"]], courts["totalCount"]) == (["Court 1", "Court 2"], 2)
    assert kind(await partner.bare(f"/facilities/{NOWHERE}/courts")) == (404, "facility_not_found")


async def test_a_facilitys_courts_come_fifty_at_a_time(partner: Partner) -> None:
    for n in range(60):
        partner.world.add_court(f"00000000-0000-4000-8000-{n:012}", f"Court {n}", system_installed=n > 0)
    page = (await partner.bare(f"/facilities/{FACILITY_ID}/courts")).json()
    assert (len(page["items"]), page["totalCount"], page["items"][2]["systemInstalled"]) == (50, 62, False)
    rest = (await partner.bare(f"/facilities/{FACILITY_ID}/courts?offset=50&limit=100")).json()
    assert len(rest["items"]) == 12


async def test_a_delete_finds_out_that_a_court_is_gone_and_its_booking_with_it(partner: Partner) -> None:
    await partner.put("1")
    del partner.world.courts[ONE]
    answers = [kind(await partner.delete("1", "2025-11-20T09:00:00Z")) for _ in range(2)]
    assert (answers, partner.world.bookings) == ([NO_COURT, OK], {})


async def test_what_was_mapped_by_hand_can_be_unmapped(partner: Partner) -> None:
    partner.world.map_court(ONE, "1", "Centre")
    assert (await partner.get(f"/courts/{ONE}/mapping")).json()["externalCourtId"] == "1"
    partner.world.unmap_court(ONE)
    assert (await partner.get("/court-mappings")).json() == {"items": [], "totalCount": 0}


CLAIM = "/organization-relations/claim"


@pytest.mark.parametrize(
    ("token", "answer"),
    [
        ("ct_good", OK),
        ("ct_none", (404, "connect_token_not_found")),
        ("ct_used", (409, "connect_token_unusable")),
        ("ct_late", (410, "expired_connect_token")),
        ("ct_theirs", (409, "external_organization_id_mismatch")),
        ("ct_second", (409, "external_organization_id_already_in_use")),
        ("nonsense", (422, "malformed_connect_token")),
        ("", SCHEMA),
    ],
)
async def test_a_connect_token_is_claimed_once_or_refused(
    partner: Partner, token: str, answer: tuple[int, str | None]
) -> None:
    world = partner.world
    world.denied_courts.add(ONE)
    world.organizations["taken"] = "another"
    world.connect_tokens |= {
        "ct_good": ConnectToken(USER),
        "ct_used": ConnectToken(USER, state="used"),
        "ct_late": ConnectToken(USER, state="expired"),
        "ct_theirs": ConnectToken(USER, known_as="theirs"),
        "ct_second": ConnectToken(USER),
    }
    name = "taken" if token == "ct_second" else "acme"
    body = {"connectToken": token, "externalOrganizationId": name}
    assert kind(await partner.post(CLAIM, body)) == answer
    assert (world.denied_courts == set(), world.organizations.get("acme")) == (
        answer == OK,
        USER * (answer == OK) or None,
    )
    assert answer != OK or kind(await partner.post(CLAIM, body)) == (409, "connect_token_unusable")


async def test_a_claim_needs_the_scope(partner: Partner) -> None:
    partner.world.scopes["organization"] = "read"
    body = {"connectToken": "ct_good", "externalOrganizationId": "acme"}
    assert kind(await partner.post(CLAIM, body)) == (403, "scope_permission_denied")


async def test_a_mapping_is_put_read_and_shown_with_the_court(partner: Partner) -> None:
    path = f"/courts/{ONE}/mapping"
    assert kind(await partner.get(path)) == (404, "court_mapping_not_found")
    answer = await partner.map_court(ONE, externalCourtId="1", externalCourtName="Centre")
    assert answer.json() == (await partner.get(path)).json()
    mapping = {"externalCourtId": "1", "externalCourtName": "Centre", "updatedAt": "2025-11-20T12:00:00Z"}
    assert (answer.json()["courtId"], (await partner.bare(f"/courts/{ONE}")).json()["mapping"]) == (ONE, mapping)


@pytest.mark.parametrize(
    ("court_id", "external_id", "answer"),
    [
        (ONE, "1", OK),
        (TWO, "1", (409, "external_court_id_already_in_use")),
        (ONE, "", SCHEMA),
        (NOWHERE, "1", NO_COURT),
    ],
)
async def test_a_mapping_has_an_id_of_its_own_a_schema_and_a_court(
    partner: Partner, court_id: str, external_id: str, answer: tuple[int, str | None]
) -> None:
    await partner.map_court(ONE, externalCourtId="1", externalCourtName="One")
    mapped = await partner.map_court(court_id, externalCourtId=external_id, externalCourtName="Again")
    assert kind(mapped) == answer


async def test_mappings_are_paged_and_filtered(partner: Partner) -> None:
    await partner.map_court(ONE, externalCourtId="1", externalCourtName="One")
    await partner.map_court(TWO, externalCourtId="2", externalCourtName="Two")
    page = (await partner.get("/court-mappings", limit=1, offset=1)).json()
    assert ([item["courtId"] for item in page["items"]], page["totalCount"]) == ([TWO], 2)
    found = (await partner.get("/court-mappings", externalCourtId="1")).json()
    assert ([item["externalCourtName"] for item in found["items"]], found["totalCount"]) == (["One"], 1)


async def test_relations_are_filtered_by_status_and_external_user(partner: Partner) -> None:
    partner.world.add_relation(USER, "U@b.co", external_user_id="77")
    partner.world.add_relation(NOWHERE, "n@b.co", status="PENDING")
    accepted = (await partner.get("/user-relations", status="ACCEPTED")).json()
    user = {"id": USER, "email": "u@b.co"}
    relation = {"userId": USER, "email": "u@b.co", "externalUserId": "77", "status": "ACCEPTED", "user": user}
    assert accepted == {"items": [relation], "totalCount": 1}
    assert (await partner.get("/user-relations", externalUserId="77")).json() == accepted
    assert (await partner.get("/user-relations")).json()["totalCount"] == 2
    assert kind(await partner.get("/user-relations", status="MAYBE")) == SCHEMA


# --- editing the world, and its log ---
