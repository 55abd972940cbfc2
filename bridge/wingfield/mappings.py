"""Courts by Wingfield's own mappings. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable

from bridge.model import HOUR_MS, MINUTE_MS
from bridge.wingfield.hourly import Hourly
from bridge.wingfield.wire import CourtMapping


class Mappings(Hourly):
    """Court ids by ``externalCourtId``; None until they were read.

    ``doubted_ms`` is when no mapping at all was first answered in place of them (milliseconds since 1970), else 0.
    """

    courts: dict[str, str] | None = None
    doubted_ms: int = 0

    def heard(self, mappings: Iterable[CourtMapping], now_ms: int) -> Mappings:
        """Return what is believed after all were read: that all are gone, only a minute after it was first said."""
        courts = {each.external_court_id: each.court_id for each in mappings}
        doubted_ms = self.doubted_ms if 0 < self.doubted_ms <= now_ms else now_ms
        if self.courts and not courts and now_ms - doubted_ms < MINUTE_MS:
            return Mappings(due_ms=now_ms + MINUTE_MS, courts=self.courts, doubted_ms=doubted_ms)
        return Mappings(due_ms=now_ms + HOUR_MS, courts=courts)
