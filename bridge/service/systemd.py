"""What is said to systemd: ready, what goes on, reloading, stopping, alive.

Source: systemd, sd_notify(3), and ``WatchdogSec=`` in systemd.service(5).
"""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Mapping
from typing import Self


class Notifier:
    """Sends datagrams to ``$NOTIFY_SOCKET``, and nothing at all where there is none.

    It never blocks and never raises: what cannot be sent now is sent with the next message or ``flush``.
    ``watchdog_seconds`` is how often systemd wants a sign of life, None where it wants none.
    """

    def __init__(self, address: str = "", watchdog_seconds: float | None = None) -> None:
        self.watchdog_seconds = watchdog_seconds
        self._alive_at = 0.0
        self._address = _socket_address(address)
        self._unsent: deque[bytes] = deque(maxlen=32)  # the oldest are the least missed
        self._socket: socket.socket | None = None
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            # A blocking socket whose buffer is full would freeze the event loop, and the watchdog would bite.
            self._socket.setblocking(False)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Return the notifier that ``$NOTIFY_SOCKET``, ``$WATCHDOG_USEC`` and ``$WATCHDOG_PID`` ask for."""
        return cls(environ.get("NOTIFY_SOCKET", ""), _watchdog_seconds(environ))

    def ready(self, status: str) -> None:
        """Say that the service works (again, after a reload), and what goes on."""
        self._send("READY=1", f"STATUS={status}")

    def status(self, status: str) -> None:
        """Say what goes on, for ``systemctl status``."""
        self._send(f"STATUS={status}")

    def reloading(self) -> None:
        """Say that a new configuration is being taken in; ``ready`` ends that."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Say that the service is about to end."""
        self._send("STOPPING=1", "STATUS=stopping")

    def alive(self) -> None:
        """Keep the watchdog quiet, where there is one: four times as often as it asks for."""
        now = time.monotonic()
        if self.watchdog_seconds is not None and now - self._alive_at >= self.watchdog_seconds / 4:
            self._alive_at = now
            self._send("WATCHDOG=1")

    def flush(self) -> None:
        """Send what could not be sent before."""
        while self._unsent and self._socket is not None:
            try:
                self._socket.sendto(self._unsent[0], self._address)
            except BlockingIOError:
                return
            except OSError:
                pass  # nobody listens: that is not the bridge's trouble
            self._unsent.popleft()

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *lines: str) -> None:
        if self._socket is not None:
            # A line break within one of them would begin another assignment.
            self._unsent.append("\n".join(" ".join(line.split()) for line in lines).encode())
            self.flush()


def _socket_address(address: str) -> str:
    """Return where to send to: a path, or a name in the abstract namespace (written with an "@"); else ""."""
    if len(address) < 2 or address[0] not in "/@":
        return ""
    return address.replace("@", "\0", 1) if address[0] == "@" else address


def _watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    """Return what ``$WATCHDOG_USEC`` says, if it is meant for this process."""
    pid, microseconds = str(os.getpid()), environ.get("WATCHDOG_USEC", "")
    if environ.get("WATCHDOG_PID", pid) != pid or not microseconds.isdecimal():
        return None
    return int(microseconds) / 1e6 or None
