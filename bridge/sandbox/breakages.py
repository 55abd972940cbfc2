"""What can be broken at a playground, and mended again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bridge.sandbox.faults import Fault, Faults, Matcher, later
from bridge.sandbox.playground import EMAIL, PASSWORD, Playground
from bridge.sandbox.watched import Json

_NEW_PASSWORD = "changed-secret"  # noqa: S105 (of an account that exists in this process only)

Mend = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Breakage:
    """Something that can go wrong: ``begin`` breaks it (of one court, where it is) and returns what mends it."""

    title: str
    told: str
    begin: Callable[[Playground, int], Mend]
    is_of_a_court: bool = False


def _lasting(fault: Fault) -> Mend:
    def mend() -> None:
        fault.times = fault.hits  # spent
        fault.release()

    return mend


def _away(faults: Faults) -> Mend:
    return _lasting(faults.add("refuse", times=None))


def _court(club: Playground, court: int) -> Mend:
    if court not in club.courts:
        raise ValueError(f"There is no Court {court}.")
    return _lasting(club.wingfield.faults.add("status", times=None, part=club.courts[court]))


def _password(club: Playground, _court: int) -> Mend:
    club.launch27.add_account(EMAIL, _NEW_PASSWORD)
    club.launch27.expire_tokens()
    return lambda: club.launch27.add_account(EMAIL, PASSWORD)


def _path(ending: str) -> Matcher:
    return lambda _method, path: path.endswith(ending)


def _short(club: Playground, _court: int) -> Mend:
    return _lasting(club.launch27.faults.add("truncate_listing", times=None, keep=0, match=_path("/customer/bookings")))


def _catalogue(club: Playground, _court: int) -> Mend:
    match = _path("/booking/services")
    return _lasting(club.launch27.faults.add("change", times=None, change=lambda _: [], match=match))


def _late(club: Playground, _court: int) -> Mend:
    an_hour_later = later(hours=1)

    def change(answer: Json) -> Json:
        return an_hour_later(answer) if isinstance(answer, list) or "service_date" in answer else answer

    def match(_method: str, path: str) -> bool:
        return "/customer/bookings" in path

    return _lasting(club.launch27.faults.add("change", times=None, change=change, match=match))


BREAKAGES = {
    "launch27": Breakage(
        "Launch27 away",
        "Every connection to Launch27 is reset. Nothing is written, nothing is deleted.",
        lambda club, _: _away(club.launch27.faults),
    ),
    "wingfield": Breakage(
        "Wingfield away",
        "Every connection to Wingfield is reset. What is booked meanwhile is pending until it is back.",
        lambda club, _: _away(club.wingfield.faults),
    ),
    "court": Breakage(
        "One court failing",
        "Wingfield answers 500 to every write for this court. The other courts go on.",
        _court,
        is_of_a_court=True,
    ),
    "password": Breakage(
        "Wrong password",
        f"Launch27's password is now “{_NEW_PASSWORD}”, and every token is dead. Once it is mended here, the bridge "
        "tries again within five minutes; the new password in its configuration works at once.",
        _password,
    ),
    "listing": Breakage(
        "Listing cut short",
        "Launch27's listings end before the first booking, as if all were gone. Each is looked up by its id, and none "
        "is deleted.",
        _short,
    ),
    "catalogue": Breakage(
        "Odd catalogue",
        "Launch27's catalogue has no services any more. Bookings that say themselves how long they are go on.",
        _catalogue,
    ),
    "late": Breakage(
        "Everything an hour later",
        "Launch27 has every booking an hour later, as after a mistake about time zones. More than twenty moves at once "
        "are written only when they last for a minute.",
        _late,
    ),
}
"""By the word for it in forms."""


class Breaker:
    """Breaks and mends a playground; ``broken`` tells what is broken now, and of which court."""

    def __init__(self, club: Playground) -> None:
        self.broken: dict[str, str] = {}
        self._club = club
        self._mends: dict[str, Mend] = {}

    def begin(self, key: str, court: int = 0) -> None:
        """Break something; ValueError where there is no such thing. What is broken already stays so."""
        if key not in BREAKAGES:
            raise ValueError("There is no such thing to break.")
        if key in self.broken:
            return
        breakage = BREAKAGES[key]
        self._mends[key] = breakage.begin(self._club, court)
        self.broken[key] = f"{breakage.title}: Court {court}" if breakage.is_of_a_court else breakage.title
        self._club.note(f"Broken: {self.broken[key]}.")

    def mend(self, key: str) -> None:
        """Mend what is broken; what is not stays as it is."""
        if key in self.broken:
            self._mends.pop(key)()
            self._club.note(f"Mended: {self.broken.pop(key)}.")
