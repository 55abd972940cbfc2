"""``[notify]``: trouble that lasts is told, and its end; the heartbeat hears how every full pass ended."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bridge.cli.main import main
from bridge.config.loading import load_config
from bridge.errors import ConfigError
from bridge.sandbox import Sandbox
from tests.cli.calls import restored_signals
from tests.support.builders import EMAIL
from tests.support.daemons import Here, Process, book
from tests.support.listener import Listener, listening

NOTIFY = '[notify]\nwebhook_url = "{0}/hook?key=s3cret"\nheartbeat_url = "{0}/beat/s3cret"\nafter = "{1}"\n'


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as listener:
        yield listener


@pytest.fixture
def config(write_config: Callable[..., Path], listener: Listener) -> Path:
    return write_config(more=NOTIFY.format(listener.url, "0s"))


def once(config: Path, *arguments: str) -> int:
    with restored_signals():
        return main(["--once", "--config", str(config), *arguments])


def hold_one(sandbox: Sandbox) -> int:
    """Make a booking that nobody can be named for."""
    (booking,) = book(sandbox)
    sandbox.launch27.edit(booking, email="nobody")
    return booking


def test_a_timer_tells_when_it_begins_once_and_when_it_is_over(
    config: Path, sandbox: Sandbox, listener: Listener, capsys: pytest.CaptureFixture[str]
) -> None:
    booking = hold_one(sandbox)
    assert (once(config), once(config)) == (1, 1)
    sandbox.launch27.edit(booking, email="a@b.co")
    assert once(config) == 0
    assert listener.events == ["begins", "over"]
    method, path, body = next(each for each in listener.heard if each[0] == "POST")
    assert (method, path) == ("POST", "/hook?key=s3cret")
    assert set(body) == {"event", "club", "kinds", "since", "text"}
    assert (body["club"], body["kinds"]) == ("config", ["held"])
    assert str(booking) in body["text"]
    assert EMAIL not in json.dumps(listener.heard)
    assert listener.beats == ["/beat/s3cret/1", "/beat/s3cret/1", "/beat/s3cret/0"]
    said = capsys.readouterr()
    assert "s3cret" not in said.out + said.err


def test_a_dry_run_tells_nobody(config: Path, sandbox: Sandbox, listener: Listener) -> None:
    hold_one(sandbox)
    once(config, "--dry-run")
    assert listener.heard == []


def test_what_is_not_taken_is_told_with_the_next_pass_and_said_once(
    config: Path, sandbox: Sandbox, listener: Listener, capsys: pytest.CaptureFixture[str]
) -> None:
    hold_one(sandbox)
    listener.status = 500
    assert once(config) == 1
    said = capsys.readouterr().err
    assert "notification_failed" in said
    assert "s3cret" not in said
    listener.status = 204
    once(config)
    once(config)
    assert listener.events == ["begins", "begins"]


async def test_a_channel_that_hangs_delays_no_pass_and_not_the_end(
    write_config: Callable[..., Path], sandbox: Sandbox, listener: Listener
) -> None:
    hold_one(sandbox)
    listener.hangs.set()
    config = write_config(more='[sync]\ninterval = "1s"\n' + NOTIFY.format(listener.url, "0s"))
    async with Here(config) as here:
        await here.passes(3)
        assert listener.events == ["begins"]


def test_trouble_that_began_before_a_restart_is_not_told_anew(
    write_config: Callable[..., Path], sandbox: Sandbox, listener: Listener
) -> None:
    hold_one(sandbox)
    config = write_config(more=NOTIFY.format(listener.url, "0s"))
    once(config)
    with Process(config) as daemon:
        daemon.wait("daemon_started")
        while len(listener.beats) < 2:  # sent with the messages, after the first pass
            daemon.popen.poll()
    assert listener.events == ["begins"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # its own, on loading
def test_apprise_takes_it_too(
    write_config: Callable[..., Path], sandbox: Sandbox, listener: Listener, capsys: pytest.CaptureFixture[str]
) -> None:
    hold_one(sandbox)
    address = listener.url.replace("http", "json") + "/s3cret"
    config = write_config(more=f'[notify]\napprise_url = "{address} {address}"\nafter = "0s"\n')
    once(config)
    assert [body["title"] for _, _, body in listener.heard] == ["Courtbridge config: held"] * 2
    listener.status = 500
    with restored_signals():
        assert main(["notify", "--config", str(config)]) == 1
    said = capsys.readouterr()
    assert "s3cret" not in said.out + said.err


def test_the_command_tries_every_channel_and_changes_no_monitors_mind(
    config: Path, listener: Listener, capsys: pytest.CaptureFixture[str]
) -> None:
    with restored_signals():
        assert main(["notify", "--config", str(config), "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"channels": {"webhook": None, "heartbeat": None}}
        assert (listener.events, listener.beats) == (["test"], ["/beat/s3cret/log"])
        listener.status = 404
        assert main(["notify", "--config", str(config)]) == 1
    said = capsys.readouterr()
    assert "answered 404" in said.out
    assert "s3cret" not in said.out + said.err


def test_the_command_says_that_nobody_would_be_told(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with restored_signals():
        assert main(["notify", "--config", str(config_file)]) == 1
    assert "[notify]" in capsys.readouterr().out


@pytest.mark.parametrize("url", ["http://hooks.example/s3cret", "s3cret", "https://", "ftp://example.com/s3cret"])
def test_an_address_that_would_show_itself_or_leads_nowhere_is_wrong(
    write_config: Callable[..., Path], url: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write_config(more=f'[notify]\nwebhook_url = "{url}"\n'), {})
    assert [problem.place for problem in caught.value.problems] == ["notify.webhook_url"]
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("form", ["heartbeat_url", "webhook_url", "apprise_url"])
def test_an_address_comes_in_three_forms(write_config: Callable[..., Path], tmp_path: Path, form: str) -> None:
    (tmp_path / "address").write_text("https://example.com/s3cret\n")
    for line in (f'{form}_file = "address"', f'{form}_env = "THE_ADDRESS"'):
        config = load_config(write_config(more=f"[notify]\n{line}\n"), {"THE_ADDRESS": "https://example.com/s3cret"})
        assert config.notify is not None
        assert getattr(config.notify, form).reveal() == "https://example.com/s3cret"
        assert "s3cret" not in repr(config)
