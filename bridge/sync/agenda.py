"""Which writes of a plan may be sent now: all that they wait for has succeeded. No I/O."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence

from bridge.model import Verb, Write


class Agenda:
    """The ``writes`` of a plan by their indices; those that are ``late`` are sent after all others."""

    def __init__(self, writes: Sequence[Write], late: Callable[[Write], bool]) -> None:
        self.writes = list(writes)
        self._is_late = late
        self._waits_for = [len(write.after) for write in writes]
        self._followers: list[list[int]] = [[] for _ in writes]
        for index, write in enumerate(writes):
            for other in write.after:
                self._followers[other].append(index)
        self._ready: deque[int] = deque()
        self._late: deque[int] = deque()
        self._add(index for index, count in enumerate(self._waits_for) if not count)

    def __bool__(self) -> bool:
        """Whether something may be sent now."""
        return bool(self._ready)

    def take(self, most: int) -> list[int]:
        """Return the next writes to send."""
        return [self._ready.popleft() for _ in range(min(most, len(self._ready)))]

    def done(self, index: int) -> None:
        """Let those follow that waited for nothing else any more."""
        for follower in self._followers[index]:
            self._waits_for[follower] -= 1
        self._add(follower for follower in self._followers[index] if not self._waits_for[follower])

    def again(self, index: int, write: Write) -> None:
        """Have another write sent in place of one, before all others."""
        self.writes[index] = write
        self._ready.appendleft(index)

    def only(self, wanted: Collection[int]) -> None:
        """Send nothing any more but what is wanted."""
        self._ready = deque(index for index in (*self._ready, *self._late) if index in wanted)
        self._late.clear()

    def come_to_the_late(self) -> None:
        """Let the late ones be sent; no two or three of them shall keep the others from their try."""
        self._ready, self._late = self._late, self._ready
        random.shuffle(self._ready)

    def recreating(self, deleted: Collection[str]) -> set[int]:
        """Return the writes that temporarily ``deleted`` bookings need in order to be recreated."""
        puts = (index for index, write in enumerate(self.writes) if write.verb is not Verb.DELETE)
        pending = [index for index in puts if self.writes[index].id in deleted]
        wanted: set[int] = set()
        while pending:
            index = pending.pop()
            if index not in wanted:
                wanted.add(index)
                pending.extend(self.writes[index].after)
        return wanted

    def _add(self, indices: Iterable[int]) -> None:
        for index in indices:
            (self._late if self._is_late(self.writes[index]) else self._ready).append(index)
