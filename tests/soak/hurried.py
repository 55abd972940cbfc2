"""The daemon as it is, but for the pace: the next pass is due when one has ended."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bridge.service.club import Club
from bridge.service.process import run


async def _at_once(self: Club) -> bool:
    return not self._is_interrupted


if __name__ == "__main__":
    Club._is_wanted = _at_once  # type: ignore[method-assign]
    sys.exit(run(Path(sys.argv[1]), environ=os.environ, log_level="info"))
