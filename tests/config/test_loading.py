"""The configuration: what is right loads, what is wrong is named with its place, no secret is shown."""

from __future__ import annotations

import copy
import json
import re
import tomllib
import traceback
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any, TypeAlias
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.config import loading as module
from bridge.config.loading import load_config
from bridge.config.problems import sentence
from bridge.config.schema import (
    Account,
    Config,
    Launch27Config,
    MappingConfig,
    SyncConfig,
    WebConfig,
    changed_keys,
    mapping_fingerprint,
)
from bridge.config.secrets import Secret
from bridge.config.values import listen_address
from bridge.errors import ConfigError, ExitStatus

Document: TypeAlias = dict[str, Any]
Steps: TypeAlias = tuple[str | int, ...]
Load: TypeAlias = Callable[..., Config]

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
PASSWORD, TOKEN, EMAIL = "hunter2-is-secret", "tok_ext_v1_is_secret", "club@example.com"
DESK = "desk@example.com"
PRIVATE = (PASSWORD, TOKEN, EMAIL, DESK, "hook-is-secret")
HOOK = "https://example.com/hook-is-secret"
ENVIRON = {"LAUNCH27_PASSWORD": PASSWORD, "WEB_PASSWORD": PASSWORD, "THE_HOOK": HOOK}
COURT = "79ae2927-a9bc-46ed-8f9e-079af32b7616"

FULL: Document = tomllib.loads(f"""
[launch27]
base_url = "https://ace.launch27.com/latest"
role = "staff"
timezone = "Europe/Berlin"
service_dates = "wall"
push = false
page_size = 50
reads_per_second = 1.5
read_burst = 10
accounts = [
    {{email = "{EMAIL}", password_env = "LAUNCH27_PASSWORD"}},
    {{email = "other@example.com", password_env = "LAUNCH27_PASSWORD"}},
]
[wingfield]
base_url = "https://dev.wingfield.systems"
external_service_id = "497f6eca-6276-4993-bfeb-53cbbbba6f08"
token_file = "wingfield-token"
concurrency = 4
connected_users = true
[sync]
interval = "30s"
near = "3d"
full_interval = "10m"
past = "2d"
future = "30d"
max_delete_count = 3
max_delete_fraction = 0.5
delete_window = "2h"
verify_interval = "12h"
drift = "report"
state = "state/ledger.db"
[mapping]
default_minutes = 45
updated_at_field = "changed_at"
participant_fields = ["players", "guests"]
fallback_email = "{DESK}"
id_prefix = "club-"
service_minutes = {{"7" = 90}}
[notify]
heartbeat_url_env = "THE_HOOK"
webhook_url_env = "THE_HOOK"
apprise_url_env = "THE_HOOK"
after = "5m"
remind = "2d"
[[courts]]
name = "Court 1"
court_id = "{COURT}"
service_ids = [1, 2]
location_ids = [3]
team_ids = [8]
custom_field = "court"
custom_values = ["Court 1", "1"]
[[courts]]
court_id = "c1b0a4d6-52b1-4a52-9d1c-3f6f0a8e2b47"
service_ids = [3]
[web]
listen = "127.0.0.1:8030"
password_env = "WEB_PASSWORD"
""")


def toml(value: object) -> str:
    """Return a value in TOML, tables inline."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case dict():
            return "{" + ", ".join(f"{toml(str(key))} = {toml(each)}" for key, each in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(toml, value)) + "]"
        case _:
            return str(value)


def toml_document(document: Document) -> str:
    return "".join(f"{toml(key)} = {toml(value)}\n" for key, value in document.items())


def write(folder: Path, content: Document | str | bytes, name: str = "config.toml") -> Path:
    path = folder / name
    content = toml_document(content) if isinstance(content, dict) else content
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(0o600)
    return path


def without(steps: Steps, document: Document = FULL) -> Document:
    """Return a copy of the document that lacks one key."""
    damaged = copy.deepcopy(document)
    del table_of(damaged, steps)[steps[-1]]
    return damaged


def with_value(steps: Steps, value: object, document: Document = FULL) -> Document:
    """Return a copy of the document with another value in one place."""
    damaged = copy.deepcopy(document)
    table_of(damaged, steps)[steps[-1]] = value
    return damaged


def renamed(steps: Steps, name: str, document: Document = FULL) -> Document:
    damaged = copy.deepcopy(document)
    table = table_of(damaged, steps)
    table[name] = table.pop(steps[-1])
    return damaged


def table_of(document: Any, steps: Steps) -> Any:
    for step in steps[:-1]:
        document = document[step]
    return document


def place_of(steps: Steps) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")


def keys_of(value: object, steps: Steps = ()) -> Iterator[Steps]:
    """Yield the place of every key of the document."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield (*steps, key)
            yield from keys_of(each, (*steps, key))
    elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
        for index, each in enumerate(value):
            yield from keys_of(each, (*steps, index))


NO_TOKEN = without(("wingfield", "token_file"))
SAME_LOGIN = with_value(("launch27", "accounts", 1, "email"), EMAIL.upper())
TWO_TOKENS = with_value(("wingfield", "token"), TOKEN)
NO_PASSWORD = without(("launch27", "accounts", 0, "password_env"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the secret that FULL and the example ask for."""
    folder = tmp_path_factory.mktemp("config")
    write(folder, f"{TOKEN}\n", "wingfield-token")
    return folder


@pytest.fixture
def load(folder: Path) -> Load:
    def load(document: Document | str = FULL, **environ: str) -> Config:
        return load_config(write(folder, document), {**ENVIRON, **environ})

    return load


def problems(folder: Path, content: Document | str | bytes, **environ: str) -> dict[str, str]:
    """Return place and message of every problem, once it is certain that none shows anything private."""
    with pytest.raises(ConfigError) as caught:
        load_config(write(folder, content), {**ENVIRON, **environ})
    error = caught.value
    shown = "".join([str(error), repr(error), *traceback.format_exception(error)])
    assert not [private for private in PRIVATE if private in shown]
    assert error.exit_status is ExitStatus.CONFIG
    assert len({problem.place for problem in error.problems}) == len(error.problems)
    return {problem.place: problem.message for problem in error.problems}


def problem(folder: Path, content: Document, place: str, **environ: str) -> str:
    """Return the message of the one problem there is, which is at ``place``."""
    found = problems(folder, content, **environ)
    assert list(found) == [place]
    return found[place]


def test_the_example_loads_with_the_defaults_of_the_models_as_it_stands_and_with_those_switched_on(
    folder: Path,
) -> None:
    text = EXAMPLE.read_text().replace("acme.launch27.com", "ace.launch27.com")  # that host is refused
    assert "courtbridge courts" in problems(folder, text)["courts"], "nobody's courts are those of the example"
    text = re.sub(r"^# (?=\[\[courts|name =|court_id =|service_ids =)", "", text, flags=re.MULTILINE)
    plain = load_config(write(folder, text), ENVIRON)
    assert [rule.name for rule in plain.courts] == ["Court 1", "Court 2"]
    assert plain.launch27.accounts[0].password.reveal() == PASSWORD
    assert plain.wingfield.token.reveal() == TOKEN
    assert plain.warnings == ()
    assert plain.sync == SyncConfig(state=folder / "courtbridge.db")
    assert plain.launch27 == Launch27Config(base_url=plain.launch27.base_url, accounts=plain.launch27.accounts)
    switched = re.sub(
        "^# (?=page_s|service_d|reads|read_b|concurr|delete_w|state|id_prefix)", "", text, flags=re.MULTILINE
    )
    assert load_config(write(folder, switched), ENVIRON) == plain
    known = {key for keys in module._KEYS.values() for key in keys if not re.search("_url_(env|file)$", key)}
    assert not [key for key in known if key not in text]


def test_every_key_arrives_where_it_belongs(load: Load, folder: Path) -> None:
    expected = copy.deepcopy(FULL)
    for account in expected["launch27"]["accounts"]:
        del account["password_env"]
        account["password"] = Secret(PASSWORD)
    expected["launch27"]["accounts"] = tuple(expected["launch27"]["accounts"])
    del expected["wingfield"]["token_file"]
    expected["wingfield"]["token"] = Secret(TOKEN)
    expected["web"] = {"listen": "127.0.0.1:8030", "password": Secret(PASSWORD)}
    lengths = {
        "interval": timedelta(seconds=30),
        "near": timedelta(days=3),
        "full_interval": timedelta(minutes=10),
        "delete_window": timedelta(hours=2),
        "verify_interval": timedelta(hours=12),
        "past": timedelta(days=2),
        "future": timedelta(days=30),
    }
    expected["sync"] |= {**lengths, "state": folder / "state/ledger.db"}
    expected["mapping"] |= {"participant_fields": ("players", "guests"), "service_minutes": {7: 90}}
    urls = dict.fromkeys(("heartbeat_url", "webhook_url", "apprise_url"), Secret(HOOK))
    expected["notify"] = {**urls, "after": timedelta(minutes=5), "remind": timedelta(days=2)}
    expected["courts"] = tuple(
        {key: frozenset(value) if key.endswith("_ids") else value for key, value in rule.items()}
        for rule in expected["courts"]
    )
    expected["courts"][0]["custom_values"] = ("Court 1", "1")
    files = tuple(folder / name for name in ("config.toml", "config.wingfield-token", "wingfield-token"))
    own = {"path": folder / "config.toml", "files": files}
    config = load()
    assert config.model_dump(exclude_unset=True) == {**expected, **own, "warnings": ()}
    assert [account.number for account in config.launch27.accounts] == [1, 2]


@pytest.mark.parametrize(("interval", "minutes"), [("30s", 5), ("10m", 10)])
def test_all_is_compared_every_five_minutes_but_never_more_often_than_the_near_days(
    load: Load, interval: str, minutes: int
) -> None:
    document = with_value(("sync", "interval"), interval, FULL)
    del document["sync"]["full_interval"]
    assert load(document).sync.full_interval == timedelta(minutes=minutes)


def test_the_damaged_documents_below_begin_with_every_key_there_is() -> None:
    known = {(*table, key) for table, keys in module._KEYS.items() for key in keys}
    given = {tuple(step for step in steps if isinstance(step, str)) for steps in keys_of(FULL)}
    secrets: set[tuple[str, ...]] = {("wingfield", "token"), ("wingfield", "token_env")}
    secrets |= {("launch27", "accounts", key) for key in ("password", "password_file")}
    secrets |= {("launch27", "accounts", key) for key in ("token", "token_env", "token_file")}
    secrets |= {("launch27", "accounts", "password"), ("launch27", "accounts", "password_file")}
    secrets |= {("web", "password"), ("web", "password_file")}
    urls = ("heartbeat_url", "webhook_url", "apprise_url")
    secrets |= {("notify", url + form) for url in urls for form in ("", "_file")}
    assert known - given == secrets | {("wingfield", "court_mappings")}


@pytest.mark.parametrize("by", ["service", "location", "team", "field:court", "field: Platz Nr."])
def test_courts_mapped_in_wingfield_need_no_rules(load: Load, by: str) -> None:
    document = with_value(("wingfield", "court_mappings"), by)
    del document["courts"]
    assert (load(document).wingfield.court_mappings, load(document).courts) == (by, ())


@pytest.mark.parametrize("by", ["", "services", "field", "field:", "field: ", "Service"])
def test_courts_are_mapped_by_something_a_booking_has(load: Load, by: str) -> None:
    with pytest.raises(ConfigError, match=r'wingfield\.court_mappings: .* is none of "service"'):
        load(with_value(("wingfield", "court_mappings"), by))


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("5m", 300), ("1h", 3600), ("2d", 172_800), ("0d", 0), ("0s", 0)]
)
def test_a_length_of_time_has_a_number_and_a_unit(load: Load, text: str, seconds: int) -> None:
    assert load(with_value(("sync", "past"), text)).sync.past == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("url", "kept", "host"),
    [
        ("https://ace.launch27.com/latest//", "https://ace.launch27.com/latest", "ace.launch27.com"),
        ("https://ACE.Launch27.com:443", "https://ACE.Launch27.com:443", "ace.launch27.com"),
        ("https://ace.launch27.com:8443/v1", "https://ace.launch27.com:8443/v1", "ace.launch27.com:8443"),
        ("http://localhost:8027/latest", "http://localhost:8027/latest", "localhost:8027"),
        ("http://127.1.2.3:80", "http://127.1.2.3:80", "127.1.2.3"),
        ("http://[::1]:8027", "http://[::1]:8027", "[::1]:8027"),
        ("https://plätze.example", "https://plätze.example", "plätze.example"),
    ],
)
def test_a_base_url_loses_its_slashes_and_names_the_host(load: Load, url: str, kept: str, host: str) -> None:
    launch27 = load(with_value(("launch27", "base_url"), url)).launch27
    assert (launch27.base_url, launch27.host) == (kept, host)


def test_an_account_is_known_by_a_fingerprint_of_its_address_in_any_case() -> None:
    club, shouted, desk = (Account(email=each, password=Secret("")) for each in (EMAIL, EMAIL.upper(), DESK))
    assert shouted.key == club.key != desk.key
    assert len(club.key) == 16


@pytest.mark.parametrize(
    "place", [("courts", 0, "court_id"), ("wingfield", "external_service_id"), ("mapping", "fallback_email")]
)
def test_uuids_and_the_fallback_address_are_taken_in_lower_case(load: Load, place: Steps) -> None:
    document = with_value(place, table_of(FULL, place)[place[-1]].upper())
    assert changed_keys(load(), load(document)) == []


def test_no_repr_shows_a_secret_or_an_address(load: Load) -> None:
    config = load()
    shown = f"{config!r} {config} {config.launch27.accounts[0]!r} {config.wingfield.token!s}"
    assert not [private for private in PRIVATE if private in shown]


def test_a_file_with_a_byte_order_mark_and_windows_line_ends_loads(folder: Path) -> None:
    text = "\ufeff" + toml_document(FULL).replace("\n", "\r\n")
    assert load_config(write(folder, text), ENVIRON).launch27.page_size == 50


@pytest.mark.parametrize(("given", "state"), [("/var/db/x.db", "/var/db/x.db"), ("~/x.db", "/home/club/x.db")])
def test_a_state_with_a_path_of_its_own_is_there(
    load: Load, monkeypatch: pytest.MonkeyPatch, given: str, state: str
) -> None:
    monkeypatch.setenv("HOME", "/home/club")
    assert load(with_value(("sync", "state"), given), STATE_DIRECTORY="/run/s").sync.state == Path(state)


def test_sync_and_mapping_may_be_left_out_and_the_path_be_relative(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, without(("sync",), without(("mapping",))))
    monkeypatch.chdir(folder)
    config = load_config(Path("config.toml"), ENVIRON)
    assert config.path == folder / "config.toml"
    assert (config.sync, config.mapping) == (SyncConfig(state=folder / "courtbridge.db"), MappingConfig())


def file_problem(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, ENVIRON)
    (found,) = caught.value.problems
    assert found.place == str(path) or "\0" in str(path)
    assert caught.value.files == (path,)
    return found.message


def test_a_missing_file_a_directory_and_an_impossible_name_are_reported(tmp_path: Path) -> None:
    assert "no such file" in file_problem(tmp_path / "nothing.toml")
    assert "directory" in file_problem(tmp_path)
    assert "name" in file_problem(Path("/nowhere/\0"))


@pytest.mark.parametrize(
    ("error", "word"), [(PermissionError(13, "x"), "may not be read"), (OSError(5, "Input/output error"), "output")]
)
def test_a_file_that_cannot_be_read_is_reported(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, word: str
) -> None:
    path = write(folder, FULL)
    monkeypatch.setattr(Path, "open", Mock(side_effect=error))
    assert word in file_problem(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("#" * 1_000_001, "longer"),
        (b"a = 1\nb = '\xe4'\n", "line 2 is not valid UTF-8 text"),
        ("a = 1\nb = hunter2\n", "line 2, column 5: not a valid TOML value; text goes in quotes"),
        ("[a]\n[a]\n", "line 2, column 3: this table is there already"),
        ("a = 1\na = 2\n", "line 2, column 6: this key is there already"),
        ("a = {b = 1, b = 2}", "line 1, column 18: this key is there already"),
        ("a = 1\nb = 'x", "line 2: the quote at the end of the text is missing"),
        ('a = "hunter2\nb = 1\n', "line 1, column 13: the quote at the end of the text is missing"),
        ("a = “hunter2”\n", "line 1, column 5: quotes are straight ones"),
        ("a = 0,2\n", "line 1, column 6: a number has a point, and a digit before it, like 0.2"),
        ("a = .2  # a fifth\n", "a number has a point"),
        ("a = 20s\n", "text goes in quotes"),
        ("a = 1.2.3.4:80\n", "text goes in quotes"),
        ("password: hunter2\n", "write key = value"),
        ('password: "hunter2"\n', "write key = value"),
        ("a = True\n", "write true or false, in small letters"),
        ("a = [1 2]\n", "a list lacks its closing bracket, or a comma"),
        ("a = [1, 2\n", "a list lacks its closing bracket"),
        ("[a]\n[courts]\n[courts]\n", "line 2: write [[courts]], with two pairs of brackets"),
        ("[launch27.accounts]\n[[launch27.accounts]]\n", "line 1: write [[launch27.accounts]]"),
        ("[a\n", "expected ']'"),
        ('a = "\\x"', "a backslash in a text"),
        ("a = " + "[" * 5000, "nested too deeply"),
        ("a = " + "1" * 5000, "a number in it is too long"),
    ],
)
def test_broken_toml_is_reported_with_line_and_column(tmp_path: Path, text: str | bytes, words: str) -> None:
    message = file_problem(write(tmp_path, text))
    assert words in message
    assert "hunter2" not in message


def test_a_complaint_of_an_unknown_form_is_not_passed_on() -> None:
    assert module._toml_problem("hunter2!", "") == "is not valid TOML; start from config.example.toml"


NO_TIME, URL = "not a valid length of time", ("launch27", "base_url")
BAD_VALUES: list[tuple[Steps, str, list[object]]] = [
    (
        URL,
        "would send secrets unencrypted; write https://",
        ["http://acme.com", "http://localhost.com", "http://128.0.0.1"],
    ),
    (URL, "leave user name and password out", [f"https://club:{PASSWORD}@acme.com"]),
    (URL, "end it with the path", [f"https://acme.com/?key={PASSWORD}", "https://acme.com/#top"]),
    (URL, "port", ["https://acme.com:99999", "https://acme.com:port", "https://acme.com:0"]),
    (URL, '"acme.com" is not a valid address of a service; write one like', ["acme.com"]),
    (URL, "not a valid address", ["ftp://acme.com", "https://acme .com", "https://acme\n.com", "https://acme..com"]),
    (URL, "not a valid address", ["https://", "https://[::1", "https://a%62c"]),
    (("wingfield", "base_url"), "unencrypted", ["http://dev.wingfield.systems"]),
    (("launch27", "role"), '"boss" is not possible; write "customer" or "staff"', ["boss"]),
    (("launch27", "timezone"), 'did you mean "Europe/Berlin"?', ["Europe/Berln"]),
    (("launch27", "timezone"), 'write one like "Europe/Berlin"', ["qqqqqqqq"]),
    (("launch27", "timezone"), "not a valid time zone", ["../etc/passwd", "Europe"]),
    (("launch27", "page_size"), " is not between 1 and 1000", [0, 1001]),
    (("launch27", "reads_per_second"), " is not between 0.01 and 1000", [0, float("inf"), float("nan")]),
    (("launch27", "read_burst"), "not between", [0]),
    (("launch27", "accounts"), "empty list", [[]]),
    (("launch27", "accounts", 0, "email"), "the value is not a valid e-mail address", ["club", f"{EMAIL} "]),
    (("wingfield", "external_service_id"), '"service" is not a valid UUID', ["service"]),
    (("wingfield", "external_service_id"), "the value is not a valid UUID", [TOKEN, EMAIL]),
    (("wingfield", "concurrency"), " is not between 1 and 64", [0, 65]),
    (("wingfield", "concurrency"), "the number is not between", [10**20]),
    (("sync", "interval"), 'write at least "1s"', ["0s"]),
    (("sync", "interval"), 'write it like "30s", "5m", "1h" or "2d"', ["1y"]),
    (("sync", "interval"), NO_TIME, ["-1s", "1.5h"]),
    (("sync", "interval"), f"60 is {NO_TIME}", [60]),
    (("sync", "full_interval"), "is shorter than sync.interval", ["29s", "1s"]),
    (("sync", "near"), 'write at most "3650d"', ["3651d"]),
    (("sync", "future"), 'write at most "3650d"', ["999999999d"]),
    (("sync", "max_delete_count"), "not between", [-1]),
    (("sync", "max_delete_fraction"), "1.5 is not between 0 and 1", [1.5]),
    (("sync", "max_delete_fraction"), " is not between 0 and 1", [-0.5, 20]),
    (("sync", "state"), "names no file", ["", "somewhere/", "a\0b"]),
    (("mapping", "default_minutes"), "not between", [0, 1441]),
    (("mapping", "participant_fields", 0), "is empty", [" "]),
    (("mapping", "fallback_email"), "the value is not a valid e-mail address", ["desk"]),
    (("mapping", "id_prefix"), '" ends in a digit', ["club7", "club²"]),
    (("mapping", "id_prefix"), "slash", ["a/b", "a\\b"]),
    (("mapping", "id_prefix"), "control character", ["a\tb"]),
    (("mapping", "service_minutes", "7"), "is not between 1 and 1440", [0, 1441]),
    (("mapping", "service_minutes", "seven"), '"seven" is not a valid service id', [60]),
    (("mapping", "service_minutes", "07"), "not a valid service id", [60]),
    (("mapping", "service_minutes", "-7"), "not a valid service id", [60]),
    (("courts", 1, "court_id"), '"two" is not a valid UUID; copy it from "courtbridge courts"', ["two"]),
    (("courts", 1, "court_id"), f'"{"x" * 57}…" is not a valid UUID', ["x" * 200]),
    (("courts", 1, "court_id"), '"a\\u202eb" is not a valid UUID', ["a\u202eb"]),
    (("courts", 1, "service_ids"), "empty list", [[]]),
    (("courts", 1, "service_ids", 0), "not between", [-1]),
    (("courts", 0, "custom_values"), "empty list", [[]]),
    (("courts", 0, "custom_field"), "is empty", [""]),
    # of a wrong type
    (("launch27", "page_size"), '"100" is not a valid whole number; write one, without quotes', ["100"]),
    (("launch27", "page_size"), "true is not a valid whole number", [True]),
    (("launch27", "page_size"), "1.0 is not a valid whole number", [1.0]),
    (("launch27", "reads_per_second"), '"2" is not a valid number', ["2"]),
    (("launch27", "push"), '"yes" is not a valid value here; write true or false, without quotes', ["yes"]),
    (("launch27", "role"), "5 is not a valid text; write one text, in quotes", [5]),
    (("launch27", "accounts", 0, "email"), "the value is not a valid text", [[EMAIL]]),
    (("launch27", "accounts", 0, "password_env"), "the value is not a valid text", [12345]),
    (("wingfield", "token_file"), "the value is not a valid text", [False]),
    (("mapping", "participant_fields"), '"players" is not a valid list; put it in brackets', ["players"]),
    (("mapping", "service_minutes"), "60 is not a valid table; write [mapping.service_minutes]", [60]),
    (("launch27",), "a list is not a valid table; write [launch27] and its keys below", [[{}]]),
    (("launch27", "accounts"), "a table is not a valid list of tables; write [[launch27.accounts]]", [{}]),
    (("courts",), "a table is not a valid list of tables; write [[courts]]", [{"court_id": COURT}]),
    (("courts", 0), "5 is not a valid table; write [[courts]]", [5]),
    (("sync", "state"), "a date or time is not a valid text", [date(2026, 11, 20)]),
]


@pytest.mark.parametrize(
    ("place", "words", "value"), [(place, words, value) for place, words, every in BAD_VALUES for value in every]
)
def test_a_bad_value_is_reported_once_with_what_would_be_right(
    folder: Path, place: Steps, value: object, words: str
) -> None:
    assert words in problem(folder, with_value(place, value), place_of(place))


def test_a_number_too_long_to_be_written_out_is_reported(folder: Path) -> None:
    for place in (("wingfield", "concurrency"), ("sync", "max_delete_fraction"), ("sync", "past")):
        text = toml_document(with_value(place, "HEX")).replace('"HEX"', hex(16**5000))
        (message,) = problems(folder, text).values()
        assert message.startswith("the number is ")


def test_an_error_nobody_has_a_sentence_for_gets_a_plain_one() -> None:
    error: Any = {"type": "no_such_type", "loc": ("sync", "past"), "input": 5}
    assert sentence(error) == "5 is not a valid value; see config.example.toml"


@pytest.mark.parametrize("wrong", ['pasword = "x"', 'password = "x"\nfoo = 1', "password = 1"])
def test_a_list_whose_only_item_is_wrong_is_not_called_empty(tmp_path: Path, wrong: str) -> None:
    path = tmp_path / "config.toml"
    text = f"""
        [launch27]
        base_url = "https://club.launch27.com/latest"
        [[launch27.accounts]]
        email = "club@example.com"
        {wrong}
        [wingfield]
        base_url = "https://dev.wingfield.systems"
        external_service_id = "79ae2927-a9bc-46ed-8f9e-079af32b7616"
        token = "tok"
        [[courts]]
        court_id = "79ae2927-a9bc-46ed-8f9e-079af32b7616"
        service_ids = ["one"]
    """
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path, {})
    assert len(caught.value.problems) == 2
    assert not [problem for problem in caught.value.problems if "empty" in problem.message]


@pytest.mark.parametrize(
    ("place", "name", "words"),
    [
        (("launch27",), "launch72", "did you mean launch27?"),
        (("courts",), "court", "did you mean courts?"),
        (("sync", "interval"), "intervall", "did you mean interval?"),
        (("courts", 1, "service_ids"), "service-id", "did you mean service_ids?"),
        (("courts", 1, "service_ids"), "qqq", "unknown key; remove it"),
        (("courts", 1, "court_id"), "courtId", "did you mean court_id?"),
        (("courts", 0, "custom_field"), "custom_feild", "did you mean custom_field?"),
        (("launch27", "accounts", 0, "password_env"), "pasword_env", "did you mean password_env?"),
        (("wingfield", "token_file"), "token_fiel", "did you mean token_file?"),
    ],
)
def test_a_misspelt_key_is_reported_once_with_the_one_that_was_meant(
    folder: Path, place: Steps, name: str, words: str
) -> None:
    assert words in problem(folder, renamed(place, name), place_of((*place[:-1], name)))


@pytest.mark.parametrize(
    ("place", "words", "document"),
    [
        (("launch27", "accounts", 0, "timezone"), "under [launch27]", FULL),
        (("launch27", "accounts", 0, "interval"), "under [sync]", FULL),
        (("sync", "court_id"), "under [[courts]]", FULL),
        (("sync", "external_service_id"), "under [wingfield]", without(("wingfield", "external_service_id"))),
        (("mapping", "wingfield"), "above all tables", FULL),
        (("qqq",), "unknown key; remove it", FULL),
    ],
)
def test_a_key_that_does_not_belong_there_is_told_where_it_does(
    folder: Path, place: Steps, words: str, document: Document
) -> None:
    assert words in problem(folder, with_value(place, "x", document), place_of(place))


@pytest.mark.parametrize(
    ("key", "place"),
    [("a key", '"a key"'), (EMAIL, "…"), (TOKEN, "…"), ("x" * 100, f'"{"x" * 57}…"'), ("[key]", '"[key]"')],
)
def test_an_odd_key_is_quoted_and_a_private_one_masked(folder: Path, key: str, place: str) -> None:
    assert list(problems(folder, with_value(("sync", key), 1))) == [f"sync.{place}"]


def test_an_unknown_key_that_is_no_condition_excuses_no_missing_one(folder: Path) -> None:
    document = with_value(("courts", 1, "nmae"), "x", without(("courts", 1, "service_ids")))
    assert set(problems(folder, document)) == {"courts[1]", "courts[1].nmae"}


def test_everything_that_is_wrong_is_reported_in_one_go_and_in_the_order_of_the_file(folder: Path) -> None:
    document = with_value(("courts", 1, "court_id"), "court-two")
    document = with_value(("sync", "intervall"), "1m", document)
    document = with_value(("launch27", "accounts", 1, "email"), EMAIL.upper(), document)
    document = with_value(("wingfield", "token_file"), "nothing", document)
    document = with_value(("qqq",), 1, document)
    document["courts"].append({"court_id": COURT})
    document["courts"].append({"court_id": COURT, "service_ids": [3, 3]})
    assert list(problems(folder, document)) == [
        *("launch27.accounts[1].email", "wingfield.token_file", "sync.intervall"),
        *("courts[1].court_id", "courts[2]", "courts[3]", "qqq"),
    ]


@pytest.mark.parametrize("courts", [[], 5, [5], [{"court_id": "x", "qqq": 1}]])
def test_rules_and_nothing_else_are_ignored_where_none_is_required(folder: Path, courts: object) -> None:
    document = with_value(("courts",), courts)
    assert load_config(write(folder, document), ENVIRON, require_courts=False).courts == ()
    with pytest.raises(ConfigError, match=r"^sync\.past: .*$"):
        load_config(write(folder, with_value(("sync", "past"), "x", document)), ENVIRON, require_courts=False)


@pytest.mark.parametrize("court_id", [COURT, "c1b0a4d6-52b1-4a52-9d1c-3f6f0a8e2b47", "broken"])
def test_two_rules_may_not_have_the_same_conditions_whatever_their_court(folder: Path, court_id: str) -> None:
    other = {"court_id": court_id, "service_ids": [2, 1, 2], "name": "x"}
    document = with_value(("courts",), [{"court_id": COURT, "service_ids": [1, 2]}, other])
    assert "the same conditions as courts[0]" in problems(folder, document)["courts[1]"]


def test_rules_that_differ_in_one_condition_may_stand_together(load: Load) -> None:
    rules = [
        {"court_id": COURT, "service_ids": [1]},
        {"court_id": COURT, "location_ids": [1]},
        {"court_id": COURT, "service_ids": [1], "team_ids": [2]},
        {"court_id": COURT, "custom_field": "court", "custom_values": ["1"]},
        {"court_id": COURT, "custom_field": "court", "custom_values": ["2"]},
    ]
    assert len(load(with_value(("courts",), rules)).courts) == 5


def test_a_broken_condition_is_compared_with_nothing(folder: Path) -> None:
    found = problems(folder, with_value(("courts",), [{"court_id": COURT, "service_ids": [[1]]}] * 2))
    assert list(found) == ["courts[0].service_ids[0]", "courts[1].service_ids[0]"]


@pytest.mark.parametrize(
    ("document", "place", "words"),
    [
        (without(("courts",)), "courts", '"courtbridge courts" prints blocks to paste'),
        (with_value(("courts",), []), "courts", '"courtbridge courts" prints blocks to paste'),
        (without(("courts", 1, "service_ids")), "courts[1]", "has no condition"),
        (without(("courts", 0, "custom_field")), "courts[0].custom_field", "is missing; custom_values does not"),
        (without(("courts", 0, "custom_values")), "courts[0].custom_values", "is missing; custom_field does not"),
        (SAME_LOGIN, "launch27.accounts[1].email", "is the address of launch27.accounts[0] too"),
        (NO_TOKEN, "wingfield.token", "is missing; give one of token, token_env, token_file"),
        (without(("launch27", "accounts", 1, "password_env")), "launch27.accounts[1].password", "password_file"),
        (TWO_TOKENS, "wingfield.token", "is given as token and as token_file; keep one of them"),
        (with_value(("sync", "state"), "~no-such-user/x.db"), "sync.state", "whole path"),
    ],
)
def test_what_does_not_fit_together_is_reported(folder: Path, document: Document, place: str, words: str) -> None:
    assert words in problem(folder, document, place)


def with_token(form: str, value: object) -> Document:
    return with_value(("wingfield", form), value, NO_TOKEN)


@pytest.mark.parametrize(
    ("form", "value"), [("token", TOKEN), ("token_env", "WINGFIELD"), ("token_file", "wingfield-token")]
)
def test_a_secret_has_three_forms_and_a_password_any_letters(load: Load, form: str, value: str) -> None:
    assert load(with_token(form, value), WINGFIELD=f" {TOKEN}\n").wingfield.token.reveal() == TOKEN
    assert load(LAUNCH27_PASSWORD="pässword two").launch27.accounts[0].password.reveal() == "pässword two"


@pytest.mark.parametrize(
    ("form", "value"), [("token", TOKEN), ("token_env", "TOKEN"), ("token_file", "wingfield-token")]
)
def test_an_account_may_have_a_token_in_place_of_a_password(load: Load, form: str, value: str) -> None:
    account = load(with_value(("launch27", "accounts", 0, form), value, NO_PASSWORD), TOKEN=TOKEN).launch27.accounts[0]
    assert (account.password.reveal(), account.token) == ("", Secret(TOKEN))
    assert TOKEN not in repr(account)
    assert account.key == load().launch27.accounts[0].key


def test_an_account_has_one_secret_of_either_kind(folder: Path) -> None:
    both = with_value(("launch27", "accounts", 0, "token_env"), "LAUNCH27_PASSWORD")
    assert "beside a password" in problem(folder, both, "launch27.accounts[0].token")
    assert "or of token, token_env" in problem(folder, NO_PASSWORD, "launch27.accounts[0].password")


def test_a_token_under_a_wrong_key_is_not_shown(folder: Path) -> None:
    jwt = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjF9.c2ln"
    assert "eyJ" not in problem(folder, with_value(("launch27", "role"), jwt), "launch27.role")


@pytest.mark.parametrize(
    ("form", "value", "words"),
    [
        ("token", "", "is empty"),
        ("token", "two words", "a character that no token has"),
        ("token", "tök", "a character that no token has"),
        ("token", "a\nb", "more than one line"),
        ("token_env", "NOT_SET", "$NOT_SET is not set"),
        ("token_env", "EMPTY_ONE", "$EMPTY_ONE is empty"),
        ("token_env", TOKEN, "the variable it names is not set"),
        ("token_env", PASSWORD, "the variable it names is not set"),
        ("token_file", PASSWORD, "no such file in "),
        ("token_file", f"/{PASSWORD}/{TOKEN}", "no such file; "),
        ("token_file", "", "names no file"),
        ("token_file", "~no-such-user/token", "whole path"),
        ("token_file", "x" * 300, "no such file"),
        ("token_file", ".", "is a directory"),
        ("token_file", "/dev/null", "is not a regular file"),
        ("token_file", "empty", "is empty"),
        ("token_file", "lines", "more than one line"),
        ("token_file", "binary", "not valid UTF-8 text"),
        ("token_file", "long", "cannot be read: it is longer"),
    ],
)
def test_a_secret_that_cannot_be_used_is_reported_without_being_shown(
    folder: Path, form: str, value: str, words: str
) -> None:
    write(folder, " \n", "empty")
    write(folder, f"{TOKEN}\n{PASSWORD}\n", "lines")
    write(folder, TOKEN.encode() + b"\xff", "binary")
    write(folder, "x" * 70_000, "long")
    assert words in problem(folder, with_token(form, value), f"wingfield.{form}", EMPTY_ONE=" ")


@pytest.mark.parametrize("how", ["open", "stat"])
def test_a_secret_that_may_not_be_read_is_reported(folder: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    done = getattr(Path, how)

    def refuse(path: Path, *args: Any, **options: Any) -> Any:
        if path.name == "wingfield-token":
            raise PermissionError
        return done(path, *args, **options)

    monkeypatch.setattr(Path, how, refuse)
    assert "may not be read" in problem(folder, FULL, "wingfield.token_file")


@pytest.mark.parametrize("secret", ['"{}"', "'{}'", "TOKEN={}", "export WINGFIELD_TOKEN={}", "token={}", "Bearer {}"])
def test_a_token_with_more_around_it_gets_the_remedy(tmp_path: Path, secret: str) -> None:
    token = write(tmp_path, secret.format(TOKEN), "wingfield-token")
    message = problem(tmp_path, FULL, "wingfield.token_file")
    assert message.startswith(f"{token} ")
    assert message.endswith("put the token there, alone")


@pytest.mark.parametrize("password", ['"quoted"', "a=b", "A=b", "=A=", "PASSWORD="])
def test_a_password_may_look_odd(folder: Path, password: str) -> None:
    loaded = load_config(write(folder, FULL), {**ENVIRON, "LAUNCH27_PASSWORD": password})
    assert loaded.launch27.accounts[0].password.reveal() == password


@pytest.mark.parametrize(
    ("name", "original"),
    [
        ("wingfield-token", "clubs/wingfield-token"),
        ("wingfield-token", "clubs/config.wingfield-token"),
        ("clubs_config-token", "secrets/config-token"),
    ],
)
def test_of_systemds_copy_the_original_is_named(tmp_path: Path, folder: Path, name: str, original: str) -> None:
    etc, credentials = tmp_path / "clubs", tmp_path / "credentials"
    for made in (tmp_path / original, credentials / name):
        made.parent.mkdir(exist_ok=True)
        made.touch()
    etc.mkdir(exist_ok=True)
    document = {**FULL, "wingfield": {**FULL["wingfield"], "token_file": name}}
    message = problem(etc, document, "wingfield.token_file", CREDENTIALS_DIRECTORY=str(credentials))
    assert message == f"{tmp_path / original} is empty; put the token there, and restart the service"


@pytest.mark.parametrize(
    ("name", "original"),
    [("wingfield-token", "config.wingfield-token"), ("clubs_config-token", "../secrets/config-token")],
)
def test_by_hand_a_secret_is_found_where_the_units_for_several_clubs_have_it_from(
    tmp_path: Path, name: str, original: str
) -> None:
    for made in ("clubs", "secrets"):
        (tmp_path / made).mkdir()
    path = write(tmp_path / "clubs", with_token("token_file", name))
    write(tmp_path / "clubs", TOKEN, original)
    assert load_config(path, ENVIRON).wingfield.token.reveal() == TOKEN


def test_a_copy_without_an_original_is_named_itself(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    secret = write(tmp_path, "", "sub/token")
    message = problem(
        folder, with_token("token_file", "sub/token"), "wingfield.token_file", CREDENTIALS_DIRECTORY=str(tmp_path)
    )
    assert message == f"{secret} is empty; put the token there"


def test_a_rules_problem_names_the_rule_and_its_line(folder: Path) -> None:
    rules = (
        '[[courts]]\nservice_ids = [7]\n\n[[ courts ]]\nname = "Court\t2"\ncourt_id = "court-two"\nservice_ids = [8]\n'
    )
    text = f"{toml_document({name: FULL[name] for name in ('launch27', 'wingfield')})}\n{rules}"
    lines = [number for number, line in enumerate(text.splitlines(), 1) if "courts ]]" in line or "[[courts" in line]
    found = problems(folder, text)
    assert found["courts[0].court_id"].endswith(f'copy it from "courtbridge courts" (line {lines[0]})')
    assert found["courts[1].court_id"].endswith(f'copy it from "courtbridge courts" ("Court\\t2", line {lines[1]})')


def test_credentials_come_before_the_files_beside_the_configuration(folder: Path, tmp_path: Path) -> None:
    path = write(folder, FULL)
    environ = {**ENVIRON, "CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert load_config(path, environ).wingfield.token.reveal() == TOKEN
    write(tmp_path, "tok_ext_v1_other", "wingfield-token").chmod(0o644)
    config = load_config(path, environ)
    assert config.wingfield.token.reveal() == "tok_ext_v1_other"
    assert config.warnings == ()


def test_a_missing_file_is_reported_with_the_directories_that_were_searched(folder: Path, tmp_path: Path) -> None:
    document = with_token("token_file", "nothing")
    message = problem(folder, document, "wingfield.token_file", CREDENTIALS_DIRECTORY=str(tmp_path))
    assert f"{tmp_path} nor in {folder}" in message


def test_a_secret_file_may_be_named_by_its_whole_path_or_from_home(
    load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = write(tmp_path, "\ufefftok_ext_v1_other\r\n", "token")
    for name in (str(path), "~/token"):
        assert load(with_token("token_file", name)).wingfield.token.reveal() == "tok_ext_v1_other"


def test_every_file_that_was_read_or_looked_for_is_listed(folder: Path, tmp_path: Path) -> None:
    path = write(folder, with_value(("launch27", "accounts", 0, "password_file"), "/nowhere/password", NO_PASSWORD))
    environ = {**ENVIRON, "CREDENTIALS_DIRECTORY": str(tmp_path)}
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ)
    token = (tmp_path / "wingfield-token", folder / "wingfield-token")
    assert set(caught.value.files) == {path, Path("/nowhere/password"), *token}
    assert load_config(write(folder, FULL), environ).files == (path, *token)


def test_without_require_secrets_none_is_fetched(folder: Path) -> None:
    document = with_token("token_file", "nothing")
    config = load_config(write(folder, document), {}, require_secrets=False)
    assert config.wingfield.token.reveal() == config.launch27.accounts[0].password.reveal() == ""


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_literal_secret_in_a_file_that_others_can_read_is_warned_about(folder: Path, mode: int) -> None:
    path = write(folder, with_value(("launch27", "accounts", 0, "password"), PASSWORD, NO_PASSWORD))
    assert load_config(path, ENVIRON).warnings == ()
    path.chmod(mode)
    (warning,) = load_config(path, ENVIRON).warnings
    assert warning.startswith("launch27.accounts[0].password: config.toml can be read by others")
    assert PASSWORD not in warning
    write(folder, FULL).chmod(mode)
    assert load_config(path, ENVIRON).warnings == ()


def test_a_secret_file_that_others_can_read_is_warned_about(load: Load, tmp_path: Path) -> None:
    path = write(tmp_path, TOKEN, "token")
    path.chmod(0o640)
    (warning,) = load(with_token("token_file", str(path))).warnings
    assert warning == f"wingfield.token_file: {path} can be read by others (mode 640); chmod 600 it"


def test_a_changed_secret_is_named_and_not_shown(load: Load) -> None:
    assert changed_keys(load(), load(with_token("token", "tok_ext_v1_other"))) == ["wingfield.token"]
    changed = changed_keys(load(), load(LAUNCH27_PASSWORD="another"))
    assert changed == ["launch27.accounts[0].password", "launch27.accounts[1].password"]


def test_a_rule_that_came_or_went_is_named_as_a_whole(load: Load) -> None:
    assert changed_keys(load(), load(without(("courts", 1)))) == ["courts[1]"]
    assert changed_keys(load(without(("courts", 1))), load()) == ["courts[1]"]


SENT: list[tuple[Steps, object]] = [
    (("launch27", "base_url"), "https://other.launch27.com/latest"),
    (("launch27", "role"), "customer"),
    (("launch27", "timezone"), "Europe/Paris"),
    (("launch27", "service_dates"), "utc"),
    (("wingfield", "base_url"), "https://wingfield.example"),
    (("wingfield", "external_service_id"), COURT),
    (("mapping", "default_minutes"), 30),
    (("mapping", "updated_at_field"), "updated"),
    (("mapping", "participant_fields"), ["guests", "players"]),
    (("mapping", "fallback_email"), "new@example.com"),
    (("mapping", "id_prefix"), "other-"),
    (("mapping", "service_minutes"), {"8": 90}),
    (("courts", 1, "court_id"), COURT),
    (("courts", 1, "service_ids"), [4]),
    (("courts", 0, "custom_values"), ["1"]),
]
NOT_SENT: list[tuple[Steps, object]] = [
    (("launch27", "page_size"), 20),
    (("launch27", "push"), True),
    (("launch27", "accounts", 0, "email"), "new@example.com"),
    (("sync", "interval"), "2m"),
    (("courts", 0, "name"), "Centre Court"),
    (("courts", 0, "custom_values"), ["1", "Court 1"]),
]


@pytest.mark.parametrize(("place", "value"), SENT + NOT_SENT)
def test_a_changed_key_is_named_and_what_is_sent_changes_the_fingerprint(
    load: Load, place: Steps, value: object
) -> None:
    changed = load(with_value(place, value))
    assert changed_keys(load(), changed) == [place_of(place)]
    assert (mapping_fingerprint(changed) != mapping_fingerprint(load())) is ((place, value) in SENT)


def test_neither_the_order_of_rules_nor_a_secret_changes_the_fingerprint(load: Load) -> None:
    reordered = with_value(("courts",), FULL["courts"][::-1], with_value(("courts", 0, "service_ids"), [2, 1]))
    changed = load(reordered, LAUNCH27_PASSWORD="another-secret")
    assert mapping_fingerprint(changed) == mapping_fingerprint(load())


def test_the_fingerprint_stays_from_one_version_of_the_bridge_to_the_next(load: Load) -> None:
    config = load()
    launch27 = config.launch27.model_copy(
        update={"base_url": "https://acme.launch27.com/latest", "service_dates": "utc"}
    )
    wingfield = config.wingfield.model_copy(update={"connected_users": False})
    both = {"launch27": launch27, "wingfield": wingfield}
    assert mapping_fingerprint(config.model_copy(update=both)) == "fcc6cf5a1f02483f"
    assert mapping_fingerprint(config.model_copy(update={"launch27": launch27})) != "fcc6cf5a1f02483f"


PLACES, WRITTEN = tuple(keys_of(FULL)), toml_document(FULL)
REQUIRED = (
    *(("launch27",), ("launch27", "base_url"), ("launch27", "accounts"), ("wingfield",)),
    *(("wingfield", "base_url"), ("wingfield", "external_service_id"), ("wingfield", "token_file")),
    *((("launch27", "accounts", i, key)) for i in (0, 1) for key in ("email", "password_env")),
    *(("courts", 0, "court_id"), ("courts", 1, "court_id")),
)
SOME_OF_EACH_TYPE: tuple[object, ...] = (True, 5, 5.5, "text", ["text"], {"text": 5}, date(2026, 11, 20))
WIDE = settings(deadline=None, derandomize=True, max_examples=150)
BRIEF = settings(deadline=None, derandomize=True, max_examples=60)


def misspellings(key: str) -> list[str]:
    """Return the key with a letter doubled, dropped or swapped, with hyphens, and in capitals."""
    doubled = [key[:i] + key[i] + key[i:] for i in range(len(key))]
    dropped = [key[:i] + key[i + 1 :] for i in range(len(key))]
    swapped = [key[:i] + key[i + 1] + key[i] + key[i + 2 :] for i in range(len(key) - 1)]
    return [word for word in (*doubled, *dropped, *swapped, key.replace("_", "-"), key.upper()) if word != key]


def other_types(value: object) -> list[object]:
    same: tuple[type, ...] = (int, float) if isinstance(value, float) else (type(value),)
    return [each for each in SOME_OF_EACH_TYPE if type(each) not in same]


@st.composite
def damages(draw: st.DrawFn) -> tuple[Document, str]:
    """Return a document with one thing wrong, and the place of that."""
    steps = draw(st.sampled_from(PLACES))
    key = str(steps[-1])
    if draw(st.booleans()) and not key.isdecimal():
        name = draw(st.sampled_from(misspellings(key)))
        return renamed(steps, name), place_of((*steps[:-1], name))
    return with_value(steps, draw(st.sampled_from(other_types(table_of(FULL, steps)[steps[-1]])))), place_of(steps)


@pytest.mark.parametrize("steps", REQUIRED, ids=place_of)
def test_a_missing_key_is_reported_once(folder: Path, steps: Steps) -> None:
    place = place_of(steps).replace("password_env", "password").replace("token_file", "token")
    assert problem(folder, without(steps), place).startswith("is missing; ")


@given(damages())
@WIDE
def test_any_single_damage_is_one_problem_at_its_place(folder: Path, damage: tuple[Document, str]) -> None:
    document, place = damage
    assert list(problems(folder, document)) == [place]


@given(st.lists(st.sampled_from(PLACES), min_size=2, max_size=5, unique=True), st.data())
@BRIEF
def test_no_damage_hides_another(folder: Path, places: list[Steps], data: st.DataObject) -> None:
    document = copy.deepcopy(FULL)
    kept = [steps for steps in places if not any(steps != each and steps[: len(each)] == each for each in places)]
    for steps in kept:
        value = data.draw(st.sampled_from(other_types(table_of(FULL, steps)[steps[-1]])))
        document = with_value(steps, value, document)
    assert set(problems(folder, document)) == {place_of(steps) for steps in kept}


WORDS = sorted({str(step) for steps in PLACES for step in steps} | {"token", "token_env", "password", "password_file"})
scalars = (
    st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(st.characters(codec="utf-8"), max_size=20)
    | st.sampled_from(
        ("1m", "0d", COURT, EMAIL, "https://x.example", "http://[::1", "LAUNCH27_PASSWORD", "wingfield-token", ".")
    )
)
keys = st.sampled_from(WORDS) | st.text(st.characters(codec="utf-8"), max_size=8)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=6
)


typed = st.text(st.characters(codec="utf-8"), min_size=1, max_size=3)
slips = st.builds(lambda at, text: WRITTEN[:at] + text + WRITTEN[at:], st.integers(0, len(WRITTEN)), typed)
damaged = st.builds(with_value, st.sampled_from(PLACES), values)


@given(damaged | slips | st.binary(max_size=60) | st.text(st.characters(codec="utf-8"), max_size=60))
@settings(deadline=None, derandomize=True, max_examples=400)
def test_no_content_whatever_raises_anything_but_a_config_error(folder: Path, content: Document | str | bytes) -> None:
    try:
        config = load_config(write(folder, content, "random.toml"), ENVIRON)
    except ConfigError as error:
        shown = f"{error} {error!r}"
        assert not [private for private in PRIVATE if private in shown]
    else:
        # An address drawn as the name of a court is no address to the bridge.
        assert not [secret for secret in (PASSWORD, TOKEN) if secret in repr(config)]


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("127.0.0.1:8027", ("127.0.0.1", 8027)),
        ("localhost:80", ("127.0.0.1", 80)),
        ("[::1]:0", ("::1", 0)),
        ("127.9.9.9:65535", ("127.9.9.9", 65535)),
    ],
)
def test_the_page_is_served_on_loopback_without_a_password(load: Load, listen: str, address: tuple[str, int]) -> None:
    web = load(with_value(("web",), {"listen": listen})).web
    assert web is not None
    assert (listen_address(web.listen), web.password) == (address, None)
    assert load(with_value(("web",), {})).web == WebConfig(listen="127.0.0.1:8027")
    assert load(without(("web",))).web is None


@pytest.mark.parametrize("listen", ["0.0.0.0:80", "[::]:8027", "10.0.0.1:8027"])
def test_the_page_is_served_to_others_with_a_password_only(folder: Path, load: Load, listen: str) -> None:
    assert f"{listen} is not on loopback" in problem(folder, with_value(("web",), {"listen": listen}), "web.password")
    protected = {"listen": listen, "password_env": "LAUNCH27_PASSWORD"}
    web = load(with_value(("web",), protected)).web
    assert web is not None
    assert web.password is not None
    assert web.password.reveal() == PASSWORD
    assert PASSWORD not in repr(web)


@pytest.mark.parametrize(
    "listen", ["", "8027", ":8027", "127.0.0.1", "club.example:80", "::1:80", "1.2.3.4:65536", 8027]
)
def test_where_the_page_cannot_be_served_is_said(folder: Path, listen: object) -> None:
    problem(folder, with_value(("web",), {"listen": listen}), "web.listen")
