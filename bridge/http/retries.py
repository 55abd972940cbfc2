"""Tries requests again, by stamina. Imported with the first retry: a quiet run need not wait 40 ms for it."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable
from typing import TYPE_CHECKING

import stamina
from stamina import Attempt
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from bridge.http.failures import Failed

if TYPE_CHECKING:
    from bridge.http.client import Backoff


def attempts(backoff: Backoff, on: Callable[[Exception], bool | float]) -> AsyncIterable[Attempt]:
    """Return a request's attempts; ``on`` says of an error whether to try again, or in how many seconds."""
    return stamina.retry_context(
        on,
        attempts=backoff.tries,
        timeout=None,
        wait_initial=backoff.first,
        wait_max=backoff.longest,
        wait_jitter=backoff.jitter,
    )


def _tell(details: RetryDetails) -> None:
    if isinstance(details.caused_by, Failed):
        details.caused_by.on_retry(details.wait_for)


# Stamina's own hooks would log a second line for each retry.
set_on_retry_hooks([_tell])
