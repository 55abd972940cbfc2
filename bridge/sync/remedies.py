"""What a person can do about a held booking, by its reason, in plain words."""

from __future__ import annotations

_REMEDIES = {
    "invalid_booking": "Look at the booking in Launch27: its date or its services are missing or cannot be read.",
    "no_duration": "Set default_minutes under [mapping], or the length of its service under [mapping.service_minutes].",
    "no_participant": "Add a usable e-mail address to the booking in Launch27, or set fallback_email under [mapping].",
    "ambiguous_court": "Split the booking in Launch27, or make the [[courts]] rules tell the two courts apart.",
    "court_booking_overlap": "Move one of the two bookings. It is tried again in every pass.",
    "no_answer": "Nothing at first: it is tried again in every pass. If it lasts, ask Wingfield about this court.",
    "drift": 'Somebody changed it in Wingfield. Change it in Launch27, or set drift = "repair" under [sync].',
    "court_not_found": "Compare its court_id in the configuration with what “courtbridge courts” shows.",
    "organization_access_denied": "Ask the club to give your external service access to this court in Wingfield.",
    "user_access_denied": "Ask the player to accept your external service in Wingfield, or remove the address.",
    "stale_write": "Look whether another program writes the same bookings. It is tried again in every pass.",
    "version_conflict": "Look whether another program writes the same bookings. It is tried again in every pass.",
    "refused": "Look at the proxy and the firewall first, then ask Wingfield.",
}
_OTHER = "Look at the booking in Launch27. If it looks right, ask Wingfield what this word means."


def remedy(reason: str) -> str:
    """Return what to do about a booking that is held for ``reason``."""
    return _REMEDIES.get(reason, _OTHER)
