"""13. SIGTERM took 26 s behind a hanging name look-up: the process ends within five seconds, whatever hangs."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest

from bridge.config.loading import load_config
from bridge.errors import ExitStatus
from bridge.http.loop import STOP_SECONDS
from tests.support.daemons import Process

pytestmark = pytest.mark.hurt(13)

HANGING = """
import os, socket, threading

said = threading.Lock()

def hang(*_arguments, **_options):
    if said.acquire(blocking=False):  # once: a later line might come into the middle of one of the log's
        os.write(2, b'{"event": "looking_up"}' + bytes([10]))
    threading.Event().wait()

socket.getaddrinfo = hang
"""


@pytest.mark.parametrize(
    ("argument", "status"), [("--log-level=info", ExitStatus.OK), ("--once", ExitStatus.TRY_LATER)]
)
def test_a_name_that_is_not_found_does_not_hold_up_the_end(
    config_file: Path, write_config: Callable[..., Path], tmp_path: Path, argument: str, status: ExitStatus
) -> None:
    base_url = load_config(config_file, {}).launch27.base_url
    config = write_config({base_url: "https://hangs.test/latest"})
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(HANGING)
    with Process(config, argument, PYTHONPATH=str(folder)) as process:
        process.wait("looking_up")
        began = monotonic()
        process.popen.send_signal(signal.SIGTERM)
        assert process.ended() == status
    assert monotonic() - began < STOP_SECONDS
