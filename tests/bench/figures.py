"""A figure beside its budget, and tables of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the budget; ``limit`` None where there is none."""

    name: str
    value: float
    unit: str
    limit: float | None = None

    @property
    def is_met(self) -> bool:
        return self.limit is None or round(self.value, 2) <= self.limit


def table(figures: Iterable[Figure]) -> list[str]:
    """Return the lines of a table of figures, with "met" or "over" at each that has a limit."""
    lines = ["| figure | measured | at most | |", "|---|---|---|---|"]
    for figure in figures:
        limit = "" if figure.limit is None else f"{figure.limit:g} {figure.unit}"
        verdict = "" if figure.limit is None else "met" if figure.is_met else "**over**"
        lines.append(f"| {figure.name} | {figure.value:.2f} {figure.unit} | {limit} | {verdict} |")
    return lines
