"""Interleaved timing: the compared variants take turns within one run, so that a busy machine disturbs them alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from random import Random
from statistics import median
from time import perf_counter

__all__ = ["Measure", "Times", "interleave", "interleave_async"]


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
    """Seconds of every call, by variant; the n-th calls of all variants were with the same number."""

    seconds: Mapping[str, list[float]]

    def median(self, variant: str) -> float:
        """Return the median of one variant in seconds."""
        return median(self.seconds[variant])

    def ratio(self, variant: str, to: str) -> float:
        """Return the median over the calls of the time of one variant by that of another."""
        return median(a / b for a, b in zip(self.seconds[variant], self.seconds[to], strict=True))

    def milliseconds(self, *variants: str) -> str:
        """Return the medians of some variants as text."""
        return ", ".join(f"{variant} {self.median(variant) * 1e3:.2f} ms" for variant in variants)


def interleave(
    variants: Mapping[str, Callable[[int], object]],
    turns: int,
    *,
    warmup: int = 0,
    run: int = 1,
    before: Callable[[int], object] = lambda _: None,
) -> Times:
    """Call every variant with the numbers from 0 to `turns`, and time each call.

    Each turn is a `run` of calls one after the other, as an application makes them: whoever has just taken over finds
    the processor's caches full of another server process. The order of the variants is drawn anew for each turn.
    `before` runs once a turn and is not timed, nor is what comes in the first `warmup` turns.
    """
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(-warmup, -(-turns // run)):
        before(turn)
        for name in _order(variants, turn):
            for number in range(turn * run, (turn + 1) * run):
                began = perf_counter()
                variants[name](number)
                seconds[name].append(perf_counter() - began)
    return Times({name: values[warmup * run :] for name, values in seconds.items()})


async def interleave_async(
    variants: Mapping[str, Callable[[int], Awaitable[object]]], turns: int, *, warmup: int = 0, run: int = 1
) -> Times:
    """Do the same with coroutines, one at a time."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(-warmup, -(-turns // run)):
        for name in _order(variants, turn):
            for number in range(turn * run, (turn + 1) * run):
                began = perf_counter()
                await variants[name](number)
                seconds[name].append(perf_counter() - began)
    return Times({name: values[warmup * run :] for name, values in seconds.items()})


def _order(names: Iterable[str], turn: int) -> list[str]:
    ordered = list(names)
    # The same orders in every run; nothing here is a secret.
    Random(turn).shuffle(ordered)  # noqa: S311
    return ordered
