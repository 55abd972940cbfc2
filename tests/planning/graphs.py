"""Who waits for whom, looked at slowly: by trying everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

Graph = Mapping[str, Sequence[str]]


def has_cycle(graph: Graph, without: Sequence[str] = ()) -> bool:
    """Whether any booking waits for itself, with some of them away."""
    left = {node: set(waits) - {node} for node, waits in graph.items() if node not in without}
    while free := [node for node, waits in left.items() if not waits & left.keys()]:
        for node in free:
            del left[node]
    return bool(left)


def fewest(graph: Graph) -> int:
    """Return how many must go so that no cycle is left, by trying everything."""
    counts = range(len(graph) + 1)
    return next(n for n in counts if any(not has_cycle(graph, out) for out in combinations(graph, n)))
