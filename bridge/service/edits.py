"""What an edit of a configuration may not change while its club runs, and what it may forgive."""

from __future__ import annotations

from bridge.config.schema import Config, changed_keys
from bridge.errors import Problem

_OTHER_STATE = (
    "would make this another bridge, with another state; to have that, set sync.state to another file as well, "
    "and restart"
)
_IDENTITY = {
    "launch27.base_url": _OTHER_STATE,
    "wingfield.base_url": _OTHER_STATE,
    "wingfield.external_service_id": _OTHER_STATE,
    "mapping.id_prefix": _OTHER_STATE,
    "sync.state": "is taken into account at the start only; restart to use another state",
}


def moved(old: Config, new: Config) -> list[Problem]:
    """Return what makes ``new`` the configuration of another state, which nobody can change in mid-run."""
    places = [place for place in changed_keys(old, new) if place in _IDENTITY]
    if old.launch27.host == new.launch27.host:
        places = [place for place in places if place != "launch27.base_url"]
    return [Problem(place, _IDENTITY[place]) for place in places]


def credentials(config: Config) -> tuple[object, ...]:
    """Return all that a service may have refused."""
    return config.launch27.role, config.launch27.accounts, config.wingfield.token
