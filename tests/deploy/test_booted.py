"""The service under systemd itself: Debian 12, booted in a container, with both services simulated there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deploy.podman import BASE, Podman
from tests.deploy.test_install import Machine

IMAGE = "localhost/courtbridge-booted:under-test"
BOOTABLE = f"""
FROM {BASE}
RUN apt-get update && apt-get install --yes --no-install-recommends systemd-sysv dbus procps
"""
CONFIGURE = r"""
cd /etc/courtbridge && umask 077
echo club-secret > launch27-password && echo tok_ext_v1_sandbox > wingfield-token
nohup /opt/courtbridge/bin/python -m bridge.sandbox --page-port 0 --bookings 5 --write-config /tmp/sandbox.toml \
  > /tmp/sandbox.log 2>&1 &
timeout 20 sh -c 'until grep -qs courts /tmp/sandbox.toml; do sleep 0.1; done'
sed -e '/^state = /d; /^\[web/,/^listen/d' -e 's/^password = .*/password_file = "launch27-password"/' \
  -e 's/^token = .*/token_file = "wingfield-token"/' /tmp/sandbox.toml > config.toml
chmod 644 config.toml
"""
DIRECTORY = r"""
cd /etc/courtbridge
install -d -m 755 clubs && install -d -m 700 secrets
mv launch27-password wingfield-token secrets
sed -e 's/"launch27-password"/"clubs_launch27-password"/' -e 's/"wingfield-token"/"clubs_wingfield-token"/' \
  config.toml > clubs/mitte.toml
"""
STATUS = "systemctl show -P StatusText courtbridge"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("booted")
    podman = Podman(folder)
    (folder / "Containerfile").write_text(BOOTABLE)
    built = podman.call("build", "--network=host", "-t", IMAGE, "-f", f"{folder}/Containerfile", check=False)
    if built.returncode:
        pytest.skip("systemd cannot be installed: no package index can be reached")
    machine = Machine(podman, "--systemd=always", "--privileged", IMAGE, "/sbin/init")
    try:
        machine.sh("timeout 30 sh -c 'until systemctl is-system-running --wait; do sleep 0.2; done'")
        machine.sh("mount --make-rshared /")  # as outside a container: systemd hands credentials out by mounts
        machine.sh("/source/deploy/install.sh")
        machine.sh(CONFIGURE)
        yield machine
    finally:
        podman.call("rm", "--force", "--time=0", machine.name)


def until(machine: Machine, command: str, wanted: str) -> None:
    """Wait until a command there says ``wanted``."""
    machine.sh(f"timeout 30 sh -c 'until {command} | grep -q \"{wanted}\"; do sleep 0.2; done'")


def test_it_starts_and_reloads_rejects_an_edit_and_takes_it_back(machine: Machine) -> None:
    machine.sh("systemctl enable --now courtbridge")
    until(machine, STATUS, "in sync: 5 bookings")
    machine.sh("systemctl reload courtbridge")
    file = "/etc/courtbridge/config.toml"
    machine.sh(f"cp {file} /tmp/right.toml; sed -i 's/^interval = .*/interval = 5s/' {file}")
    assert "failed" in machine.sh("systemctl reload courtbridge", 1)
    until(machine, STATUS, "configuration rejected: .* line")
    assert machine.sh("systemctl is-active courtbridge") == "active\n"
    machine.sh(f"cp /tmp/right.toml {file}; systemctl reload courtbridge")
    until(machine, STATUS, "^in sync")


def test_one_way_of_running_it_stops_the_other_in_both_directions(machine: Machine) -> None:
    active = "systemctl is-active courtbridge.service courtbridge-once.timer"
    machine.sh("systemctl start courtbridge-once.timer")
    assert machine.sh(active).split() == ["inactive", "active"]
    machine.sh("systemctl start courtbridge")
    assert machine.sh(active).split() == ["active", "inactive"]


def test_a_state_in_the_way_is_said_before_the_start(machine: Machine) -> None:
    state = "/var/lib/courtbridge /var/lib/private/courtbridge"
    machine.sh("cd /etc/courtbridge; for f in launch27-password wingfield-token; do mv $f mitte.$f; done")
    machine.sh("cp /etc/courtbridge/config.toml /etc/courtbridge/mitte.toml")
    assert "Assertion failed" in machine.sh("systemctl start courtbridge@mitte", 1)
    machine.sh(f"systemctl stop courtbridge; rm -rf {state}; systemctl start courtbridge@mitte")
    machine.sh("systemctl reload courtbridge@mitte")
    machine.sh("cd /etc/courtbridge; for f in launch27-password wingfield-token; do cp -p mitte.$f $f; done")
    assert "Assertion failed" in machine.sh("systemctl start courtbridge", 1)
    machine.sh(f"systemctl stop courtbridge@mitte; rm -rf {state}; systemctl start courtbridge")


def test_a_directory_reloads_and_stops_the_service(machine: Machine) -> None:
    machine.sh(DIRECTORY)
    machine.sh("systemctl start courtbridge-clubs && systemctl reload courtbridge-clubs")
    assert machine.sh("systemctl is-active courtbridge", 3) == "inactive\n"


def test_nothing_of_it_is_left(machine: Machine) -> None:
    machine.sh(
        "systemctl start courtbridge@mitte || systemctl start courtbridge; systemctl enable courtbridge-once.timer"
    )
    machine.sh("/source/deploy/install.sh --remove --yes")
    assert machine.sh("find / -xdev -name '*courtbridge*' -not -path '/source/*' -not -path '/proc/*'") == ""
    assert machine.sh("systemctl list-units --all --plain --no-legend 'courtbridge*'") == ""
    assert machine.sh("systemctl is-system-running") == "running\n"
