"""Privacy: secrets and addresses stay where they belong, and nothing that an answer says is trusted."""

from __future__ import annotations

import io
import json
import logging
import re
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from starlette.responses import JSONResponse

from bridge import log as logs
from bridge.cli import once
from bridge.errors import BridgeError, ExitStatus
from bridge.http.client import Timeouts
from bridge.sync.narrator import LogNarrator, withheld_advice
from tests.support.builders import HOUR, NOON, THREE
from tests.support.club import Club, Crash, Recorder, is_write

PASSWORD = "pw-ZEBRA-hunter2"
TOKEN = "tok_ext_v1_GIRAFFE"
CLUB, SECOND = "okapi.club@example.com", "okapi.second@example.com"
PLAYERS = [f"okapi.player{n}@example.com" for n in range(6)]
SEARCHED = ("ZEBRA", "GIRAFFE", "okapi", "eyJ", "Wombat", "Quokka")
"""Parts of the password, the token, every address, every JWT, and of people's names."""


@pytest.fixture(autouse=True)
def _logs() -> Iterator[None]:
    root = logging.getLogger()
    before = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = before
    structlog.reset_defaults()


class Telling(Recorder):
    """Remembers, and tells the real log."""

    def __init__(self) -> None:
        super().__init__()
        self.aloud = LogNarrator()

    def __getattribute__(self, name: str) -> Any:
        remember = super().__getattribute__(name)
        if not callable(getattr(LogNarrator, name, None)) or name.startswith("_"):
            return remember

        def tell(*args: Any) -> None:
            remember(*args)
            getattr(self.aloud, name)(*args)

        return tell


pytestmark = pytest.mark.club(
    accounts=2,
    emails=(CLUB, SECOND),
    password=PASSWORD,
    token=TOKEN,
    patience=Timeouts(connect=0.1, read=0.1, write=0.1, total=0.2),
    narrator=Telling,
)


class Search:
    """Gathers everything that is said anywhere, and looks through it."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def hear(self, place: str, text: str) -> None:
        self.said.append((place, text))

    def hear_error(self, place: str, error: BaseException) -> None:
        """Take in an error, its traceback, and whatever lies behind it."""
        self.hear(place, "".join(traceback.format_exception(error)))
        self.hear(place, repr(error) + str(error) + repr(error.args))
        seen = error.__cause__ or error.__context__
        if seen is not None:
            self.hear_error(place + " behind", seen)

    def finds(self) -> list[str]:
        found = []
        for place, text in self.said:
            found += [f"{place}: {word}" for word in SEARCHED if word.casefold() in text.casefold()]
        return sorted(set(found))


FAULTS: list[dict[str, Any]] = [
    *({"kind": "status", "status": status} for status in (500, 400, 401, 403, 404, 409, 422)),
    {"kind": "status", "status": 429, "retry_after": "60"},
    *({"kind": kind} for kind in ("garbage", "half", "wrong_shape", "refuse", "lose", "hang")),
    {"kind": "redirect", "location": "http://127.0.0.1:9/okapi.trap@example.com"},
]


def a_day(club: Club) -> list[int]:
    """Bookings of every kind, all of them with names and addresses."""
    people: dict[str, Any] = {"name": "Wanda Wombat", "phone": "Quokka 030"}
    numbers = [
        club.book(1 + n % 3, 24 + n // 3, owner=(CLUB, SECOND)[n % 2], email=PLAYERS[n % 6], **people) for n in range(9)
    ]
    club.book(1, 60, email="okapi@@broken", owner=CLUB, **people)
    club.book(1, 61, owner=CLUB, services=None, **people)
    club.book(1, 62, owner=CLUB, service_date="okapi.soon@example.com", **people)
    club.book(1, 63, owner=SECOND, services=[1, 2], email=PLAYERS[0], **people)
    odd = club.book(1, 64, owner=SECOND, **people)
    club.launch27.bookings[odd]["id"] = "okapi.id@example.com"
    players = [{"code": "players", "value": "okapi@x; " + PLAYERS[2]}]
    club.book(2, 65, owner=CLUB, email=PLAYERS[1], custom_fields=players)
    club.stranger(THREE, 70)
    club.book(3, 70, owner=CLUB, email=PLAYERS[3], **people)
    return numbers


async def drive(club: Club, search: Search) -> None:
    """Meet every trouble there is, and take in all that is returned or raised."""

    async def run(place: str, **how: Any) -> None:
        try:
            result = await club.run(**how)
        except (BridgeError, Crash) as error:
            search.hear_error(place, error)
            return
        search.hear(f"{place}: repr", repr(result))
        search.hear(f"{place}: json", json.dumps(once.pass_json(result, dry_run=True)))
        search.hear(f"{place}: advice", withheld_advice(result))
        for trouble in result.errors:
            search.hear_error(f"{place}: error", trouble)

    numbers = a_day(club)
    await run("first")
    await run("dry", dry_run=True)
    for fault in FAULTS:
        for world in (club.launch27, club.wingfield):
            for after in (0, 3):
                club.move(numbers[0], 1 + (after + len(club.writes)) % 3, 100 + after)
                club.launch27.edit(numbers[1], email=PLAYERS[len(club.writes) % 6])
                world.faults.add(**fault, after=after, times=4)
                await run(f"{fault}")
                world.faults.clear()
    club.overwrite(numbers[2], THREE, at=NOON + 9 * HOUR, emails=[PLAYERS[5]])
    club.launch27.edit(numbers[2], email=PLAYERS[4])
    await run("stale write")
    club.limit(max_delete_count=0, max_delete_fraction=0.0)
    club.launch27.vanish(numbers[3])
    await run("withheld")
    await run("allowed", allow=True)
    club.launch27.add_account(CLUB, "other-ZEBRA-word")
    club.launch27.expire_tokens()
    await run("refused login")
    club.launch27.add_account(CLUB, PASSWORD)
    for step in range(0, 12, 3):
        club.fuse.left = step
        await run("killed")
        club.fuse.left = None
    await club.lose_state()
    await run("adopted")
    club.ledger._connection.execute("PRAGMA max_page_count = 1")
    club.book(1, 80, owner=CLUB, email=PLAYERS[0])
    await run("full")
    club.remap(id_prefix="x-")
    await run("another state")
    club.remap(id_prefix="")
    await run("last")


async def test_no_secret_and_no_address_in_any_log_error_repr_traceback_or_state(club: Club) -> None:
    out = io.StringIO()
    logs.configure("debug", out)
    logging.getLogger().addHandler(logging.StreamHandler(out))
    logging.getLogger().setLevel(logging.DEBUG)
    search = Search()
    await drive(club, search)
    assert club.services is not None
    clients = (club.services.launch27, club.services.wingfield)
    state = (club.ledger, club.ledger.known, club.ledger.held())
    for thing in (club.config, club.services, *state, *clients, *(client.http for client in clients)):
        search.hear(f"repr of {type(thing).__name__}", repr(thing))
    for session in club.services.sessions:
        search.hear("repr of a session", repr(session) + str(session) + repr(session.token))
    for path in club.folder.iterdir():
        search.hear(f"file {path.name}", path.read_bytes().decode("latin-1"))
    search.hear("log", out.getvalue())
    assert search.finds() == []
    assert len(search.said) > 100
    events = {json.loads(line)["event"] for line in out.getvalue().splitlines() if line.startswith("{")}
    assert {"pass_started", "pass_finished", "participants_skipped", "deletes_withheld"} <= events
    assert {"booking_created", "booking_updated", "booking_deleted", "booking_held"} <= events
    assert {"login_refused", "request_retried"} <= events


async def test_the_state_holds_no_address_in_any_encoding(club: Club) -> None:
    a_day(club)
    await club.run()
    await club.close()
    for path in club.folder.iterdir():
        content = path.read_bytes()
        for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
            assert not [word for word in ("okapi", "example.com") if word.encode(encoding) in content]
        assert path.stat().st_mode & 0o077 == 0


# --- where requests go ---


@pytest.mark.parametrize("world", ["launch27", "wingfield"])
@pytest.mark.parametrize("path", ["/login", "/bookings", "/court-bookings", "/1001"])
async def test_a_redirect_is_never_followed(club: Club, world: str, path: str) -> None:
    """It leads to the other service, which would see the credentials."""
    club.book(1, 24, owner=CLUB, email=PLAYERS[0])
    service, other = (club.launch27, club.wingfield)[:: 1 if world == "launch27" else -1]
    fault = service.faults.add(
        "redirect", times=None, location=f"{other.address}/stolen", match=lambda _, asked: asked.endswith(path)
    )
    result = await club.run()
    assert not any("stolen" in entry.path for entry in (*club.launch27.log, *club.wingfield.log))
    if fault.hits:
        assert result.status is ExitStatus.TRY_LATER
        assert "stolen" not in "".join(map(str, result.errors))


# --- what an answer says ---

EVIL = [
    "\x1b[2J\x1b[31mpwned\x07",
    "line\nfeed\r\ncarriage",
    "{0.__class__}",
    "%s%s%n",
    "../../../../etc/passwd",
    "'; DROP TABLE bookings; --",
    "\u202eright to left",
    "\x00nul",
    "${jndi:ldap://x}",
    "\ud800 alone",
]


@pytest.mark.parametrize("evil", EVIL, ids=range(len(EVIL)))
async def test_nothing_a_booking_says_is_run_or_reaches_the_terminal(club: Club, evil: str) -> None:
    out = io.StringIO()
    logs.configure("debug", out)
    evil_json = evil.encode("utf-8", "replace").decode()
    texts: dict[str, Any] = dict.fromkeys(("name", "customer_notes", "digest"), evil_json)
    field = dict.fromkeys(("code", "label", "value"), evil_json)
    place = {"id": evil_json, "name": evil_json}
    club.book(1, 24, owner=CLUB, email=PLAYERS[0], **texts, location=place, custom_fields=[field])
    club.book(2, 24, owner=CLUB, email=evil_json, service_date=evil_json)
    worse = club.book(2, 25, owner=CLUB, email=evil_json)
    club.launch27.bookings[worse]["id"] = evil_json
    club.launch27.catalogue[0]["name"] = evil_json
    result = await club.expect(created=1, held=2)
    text = out.getvalue() + json.dumps(once.pass_json(result, dry_run=True), ensure_ascii=False)
    assert evil_json not in text
    assert re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text) is None
    assert {path.name.partition("-")[0] for path in club.folder.iterdir()} <= {"courtbridge.db"}


@pytest.mark.parametrize(
    "id_", ["../1", "1/../../settings", "1?x=1", "1#x", "1%2f", " 1", "1 ", "+1", "1e3", "0x1", "١", "9" * 30]
)
async def test_an_id_that_is_no_number_never_becomes_a_path(club: Club, id_: str) -> None:
    number = club.book(1, 24, owner=CLUB, email=PLAYERS[0])
    club.launch27.bookings[number]["id"] = id_
    for _ in range(2):
        await club.expect(held=1)
    assert club.writes == []
    assert not any("/bookings/" in entry.path for entry in club.launch27.log)


def test_a_log_line_is_safe_from_control_characters() -> None:
    assert all(logs.printable(evil).isprintable() for evil in EVIL)


@pytest.mark.parametrize("error_type", ["<b>okapi@example.com</b>", "x" * 500, "\x1b[31m", "a b", 7, None])
async def test_a_foreign_error_type_is_not_repeated(
    club: Club, error_type: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wingfield's ``error.type`` becomes a reason only when it is a word."""
    club.book(1, 24, owner=CLUB, email=PLAYERS[0])
    body = {"error": {"type": error_type, "message": "okapi@example.com is busy"}}
    monkeypatch.setattr(club.wingfield, "failure", lambda status: JSONResponse(body, status))
    club.wingfield.faults.add("status", status=400, times=None, match=is_write)
    result = await club.run()
    said = repr(result) + "".join(map(str, result.errors)) + repr(result.held)
    assert not [word for word in ("okapi", "xxxxx", "\x1b") if word in said]
