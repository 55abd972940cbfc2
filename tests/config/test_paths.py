"""Where the configuration and the state are found."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import pytest

from bridge.config.paths import find_config, state_path
from bridge.errors import ConfigError


def test_the_path_asked_for_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.touch()
    assert find_config(str(path), {"COURTBRIDGE_CONFIG": "/nowhere"}) == path
    assert find_config(None, {"COURTBRIDGE_CONFIG": str(path)}) == path


def test_without_a_wish_the_working_directory_comes_before_etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = tmp_path / "system.toml"
    system.touch()
    monkeypatch.setattr("bridge.config.paths.SYSTEM_CONFIG", system)
    monkeypatch.chdir(tmp_path)
    assert find_config(None, {}) == system
    (tmp_path / "config.toml").touch()
    assert find_config(None, {}).absolute() == tmp_path / "config.toml"


@pytest.mark.parametrize(
    ("explicit", "environ", "named"),
    [
        (None, {}, ["./config.toml", "/nowhere/config.toml", "--config", "$COURTBRIDGE_CONFIG"]),
        ("/nowhere/mine.toml", {}, ["/nowhere/mine.toml"]),
        (None, {"COURTBRIDGE_CONFIG": "/nowhere/its.toml"}, ["/nowhere/its.toml", "$COURTBRIDGE_CONFIG"]),
        ("/nowhere/\0", {}, ["/nowhere/"]),
    ],
)
def test_a_configuration_that_is_nowhere_is_reported_with_every_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, explicit: str | None, environ: dict[str, str], named: list[str]
) -> None:
    monkeypatch.setattr("bridge.config.paths.SYSTEM_CONFIG", Path("/nowhere/config.toml"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        find_config(explicit, environ)
    assert all(name in str(caught.value) for name in named)
    assert caught.value.files


def test_a_configuration_that_may_not_be_looked_at_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "stat", Mock(side_effect=PermissionError))
    assert find_config("/etc/secret/config.toml", {}) == Path("/etc/secret/config.toml")


@pytest.mark.parametrize(
    ("path", "environ", "state"),
    [
        ("/srv/club/mine.toml", {}, "/srv/club/courtbridge.db"),
        ("/etc/courtbridge/config.toml", {}, "/var/lib/courtbridge/courtbridge.db"),
        ("/etc/courtbridge/../courtbridge/config.toml", {}, "/var/lib/courtbridge/courtbridge.db"),
        ("/etc/courtbridge/north.toml", {}, "/var/lib/courtbridge/north/courtbridge.db"),
        ("/etc/courtbridge/north.conf", {}, "/etc/courtbridge/courtbridge.db"),
        ("/etc/courtbridge/config.toml", {"STATE_DIRECTORY": "/run/s"}, "/run/s/courtbridge.db"),
        ("/srv/mine.toml", {"STATE_DIRECTORY": "/run/s:/run/t"}, "/run/s/courtbridge.db"),
        ("/srv/mine.toml", {"STATE_DIRECTORY": ""}, "/srv/courtbridge.db"),
    ],
)
def test_the_state_has_a_place_by_default(path: str, environ: dict[str, str], state: str) -> None:
    assert state_path(Path(path), environ) == Path(state)


@pytest.mark.parametrize(
    ("directory", "environ", "state"),
    [
        ("/srv/clubs", {}, "/srv/clubs/mitte.db"),
        ("/etc/courtbridge/clubs", {}, "/var/lib/courtbridge/mitte.db"),
        ("/etc/courtbridge/clubs", {"STATE_DIRECTORY": "/run/s"}, "/run/s/mitte.db"),
    ],
)
def test_by_hand_a_club_has_the_state_that_its_unit_has(directory: str, environ: dict[str, str], state: str) -> None:
    assert state_path(Path(directory, "mitte.toml"), environ, is_one_of_many=True) == Path(state)
