"""Which write waits for which, and where a cycle is cut: against answers found by trying everything."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.model import Slot
from bridge.planning.order import Occupancy, components, cuts, cycles
from tests.planning.graphs import fewest, has_cycle
from tests.support.builders import slot

Waits = dict[str, list[str]]


def reachable(graph: Mapping[str, Sequence[str]], start: str) -> set[str]:
    """Return all that ``start`` waits for, directly or not; itself only if it is in a cycle."""
    found: set[str] = set()
    queue = list(graph[start])
    while queue:
        node = queue.pop()
        if node not in found:
            found.add(node)
            queue.extend(graph[node])
    return found


@st.composite
def graphs(draw: st.DrawFn) -> Waits:
    nodes = [str(number) for number in range(draw(st.integers(1, 8)))]
    others = st.lists(st.sampled_from(nodes), unique=True, max_size=3)
    return {node: [other for other in draw(others) if other != node] for node in nodes}


def circle(nodes: Sequence[str]) -> Waits:
    """Let each wait for the next."""
    return {node: [after] for node, after in zip(nodes, [*nodes[1:], nodes[0]], strict=True)}


def tangle(chance: random.Random, size: int, more: int) -> Waits:
    """Return a circle with some more waiting in it."""
    nodes = [str(number) for number in range(size)]
    graph = circle(nodes)
    for _ in range(more):
        one, other = chance.sample(nodes, 2)
        graph[one] = sorted({*graph[one], other})
    return graph


# --- what stands where ---


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 2), st.integers(1, 40)), max_size=25),
    st.tuples(st.integers(0, 60), st.integers(1, 3), st.integers(1, 40)),
)
def test_the_search_finds_exactly_those_that_overlap(
    places: list[tuple[int, int, int]], wanted: tuple[int, int, int]
) -> None:
    standing = [(str(number), slot(*place)) for number, place in enumerate(places)]
    expected = sorted(id_ for id_, place in standing if place.overlaps(slot(*wanted)))
    assert sorted(Occupancy(standing).overlapping(slot(*wanted))) == expected


@pytest.mark.parametrize(
    ("places", "found"),
    [
        ([("1", slot(0)), ("1", slot(1))], ["1", "1"]),
        ([], []),
        ([("early", slot(0)), ("late", slot(1)), ("day", slot(0, hours=10))], ["late", "early", "day"]),
    ],
    ids=["one with two places at both", "none in an empty club", "the latest first"],
)
def test_what_is_in_the_way_is_found(places: list[tuple[str, Slot]], found: list[str]) -> None:
    assert list(Occupancy(places).overlapping(slot(0.5))) == found


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
    assert cycles(graph) == [component for component in found if len(component) > 1]


@given(graphs())
def test_a_component_comes_after_those_it_waits_for(graph: Waits) -> None:
    done: set[str] = set()
    for component in components(graph):
        done.update(component)
        for node in component:
            assert done.issuperset(graph[node])


def test_a_chain_of_fifty_thousand_does_not_exhaust_the_stack() -> None:
    count = 50_000
    graph = {str(n): [str(n + 1)] if n + 1 < count else [] for n in range(count)}
    assert [component[0] for component in components(graph)] == [str(n) for n in reversed(range(count))]


# --- cuts ---


def is_cut_at_the_fewest(graph: Waits) -> None:
    for cycle in cycles(graph):
        out = cuts(cycle, graph)
        inner = {node: [other for other in graph[node] if other in cycle] for node in cycle}
        assert len(set(out)) == len(out)
        assert not has_cycle(inner, out)
        assert len(out) == fewest(inner)


@settings(max_examples=200, deadline=None)
@given(graphs())
def test_the_cuts_are_the_fewest_that_leave_no_cycle(graph: Waits) -> None:
    is_cut_at_the_fewest(graph)


@pytest.mark.parametrize("seed", range(5))
def test_up_to_fourteen_bookings_are_cut_at_the_fewest(seed: int) -> None:
    is_cut_at_the_fewest(tangle(random.Random(seed), 14, 8))


@given(st.integers(2, 400), st.randoms(use_true_random=False))
def test_a_simple_circle_of_any_length_is_cut_once(size: int, chance: random.Random) -> None:
    nodes = [str(number) for number in range(size)]
    chance.shuffle(nodes)
    (cycle,) = cycles(circle(nodes))
    assert len(cuts(cycle, circle(nodes))) == 1


@pytest.mark.parametrize("size", [2, 5, 15, 40])
def test_one_that_is_out_already_is_cut_rather_than_another(size: int) -> None:
    nodes = [str(number) for number in range(size)]
    for node in nodes:
        assert cuts(nodes, circle(nodes), frozenset({node})) == [node]


def test_where_all_stand_in_each_others_way_all_but_one_go() -> None:
    nodes = [str(number) for number in range(6)]
    assert len(cuts(nodes, {node: [other for other in nodes if other != node] for node in nodes})) == 5


def test_without_a_preference_the_shorter_then_the_lower_id_is_cut() -> None:
    assert cuts(["10", "9", "8"], circle(["10", "9", "8"])) == ["8"]


@settings(max_examples=40, deadline=None)
@given(st.integers(15, 40), st.integers(0, 2**32))
def test_a_large_tangle_is_cut_so_that_no_cycle_is_left(size: int, seed: int) -> None:
    graph = tangle(random.Random(seed), size, size)
    (cycle,) = cycles(graph)
    out = cuts(cycle, graph)
    assert len(set(out)) == len(out) < size
    assert not has_cycle(graph, out)


def test_a_very_large_tangle_is_cut_in_reasonable_time() -> None:
    graph = tangle(random.Random(1), 300, 300)
    began = time.perf_counter()
    out = cuts(list(graph), graph)
    assert time.perf_counter() - began < 5
    assert not has_cycle(graph, out)
