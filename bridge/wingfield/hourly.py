"""What is read from Wingfield once an hour, and kept in the state in between. No I/O, no clock."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from bridge.model import HOUR_MS


class Hourly(BaseModel):
    """A list as it was last read, to be read again at ``due_ms``, in milliseconds since 1970.

    ``trouble`` is the kind of error that kept it from being read the last time; "" where nothing did.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    due_ms: int = 0
    trouble: str = ""

    def is_due(self, now_ms: int) -> bool:
        """Whether to read it now; also where the clock went back."""
        return not 0 < self.due_ms - now_ms <= HOUR_MS
