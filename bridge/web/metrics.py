"""What Prometheus is told, from memory. Names and units by its conventions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from bridge import __version__
from bridge.ledger.day import state
from bridge.model import Verb
from bridge.sync.figures import BUCKETS
from bridge.sync.view import View

_FAMILIES = {
    "build_info": ("gauge", "Which version of Courtbridge runs; always 1."),
    "last_pass_timestamp_seconds": ("gauge", "When the last pass ended, in seconds since 1970."),
    "last_success_timestamp_seconds": ("gauge", "When the last complete full pass ended, in seconds since 1970."),
    "passes": ("counter", "Passes that have ended, since the start of the process."),
    "pass_duration_seconds": ("histogram", "How long passes took."),
    "bookings": ("gauge", "Bookings by how they stand after the last pass."),
    "writes": ("counter", "Writes to Wingfield that have ended, since the start of the process."),
    "requests": (
        "counter",
        "Requests by the status of their answer, retries included, since the start of the process.",
    ),
    "drift": ("counter", "Bookings that somebody else changed in Wingfield, since the start of the process."),
    "push_connected": ("gauge", "Whether Launch27's events are listened to."),
}
_Sample = tuple[str, str, dict[str, str], float]
"""A family, the ending of its sample's name, labels, value."""


def render(views: Mapping[str, View], accept: str) -> tuple[bytes, str]:
    """Return the metrics of clubs by name and their media type, in the format that ``accept`` asks for.

    Every club but the first has the label ``club``.
    """
    encoder, media_type = choose_encoder(accept)
    registry = CollectorRegistry()
    registry.register(_Views(views))
    return encoder(registry), media_type


class _Views(Collector):
    def __init__(self, views: Mapping[str, View]) -> None:
        self._views = views

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of all clubs."""
        families = {name: Metric(f"courtbridge_{name}", told, type_) for name, (type_, told) in _FAMILIES.items()}
        families["build_info"].add_sample("courtbridge_build_info", {"version": __version__}, 1)
        for number, (club, view) in enumerate(self._views.items()):
            label = {"club": club} if number else {}
            for name, ending, labels, value in (*_standing(view), *_counted(view)):
                families[name].add_sample(f"courtbridge_{name}{ending}", {**labels, **label}, value)
        yield from families.values()


def _standing(view: View) -> Iterator[_Sample]:
    """Yield how things stand now."""
    status = view.status
    if status.last_pass_ms is not None:
        yield "last_pass_timestamp_seconds", "", {}, status.last_pass_ms / 1000
    if status.last_success_ms is not None:
        yield "last_success_timestamp_seconds", "", {}, status.last_success_ms / 1000
    held, withheld = {each.id for each in status.held}, set(status.withheld)
    states = Counter(state(known, held, withheld) for known in view.known if known.is_bridged)
    counts = {"in_sync": states["in_sync"], "pending": status.pending, "held": len(status.held)}
    for name, count in {**counts, "withheld": len(withheld)}.items():
        yield "bookings", "", {"state": name}, count
    yield "push_connected", "", {}, float(view.figures.is_push_connected)


def _counted(view: View) -> Iterator[_Sample]:
    """Yield what is counted; where the labels are known beforehand, from zero on."""
    figures = view.figures
    for (kind, outcome), count in figures.passes.items():
        yield "passes", "_total", {"kind": kind, "outcome": outcome}, count
    for kind in figures.seconds:
        below = 0
        for bound in BUCKETS:
            below += figures.durations[kind, bound]
            yield (
                "pass_duration_seconds",
                "_bucket",
                {"kind": kind, "le": "+Inf" if bound == BUCKETS[-1] else str(bound)},
                below,
            )
        yield "pass_duration_seconds", "_count", {"kind": kind}, below
        yield "pass_duration_seconds", "_sum", {"kind": kind}, figures.seconds[kind]
    for action in Verb:
        for result in ("ok", "rejected", "failed"):
            yield "writes", "_total", {"action": action, "result": result}, figures.writes[action, result]
    for (service, answer), count in figures.requests.items():
        yield "requests", "_total", {"service": service.lower(), "status": answer}, count
    for kind in ("missing", "changed", "extra"):
        yield "drift", "_total", {"kind": kind}, figures.drift[kind]
