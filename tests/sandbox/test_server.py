"""The servers, in the running event loop, in a thread, and in a process of their own."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest

from bridge.sandbox import Launch27, Sandbox
from bridge.sandbox import __main__ as command
from bridge.sandbox.server import free_port
from tests.sandbox.conftest import TLS


async def test_a_busy_port_is_an_oserror_and_leaves_nothing_behind() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        sandbox = Sandbox(wingfield_port=port)
        with pytest.raises(OSError, match="in use"):
            await sandbox.__aenter__()
        with pytest.raises(OSError, match="in use"), Sandbox.in_thread(launch27_port=port):
            pass
    with pytest.raises(RuntimeError, match="not listening"):
        _ = sandbox.launch27.url


async def test_stopping_ends_open_connections_and_hanging_requests() -> None:
    launch27 = Launch27()
    async with httpx.AsyncClient(verify=TLS, trust_env=False) as http:
        async with Sandbox(launch27) as sandbox:
            url = sandbox.launch27.url
            await http.get(f"{url}/settings")
            fault = launch27.faults.add("hang")
            hanging = asyncio.create_task(http.get(f"{url}/settings"))
            await fault.struck.reached()
        with pytest.raises(httpx.RemoteProtocolError):
            await hanging
        with pytest.raises(httpx.ConnectError):
            await http.get(f"{url}/settings")


async def connect(sandbox: Sandbox) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", httpx.URL(sandbox.launch27.url).port)


async def test_garbage_on_the_socket_is_400_and_silent(sandbox: Sandbox, capfd: pytest.CaptureFixture[str]) -> None:
    reader, writer = await connect(sandbox)
    writer.write(b"this is no HTTP\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 400")
    writer.close()
    await writer.wait_closed()
    assert capfd.readouterr() == ("", "")


# --- the process ---


@contextmanager
def start(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """Run a sandbox in a process; it is killed where the test did not end it."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", "bridge.sandbox", *map(str, arguments)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_process_introduces_itself_serves_and_counts_until_sigterm() -> None:
    with start("--child", "--bookings", "3", "--courts", "2", "--delay-ms", "1", "--rates") as process:
        assert process.stdout is not None
        hello = json.loads(process.stdout.readline())
        with httpx.Client(verify=TLS, trust_env=False, base_url=hello["launch27_url"]) as http:
            login = {"email": hello["email"], "password": hello["password"]}
            answer = http.post("/login", json=login)
            assert answer.headers["x-rate-limit-read-limit"] == "30"
            headers = {"Authorization": f"Bearer {answer.json()['bearer']}"}
            assert len(http.get("/customer/bookings", headers=headers).json()) == 3
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, err) == (0, "")
        bye = json.loads(out)
        assert (bye["requests"], bye["launch27_requests"], bye["wingfield_requests"]) == (2, 2, 0)
        assert bye["cpu_seconds"] > 0
    assert len(hello["courts"]) == 2
    assert hello["services"] == [1, 2]


def test_a_process_stops_when_its_standard_input_ends() -> None:
    with start("--child") as process:
        assert process.stdout is not None
        process.stdout.readline()
        out, _ = process.communicate(timeout=20)  # closes the pipe
        assert json.loads(out)["requests"] == 0
        assert process.returncode == 0


def test_a_process_stops_by_itself_after_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--child", "--max-seconds", "0", "--bookings", "2", "--start", "2025-11-21"]) == 0
    hello, bye = map(json.loads, capsys.readouterr().out.splitlines())
    assert hello["wingfield_url"].startswith("http://127.0.0.1:")
    assert bye["requests"] == 0


def test_a_process_says_why_it_cannot_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--bookings", "100", "--courts", "1", "--days", "1"]) == 1
    assert capsys.readouterr().err == "sandbox: 100 bookings do not fit on 1 courts in 1 days\n"


def test_by_itself_it_runs_until_ctrl_c_and_writes_what_the_bridge_needs(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    with start("--write-config", path) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()  # whoever goes away does not end it
        said = "".join(iter(process.stdout.readline, "Ctrl-C ends it.\n"))
        assert f"courtbridge --config {path}" in said
        page = re.findall(r"the page +(\S+)", said)[0]
        bridge = [sys.executable, "-m", "bridge", "--config", str(path), "--once", "--json"]
        once = subprocess.run(bridge, capture_output=True, text=True, timeout=60, check=False)
        assert (once.returncode, json.loads(once.stdout)["created"]) == (0, 30), once.stderr
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert "config_warning" not in once.stderr
        days = [httpx.get(page, params={"day": day}, verify=TLS, trust_env=False).text for day in days_from_today()]
        assert sum(text.count('class="same"') for text in days) == 30
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def days_from_today() -> list[str]:
    """Return the days on which the sandbox books at its start, and one more: midnight may pass meanwhile."""
    today = datetime.now(ZoneInfo("Europe/Berlin")).date()
    return [(today + timedelta(days=days)).isoformat() for days in range(-1, 3)]


def test_a_configuration_is_printed_to_paste_and_written_over_its_own_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.toml"
    for _ in range(2):
        assert command.main(["--max-seconds", "0", "--write-config", str(path)]) == 0
    assert command.main(["--max-seconds", "0"]) == 0
    printed = tomllib.loads(capsys.readouterr().out.rpartition("config.toml\n\n")[2].removesuffix("Ctrl-C ends it.\n"))
    written = tomllib.loads(path.read_text())
    for table in (printed, written):
        del table["launch27"]["base_url"], table["wingfield"]["base_url"], table["sync"]["state"]
    assert printed == written
    path.write_text("[launch27]  # somebody's own\n")
    assert command.main(["--max-seconds", "0", "--write-config", str(path)]) == 1
    assert "is there already, and not from here" in capsys.readouterr().err
    assert path.read_text() == "[launch27]  # somebody's own\n"


def test_a_port_that_is_taken_gives_way_to_a_free_one() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        assert free_port(taken) not in {0, taken}
    assert free_port(taken) == taken


async def test_the_end_of_the_parent_stops() -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    command._watch_parent(loop, stop, os.getppid())
    assert not stop.is_set()
    command._watch_parent(loop, stop, -1)
    assert stop.is_set()
