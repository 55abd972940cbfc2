"""What Prometheus is told, from memory. Names and units by its conventions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from bridge import __version__
from bridge.ledger.day import state
from bridge.model import Verb
from bridge.sync.figures import BUCKETS, Figures
from bridge.sync.status import Status

_FAMILIES = {
    "build_info": ("gauge", "Which version of Courtbridge runs; always 1."),
    "last_pass_timestamp_seconds": ("gauge", "When the last pass ended, in seconds since 1970."),
    "last_success_timestamp_seconds": ("gauge", "When the last complete full pass ended, in seconds since 1970."),
    "passes": ("counter", "Passes that have ended, since the start of the process."),
    "pass_duration_seconds": ("histogram", "How long passes took."),
    "bookings": ("gauge", "Bookings by how they stand after the last pass."),
    "writes": ("counter", "Writes to Wingfield that have ended, since the start of the process."),
    "requests": ("counter", "Requests by the status of their answer, since the start of the process, with retries."),
    "drift": ("counter", "Bookings that somebody else changed in Wingfield, since the start of the process."),
    "push_connected": ("gauge", "Whether Launch27's events are listened to."),
}
_Sample = tuple[str, dict[str, str], float]
"""A sample's name without the product's, its labels, its value."""


def render(clubs: Mapping[str, Status | None], accept: str) -> tuple[bytes, str]:
    """Return the metrics of clubs by name and their media type, in the format that ``accept`` asks for.

    Every club but the first has the label ``club``.
    """
    encoder, media_type = choose_encoder(accept)
    return encoder(_Clubs(clubs)), media_type


@dataclass(frozen=True, slots=True)
class _Clubs(Collector):
    clubs: Mapping[str, Status | None]

    def collect(self) -> Iterator[Metric]:
        families = {name: Metric(f"courtbridge_{name}", told, type_) for name, (type_, told) in _FAMILIES.items()}
        families["build_info"].add_sample("courtbridge_build_info", {"version": __version__}, 1)
        for number, (club, status) in enumerate(self.clubs.items()):
            label = {"club": club} if number else {}
            for name, labels, value in (*_standing(status), *_counted(status.figures)) if status else ():
                family = next(families[each] for each in families if name.startswith(each))
                family.add_sample(f"courtbridge_{name}", {**labels, **label}, value)
        yield from families.values()


def _standing(status: Status) -> Iterator[_Sample]:
    for name, ms in (("pass", status.last_pass_ms), ("success", status.last_success_ms)):
        if ms is not None:
            yield f"last_{name}_timestamp_seconds", {}, ms / 1000
    held, withheld = {each.id for each in status.held}, set(status.withheld)
    in_sync = Counter(state(known, held, withheld) for known in status.bridged)["in_sync"]
    yield "bookings", {"state": "in_sync"}, in_sync
    for name, count in (("pending", status.pending), ("held", len(status.held)), ("withheld", len(withheld))):
        yield "bookings", {"state": name}, count


def _counted(figures: Figures) -> Iterator[_Sample]:
    """Yield what is counted; where the labels are known beforehand, from zero on."""
    yield "push_connected", {}, float(figures.is_push_connected)
    for (kind, outcome), count in figures.passes.items():
        yield "passes_total", {"kind": kind, "outcome": outcome}, count
    for kind, milliseconds in figures.milliseconds.items():
        below = 0
        for bound in BUCKETS:
            below += figures.durations[kind, bound]
            le = "+Inf" if bound == BUCKETS[-1] else str(bound)
            yield "pass_duration_seconds_bucket", {"kind": kind, "le": le}, below
        yield "pass_duration_seconds_count", {"kind": kind}, below
        yield "pass_duration_seconds_sum", {"kind": kind}, milliseconds / 1000
    for action in Verb:
        for result in ("ok", "rejected", "failed"):
            yield "writes_total", {"action": action, "result": result}, figures.writes[action, result]
    for (service, answer), count in figures.requests.items():
        yield "requests_total", {"service": service.lower(), "status": answer}, count
    for kind in ("missing", "changed", "extra"):
        yield "drift_total", {"kind": kind}, figures.drift[kind]
