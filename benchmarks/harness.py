"""Interleaved timing: variants take turns within one run, so that load on the machine affects all of them equally."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from random import Random
from statistics import median
from time import perf_counter

__all__ = ["Measure", "Times", "interleave", "interleave_async"]


@dataclass(frozen=True, slots=True)
class Measure:
    """A line of the results.

    Args:
        theme: the subject, such as `search`.
        name: the case.
        value: the ratio, or a count or recall.
        at_most: the target, if less is better.
        at_least: the target, if more is better; without a target, the line is for information only.
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
        """Whether the target was met, or None without one."""
        if self.at_most is not None:
            return self.value <= self.at_most
        return None if self.at_least is None else self.value >= self.at_least


@dataclass(frozen=True, slots=True)
class Times:
    """The seconds of every call, by variant. The n-th calls of all variants had the same number."""

    seconds: Mapping[str, list[float]]

    def median(self, variant: str) -> float:
        """Return the median time of a variant in seconds."""
        return median(self.seconds[variant])

    def ratio(self, variant: str, to: str) -> float:
        """Return the median, over all calls, of the ratio of one variant's time to another's."""
        return median(a / b for a, b in zip(self.seconds[variant], self.seconds[to], strict=True))

    def milliseconds(self, *variants: str) -> str:
        """Return the median times of some variants as text."""
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

    In each turn, a variant makes a `run` of consecutive calls, as an application would: its first call finds the
    processor's caches filled by another server process. The order of the variants is random in each turn. `before`
    runs once per turn and is not timed. The first `warmup` turns are not timed either.
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
    # The same orders in every run. This is not for security.
    Random(turn).shuffle(ordered)  # noqa: S311
    return ordered
