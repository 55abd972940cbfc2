"""What a check by hand tells of the service itself, for each of the units as they are shipped."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.cli import unit
from bridge.config import paths
from tests.cli.calls import Run

SHIPPED = Path(__file__).parents[2] / "systemd"
CONFIG = """
[launch27]
base_url = "https://club.launch27.com/latest"
[[launch27.accounts]]
email = "club@example.com"
password_file = "{}launch27-password"
[wingfield]
base_url = "https://dev.wingfield.systems"
external_service_id = "497f6eca-6276-4993-bfeb-53cbbbba6f08"
token_file = "{}wingfield-token"
[[courts]]
court_id = "79ae2927-a9bc-46ed-8f9e-079af32b7616"
service_ids = [1]
"""
FILES = {
    "courtbridge.service": ("config.toml", "", "config.toml"),
    "courtbridge@mitte.service": ("mitte.toml", "mitte.", "mitte.toml"),
    "courtbridge-clubs.service": ("clubs/mitte.toml", "secrets/mitte-", "clubs"),
}
"""By unit: the configuration's file, what the secrets' files begin with, and what ``--config`` names."""


@pytest.fixture
def etc(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An /etc/courtbridge with the shipped units beside it; everybody can look into it."""
    with tempfile.TemporaryDirectory() as folder:
        etc = Path(folder, "courtbridge")
        units = Path(shutil.copytree(SHIPPED, Path(folder, "units")))
        for path in units.iterdir():
            path.write_text(path.read_text().replace("/etc/courtbridge", str(etc)))
        for path in (Path(folder), etc, etc / "clubs", etc / "secrets"):
            path.mkdir(exist_ok=True)
            path.chmod(0o755)
        monkeypatch.setattr(unit, "UNITS", units)
        for module in (unit, paths):
            monkeypatch.setattr(module, "SYSTEM_CONFIG", etc / "config.toml")
        yield etc


def write(etc: Path, name: str) -> str:
    """Write a unit's configuration and secrets; return what ``--config`` names."""
    config, secret, named = FILES[name]
    prefix = "clubs_mitte-" if "clubs" in name else ""
    for file, text, mode in (
        (config, CONFIG.format(prefix, prefix), 0o644),
        (f"{secret}launch27-password", "pw", 0o600),
        (f"{secret}wingfield-token", "tok", 0o600),
    ):
        (etc / file).write_text(text)
        (etc / file).chmod(mode)
    return str(etc / named)


def told(run: Run, named: str) -> list[tuple[str, str]]:
    """Return what is told of the service, as level and words."""
    ran = run("check", "--offline", "--json", "--config", named)
    assert ran.code == (78 if '"problem"' in ran.out else 0)
    findings = ran.json.get("clubs", {"": ran.json}).popitem()[1]["findings"]
    return [(each["level"], each["detail"]) for each in findings if "the service itself" in each["detail"]]


@pytest.mark.parametrize("name", FILES)
def test_where_all_is_well_it_says_so(run: Run, etc: Path, name: str) -> None:
    ((level, words),) = told(run, write(etc, name))
    assert level == "ok"
    assert "launch27-password, " in words
    assert words.endswith("and may write to /var/lib/courtbridge" + "/mitte" * ("@" in name))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("folder", [True, False])
def test_a_configuration_that_only_root_can_read_is_a_problem(run: Run, etc: Path, name: str, folder: bool) -> None:
    named = write(etc, name)
    config = etc / FILES[name][0]
    (config.parent if folder else config).chmod(0o700)
    ((level, words), *_) = told(run, named)
    assert (level, words) == ("problem", f"the service itself: may not read {config}; chmod 644 {config}")


def test_a_secret_that_the_unit_does_not_hand_over_is_a_problem_until_it_does(run: Run, etc: Path) -> None:
    named, other = write(etc, "courtbridge.service"), etc / "other-token"
    Path(named).write_text(Path(named).read_text().replace('"wingfield-token"', '"other-token"'))
    (etc / "wingfield-token").rename(other)
    ((level, words),) = told(run, named)
    line = f"LoadCredential=other-token:{other}"
    assert (level, f"may not read {other}; add {line} below [Service]" in words) == ("problem", True)
    edit = unit.UNITS / "courtbridge.service.d" / "override.conf"
    edit.parent.mkdir()
    edit.write_text(f"[Service]\n{line}\n")
    assert told(run, named)[0][0] == "ok"


def test_a_secret_of_a_club_that_its_unit_does_not_hand_over_is_a_problem(run: Run, etc: Path) -> None:
    named = write(etc, "courtbridge@mitte.service")
    Path(named).write_text(Path(named).read_text().replace('"wingfield-token"', '"other-token"'))
    (etc / "mitte.wingfield-token").rename(etc / "mitte.other-token")
    ((level, words),) = told(run, named)
    assert (level, f"no such file in its credentials nor in {etc}" in words) == ("problem", True)


def test_what_only_the_caller_has_is_a_problem(run: Run, etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = write(etc, "courtbridge.service")
    monkeypatch.setenv("CLUB_PASSWORD", "pw")
    text = Path(named).read_text().replace('_file = "launch27-password"', '_env = "CLUB_PASSWORD"')
    Path(named).write_text(f'{text}[sync]\nstate = "/srv/state.db"\n')
    ((level, words),) = told(run, named)
    assert (level, "$CLUB_PASSWORD is not set" in words) == ("problem", True)
    Path(named).write_text(text.replace('_env = "CLUB_PASSWORD"', ' = "pw"') + '[sync]\nstate = "/srv/state.db"\n')
    assert "may not write /srv/state.db" in told(run, named)[0][1]


def test_another_file_or_the_service_itself_is_told_nothing(
    run: Run, etc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = write(etc, "courtbridge.service")
    other = tmp_path / "config.toml"
    other.write_text(Path(named).read_text())
    assert told(run, str(other)) == []
    draft = Path(named).rename(etc / "draft.toml")
    assert told(run, str(draft)) == []
    draft.rename(named)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(etc))
    assert told(run, named) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("name", FILES)
def test_an_ordinary_user_is_told_to_use_sudo_and_that_the_service_can(etc: Path, name: str) -> None:
    named = write(etc, name)
    script = f"""
import os, sys
from contextlib import redirect_stdout
from pathlib import Path
from bridge.cli import main, unit
from bridge.config import paths
unit.UNITS = Path({str(unit.UNITS)!r})
unit.SYSTEM_CONFIG = paths.SYSTEM_CONFIG = Path({str(etc / "config.toml")!r})
call = ["check", "--offline", "--config", {named!r}]
with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
    main.main(call)  # imports all that nobody else may be able to read
os.setresuid(65534, 65534, 65534)
sys.exit(main.main(call))
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert (ran.returncode, ran.stderr) == (78, "")
    assert "use sudo" in ran.stdout
    assert "the service itself may read the configuration, gets " in ran.stdout
