"""The transport: what is retried, what is not, what it costs, and what never leaks."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import socket
import ssl
import subprocess
import sys
import time
import traceback
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

import httpx
import pytest
import structlog

from bridge.config.secrets import Secret
from bridge.errors import ConfigError, Rejected, Unavailable
from bridge.http import connections
from bridge.http.client import Backoff, Call, Http, Response, Timeouts
from bridge.http.failures import retry_after
from bridge.http.ratelimit import RateLimiter
from bridge.sandbox import Sandbox
from tests.support.answers import Server

QUICK = Backoff(first=0.001, longest=0.002, jitter=0.0)
GET = Call("GET", "/things/7", "/things/{id}", booking="7")
PUT = Call("PUT", "/things/7", "/things/{id}", booking="7", json={"email": "a@b.co"}, bearer=Secret("hush"))
OK = httpx.Response(200, json={"ok": True})
NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)

Answer = httpx.Response | Exception | Callable[[httpx.Request], Awaitable[httpx.Response]]


def read_json(response: Response) -> Any:
    return json.loads(response.body)


def streamed(chunks: Callable[[], AsyncIterator[bytes]]) -> Callable[[httpx.Request], Awaitable[httpx.Response]]:
    async def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=chunks())

    return answer


def client(server: Callable[[httpx.Request], Any], **more: Any) -> Http:
    more = {"backoff": QUICK, **more}
    return Http("Launch27", "https://acme.test/latest", transport=httpx.MockTransport(server), **more)


async def trouble_of(http: Http, call: Call = GET) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        await http.request(call, read_json)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    return caught.value


async def unavailable(http: Http, call: Call = GET) -> str:
    return str(await trouble_of(http, call))


async def in_back_off(*answers: Any) -> tuple[Http, asyncio.Task[str]]:
    """Return a client, and a request of its that waits to be tried again."""
    http = client(Server(*answers), backoff=Backoff(first=60, longest=60))
    waiting = asyncio.create_task(unavailable(http))
    await until(lambda: http._waiting)
    return http, waiting


async def until(true: Callable[[], object]) -> None:
    for _ in range(1000):
        if true():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came true")


class Held:
    """An answer that waits until it is let go."""

    def __init__(self, answer: httpx.Response = OK) -> None:
        self.answer = answer
        self.arrived = asyncio.Event()
        self.release = asyncio.Event()

    async def __call__(self, _request: httpx.Request) -> httpx.Response:
        self.arrived.set()
        await self.release.wait()
        return httpx.Response(self.answer.status_code, content=self.answer.content)


async def test_a_request_goes_out_whole_and_its_answer_comes_back() -> None:
    server = Server(httpx.Response(200, json={"ok": True}, headers={"X-Thing": "1"}))
    call = Call("PUT", "/a%2Fb", "/{id}", params={"q": "ü", "n": 1}, json={"x": "ö"}, bearer=Secret("hush"))
    found = await client(server).request(call, lambda response: response)
    (request,) = server.asked
    assert str(request.url) == "https://acme.test/latest/a%2Fb?q=%C3%BC&n=1"
    assert json.loads(request.content) == {"x": "ö"}
    assert request.headers["authorization"] == "Bearer hush"
    assert request.headers["user-agent"].startswith("courtbridge/")
    assert (found.status, read_json(found)) == (200, {"ok": True})
    assert found.headers["x-thing"] == "1"


async def test_cookies_are_not_kept() -> None:
    server = Server(httpx.Response(200, json={}, headers={"set-cookie": "session=1; Path=/"}))
    http = client(server)
    for _ in range(2):
        await http.request(GET, read_json)
    assert all("cookie" not in request.headers for request in server.asked)


async def test_what_check_refuses_goes_to_the_caller_untouched() -> None:
    server = Server(httpx.Response(404, json={}))

    def check(_response: Response) -> None:
        raise Rejected("Launch27", "no")

    with pytest.raises(Rejected):
        await client(server).request(GET, check)
    assert len(server.asked) == 1


@pytest.mark.parametrize(("content", "asked"), [(gzip.compress(b'{"ok": true}', mtime=0), 1), (b"not gzip at all", 2)])
async def test_packed_answers_are_unpacked_or_else_tried_again(content: bytes, asked: int) -> None:
    await packed_as("gzip", content, asked)


RAW = zlib.compressobj(wbits=-15)
DEFLATED = RAW.compress(b'{"ok": true}') + RAW.flush()


@pytest.mark.parametrize(
    ("encoding", "content", "asked"),
    [
        ("deflate", zlib.compress(b'{"ok": true}'), 1),
        ("Deflate", DEFLATED, 1),
        ("identity", b'{"ok": true}', 1),
        ("gzip", gzip.compress(b'{"ok": true}', mtime=0) + b"more", 1),
        ("gzip", gzip.compress(b'{"ok": true}', mtime=0)[:-4], 2),
        ("gzip, gzip", gzip.compress(gzip.compress(b'{"ok": true}', mtime=0), mtime=0), 2),
        ("br", b'{"ok": true}', 2),
    ],
)
async def test_one_encoding_is_unpacked_and_no_more(encoding: str, content: bytes, asked: int) -> None:
    await packed_as(encoding, content, asked)


async def packed_as(encoding: str, content: bytes, asked: int) -> None:
    async def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-encoding": encoding}, stream=httpx.ByteStream(content))

    server = Server(answer, OK)
    assert await client(server).request(GET, read_json) == {"ok": True}
    assert len(server.asked) == asked


def test_repr_shows_the_address_and_no_secret() -> None:
    http = Http("Launch27", "https://user:hush@acme.test/latest")
    assert repr(http) == "Http('Launch27', URL('https://user:[secure]@acme.test/latest'))"
    assert "hush" not in repr(PUT)
    assert "a@b.co" not in repr(PUT)
    assert "a@b.co" not in repr(Response(200, {"x": "a@b.co"}, b"a@b.co"))


NOT_PROMISED = "is not what the API promises"
RETRIED: list[tuple[Answer, str, str]] = [
    (httpx.ConnectError("x"), "could not connect", "connect"),
    (httpx.ConnectTimeout("x"), "could not connect within 5 s", "connect"),
    (httpx.ReadTimeout("x"), "timed out reading: nothing came for 15 s", "timeout"),
    (httpx.WriteTimeout("x"), "timed out writing: nothing was taken for 15 s", "timeout"),
    (httpx.ReadError("x"), "the connection broke off", "connection"),
    (httpx.RemoteProtocolError("x"), "the connection broke off", "connection"),
    (httpx.ProxyError("x"), "the proxy refused to connect", "proxy"),
    (httpx.Response(500), "answered 500", "status 500"),
    (httpx.Response(503, html="<p>"), "answered 503", "status 503"),
    (httpx.Response(429), "answered 429", "status 429"),
    (httpx.Response(200, html="<p>hello"), f"the answer (status 200) {NOT_PROMISED}", "not the API's"),
    (httpx.Response(200, content=b'{"half": '), f"the answer (status 200) {NOT_PROMISED}", "not the API's"),
    (httpx.Response(404, html="<p>"), f"the answer (status 404) {NOT_PROMISED}", "not the API's"),
]


@pytest.mark.parametrize(("trouble", "words", "_kind"), RETRIED)
async def test_passing_trouble_is_tried_again(trouble: Answer, words: str, _kind: str) -> None:
    server = Server(trouble, OK)
    with structlog.testing.capture_logs() as logs:
        assert await client(server).request(GET, read_json) == {"ok": True}

    (line,) = logs
    assert line.pop("wait_seconds") >= 0
    request = {"service": "Launch27", "method": "GET", "route": "/things/{id}", "id": "7"}
    assert line == {"event": "request_retried", "log_level": "warning", **request, "tries": 1, "error": words}


@pytest.mark.parametrize(("trouble", "words", "kind"), RETRIED)
async def test_lasting_trouble_ends_after_four_tries_and_keeps_its_kind(trouble: Answer, words: str, kind: str) -> None:
    server = Server(trouble)
    http = client(server)
    error = await trouble_of(http)
    assert (str(error), error.kind) == (f"Launch27: {words} (4 tries)", kind)
    assert len(server.asked) == 4
    assert (await trouble_of(http)).kind == kind


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (socket.gaierror(-2, "Name or service not known"), "could not connect: its name is not known"),
        (ConnectionRefusedError(111, "refused"), "could not connect: connection refused"),
        (ExceptionGroup("all", [ConnectionRefusedError(111, "refused")]), "could not connect: connection ref"),
        (ssl.SSLError(1, "WRONG_VERSION_NUMBER"), "could not agree on TLS"),
    ],
)
async def test_why_it_could_not_connect_is_said(cause: Exception, words: str) -> None:
    trouble = httpx.ConnectError("x")
    trouble.__cause__ = OSError("All connection attempts failed")
    trouble.__cause__.__cause__ = cause
    assert words in await unavailable(client(Server(trouble)))


async def test_a_wrong_certificate_is_not_tried_again() -> None:
    trouble = httpx.ConnectError("x")
    trouble.__cause__ = ssl.SSLCertVerificationError(1, "failed")
    trouble.__cause__.verify_message = "certificate has expired"
    server = Server(trouble)
    assert await unavailable(client(server)) == ("Launch27: its certificate is not valid: certificate has expired")
    assert len(server.asked) == 1


@pytest.mark.parametrize("location", ["https://evil.test/?token=hush", "https://[nonsense"])
async def test_a_redirect_is_neither_followed_nor_told(location: str) -> None:
    server = Server(httpx.Response(302, headers={"location": location}))
    error = await trouble_of(client(server))
    assert str(error) == "Launch27: answers with a redirect (status 302); is base_url right?"
    assert error.kind == "redirect"
    assert len(server.asked) == 1
    later = client(Server(httpx.Response(500), httpx.Response(302)))
    assert await unavailable(later) == f"{error} (2 tries)"


async def test_a_token_no_header_can_carry_is_not_tried_again_and_not_shown() -> None:
    words = "Launch27: the request could not be put into HTTP; is the token right?"
    refused = Server(httpx.LocalProtocolError("Illegal header value b'Bearer hush'"))
    assert await unavailable(client(refused)) == words
    assert await unavailable(client(Server(OK)), Call("GET", "/", "/", bearer=Secret("hüsh"))) == words


async def test_no_secret_travels_in_a_traceback() -> None:
    server = Server(httpx.ReadError("hush a@b.co https://acme.test"), httpx.Response(200, text="hush a@b.co"))
    with structlog.testing.capture_logs() as logs:
        try:
            await client(server).request(PUT, read_json)
        except Unavailable as error:
            text = "".join(traceback.format_exception(error)) + str(logs)
    assert "hush" not in text
    assert "a@b.co" not in text


async def test_tries_that_take_long_use_up_the_time_for_all() -> None:
    server = Server(Held())
    http = client(server, timeouts=Timeouts(total=0.01), backoff=Backoff(in_all=0.01, first=0.001))
    assert await unavailable(http) == "Launch27: no whole answer within 0.01 s"
    assert len(server.asked) == 1


async def test_an_answer_that_trickles_ends() -> None:
    async def trickle() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.001)
            yield b" "

    http = client(streamed(trickle), timeouts=Timeouts(total=0.02), backoff=Backoff(tries=2, first=0.001, jitter=0))
    assert await unavailable(http) == "Launch27: no whole answer within 0.02 s (2 tries)"


async def test_a_body_beyond_the_limit_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "BODY_LIMIT_BYTES", 1024**2)
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 65536

    http = client(streamed(endless), backoff=Backoff(tries=1))
    assert await unavailable(http) == "Launch27: the answer is longer than 1 MiB"
    assert sent == 17


async def test_a_body_that_announces_too_much_is_not_begun() -> None:
    answer = httpx.Response(200, headers={"content-length": str(33 * 1024**2)}, content=b"{}")
    http = client(Server(answer), backoff=Backoff(tries=1))
    assert await unavailable(http) == "Launch27: the answer is longer than 32 MiB"


async def test_a_body_in_chunks_is_put_together() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in (b'{"a"', b": ", b"1}"):
            yield chunk

    assert await client(streamed(chunks)).request(GET, read_json) == {"a": 1}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        *(({"retry-after": odd}, None) for odd in ("-3", "soon", "NaN")),
        *(({"retry-after": text}, float(text)) for text in ("7", "0.5")),
        *(({"retry-after": f"Fri, 20 Nov 2026 09:00:10 {zone}"}, 10) for zone in ("GMT", "-0000")),
        ({"retry-after": "Fri, 20 Nov 2026 08:00:00 GMT"}, 0),
        *(({"retry-after": f"Fri, 20 Nov {year} 08:00:00 GMT"}, None) for year in ("9" * 11, "9" * 5000)),
        ({"retry-after": "Fri, 20 Nov 2026 08:00:00 +" + "9" * 30}, None),
        ({"retry-after": "9" * 5000}, None),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:05 GMT", "date": "Fri, 20 Nov 2026 12:00:00 GMT"}, 5),
    ],
)
def test_retry_after_is_read_in_both_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds


async def test_retry_after_is_obeyed() -> None:
    server = Server(httpx.Response(503, headers={"retry-after": "0.02"}), OK)
    with structlog.testing.capture_logs() as logs:
        await client(server).request(GET, read_json)
    assert logs[0]["wait_seconds"] == 0.02


async def test_retry_after_beyond_half_a_minute_ends_it_at_once() -> None:
    server = Server(httpx.Response(503, headers={"retry-after": "31"}))
    http = client(server)
    assert await unavailable(http) == "Launch27: answered 503 and asks to wait for 31 s"
    assert "not asked again in this pass" in await unavailable(http)
    assert len(server.asked) == 1


async def test_a_429_holds_the_whole_client() -> None:
    limiter = RateLimiter()
    holds: list[float] = []
    hold = limiter.hold
    limiter.hold = lambda seconds: (holds.append(seconds), hold(seconds))[1]  # type: ignore[method-assign, func-returns-value]
    server = Server(httpx.Response(429, headers={"retry-after": "0.02"}), httpx.Response(500), OK)
    http = client(server, limiter=limiter)
    limited = asyncio.create_task(http.request(GET, read_json))
    await until(lambda: holds)
    assert not limiter.try_acquire("write")
    await limited
    assert holds == [0.02]


async def test_the_answers_headers_reach_the_limiter() -> None:
    limiter = RateLimiter(2.0, 30)
    answer = httpx.Response(200, json={}, headers={"X-Rate-Limit-Read-Limit": "1"})
    await client(Server(answer), limiter=limiter).request(GET, read_json)
    assert not limiter.try_acquire("read")


async def test_a_service_that_cannot_be_reached_is_not_asked_again_until_the_next_pass() -> None:
    server = Server(httpx.ProxyError("x"))
    http = client(server)
    await unavailable(http)
    asked = len(server.asked)
    message = await unavailable(http)
    assert message == "Launch27: not asked again in this pass, after: the proxy refused to connect"
    assert len(server.asked) == asked
    server.answers = [OK]
    http.reset()
    assert await http.request(GET, read_json) == {"ok": True}


TROUBLES = [httpx.Response(500), httpx.ReadError("x"), httpx.ConnectError("x"), httpx.Response(200, text="?")]


def about(booking: int, part: str | None = None) -> Call:
    return Call("GET", "/things", "/things/{id}", booking=str(booking), part=part)


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_three_different_requests_that_gave_up_in_a_row_are_enough(trouble: Answer) -> None:
    server = Server(trouble)
    http = client(server, backoff=Backoff(tries=1))
    for booking in (1, 1, 1, 1, 2, 2, 3):
        assert "not asked again" not in await unavailable(http, about(booking))
    assert "not asked again" in await unavailable(http)
    assert len(server.asked) == 7


async def test_one_part_alone_is_not_the_service_where_there_are_more() -> None:
    server = Server(httpx.Response(500))
    http = client(server, backoff=Backoff(tries=1), parts=2)
    for booking in range(9):
        await unavailable(http, about(booking, "one"))
    assert not http.is_down
    await unavailable(http, about(10, "two"))
    assert http.is_down


async def test_an_impatient_request_is_tried_once() -> None:
    server = Server(httpx.Response(500))
    assert await unavailable(client(server), replace(GET, patient=False)) == "Launch27: answered 500"
    assert len(server.asked) == 1


async def test_an_impatient_429_holds_the_others_all_the_same() -> None:
    limiter = RateLimiter()
    await unavailable(client(Server(httpx.Response(429)), limiter=limiter), replace(GET, patient=False))
    assert not limiter.try_acquire("read")


@pytest.mark.parametrize("answer", [OK, httpx.Response(409, json={})])
async def test_any_usable_answer_shows_that_the_service_is_there(answer: httpx.Response) -> None:
    http = client(
        Server(httpx.Response(500), httpx.Response(500), answer, httpx.Response(500)), backoff=Backoff(tries=1)
    )
    await unavailable(http, about(1))
    await unavailable(http, about(2))
    assert not http.has_answered
    await http.request(GET, read_json)
    assert http.has_answered
    await unavailable(http, about(3))
    assert not http.is_down
    http.reset()
    assert not http.has_answered


async def test_a_wait_for_the_rate_limit_is_a_sign_of_life() -> None:
    limiter = RateLimiter()
    http = client(Server(OK), limiter=limiter)
    await http.request(GET, read_json)
    answered = http.heard_at
    assert http.heard_at == answered
    limiter.hold(60)
    waiting = asyncio.create_task(unavailable(http))
    await until(lambda: http._waiting)
    assert http.heard_at > answered
    http.stop()
    await waiting


@pytest.mark.parametrize(
    ("ahead", "age", "offset"),
    [(0, None, 0), (300, None, 300), (-86400, None, -86400), (-7200, "7200", 0), (0, "soon", None), ("x", None, None)],
)
async def test_the_services_clock_is_compared_with_ours(
    ahead: float | str, age: str | None, offset: float | None
) -> None:
    date = ahead if isinstance(ahead, str) else formatdate(time.time() + ahead, usegmt=True)
    headers = {"date": date} | ({} if age is None else {"age": age})
    http = client(Server(httpx.Response(200, json={}, headers=headers), httpx.Response(200, json={})))
    assert http.clock_offset_seconds is None
    await http.request(GET, read_json)
    found = http.clock_offset_seconds
    assert found == offset if offset is None or found is None else abs(found - offset) < 3
    await http.request(GET, read_json)
    assert http.clock_offset_seconds is None


async def test_one_answer_in_between_shows_that_the_service_is_there() -> None:
    server = Server(*[httpx.Response(500), httpx.Response(500), OK] * 3)
    http = client(server, backoff=Backoff(tries=1))
    for _ in range(3):
        await unavailable(http)
        await unavailable(http)
        await http.request(GET, read_json)
    assert len(server.asked) == 9


async def test_requests_in_back_off_give_up_when_the_service_is_down() -> None:
    http, waiting = await in_back_off(httpx.Response(500), httpx.ProxyError("x"))
    http._backoff = Backoff(tries=1)
    await unavailable(http)
    assert "not asked again" in await waiting


async def test_a_second_wake_up_call_is_harmless() -> None:
    http, waiting = await in_back_off(httpx.Response(500))
    for _ in range(3):
        http.stop()
        await asyncio.sleep(0)
    assert "stopping" in await waiting


async def test_cancelling_a_request_in_back_off_cancels_it() -> None:
    http, waiting = await in_back_off(httpx.Response(500))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not http._waiting


async def test_stopping_lets_what_is_in_flight_finish_and_nothing_else_begin() -> None:
    held = Held()
    http = client(Server(held))
    flying = asyncio.create_task(http.request(GET, read_json))
    await held.arrived.wait()
    http.stop()
    assert await unavailable(http) == "Launch27: not asked: the bridge is stopping"
    held.release.set()
    assert await flying == {"ok": True}


async def test_what_failed_in_flight_is_not_retried_when_stopping() -> None:
    held = Held(httpx.Response(500))
    server = Server(held)
    http = client(server)
    flying = asyncio.create_task(unavailable(http))
    await held.arrived.wait()
    http.stop()
    held.release.set()
    assert "stopping" in await flying
    assert len(server.asked) == 1


async def test_a_finishing_request_is_let_through_and_retried() -> None:
    server = Server(httpx.Response(500), OK)
    http = client(server)
    http.stop()
    call = Call("PUT", "/x", "/x", finishing=True)
    assert await http.request(call, read_json) == {"ok": True}


async def test_who_waits_for_the_limiter_gives_up_when_stopping() -> None:
    limiter = RateLimiter()
    limiter.hold(60)
    server = Server(OK)
    http = client(server, limiter=limiter)
    waiting = asyncio.create_task(unavailable(http))
    await until(lambda: http._waiting)
    http.stop()
    assert "stopping" in await waiting
    assert not server.asked


async def test_no_more_requests_are_in_flight_than_agreed() -> None:
    held = Held()
    server = Server(held)
    http = client(server, concurrency=2)
    tasks = [asyncio.create_task(http.request(GET, read_json)) for _ in range(5)]
    await held.arrived.wait()
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(server.asked) == 2
    held.release.set()
    await asyncio.gather(*tasks)


async def test_a_cancelled_request_makes_room_for_another() -> None:
    held = Held()
    server = Server(held, OK)
    http = client(server, concurrency=1)
    task = asyncio.create_task(http.request(GET, read_json))
    await held.arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await http.request(GET, read_json) == {"ok": True}


async def test_tls_is_set_up_once_and_only_where_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    connections.tls.cache_clear()
    made: list[ssl.SSLContext] = []
    create = httpx.create_ssl_context

    def counted() -> ssl.SSLContext:
        made.append(create())
        return made[-1]

    monkeypatch.setattr(httpx, "create_ssl_context", counted)
    for url in ("http://127.0.0.1:1", "https://a.test", "https://b.test"):
        await Http("x", url).aclose()
    assert connections.tls().verify_mode is ssl.CERT_REQUIRED
    assert len(made) == 1


DIRECT = ("https://direct.test", *(f"http://{host}:8000" for host in ("127.0.0.1", "localhost", "[::1]", "plain.test")))


@pytest.mark.parametrize(("url", "proxied"), [("https://acme.test", True), *((url, False) for url in DIRECT)])
def test_a_proxy_of_the_environment_is_used_but_never_for_loopback(
    monkeypatch: pytest.MonkeyPatch, url: str, proxied: bool
) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", "http://proxy.test:3128")
    monkeypatch.setenv("no_proxy", "direct.test")
    assert (connections._proxy(httpx.URL(url)) is not None) is proxied


@pytest.mark.parametrize(
    "proxy", ["gopher://user:hush@proxy.test", *(f"http://user:hush@p:{n}" for n in ("x", 99999, -1))]
)
def test_a_proxy_that_cannot_be_used_is_a_wrong_configuration(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("https_proxy", proxy)
    with pytest.raises(ConfigError, match="cannot be used") as caught:
        Http("x", "https://acme.test")
    assert "hush" not in str(caught.value)


def test_the_libraries_own_chatter_is_off() -> None:
    assert not logging.getLogger("httpx").isEnabledFor(logging.INFO)
    assert not logging.getLogger("httpcore").isEnabledFor(logging.DEBUG)


def test_a_run_without_trouble_does_not_import_stamina() -> None:
    code = "import sys, bridge.http.client; sys.exit('stamina' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as running:
        yield running


SETTINGS = Call("GET", "/settings", "/settings")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("hang", "timed out reading: nothing came for 0.05 s"),
        ("trickle", "no whole answer within 0.1 s"),
        ("huge", "the answer is longer than 1 MiB"),
        ("redirect", "answers with a redirect (status 302); is base_url right?"),
    ],
)
async def test_real_trouble_that_stays_has_its_words(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, kind: str, words: str
) -> None:
    monkeypatch.setattr(connections, "BODY_LIMIT_BYTES", 1024**2)
    sandbox.launch27.faults.add(kind, times=None, interval_seconds=0.01, location="https://evil.test")
    timeouts = Timeouts(read=0.05, total=0.1 if kind == "trickle" else 30.0)
    http = Http("Launch27", sandbox.launch27.url, timeouts=timeouts, backoff=Backoff(tries=1))
    assert await unavailable(http, SETTINGS) == f"Launch27: {words}"
    await http.aclose()


async def test_a_closed_port_is_told_from_a_port_without_tls(sandbox: Sandbox) -> None:
    plain = Http("x", sandbox.launch27.url.replace("http:", "https:"), backoff=QUICK)
    assert "TLS" in await unavailable(plain, SETTINGS)
    await plain.aclose()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        closed = Http("x", f"http://127.0.0.1:{taken.getsockname()[1]}", backoff=QUICK)
        assert "connection refused" in await unavailable(closed, SETTINGS)
        await closed.aclose()


async def test_a_connection_outlives_the_time_from_one_near_pass_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    # With TLS a new one takes more than the pass.
    made: list[asyncio.Task[None]] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (await reader.readline()).strip():
            while (await reader.readline()).strip():
                pass
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        writer.close()
        await writer.wait_closed()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.append(asyncio.create_task(answer(reader, writer)))

    monotonic, later = time.monotonic, 0.0
    monkeypatch.setattr("httpcore._async.http11.time.monotonic", lambda: monotonic() + later)
    async with await asyncio.start_server(connected, "127.0.0.1") as server:
        http = Http("Launch27", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        for seconds, connections_made in ((0, 1), (21, 1), (21 + 60, 2)):
            later = seconds
            assert await http.request(GET, read_json) == {}
            assert len(made) == connections_made
        await http.aclose()
        await asyncio.gather(*made)
