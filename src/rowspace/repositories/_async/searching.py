"""Run a nearest-neighbour search in a session: settings, statement, and the exact scan where the index fell short."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any, Generic, Literal, TypeVar

from sqlalchemy import ColumnElement, Select
from sqlalchemy.ext.asyncio import AsyncSession

from rowspace.errors import mapped_errors
from rowspace.repositories.in_force import not_in_force
from rowspace.results import Hit
from rowspace.settings import DEFAULT_EF_SEARCH, SearchSettings
from rowspace.statements import quantized
from rowspace.statements.search import Nearest, Target, built, count_candidates

__all__ = ["Search", "apply_settings", "run_search"]

M = TypeVar("M")

Scan = Literal["plain", "iterative", "exact"]


@dataclass(frozen=True, slots=True)
class Search(Generic[M]):
    """One search, ready to run."""

    target: Target[M]
    shape: Nearest
    parameters: dict[str, Any]
    where: tuple[ColumnElement[bool], ...] = ()
    #: Whether the conditions are objects that will come again, so that the statement is worth keeping.
    keep: bool = False
    settings: SearchSettings = field(default_factory=SearchSettings)
    #: The method of the index, where it is known: the other method's settings are left alone.
    method: str | None = None

    @property
    def candidates(self) -> int | None:
        """Rows that are re-ranked, with a quantized index; else None."""
        if self.target.quantize is None or self.shape.exact:
            return None
        return quantized.candidates(self.target.quantize, self.shape.k, self.settings)

    def settings_for(self, scan: Scan) -> SearchSettings:
        """Return the settings of one scan."""
        settings = self.settings if self.candidates is None else quantized.covering(self.settings, self.candidates)
        return replace(settings, iterative_scan="relaxed_order") if scan == "iterative" else settings

    def scans(self) -> tuple[Scan, ...]:
        """Return the scans to try, each for when the one before came back with fewer rows than there are.

        A plain index scan ends after `ef_search` rows, whatever a filter, a row-level policy or dead rows left of
        them. An iterative one goes on until `max_scan_tuples`. Setting `iterative_scan` by hand asks for that alone.
        """
        if self.shape.exact:
            return ("exact",)
        if self.settings.iterative_scan is not None:
            return ("iterative", "exact") if self.settings.iterative_scan == "relaxed_order" else ("plain",)
        limit = self.settings_for("plain").ef_search or DEFAULT_EF_SEARCH
        if self.where or self.shape.min_distance or (self.candidates or self.shape.k) > limit:
            return ("iterative", "exact")
        return ("plain", "iterative", "exact")

    def statement(self, scan: Scan) -> Select[M, float]:
        """Return the statement of one scan."""
        if self.candidates is not None and scan != "exact":
            return quantized.built(self.target, self.shape, self.candidates, self.where, keep=self.keep)
        shape = replace(self.shape, exact=True) if scan == "exact" else self.shape
        return built(self.target, shape, self.where, iterative=scan == "iterative", keep=self.keep)


_distance = attrgetter("distance")


async def run_search(session: AsyncSession, search: Search[M]) -> list[Hit[M]]:
    """Return the hits of a search, nearest first: k of them where k rows match."""
    hits: list[Hit[M]] = []
    scans = search.scans()
    with mapped_errors():
        for scan in scans:
            await apply_settings(session, search, scan)
            hits = await _fetch(session, search, scan)
            if len(hits) >= search.shape.k or scan == scans[-1] or not await _gave_up(session, search):
                break
    return hits


async def apply_settings(session: AsyncSession, search: Search[Any], scan: Scan) -> None:
    """Set what a scan needs, until the transaction ends."""
    model = search.target.model
    statements = not_in_force(session, model, search.settings_for(scan).statements(search.method))
    if not statements:
        return
    connection = await session.connection(bind_arguments={"mapper": model})
    for statement in statements:
        await connection.exec_driver_sql(statement)


async def _fetch(session: AsyncSession, search: Search[M], scan: Scan) -> list[Hit[M]]:
    similarity = search.target.distance.similarity
    rows = await session.execute(search.statement(scan), search.parameters)
    hits = [Hit(entity, distance, similarity(distance)) for entity, distance in rows]
    # An earlier search of the transaction may have left the iterative scan on, whose order is relaxed.
    hits.sort(key=_distance)
    return hits


async def _gave_up(session: AsyncSession, search: Search[Any]) -> bool:
    """Tell whether the index had fewer than k candidates, where a maximum distance may have taken rows away."""
    if not search.shape.max_distance:
        return True
    wanted = search.candidates or search.shape.k
    if search.candidates is None:
        statement = count_candidates(search.target, search.shape, search.where)
    else:
        statement = quantized.count_candidates(search.target, search.shape, search.candidates, search.where)
    found = await session.scalar(statement, search.parameters)
    return found is not None and found < wanted
