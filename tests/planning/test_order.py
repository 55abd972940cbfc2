"""Who waits for whom, and where a ring is cut: against answers found by trying everything."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.model import Slot
from bridge.planning.order import Occupancy, components, cuts, rings

NINE = datetime(2026, 11, 20, 9, tzinfo=UTC)
Waits = dict[str, list[str]]


def slot(court: int, start: int, length: int) -> Slot:
    begin = NINE + timedelta(minutes=start)
    return Slot(f"c{court}", begin, begin + timedelta(minutes=length))


def reachable(graph: Mapping[str, Sequence[str]], start: str) -> set[str]:
    """Return all that ``start`` waits for, directly or not; itself only if it is in a circle."""
    found: set[str] = set()
    queue = list(graph[start])
    while queue:
        node = queue.pop()
        if node not in found:
            found.add(node)
            queue.extend(graph[node])
    return found


def has_circle(graph: Mapping[str, Sequence[str]], out: Sequence[str] = ()) -> bool:
    left = {node: [o for o in waits if o not in out] for node, waits in graph.items() if node not in out}
    return any(node in reachable(left, node) for node in left)


def fewest(graph: Mapping[str, Sequence[str]]) -> int:
    """Return how many must go so that no circle is left, by trying everything."""
    return next(
        count
        for count in range(len(graph) + 1)
        if any(not has_circle(graph, out) for out in combinations(graph, count))
    )


@st.composite
def graphs(draw: st.DrawFn, most: int = 8) -> Waits:
    size = draw(st.integers(1, most))
    nodes = [str(number) for number in range(size)]
    others = st.lists(st.sampled_from(nodes), unique=True, max_size=3)
    return {node: [other for other in draw(others) if other != node] for node in nodes}


# --- who stands where ---


@given(
    st.lists(st.tuples(st.integers(1, 2), st.integers(0, 60), st.integers(1, 40)), max_size=25),
    st.tuples(st.integers(1, 3), st.integers(0, 60), st.integers(1, 40)),
)
def test_the_search_finds_exactly_those_that_overlap(
    places: list[tuple[int, int, int]], wanted: tuple[int, int, int]
) -> None:
    standing = [(str(number), slot(*place)) for number, place in enumerate(places)]
    expected = sorted(id_ for id_, place in standing if place.overlaps(slot(*wanted)))
    assert sorted(Occupancy(standing).overlapping(slot(*wanted))) == expected


def test_a_booking_with_two_places_is_found_at_both() -> None:
    occupancy = Occupancy([("1", slot(1, 0, 60)), ("1", slot(1, 60, 60))])
    assert list(occupancy.overlapping(slot(1, 30, 60))) == ["1", "1"]


def test_an_empty_club_has_nobody_in_the_way() -> None:
    assert list(Occupancy([]).overlapping(slot(1, 0, 60))) == []


def test_the_latest_in_the_way_comes_first() -> None:
    occupancy = Occupancy([("early", slot(1, 0, 60)), ("late", slot(1, 60, 60)), ("day", slot(1, 0, 600))])
    assert list(occupancy.overlapping(slot(1, 0, 120))) == ["late", "early", "day"]


# --- components ---


@given(graphs())
def test_two_are_in_one_component_exactly_if_each_waits_for_the_other(graph: Waits) -> None:
    found = components(graph)
    place = {node: number for number, component in enumerate(found) for node in component}
    assert sorted(place) == sorted(graph)
    assert sum(map(len, found)) == len(graph)
    for one in graph:
        for other in graph:
            mutual = other in reachable(graph, one) and one in reachable(graph, other)
            assert (place[one] == place[other]) is (one == other or mutual)


@given(graphs())
def test_a_component_comes_after_those_it_waits_for(graph: Waits) -> None:
    done: set[str] = set()
    for component in components(graph):
        done.update(component)
        for node in component:
            assert done.issuperset(graph[node])


@given(graphs())
def test_rings_are_the_components_of_more_than_one(graph: Waits) -> None:
    assert rings(graph) == [component for component in components(graph) if len(component) > 1]


def test_a_chain_of_fifty_thousand_does_not_exhaust_the_stack() -> None:
    count = 50_000
    graph = {str(n): [str(n + 1)] if n + 1 < count else [] for n in range(count)}
    assert [component[0] for component in components(graph)] == [str(n) for n in reversed(range(count))]


# --- cuts ---


@settings(max_examples=200, deadline=None)
@given(graphs())
def test_the_cuts_are_the_fewest_that_leave_no_circle(graph: Waits) -> None:
    for ring in rings(graph):
        out = cuts(ring, graph)
        inner = {node: [other for other in graph[node] if other in ring] for node in ring}
        assert len(set(out)) == len(out)
        assert not has_circle(inner, out)
        assert len(out) == fewest(inner)


@given(st.integers(2, 400), st.randoms(use_true_random=False))
def test_a_simple_circle_of_any_length_is_cut_once(size: int, chance: random.Random) -> None:
    nodes = [str(number) for number in range(size)]
    chance.shuffle(nodes)
    graph = {node: [after] for node, after in zip(nodes, nodes[1:] + nodes[:1], strict=True)}
    (ring,) = rings(graph)
    assert len(cuts(ring, graph)) == 1


@pytest.mark.parametrize("size", [2, 5, 15, 40])
def test_one_that_is_out_already_is_cut_rather_than_another(size: int) -> None:
    nodes = [str(number) for number in range(size)]
    graph = {node: [after] for node, after in zip(nodes, nodes[1:] + nodes[:1], strict=True)}
    for node in nodes:
        assert cuts(nodes, graph, frozenset({node})) == [node]


def test_where_all_stand_in_each_others_way_all_but_one_go() -> None:
    nodes = [str(number) for number in range(6)]
    graph = {node: [other for other in nodes if other != node] for node in nodes}
    assert len(cuts(nodes, graph)) == 5


def test_without_a_preference_the_shorter_then_the_lower_id_is_cut() -> None:
    graph = {"10": ["9"], "9": ["8"], "8": ["10"]}
    assert cuts(["10", "9", "8"], graph) == ["8"]


@settings(max_examples=40, deadline=None)
@given(st.integers(15, 40), st.integers(0, 2**32))
def test_in_a_large_ring_none_of_the_cuts_could_be_left_in(size: int, seed: int) -> None:
    chance = random.Random(seed)
    nodes = [str(number) for number in range(size)]
    graph = {node: [after] for node, after in zip(nodes, nodes[1:] + nodes[:1], strict=True)}
    for _ in range(size):
        one, other = chance.sample(nodes, 2)
        graph[one] = sorted({*graph[one], other})
    (ring,) = rings(graph)
    out = cuts(ring, graph)
    assert not has_circle(graph, out)
    for node in out:
        assert has_circle(graph, [other for other in out if other != node])


def test_a_large_tangle_is_cut_in_reasonable_time() -> None:
    chance = random.Random(1)
    nodes = [str(number) for number in range(300)]
    graph = {
        node: list(dict.fromkeys([after, chance.choice(nodes)]))
        for node, after in zip(nodes, nodes[1:] + nodes[:1], strict=True)
    }
    began = time.perf_counter()
    out = cuts(nodes, graph)
    assert time.perf_counter() - began < 5
    assert not has_circle({n: [o for o in waits if o != n] for n, waits in graph.items()}, out)
