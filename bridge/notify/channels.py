"""The ways a message goes: a webhook, Apprise, and the heartbeat, which only hears how a pass ended.

All addresses are secrets: they are in no error and in no log.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from urllib.parse import urlsplit

from bridge.config.schema import NotifyConfig
from bridge.config.secrets import Secret
from bridge.errors import Unavailable
from bridge.http.client import Backoff, Call, Http, Timeouts
from bridge.http.loop import in_daemon_thread
from bridge.model import from_ms, isoformat
from bridge.notify.troubles import Message

SECONDS = 10.0
"""How long a channel may take for one message."""
_NAMES = {"webhook": "the webhook", "heartbeat": "the heartbeat", "apprise": "Apprise"}
Send = Callable[[str, Message], Awaitable[None]]
"""Sends a message about the club that is named first. Raises Unavailable."""


def channels(config: NotifyConfig) -> dict[str, Send]:
    """Return the configured ways to send messages, by name; the heartbeat is none."""
    ways = (("webhook", _post, config.webhook_url), ("apprise", _apprise, config.apprise_url))
    return {name: partial(send, url) for name, send, url in ways if url}


async def beat(url: Secret, path: str) -> None:
    """Ask the heartbeat's address, ``path`` behind it. Raises Unavailable.

    Source: healthchecks.io, Pinging API: ``/0`` is success, ``/1`` to ``/255`` a failure, ``/log`` changes nothing.
    """
    await _ask("heartbeat", "GET", Secret(url.reveal().rstrip("/") + path))


async def _post(url: Secret, club: str, message: Message) -> None:
    since = isoformat(from_ms(message.since_ms))
    body = {"event": message.event, "club": club, "kinds": list(message.kinds), "since": since, "text": message.text}
    await _ask("webhook", "POST", url, body)


async def _ask(name: str, method: str, url: Secret, body: object = None) -> None:
    """Send one request, once: whoever wants it tried again has a next pass."""
    parts = urlsplit(url.reveal())
    base, path = f"{parts.scheme}://{parts.netloc}", parts._replace(scheme="", netloc="").geturl()
    timeouts = Timeouts(SECONDS / 2, SECONDS, SECONDS, SECONDS)
    http = Http(_NAMES[name], base, concurrency=1, timeouts=timeouts, backoff=Backoff(tries=1))
    try:
        call = Call(method, path or "/", route=name, json=body, patient=False)
        status = await http.request(call, lambda response: response.status)
    finally:
        await http.aclose()
    if not 200 <= status < 300:
        raise Unavailable(_NAMES[name], f"answered {status}; is its address right?")


async def _apprise(urls: Secret, club: str, message: Message) -> None:
    """Send through Apprise, in a thread: to load its hundred services takes half a second."""
    is_over = message.event == "over"
    title = f"Courtbridge {club}: {'all is well again' if is_over else ', '.join(message.kinds) or 'a test'}"

    def send() -> str:
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # it would show addresses with their passwords
        import apprise

        target = apprise.Apprise()
        if not target.add(urls.reveal().split()):
            return "one of the addresses in notify.apprise_url is none that Apprise knows"
        kind = apprise.NotifyType.SUCCESS if is_over else apprise.NotifyType.WARNING
        is_taken = target.notify(title=title, body=message.text, notify_type=kind)
        return "" if is_taken else "at least one of its services did not take the message"

    try:
        async with asyncio.timeout(SECONDS):
            trouble = await in_daemon_thread(send)
    except ImportError:
        trouble = "is not installed; install courtbridge[notify]"
    except TimeoutError:
        trouble = f"took longer than {SECONDS:g} s"
    except Exception as error:  # noqa: BLE001 (a hundred services' code, whose errors may hold their addresses)
        trouble = f"failed ({type(error).__name__})"
    if trouble:
        raise Unavailable(_NAMES["apprise"], trouble)
