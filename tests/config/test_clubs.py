"""A directory of clubs, as configuration."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bridge.config.clubs import check_unlike, club_files, load_club, process_of
from bridge.config.schema import Config, ProcessTables
from bridge.errors import ConfigError
from tests.support.configuration import configuration, write_config

WORLD = {
    "launch27_url": "https://one.launch27.com/latest",
    "wingfield_url": "https://dev.wingfield.systems",
    "service_id": "497f6eca-6276-4993-bfeb-53cbbbba6f08",
    "email": "club@one.example",
    "password": "correct-horse",
    "token": "tok_1",
    "courts": ["79ae2927-a9bc-46ed-8f9e-079af32b7616"],
}
NOBODY = ProcessTables()


def club(folder: Path, name: str, *, more: str = "", **world: str) -> Path:
    return write_config(folder / f"{name}.toml", configuration({**WORLD, **world}, more=[more]))


def problems(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        load_club(path, {}, NOBODY)
    return list(map(str, raised.value.problems))


def test_every_toml_file_is_a_club_but_that_of_the_process_and_hidden_ones(tmp_path: Path) -> None:
    for name in ("west.toml", "east.toml", "courtbridge.toml", ".east.toml", "east.db", "east.toml~", "notes.txt"):
        (tmp_path / name).touch()
    assert club_files(tmp_path) == {"east": tmp_path / "east.toml", "west": tmp_path / "west.toml"}


def test_a_name_that_is_no_text_is_one_all_the_same(tmp_path: Path) -> None:
    """It goes into the log, to systemd, and onto the page."""
    path = Path(os.fsdecode(bytes(tmp_path) + b"/m\xfcnchen.toml"))
    path.touch()
    assert club_files(tmp_path) == {r"m\xfcnchen": path}
    assert problems(path)[0].endswith('rename it to "m-nchen.toml"')


def test_the_links_of_kubernetes_are_followed(tmp_path: Path) -> None:
    version = tmp_path / "..2026_11_20"
    version.mkdir()
    club(version, "east")
    (tmp_path / "..data").symlink_to(version.name)
    (tmp_path / "east.toml").symlink_to("..data/east.toml")
    assert [load_club(path, {}, NOBODY).path.stem for path in club_files(tmp_path).values()] == ["east"]


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("Old_Town", "old-town"),
        ("-x-", "x"),
        ("a.b", "a-b"),
        ("Zürich", "z-rich"),
        ("é", "club-1"),
        ("a" * 64, "a" * 63),
    ],
)
def test_a_name_that_is_no_dns_label_is_refused_with_a_suggestion(tmp_path: Path, name: str, better: str) -> None:
    assert problems(club(tmp_path, name))[0].endswith(f'rename it to "{better}.toml"')


def test_the_state_has_the_clubs_name(tmp_path: Path) -> None:
    path = club(tmp_path, "east")
    assert load_club(path, {}, NOBODY).sync.state == tmp_path / "east.db"
    assert load_club(path, {"STATE_DIRECTORY": "/var/lib/x"}, NOBODY).sync.state == Path("/var/lib/x/east.db")
    path = club(tmp_path, "west", more='[sync]\nstate = "other.db"\n')
    assert load_club(path, {"STATE_DIRECTORY": "/var/lib/x"}, NOBODY).sync.state == tmp_path / "other.db"


def test_the_tables_of_the_process_are_no_clubs(tmp_path: Path) -> None:
    path = club(tmp_path, "east", more='[web]\n[notify]\nafter = "soon"\n')
    wrong = "is for all clubs; move it to courtbridge.toml"
    assert problems(path) == [f"web: {wrong}", f"notify: {wrong}"]


def test_the_file_of_the_process_says_who_is_told_of_every_club(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("https://example.com/s3cret")
    file = tmp_path / "courtbridge.toml"
    assert process_of(tmp_path, {}) == ProcessTables(files=(file,))
    file.write_text('[web]\n[notify]\nwebhook_url_file = "url"\n')
    process = process_of(tmp_path, {})
    assert process.web is not None
    assert process.files == (file, tmp_path / "courtbridge.url", tmp_path / "url")
    told = load_club(club(tmp_path, "east"), {}, process).notify
    assert told is not None
    assert told.webhook_url is not None
    assert told.webhook_url.reveal() == "https://example.com/s3cret"


def test_the_file_of_the_process_holds_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "courtbridge.toml").write_text('[sync]\ninterval = "1s"\n[web]\nlistn = "x"\n')
    with pytest.raises(ConfigError) as raised:
        process_of(tmp_path, {})
    told = list(map(str, raised.value.problems))
    assert told == ["sync: is a club's; move it to the file of one", "web.listn: unknown key; did you mean listen?"]


def unlike(one: Config, other: Config) -> str:
    try:
        check_unlike(one, {other.path.stem: other})
    except ConfigError as error:
        return str(error)
    return ""


def test_two_clubs_share_neither_state_nor_bookings(tmp_path: Path) -> None:
    east = load_club(club(tmp_path, "east"), {}, NOBODY)
    twin = load_club(club(tmp_path, "twin", email="CLUB@one.example"), {}, NOBODY)
    assert unlike(twin, east).startswith("launch27.accounts: twin and east bridge the same account")
    (tmp_path / "link").symlink_to("east.db")
    same = load_club(club(tmp_path, "same", email="x@y.example", more='[sync]\nstate = "link"\n'), {}, NOBODY)
    assert unlike(same, east) == "sync.state: same and east have the same state; give each its own"


@pytest.mark.parametrize(
    ("more", "world"),
    [
        ('[mapping]\nid_prefix = "west-"\n', {}),
        ("", {"service_id": "497f6eca-6276-4993-bfeb-53cbbbba6f09"}),
        ("", {"email": "other@one.example"}),
        ("", {"launch27_url": "https://two.launch27.com/latest"}),
    ],
)
def test_clubs_that_differ_in_one_of_them_are_two(tmp_path: Path, more: str, world: dict[str, str]) -> None:
    east = load_club(club(tmp_path, "east"), {}, NOBODY)
    assert unlike(load_club(club(tmp_path, "west", more=more, **world), {}, NOBODY), east) == ""
