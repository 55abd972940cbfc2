"""The units: what systemd itself says of them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parent.parent / "systemd"
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
SYSTEM_UNITS = Path("/usr/lib/systemd/system")

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None or not SYSTEM_UNITS.is_dir(),
    reason="needs systemd-analyze and systemd's own units",
)


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60
    )


def settings(name: str) -> dict[str, list[str]]:
    """Return what a unit sets, in all its sections."""
    found: dict[str, list[str]] = {}
    for line in (UNITS / name).read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


DAEMONS = [name for name in SERVICES if name != "courtbridge-once.service"]
WAYS = [*DAEMONS, "courtbridge-once.timer"]


def test_there_is_a_service_one_for_each_club_one_for_all_and_a_timer() -> None:
    names = ["courtbridge-clubs.service", "courtbridge-once.service", "courtbridge.service", "courtbridge@.service"]
    assert names == SERVICES
    assert [path.name for path in UNITS.glob("*.timer")] == ["courtbridge-once.timer"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_hardly_exposed(name: str) -> None:
    said = analyze("security", "--offline=true", "--no-pager", UNITS / name)
    level = re.search(r"Overall exposure level for \S+: (\d+\.\d+)", said.stdout)
    assert level is not None, said.stderr
    assert float(level[1]) <= 1.5


@pytest.mark.parametrize("name", sorted(path.name for path in UNITS.iterdir()))
def test_systemd_finds_nothing_wrong(name: str, tmp_path: Path) -> None:
    """The programs are not installed where the tests run: they are, in a root directory made up for this."""
    system = tmp_path / "etc/systemd/system"
    for program in ("opt/courtbridge/bin/courtbridge", "bin/kill", "bin/chown", "usr/bin/env"):
        (tmp_path / program).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / program).write_text("#!/bin/sh\n")
        (tmp_path / program).chmod(0o755)
    shutil.copytree(UNITS, system)
    shutil.copytree(SYSTEM_UNITS, tmp_path / "usr/lib/systemd/system", symlinks=True)
    said = analyze("verify", f"--root={tmp_path}", name.replace("@.", "@mitte."))
    assert (said.returncode, said.stdout + said.stderr) == (0, "")


def test_the_services_share_one_sandbox() -> None:
    start, end = "# --- who it is", "\n[Install]"
    texts = []
    for name in SERVICES:
        text = (UNITS / name).read_text()
        text = text[text.index(start) :].partition(end)[0].strip()
        text = re.sub("^(LimitNOFILE|TasksMax|MemoryMax)=.*", "", text, flags=re.MULTILINE)  # many clubs need more
        texts.append(text.replace("/%i", "").replace("NotifyAccess=none", "NotifyAccess=main"))
    assert len(set(texts)) == 1


@pytest.mark.parametrize("name", SERVICES)
def test_all_secrets_are_credentials_and_a_missing_one_is_named(name: str) -> None:
    found = settings(name)
    credentials = dict(value.split(":") for value in found["LoadCredential"])
    assert list(credentials) == (["clubs"] if "clubs" in name else ["launch27-password", "wingfield-token"])
    assert set(credentials.values()) <= set(found["AssertPathExists"])


@pytest.mark.parametrize("one", WAYS)
def test_starting_one_way_of_running_it_stops_every_other(one: str) -> None:
    """Conflicts= works in both directions; no unit can name all instances of a template, so the template names it."""
    for other in set(WAYS) - {one}:
        assert other in settings(one)["Conflicts"][0] or one in settings(other)["Conflicts"][0]


@pytest.mark.parametrize("name", DAEMONS)
def test_a_reload_looks_at_the_configuration_first(name: str) -> None:
    """As root (+), who may read the secrets themselves: systemd 252 names closed credentials to a reload."""
    (start,), (check, reload) = settings(name)["ExecStart"], settings(name)["ExecReload"]
    as_by_hand = start.replace("--config", "check --offline --config")
    assert check == f"+/usr/bin/env --unset=CREDENTIALS_DIRECTORY {as_by_hand}"
    assert reload == "/bin/kill -HUP $MAINPID"


@pytest.mark.parametrize("name", DAEMONS)
def test_what_a_restart_cannot_mend_stays_down(name: str) -> None:
    found = settings(name)
    wanted = {"Restart": "on-failure", "RestartPreventExitStatus": "2 77 78", "StartLimitIntervalSec": "0"}
    assert {key: found[key] for key in wanted} == {key: [value] for key, value in wanted.items()}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("courtbridge-clubs.service", "--config /etc/courtbridge/clubs"),
        ("courtbridge@.service", "--config /etc/courtbridge/%i.toml"),
        ("courtbridge-once.service", "--once --config /etc/courtbridge/config.toml"),
    ],
)
def test_a_service_starts_the_bridge(name: str, arguments: str) -> None:
    assert settings(name)["ExecStart"] == [f"/opt/courtbridge/bin/courtbridge {arguments}"]


def test_each_club_has_its_own_state_and_the_timer_waits_for_the_end_of_a_pass() -> None:
    assert settings("courtbridge@.service")["StateDirectory"] == ["courtbridge/%i"]
    assert "OnUnitInactiveSec" in settings("courtbridge-once.timer")
