"""Whether this machine's clock is right, as far as the services can tell."""

from __future__ import annotations

from bridge.errors import ClockWrong
from bridge.log import get_logger
from bridge.sync.clients import Clients
from bridge.sync.result import Pass

TOLERATED_SECONDS = 300.0


def is_right(this: Pass, clients: Clients) -> bool:
    """Return whether the pass may go on; otherwise it notes why not.

    The clock is wrong where both services say so by the ``Date`` of their last answers, or the only one that
    says anything. Where they differ from each other, one of them is wrong, and nothing follows but a warning.
    """
    offsets = (clients.launch27.http.clock_offset_seconds, clients.wingfield.http.clock_offset_seconds)
    said = [offset for offset in offsets if offset is not None]
    wrong = [offset for offset in said if abs(offset) > TOLERATED_SECONDS]
    if not wrong:
        return True
    if len(wrong) < len(said) or max(said) - min(said) > TOLERATED_SECONDS:
        get_logger().warning("clocks_differ", detail="the services' clocks differ by more than five minutes")
        return True
    minutes = round(abs(wrong[0]) / 60)
    way = "behind" if wrong[0] > 0 else "ahead of"
    sentence = (
        f"this machine's clock is {minutes} minutes {way} the services'; nothing is written until it is set right"
    )
    this.note(ClockWrong("clock", sentence, kind="clock"))
    return False
