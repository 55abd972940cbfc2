"""``uv tool install .`` from the checkout; pipx does the same with pip, which the other tests here use."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.podman import CHECKOUT

UV = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")


@pytest.mark.skipif(UV is None, reason="uv is in the extra [dev]")
def test_uv_puts_the_command_on_the_path(tmp_path: Path) -> None:
    tools = {"UV_TOOL_DIR": f"{tmp_path}/tools", "UV_TOOL_BIN_DIR": f"{tmp_path}/bin"}
    done = subprocess.run(
        [str(UV), "tool", "install", "--python", sys.executable, str(CHECKOUT)],
        env=os.environ | tools,
        capture_output=True,
        text=True,
        check=False,
    )
    if "Failed to fetch" in done.stderr:
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    said = subprocess.run([tmp_path / "bin" / "courtbridge", "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.startswith("courtbridge ")
