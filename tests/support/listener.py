"""A listener for the messages of the bridge, over a real socket in a thread."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Listener:
    """Takes every request with ``status``; ``heard`` has their method, path and JSON body.

    While ``hangs`` is set it answers nothing.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.status = 200
        self.heard: list[tuple[str, str, Any]] = []
        self.hangs = threading.Event()
        self.goes_on = threading.Event()

    @property
    def events(self) -> list[str]:
        return [body["event"] for method, _, body in self.heard if method == "POST"]

    @property
    def beats(self) -> list[str]:
        return [path for method, path, _ in self.heard if method == "GET"]


@contextmanager
def listening() -> Iterator[Listener]:
    """Yield a listener; it is gone afterwards."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            listener.heard.append((self.command, self.path, json.loads(body) if body else None))
            if listener.hangs.is_set():
                listener.goes_on.wait(30)
            self.send_response(listener.status)
            self.send_header("content-length", "0")
            self.end_headers()

        do_POST = do_GET  # noqa: N815 (the name is the library's)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        listener = Listener(server.server_port)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield listener
        finally:
            listener.goes_on.set()
            server.shutdown()
            thread.join()
