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
SERVICES = """
import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from bridge.sandbox import Launch27, Sandbox, Wingfield

async def main():
    launch27, wingfield = Launch27(), Wingfield(courts={"79ae2927-a9bc-46ed-8f9e-079af32b7616": "Court 1"})
    launch27.add_service(1, "Court 1")
    launch27.add_account("club@example.com", "of-the-club")
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=1)
    launch27.add_booking(service_date=start, minutes=60, services=[1], email="player@example.com")
    wingfield.map_court("79ae2927-a9bc-46ed-8f9e-079af32b7616", "1", "Court 1")
    async with Sandbox(launch27, wingfield):
        text = f"{launch27.url} {wingfield.url} {wingfield.service_id} {wingfield.token}"
        Path("/tmp/services.new").write_text(text)
        Path("/tmp/services.new").rename("/tmp/services")
        await asyncio.sleep(600)

asyncio.run(main())
"""
# What a person does at this machine, and what the machine lacks: it has the packages already, and no systemd.
PERSON = {
    "apt": "exit 0",
    "systemd-ask-password": """
        timeout 20 sh -c 'until [ -e /tmp/services ]; do sleep 0.1; done'
        read -r launch27 wingfield service token < /tmp/services
        case "$1" in launch27*) echo of-the-club ;; *) echo "$token" ;; esac""",
    "editor": r"""
        if [ -e /tmp/edited ]; then
          courtbridge courts | sed -n '/^\[\[courts/,$p' >> "$1"
          exit
        fi
        read -r launch27 wingfield service token < /tmp/services
        sed -i -e '/^\[\[courts/,$d' \
          -e "/^\[launch27]/,/^\[/s|^base_url = .*|base_url = \"$launch27\"|" \
          -e "/^\[wingfield]/,/^\[/s|^base_url = .*|base_url = \"$wingfield\"|" \
          -e "s|^external_service_id = .*|external_service_id = \"$service\"|" \
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
    machine = Machine(Podman(tmp_path), tmp_path)
    for name, script in PERSON.items():
        machine.write(f"/usr/local/sbin/{name}", f"#!/bin/sh\n{script}\n")
    machine.write("/tmp/services.py", SERVICES)
    yield machine
    machine.podman.call("rm", "--force", "--time=0", machine.name)


def test_every_block_of_the_installation_works_as_it_stands_in_the_order_given(machine: Machine) -> None:
    said = ""
    for block in blocks():
        if "systemd-ask-password" in block:
            machine.sh("nohup /opt/courtbridge/bin/python /tmp/services.py > /tmp/services.log 2>&1 &")
        said += machine.sh(f"cd /source\nset -e\n{block}")
    assert "Dry run, nothing was written. All would be in sync." in said
    assert "1 created" in said.rpartition("Dry run")[2]
    assert "in sync: 1 booking" in machine.sh("cd / && courtbridge status")
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
