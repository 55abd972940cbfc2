"""First contact: check finds out what nobody can know beforehand, and a report of it names nobody."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pytest

from bridge.sandbox import Launch27, Sandbox, Wingfield
from tests.cli.calls import COURT_1, Run, WriteConfig, book, writes
from tests.support.builders import EMAIL, PASSWORD, TOKEN

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
COURT_IDS = [f"00000000-0000-4000-8000-0000000000{n}" for n in (11, 12, 13)]
USERS = [f"11111111-0000-4000-8000-00000000000{n}" for n in range(2)]
PLAYERS = [f"player{n}@club.test" for n in range(4)]
NINE = datetime.combine(datetime.now(UTC).date() + timedelta(days=2), time(9), ZoneInfo("Europe/Berlin"))


@pytest.fixture
def club(tmp_path: Path) -> Iterator[tuple[Sandbox, Path]]:
    """A club with three locations, and its configuration: the example's, changed at five lines."""
    launch27, wingfield = Launch27(max_page=2), Wingfield(courts={})
    launch27.add_account(EMAIL, PASSWORD, two_factor=True)
    racket = {"id": 5, "duration": 15, "quantity_based": True}
    for location, (service, court_id) in enumerate(zip((7, 12, 13), COURT_IDS, strict=True), 1):
        wingfield.add_court(court_id, f"Court {location}")
        wingfield.map_court(court_id, str(service))
        at = location if location > 1 else None
        launch27.add_service(service, f"Court {location}", location=at, duration=45, extras=[racket])
    for user, email in zip(USERS, PLAYERS, strict=False):
        wingfield.add_relation(user, email)
    with Sandbox.in_thread(launch27, wingfield) as sandbox:
        lines = EXAMPLE.read_text().partition("\n[[courts]]")[0]
        changes = {
            'base_url = "https://acme.launch27.com/latest"': f'base_url = "{launch27.url}"',
            'password_env = "LAUNCH27_PASSWORD"': 'token_file = "launch27-token"',
            'base_url = "https://dev.wingfield.systems"': f'base_url = "{wingfield.url}"',
            "# connected_users = true": "connected_users = true",
            '# court_mappings = "service"': 'court_mappings = "service"',
        }
        for old, new in changes.items():
            assert lines.count(f"\n{old}\n") == 1
            lines = lines.replace(f"\n{old}\n", f"\n{new}\n")
        config = tmp_path / "config.toml"
        for name, text in (
            ("config.toml", lines),
            ("launch27-token", launch27.new_token(EMAIL)),
            ("wingfield-token", wingfield.token),
        ):
            (tmp_path / name).write_text(text)
            (tmp_path / name).chmod(0o600)
        yield sandbox, config


def test_a_whole_club_is_bridged_right_from_the_example_changed_at_five_lines(
    club: tuple[Sandbox, Path], run: Run
) -> None:
    sandbox, config = club
    for location, service in ((1, 7), (2, 12), (3, 13)):
        for number, player in enumerate(PLAYERS):
            sandbox.launch27.add_booking(
                service_date=NINE + timedelta(hours=2 * number),
                location={"id": location, "name": "…"},
                services=[{"id": service, "name": "…", "extras": [{"id": 5, "quantity": 2}]}],
                email=player,
                custom_fields={"players": "guest@club.test"},
            )
    ran = run("check", "--json", "--config", config)
    assert (ran.code, ran.json["problems"], ran.found("warning")) == (0, 0, [])
    told = dict(ran.found("ok"))
    assert not writes(sandbox)
    facts = {
        "modification times": "0 of 12 bookings have updated_at",
        "service_date": "12 of 12 bookings have a Z; read as UTC, 12 of them begin between 6:00 and 23:00",
        "page size": "100 asked for, 2 given",
        "forecasts": "it loses nothing",
        "launch27.accounts[0]": "its token is accepted (expires on ",
    }
    assert {about: words in told[about] for about, words in facts.items()} == dict.fromkeys(facts, True)
    assert run("--once", "--json", "--config", config).json["created"] == 12
    placed = sorted((each["courtId"], each["startDate"]) for each in sandbox.wingfield.bookings.values())
    starts = [f"{(NINE + timedelta(hours=2 * n)).astimezone(UTC):%Y-%m-%dT%H:%M}" for n in range(4)]
    assert [(court, start[:16]) for court, start in placed] == [(court, at) for court in COURT_IDS for at in starts]
    for booking in sandbox.wingfield.bookings.values():
        start, end = (datetime.fromisoformat(booking[name]) for name in ("startDate", "endDate"))
        assert end - start == timedelta(minutes=45 + 2 * 15)
    named = [each.get("userId") or each["email"] for each in booking["participants"]]
    assert len({*named} & {*USERS, *PLAYERS}) == 1
    everybody = {
        each.get("userId") or each["email"]
        for one in sandbox.wingfield.bookings.values()
        for each in one["participants"]
    }
    assert everybody == {*USERS, *PLAYERS[2:], "guest@club.test"}
    assert run("--once", "--json", "--config", config).json["unchanged"] == 12


def test_what_does_not_fit_is_a_warning_with_its_evidence(
    run: Run, sandbox: Sandbox, write_config: WriteConfig
) -> None:
    launch27, role = sandbox.launch27, 'role = "staff"\nreads_per_second'
    launch27.add_account(EMAIL, PASSWORD, kind="admin")
    launch27.wall_dates, launch27.timezone, launch27.settings["timezone"] = True, "Asia/Tokyo", "Asia/Tokyo"
    tomorrow = datetime.now(ZoneInfo("Asia/Tokyo")).date() + timedelta(days=1)
    for hour in range(14, 22):
        at = datetime.combine(tomorrow, time(hour), ZoneInfo("Asia/Tokyo"))
        launch27.add_booking(service_date=at, services=[9 if hour % 2 else 1], last_modified=at, teams=None)
    lost = launch27.add_booking(service_date=at + timedelta(days=1), services=[1], forecasted=True)
    sandbox.wingfield.add_court(COURT_1, "Court 1", system_installed=False)
    rule = "service_ids = [2]\nteam_ids = [8]\nlocation_ids = [1, 5]"
    changes = {"reads_per_second": role, "service_ids = [2]": rule}
    ran = run("check", "--json", "--config", write_config(changes))
    assert (ran.code, ran.found("problem")) == (0, [])
    wanted = {
        "courts[0].court_id": "no camera is installed there yet",
        "modification times": 'set mapping.updated_at_field = "last_modified"',
        "service_date": 'launch27.service_dates = "wall" fits much better',
        "forecasts": f"(1 booking: {lost})",
        "services": "service 9, Racket hire: 4 bookings go to no court",
        "courts[1].location_ids": "no booking has location 5",
        "courts[1].team_ids": "no booking has team 8",
    }
    told = dict(ran.found("warning"))
    assert list(told) == list(wanted)
    assert [about for about, words in wanted.items() if words not in told[about]] == []
    changes["reads_per_second"] = f'service_dates = "wall"\n{role}'
    again = run("check", "--json", "--config", write_config(changes))
    assert dict(again.found("ok"))["service_date"].endswith('configured is "wall"')
    assert "logged in as Tenant::Admin" in dict(ran.found("ok"))["launch27.accounts[0]"]


def test_rules_are_compared_with_the_catalogues_of_all_locations(
    run: Run, sandbox: Sandbox, write_config: WriteConfig
) -> None:
    sandbox.launch27.add_service(30, "Court 3", location=3)
    sandbox.launch27.add_service(40, "Court 4", location=4)
    book(sandbox, location={"id": 3, "name": "West"}, court=50)
    rules = "service_ids = [2, 30, 50]\n[[courts]]\nservice_ids = [40, 77]\nlocation_ids = [4]"
    config = write_config({"service_ids = [2]": f'{rules}\ncourt_id = "{COURT_1}"'})
    ran = run("check", "--json", "--config", config)
    assert ran.found("problem") == [
        ("courts[2].service_ids", 'Launch27 has no service 77; compare with "courtbridge courts"')
    ]
    shown = run("courts", "--json", "--config", config).json["services"]
    assert [(each["id"], each["to_no_court"]) for each in shown] == [(1, 0), (2, 0), (9, 0), (30, 0)]


def test_users_and_mappings_are_tried_where_they_are_wanted(
    run: Run, sandbox: Sandbox, write_config: WriteConfig
) -> None:
    more = 'external_service_id = "'
    config = write_config({more: f'connected_users = true\ncourt_mappings = "service"\n{more}'})
    sandbox.wingfield.scopes["user"] = "none"
    ran = run("check", "--json", "--config", config)
    assert (ran.code, ran.places) == (77, ["wingfield.connected_users"])
    assert dict(ran.found("ok"))["wingfield.court_mappings"] == "0 courts mapped"


def test_offline_asks_nobody(run: Run, sandbox: Sandbox, write_config: WriteConfig) -> None:
    config = write_config({sandbox.wingfield.token: "tok_ext_v1_wrong"})
    ran = run("check", "--offline", "--json", "--config", config)
    assert (ran.code, [each["about"] for each in ran.json["findings"]]) == (0, ["configuration"])
    token = f'token = "{sandbox.wingfield.token}"'
    ran = run("check", "--offline", "--json", "--config", write_config({token: 'token_file = "nowhere"'}))
    assert (ran.code, ran.places) == (78, ["wingfield.token_file"])
    assert (sandbox.launch27.requests, sandbox.wingfield.requests) == (0, 0)
    assert [path.name for path in config.parent.iterdir()] == ["config.toml"]
    assert run("check", "--offline", "--report", "x", "--config", config).code == 2
    assert run("check", "--offline", "--json", "--config", config.parent / "other.toml").code == 78


PERSONAL = ("Wilhelmina Quokka", "wilhelmina.quokka@zebra-mail.test", "+49 171 5550143", "Gurkengasse 7b")
"""A name, an address of either kind, and a number, of somebody who does not exist."""


def _encoded(text: str) -> dict[str, str]:
    raw = text.encode()
    return {
        "plain": text,
        "base64": base64.b64encode(raw).decode().rstrip("="),
        "url": quote(text, safe=""),
        "every byte": "".join(f"%{byte:02X}" for byte in raw),
        "hex": raw.hex(),
        "upper": text.upper(),
        "lower": text.lower(),
        "reversed": text[::-1],
        "as a key": text.replace(" ", "_"),
    }


def _filled(value: Any, text: str) -> Any:
    """Return the JSON value with every text in it replaced, keys kept."""
    if isinstance(value, dict):
        return {key: _filled(each, text) for key, each in value.items()} | {text: {text: [text]}}
    if isinstance(value, list):
        return [*(_filled(each, text) for each in value), text, {text: text}]
    return text if isinstance(value, str) else value


@pytest.mark.parametrize("role", ["customer", "staff"])
def test_a_report_of_bookings_full_of_personal_data_names_nobody(
    run: Run, sandbox: Sandbox, write_config: WriteConfig, tmp_path: Path, role: str
) -> None:
    sandbox.launch27.add_account(EMAIL, PASSWORD, kind="customer" if role == "customer" else "staff")
    hidden = {text for each in PERSONAL for text in _encoded(each).values()}
    for index, text in enumerate(sorted(hidden)):
        number = book(sandbox, owner=EMAIL)
        raw = sandbox.launch27.bookings[number]
        readable = ("services",) if index % 2 else ()
        kept = {key: raw[key] for key in ("id", "service_date", "active", *readable)}
        more = {"customer_notes": f"call {text}!", text: text, "custom_fields": {text: {"values": [{"label": text}]}}}
        sandbox.launch27.bookings[number] = {**_filled(json.loads(json.dumps(dict(raw))), text), **kept, **more}
    sandbox.launch27.bookings[book(sandbox, owner=EMAIL)] = {"id": PERSONAL[0], PERSONAL[1]: 1}
    sandbox.launch27.settings[PERSONAL[0]] = sandbox.launch27.settings["name"] = PERSONAL[0]
    sandbox.wingfield.add_relation(USERS[0], PERSONAL[1])
    config = write_config({"reads_per_second": f'role = "{role}"\nreads_per_second'})
    report = tmp_path / "report.json"
    report.touch(0o644)
    ran = run("check", "--json", "--report", report, "--config", config)
    assert str(report) in dict(ran.found("ok"))["--report"]
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    told = report.read_text()
    assert [text for text in {*hidden, EMAIL, PASSWORD, TOKEN} if text in told or json.dumps(text)[1:-1] in told] == []
    for part in ("quokka", "wilhelmina", "zebra", "5550143", "gurken", "akkouq", "eyj"):
        assert part not in told.lower()
    assert json.loads(told)["counts"]["page size"] == "100 asked for, and all came on one page"
    assert "warning: bookings" in json.loads(told)["troubles"]
    listing = json.loads(told)["answers"][f"GET /{role}/bookings"]
    assert listing["paths"]["[].service_date"] == {"date-time Z": len(hidden) * (2 if role == "staff" else 1)}
    assert listing["statuses"]["200"] > 1
    assert "content-type" in listing["headers"]


def test_a_report_that_cannot_be_written_is_a_problem(run: Run, config_file: Path) -> None:
    ran = run("check", "--json", "--report", config_file.parent, "--config", config_file)
    assert (ran.code, ran.places) == (1, ["--report"])


def test_who_may_not_read_the_secrets_is_told_to_use_sudo(
    run: Run, write_config: WriteConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_config({f'password = "{PASSWORD}"': 'password_file = "secret"'})
    config.with_name("secret").mkdir()  # a file that even root cannot read
    monkeypatch.setattr("bridge.cli.check.os.access", lambda *_: False)
    ran = run("check", "--offline", "--json", "--config", config)
    assert ran.code == 78
    assert "use sudo" in ran.found("warning")[0][1]
