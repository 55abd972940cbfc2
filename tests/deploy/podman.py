"""Podman, where it is there and can run something: a base image of this machine's choice, and the bridge's image."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).parents[2]
BASE = os.environ.get("COURTBRIDGE_TEST_BASE", "localhost/debian:12-python")
"""Any image of Debian 12. Where no registry can be reached, debootstrap makes one:
``debootstrap --include=ca-certificates,python3-venv bookworm base; tar -C base -c . | podman import - NAME``."""
IMAGE = "localhost/courtbridge:under-test"
_OF_THIS_MACHINE = ["/etc/ssl/certs", "/etc/pip.conf"]
"""How this machine reaches its package index: needed while building only."""
_MODEST = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=500:500"]
[engine]
runtime = "runc"
"""


def mounts() -> list[str]:
    """Return the options that let a container reach the package index as this machine does."""
    return [f"--volume={path}:{path}:ro" for path in _OF_THIS_MACHINE if Path(path).exists()]


class Podman:
    """Calls podman; inside a container or a small virtual machine it needs modest limits and ``runc``."""

    def __init__(self, folder: Path) -> None:
        self._environ = dict(os.environ)
        if shutil.which("podman") is None:
            pytest.skip("there is no podman: apt install podman")
        if self.call("image", "exists", BASE, check=False).returncode:
            pytest.skip(f"there is no image {BASE}: set COURTBRIDGE_TEST_BASE to one of Debian 12")
        if self._cannot_run():
            (folder / "containers.conf").write_text(_MODEST)
            self._environ["CONTAINERS_CONF"] = str(folder / "containers.conf")
            if why := self._cannot_run():
                pytest.skip(f"podman runs no container here: {why}")

    def _cannot_run(self) -> str:
        done = self.call("run", "--rm", "--network=none", BASE, "true", check=False)
        return done.stderr if done.returncode else ""

    def call(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Call podman and wait for its end."""
        command = ["podman", *arguments]
        done = subprocess.run(
            command, cwd=CHECKOUT, env=self._environ, capture_output=True, text=True, timeout=300, check=False
        )
        assert not check or done.returncode == 0, f"{command}: {done.stderr[-3000:]}"
        return done

    def build(self, lock: Path) -> None:
        """Build the bridge's image; one process at a time, and the others find it in podman's cache."""
        options = ["--format=docker", "--network=host", f"--build-arg=BASE={BASE}", *mounts()]
        with lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self.call("build", *options, "-t", IMAGE, "-f", "deploy/Containerfile", ".")

    def inspect(self, image: str) -> dict[str, Any]:
        """Return what is known of an image."""
        found: list[dict[str, Any]] = json.loads(self.call("image", "inspect", image).stdout)
        return found[0]
