"""``deploy/install.sh``, in a container of Debian 12 whose systemctl only writes down what it is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.podman import BASE, CHECKOUT, Podman, mounts

SYSTEMCTL = """#!/bin/sh
echo "$*" >> /var/log/systemctl
case "$*" in
  *--state=active*) [ ! -e /running ] || echo courtbridge@mitte.service ;;
  list-units*) printf 'courtbridge@mitte.service loaded\\ncourtbridge-once.timer loaded\\n' ;;
esac
"""


class Machine:
    """A machine that lasts as long as a test; ``program`` is its image and what runs there, with options before it."""

    def __init__(self, podman: Podman, *program: str) -> None:
        self.podman = podman
        volumes = [f"--volume={CHECKOUT}:/source:ro", *mounts()]
        self.name = podman.call("run", "--detach", "--network=host", *volumes, *program).stdout.strip()

    @classmethod
    def without_systemd(cls, podman: Podman, folder: Path) -> Machine:
        """Return one whose systemctl only writes down what it is told."""
        systemctl = folder / "systemctl"
        systemctl.write_text(SYSTEMCTL)
        systemctl.chmod(0o755)
        machine = cls(podman, f"--volume={systemctl}:/usr/bin/systemctl:ro", BASE, "sleep", "600")
        machine.sh("mkdir -p /etc/systemd/system")
        return machine

    def sh(self, command: str, status: int = 0) -> str:
        """Run a line of shell as root; return what it says."""
        done = self.podman.call("exec", self.name, "sh", "-c", command, check=False)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def write(self, path: str, script: str) -> None:
        """Put a script there."""
        self.podman.call("exec", self.name, "sh", "-c", 'printf %s "$1" > "$2"; chmod 755 "$2"', "sh", script, path)

    def said_to_systemd(self) -> list[str]:
        return self.sh("cat /var/log/systemctl; : > /var/log/systemctl").splitlines()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("machine")
    machine = Machine.without_systemd(Podman(folder), folder)
    yield machine
    machine.podman.call("rm", "--force", "--time=0", machine.name)


def test_it_installs_upgrades_and_removes_everything_it_made(machine: Machine) -> None:
    before = machine.sh("find /etc /opt /usr/local /var/lib -newer /etc/hostname -name '*courtbridge*'")

    said = machine.sh("/source/deploy/install.sh")
    assert "Installed: courtbridge " in said
    assert "systemctl enable --now courtbridge" in said
    assert machine.sh("cd / && courtbridge --version").startswith("courtbridge ")
    machine.sh("cmp /etc/courtbridge/config.toml /source/config.example.toml")
    assert not any(line.startswith("restart") for line in machine.said_to_systemd())

    machine.sh("echo '# mine' > /etc/courtbridge/config.toml; touch /running")
    assert "Next" not in machine.sh("/source/deploy/install.sh")
    assert machine.sh("cat /etc/courtbridge/config.toml") == "# mine\n"
    assert "restart courtbridge@mitte.service" in machine.said_to_systemd()

    assert "--yes" in machine.sh("/source/deploy/install.sh --remove", 1)
    machine.sh("courtbridge --version")
    machine.sh("/source/deploy/install.sh --remove --yes")
    told = machine.said_to_systemd()
    for unit in ("courtbridge@mitte.service", "courtbridge-once.timer"):
        assert f"disable --now {unit}" in told
    left = "find / -xdev -name '*courtbridge*' -not -path '/source/*' -not -path '/proc/*'"
    assert machine.sh(left) == before == ""


def test_a_wrong_word_changes_nothing(machine: Machine) -> None:
    assert "usage" in machine.sh("/source/deploy/install.sh --uninstall", 1)
