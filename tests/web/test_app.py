"""The addresses, over real sockets: who may ask for what, and what comes back."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from unittest.mock import Mock

import pytest
import structlog

from bridge.sync.status import Running, status_json
from bridge.web import app
from tests.support.views import NOW, Shown, busy, served, status

PASSWORD = "pässword"
GOOD = ("courtbridge", PASSWORD)


async def test_there_are_six_addresses_and_nothing_comes_from_elsewhere() -> None:
    async with served({"config": Shown(busy())}) as client:
        for path in ("/", "/style.css", "/livez", "/readyz", "/api/status", "/metrics"):
            answer = await client.get(path)
            assert answer.status_code == 200, path
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert "script" not in answer.headers["content-security-policy"]
            assert "http" not in answer.text.replace("http-equiv", ""), path
            head = await client.head(path)
            assert (head.status_code, head.content) == (200, b"")
            for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "NONSENSE"):
                refused = await client.request(method, path)
                assert refused.status_code == 405
                assert "nosniff" in refused.headers["x-content-type-options"]
        for path in ("/nowhere", "/livez/", "/clubs/config", "/../etc/passwd", "/style.css/x", "/templates/club.html"):
            assert (await client.get(path)).status_code == 404, path


async def test_the_status_is_the_one_of_the_command_line() -> None:
    async with served({"config": Shown(busy())}) as client:
        assert (await client.get("/api/status")).json() == status_json(busy())


async def test_ready_means_a_complete_pass_within_three_full_intervals_and_a_minute() -> None:
    club = Shown(status())
    async with served({"config": club}) as client:
        for minutes, code in ((0, 200), (14.9, 200), (15.1, 503)):  # the pass ended a minute ago
            club.shown = status(now=NOW + timedelta(minutes=minutes))
            answer = await client.get("/readyz")
            assert (answer.status_code, answer.json()["status"] == "ready") == (code, code == 200), minutes
        club.shown = status(passes=())
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/livez")).json() == {"status": "alive"}
        club.shown = status(running=Running(1, NOW, is_hung=True))
        assert (await client.get("/livez")).status_code == 503


async def test_several_clubs_are_listed_and_one_that_did_not_start_is_not_ready() -> None:
    clubs = {"mitte": Shown(busy()), "nord & süd": None}
    async with served(clubs, is_many=True) as client:
        listed = (await client.get("/")).text
        assert "/clubs/mitte" in listed
        assert "/clubs/nord%20%26%20s%C3%BCd" in listed
        assert "Not started" in listed
        one = (await client.get("/clubs/mitte?day=2026-11-21")).text
        assert "courtbridge approve --club mitte" in one
        assert (await client.get("/clubs/west")).status_code == 404
        assert (await client.get("/clubs/nord%20&%20s%C3%BCd")).status_code == 404
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/api/status")).json()["clubs"].keys() == clubs.keys()


async def test_only_health_is_open_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "WRONG_SECONDS", 0.001)
    async with served({"config": Shown(status())}, PASSWORD) as client:
        for path in ("/livez", "/readyz"):
            assert (await client.get(path)).status_code == 200
        for path in ("/", "/metrics", "/api/status", "/style.css", "/nowhere"):
            answer = await client.get(path)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Basic ")
        for header in ("Basic", "Basic !", "Basic Og==", "Bearer Y291cnRicmlkZ2U6cMOkc3N3b3Jk", "x" * 9000):
            assert (await client.get("/", headers={"authorization": header})).status_code == 401
        for wrong in (("courtbridge", PASSWORD[:-1]), ("courtbridge", ""), ("admin", PASSWORD)):
            assert (await client.get("/", auth=wrong)).status_code == 401
        assert (await client.get("/", auth=GOOD)).status_code == 200


async def test_a_wrong_password_takes_a_second_in_which_nobody_at_its_address_is_listened_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    thinking, done = asyncio.Event(), asyncio.Event()

    async def sleep(seconds: float) -> None:
        assert seconds == 1.0
        thinking.set()
        await done.wait()

    monkeypatch.setattr(app, "sleep", sleep)
    async with served({"config": Shown(status())}, PASSWORD) as client:
        wrong = asyncio.create_task(client.get("/", auth=("courtbridge", "guess")))
        await thinking.wait()
        for auth in (GOOD, ("courtbridge", "another guess")):
            answer = await client.get("/", auth=auth)
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        assert (await client.get("/livez")).status_code == 200
        done.set()
        assert (await wrong).status_code == 401
        assert (await client.get("/", auth=GOOD)).status_code == 200


async def test_a_bug_of_the_page_is_an_answer_and_a_line_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Mock()
    monkeypatch.setattr(structlog, "get_logger", lambda: log)
    broken = Mock(side_effect=ValueError("somebody@example.com"))
    async with served({"config": broken}) as client:
        answer = await client.get("/")
        assert (answer.status_code, answer.text) == (500, "Internal Server Error")
        assert (await client.get("/style.css")).status_code == 200
    assert "example.com" not in str(log.mock_calls)
    assert log.error.call_args.kwargs["exception_type"] == "ValueError"
