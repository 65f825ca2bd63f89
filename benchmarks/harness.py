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
    rehearse: bool = False,
    before: Callable[[int], object] = lambda _: None,
) -> Times:
    """Call every variant with the number of the turn, `turns` times, and time each call.

    The order is drawn anew for each turn. With `rehearse` a call of the same variant, not timed, goes before each that
    is: each variant has a server process of its own, and whoever ran last finds the processor's caches full of its own.
    `before` runs once a turn, and is not timed either.
    """
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(-warmup, turns):
        before(turn)
        for name in _order(variants, turn):
            if rehearse:
                variants[name](turn)
            began = perf_counter()
            variants[name](turn)
            seconds[name].append(perf_counter() - began)
    return Times({name: values[warmup:] for name, values in seconds.items()})


async def interleave_async(
    variants: Mapping[str, Callable[[int], Awaitable[object]]], turns: int, *, warmup: int = 0
) -> Times:
    """Do the same with coroutines, one at a time, each rehearsed."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(-warmup, turns):
        for name in _order(variants, turn):
            await variants[name](turn)
            began = perf_counter()
            await variants[name](turn)
            seconds[name].append(perf_counter() - began)
    return Times({name: values[warmup:] for name, values in seconds.items()})


def _order(names: Iterable[str], turn: int) -> list[str]:
    ordered = list(names)
    # The same orders in every run; nothing here is a secret.
    Random(turn).shuffle(ordered)  # noqa: S311
    return ordered
