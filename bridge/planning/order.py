"""The order of writes, pure: which write waits for which, and where a cycle of moves is cut.

Wingfield rejects a booking whose slot another one holds, so a write that takes a slot waits for the writes
that free it. "A waits for B" makes a graph. Its chains run from the free end. Its cycles (strongly connected
components: two bookings that swap, and worse) have no free end: some of their bookings are temporarily
deleted first and recreated last. Which ones is the *feedback vertex set*; the smallest one costs the fewest
extra writes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush
from itertools import combinations

from bridge.model import Slot

_EXACT_UP_TO = 14
"""Cycles of more bookings than this, unless each waits for just one other, are cut greedily."""


class Occupancy:
    """Which bookings stand on which court when; found by overlap in O(log n + found)."""

    def __init__(self, places: Iterable[tuple[str, Slot]]) -> None:
        courts: defaultdict[str, list[tuple[Slot, str]]] = defaultdict(list)
        for id_, slot in places:
            courts[slot.court_id].append((slot, id_))
        self._courts: dict[str, tuple[list[datetime], list[tuple[Slot, str]], timedelta]] = {}
        for court, found in courts.items():
            found.sort(key=lambda place: (place[0].start, place[1]))
            longest = max(slot.end - slot.start for slot, _ in found)
            self._courts[court] = [slot.start for slot, _ in found], found, longest

    def overlapping(self, slot: Slot) -> Iterator[str]:
        """Yield the id of every booking that stands in the way of ``slot``, the latest first."""
        starts, found, longest = self._courts.get(slot.court_id, ([], [], timedelta()))
        earliest = slot.start - longest
        for index in range(bisect_left(starts, slot.end) - 1, -1, -1):
            other, id_ = found[index]
            if other.start < earliest:
                return
            if other.end > slot.start:
                yield id_


Graph = Mapping[str, Sequence[str]]
"""For each booking, those it waits for."""


def components(graph: Graph) -> list[list[str]]:  # noqa: C901 (one algorithm, in one place)
    """Return the strongly connected components, each after those it waits for (Tarjan, without recursion)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    found: list[list[str]] = []

    def enter(node: str) -> tuple[str, Iterator[str]]:
        number[node] = low[node] = len(number)
        stack.append(node)
        on_stack.add(node)
        return node, iter(graph[node])

    def take(node: str) -> list[str]:
        component = [stack.pop()]
        while component[-1] != node:
            component.append(stack.pop())
        on_stack.difference_update(component)
        return component[::-1]

    for root in graph:
        if root in number:
            continue
        path = [enter(root)]
        while path:
            node, successors = path[-1]
            for successor in successors:
                if successor not in number:
                    path.append(enter(successor))
                    break
                if successor in on_stack:
                    low[node] = min(low[node], number[successor])
            else:
                path.pop()
                if path:
                    parent = path[-1][0]
                    low[parent] = min(low[parent], low[node])
                if low[node] == number[node]:
                    found.append(take(node))
    return found


def cycles(graph: Graph) -> list[list[str]]:
    """Return the components in which bookings wait for one another, such as two that swap."""
    return [component for component in components(graph) if len(component) > 1]


def cuts(cycle: Sequence[str], graph: Graph, preferred: frozenset[str] = frozenset()) -> list[str]:
    """Return the bookings of ``cycle`` to delete temporarily so that none waits for itself any more.

    The fewest possible where it has at most 14 bookings or is one simple circle; otherwise a small set. Among
    equals, ``preferred`` ones (temporarily deleted already, perhaps) go first.
    """
    inner = _within(cycle, graph)
    by_preference = sorted(cycle, key=lambda node: (node not in preferred, len(node), node))
    if all(len(waits) == 1 for waits in inner.values()):
        return by_preference[:1]
    if len(cycle) <= _EXACT_UP_TO:
        return _fewest(by_preference, inner)
    return _few(by_preference, inner)


def _within(nodes: Iterable[str], graph: Graph) -> dict[str, list[str]]:
    inside = set(nodes)
    return {node: [other for other in graph[node] if other in inside] for node in nodes}


def _fewest(nodes: Sequence[str], graph: Graph) -> list[str]:
    tries = (cut for count in range(1, len(nodes)) for cut in combinations(nodes, count))
    return next(list(cut) for cut in tries if not cycles(_within([node for node in nodes if node not in cut], graph)))


def _few(nodes: Sequence[str], graph: Graph) -> list[str]:
    """Cut at the busiest booking, drop what is in no cycle any more, and so on until nothing is left.

    What waits for nothing, or is waited for by nothing, is in no cycle.
    """
    waits = {node: set(graph[node]) for node in nodes}
    waited: dict[str, set[str]] = {node: set() for node in nodes}
    for node, others in waits.items():
        for other in others:
            waited[other].add(node)
    busiest = [(-len(waits[node]) * len(waited[node]), rank, node) for rank, node in enumerate(nodes)]
    heapify(busiest)
    cut: list[str] = []
    while busiest:
        busyness, rank, node = heappop(busiest)
        if node not in waits:
            continue
        now = -len(waits[node]) * len(waited[node])
        if now != busyness:
            heappush(busiest, (now, rank, node))
            continue
        cut.append(node)
        _drop(node, waits, waited)
    return cut


def _drop(node: str, waits: dict[str, set[str]], waited: dict[str, set[str]]) -> None:
    """Take ``node`` out of the graph, and after it whatever is in no cycle any more."""
    leaving = [node]
    while leaving:
        gone = leaving.pop()
        for edges, reverse in ((waits, waited), (waited, waits)):
            for other in edges.pop(gone, ()):
                reverse[other].discard(gone)
                if not reverse[other]:
                    leaving.append(other)
