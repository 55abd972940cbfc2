"""What ``docs/monitoring.md`` has to paste works as it stands."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bridge.config.loading import load_config
from tests.cli.calls import WriteConfig

CHECKOUT = Path(__file__).parents[2]
PAGE = (CHECKOUT / "docs" / "monitoring.md").read_text()
PROMTOOL = shutil.which("promtool")


def blocks(language: str, heading: str) -> list[str]:
    """Return the blocks of a language under a heading."""
    section = PAGE.partition(f"\n## {heading}")[2].partition("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder in place of /usr/local: its courtbridge ends as $STATUS says, its curl says what it asks."""
    (tmp_path / "bin").mkdir()
    for name, script in (("courtbridge", 'echo "Last pass just now. $*"; exit $STATUS'), ("curl", 'echo "$*" >&2')):
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path


def sh(machine: Path, script: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": f"{machine}/bin:/usr/bin:/bin", "STATUS": str(status)}
    script = script.replace("/usr/local", str(machine)).replace("/etc/sudoers.d", str(machine))
    return subprocess.run(["sh", "-ec", script], env=environ, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("status", "known"), [(0, 0), (1, 1), (2, 2), (74, 2), (75, 2), (77, 2), (78, 2)])
def test_the_plugin_for_nagios_translates_every_exit_status(machine: Path, status: int, known: int) -> None:
    for block in blocks("sh", "Nagios"):
        assert sh(machine, block).returncode == 0
    ran = sh(machine, "exec /usr/local/lib/nagios/plugins/check_courtbridge", status)
    assert (ran.returncode, ran.stdout) == (known, "Last pass just now. status --max-age 20m\n")


@pytest.mark.skipif(shutil.which("visudo") is None, reason="needs visudo")
def test_sudo_takes_the_line_for_the_agent(machine: Path) -> None:
    assert sh(machine, blocks("sh", "Nagios")[1]).returncode == 0
    subprocess.run(["visudo", "-cf", machine / "courtbridge"], check=True, capture_output=True)


@pytest.mark.parametrize(("status", "asks"), [(0, True), (1, False), (75, False)])
def test_uptime_kuma_is_pushed_only_while_all_is_well(machine: Path, status: int, asks: bool) -> None:
    ran = sh(machine, blocks("sh", "Uptime Kuma")[0], status)
    assert (ran.stdout, "api/push/TOKEN?status=up" in ran.stderr) == ("", asks)


@pytest.mark.skipif(PROMTOOL is None, reason="needs promtool: apt install prometheus")
def test_prometheus_takes_the_configuration_with_the_rules_beside_it(tmp_path: Path) -> None:
    (block,) = blocks("yaml", "Prometheus")
    (tmp_path / "prometheus.yml").write_text(block)
    shutil.copy(CHECKOUT / "deploy" / "prometheus" / "courtbridge-rules.yml", tmp_path)
    done = subprocess.run(
        [str(PROMTOOL), "check", "config", "prometheus.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_piece_of_configuration_is_one(write_config: WriteConfig) -> None:
    pieces = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert len(pieces) >= 3
    for piece in pieces:
        config = write_config(more=piece)
        config.with_name("web-password").write_text("of-the-page")
        load_config(config, {})
