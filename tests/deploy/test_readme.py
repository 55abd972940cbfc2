"""The README's way to a running service, pasted block by block into Debian 12, with both services simulated there."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.podman import CHECKOUT, Podman
from tests.deploy.test_install import Machine

README = (CHECKOUT / "README.md").read_text()
SANDBOX = "/opt/courtbridge/bin/python -m bridge.sandbox --page-port 0 --bookings 5 --write-config /tmp/sandbox.toml"
# What a person does at this machine, who knows the sandbox from docs/trying-out.md; and what the machine lacks: it has
# the packages already, and no systemd.
PERSON = {
    "apt": "exit 0",
    "systemd-ask-password": 'case "$1" in launch27*) echo club-secret ;; *) echo tok_ext_v1_sandbox ;; esac',
    "editor": r"""
        if [ -e /tmp/edited ]; then
          courtbridge courts | sed -n '/^\[\[courts/,$p' >> "$1"
          exit
        fi
        timeout 20 sh -c 'until grep -qs courts /tmp/sandbox.toml; do sleep 0.1; done'
        launch27=$(grep -m 1 ^base_url /tmp/sandbox.toml)
        wingfield=$(grep ^base_url /tmp/sandbox.toml | tail -1)
        sed -i -e "/^\[launch27]/,/^\[/s|^base_url = .*|$launch27|" \
          -e "/^\[wingfield]/,/^\[/s|^base_url = .*|$wingfield|" \
          -e 's|^password_.*|password_file = "launch27-password"|' "$1"
        touch /tmp/edited""",
    "systemctl": """
        echo "$*" >> /var/log/systemctl
        case "$*" in "enable --now courtbridge") exec courtbridge --once ;; esac""",
}


def blocks() -> list[str]:
    """Return what is pasted to set the service up, in the order given."""
    section = README.partition("## Set it up")[2].partition("\n## ")[0]
    return [
        textwrap.dedent(block) for block in re.findall(r"^ *```sh\n(.*?)^ *```$", section, re.DOTALL | re.MULTILINE)
    ]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine.without_systemd(Podman(tmp_path), tmp_path)
    for name, script in PERSON.items():
        machine.write(f"/usr/local/sbin/{name}", f"#!/bin/sh\n{script}\n")
    yield machine
    machine.podman.call("rm", "--force", "--time=0", machine.name)


def test_every_block_of_the_installation_works_as_it_stands_in_the_order_given(machine: Machine) -> None:
    said = ""
    for block in blocks():
        if "systemd-ask-password" in block:
            machine.sh(f"nohup {SANDBOX} > /tmp/sandbox.log 2>&1 &")
        said += machine.sh(f"cd /source\nset -e\n{block}")
    assert "Dry run, nothing was written. All would be in sync." in said
    assert "5 created" in said.rpartition("Dry run")[2]
    assert "in sync: 5 bookings" in machine.sh("cd / && courtbridge status")
    assert machine.sh("stat -c %a /etc/courtbridge/wingfield-token") == "600\n"


def test_by_hand_it_is_what_the_script_makes_and_by_hand_it_is_gone_again(machine: Machine) -> None:
    page = (CHECKOUT / "docs" / "operating.md").read_text()
    by_hand = re.findall(r"[Bb]y hand[^\n]*:\n\n```sh\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    install, _upgrade, remove = by_hand  # the upgrade is what the script does now to what is there
    ours = "find / -xdev -path '*courtbridge*' -not -path '*/__pycache__*' -not -path '/source/*' | sort"
    machine.sh(f"cd /source\nset -e\n{install}")
    made = machine.sh(ours)
    assert "/usr/local/bin/courtbridge\n" in made
    machine.sh("/source/deploy/install.sh")
    assert machine.sh(ours) == made
    machine.sh(f"cd /source\nset -e\n{remove}")
    assert machine.sh(ours) == ""
