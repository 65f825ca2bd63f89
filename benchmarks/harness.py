"""Interleaved timing: the compared variants take turns within one run, so that a busy machine disturbs them alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from statistics import median
from time import perf_counter

__all__ = ["Measure", "Times", "interleave", "interleave_async", "warming"]


@dataclass(frozen=True, slots=True)
class Measure:
    """One line of the result.

    Args:
        theme: what was measured, such as `search`.
        name: which case of it.
        value: the ratio, or a count or recall.
        at_most: the target where less is better.
        at_least: the target where more is better; without either the line only informs.
        detail: the times behind the ratio.
    """

    theme: str
    name: str
    value: float
    at_most: float | None = None
    at_least: float | None = None
    detail: str = ""

    @property
    def target(self) -> str:
        """The target as text."""
        if self.at_most is not None:
            return f"<= {self.at_most:g}"
        return "" if self.at_least is None else f">= {self.at_least:g}"

    @property
    def met(self) -> bool | None:
        """Whether the target was met, None without one."""
        if self.at_most is not None:
            return self.value <= self.at_most
        return None if self.at_least is None else self.value >= self.at_least


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of every turn, by variant; the n-th turns of all variants were taken one after the other."""

    seconds: Mapping[str, list[float]]

    def median(self, variant: str) -> float:
        """Return the median of one variant in seconds."""
        return median(self.seconds[variant])

    def ratio(self, variant: str, to: str) -> float:
        """Return the median over the turns of the time of one variant by that of another."""
        return median(a / b for a, b in zip(self.seconds[variant], self.seconds[to], strict=True))

    def milliseconds(self, *variants: str) -> str:
        """Return the medians of some variants as text."""
        return ", ".join(f"{variant} {self.median(variant) * 1e3:.2f} ms" for variant in variants)


def interleave(
    variants: Mapping[str, Callable[[int], object]],
    turns: int,
    *,
    warmup: int = 0,
    before: Callable[[int], object] = lambda _: None,
) -> Times:
    """Call every variant with the number of the turn, `turns` times, and time each call.

    The order is turned around from one turn to the next: whoever is second finds the data of the turn in the caches.
    `before` may see to it that whoever is first finds it there too; it is not timed.
    """
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(-warmup, turns):
        before(turn)
        for name in _order(list(variants), turn):
            began = perf_counter()
            variants[name](turn)
            seconds[name].append(perf_counter() - began)
    return Times({name: values[warmup:] for name, values in seconds.items()})


def warming(variants: Mapping[str, Callable[[int], object]]) -> Callable[[int], object]:
    """Return what runs every variant once: each has a server process of its own, with caches of its own."""
    return lambda turn: [variant(turn) for variant in variants.values()]


async def interleave_async(
    variants: Mapping[str, Callable[[int], Awaitable[object]]], turns: int, *, warmup: int = 0
) -> Times:
    """Do the same with coroutines, one at a time; before each turn every variant runs once without being timed."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(-warmup, turns):
        for variant in variants.values():
            await variant(turn)
        for name in _order(list(variants), turn):
            began = perf_counter()
            await variants[name](turn)
            seconds[name].append(perf_counter() - began)
    return Times({name: values[warmup:] for name, values in seconds.items()})


def _order(names: list[str], turn: int) -> list[str]:
    return names[::-1] if turn % 2 else names
