"""Reports about indexes and searches: status, progress, plans, findings. Plain frozen data, no database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["BuildProgress", "Finding", "IndexState", "IndexStatus", "SearchPlan", "Severity", "WatchBuild"]

# The oldest PostgreSQL on which the tests pass: 13 refuses binary arrays whose elements have the OID of another type.
_POSTGRESQL = 14

#: A `missing` index is declared but does not exist. An `invalid` index was left by a failed build; no search uses it.
IndexState = Literal["valid", "invalid", "building", "missing"]

Severity = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """One index of a table, as it is in the database.

    Args:
        name: its name.
        table: the table that it is on.
        schema: the schema of both; None for a missing index whose schema the search path decides.
        method: the access method, such as `hnsw`.
        definition: the complete CREATE INDEX statement.
        state: whether searches can use it.
        size: its size on disk in bytes.
        rows: the number of rows in it, as of the last build or ANALYZE.
        scans: how often it has been used since the statistics were reset.
        wanted: whether the model or the collection declares it.
        differences: in words, how it differs from the declared index.
    """

    name: str
    table: str
    schema: str | None
    method: str
    definition: str
    state: IndexState
    size: int = 0
    rows: int = 0
    scans: int = 0
    wanted: bool = False
    differences: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether it is valid and as the model or the collection declares it."""
        return self.state == "valid" and self.wanted and not self.differences


@dataclass(frozen=True, slots=True)
class BuildProgress:
    """The progress of an index build.

    Args:
        index: the name of the index.
        phase: what the server is doing, such as `building index: loading tuples`.
        percent: how much of the phase is done, 0 to 100; None if the server does not report it.
        seconds: time since the build of this index began.
    """

    index: str
    phase: str
    percent: float | None
    seconds: float


#: Called repeatedly during a build.
WatchBuild = Callable[[BuildProgress], object]


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """How the server ran one nearest-neighbour search: from EXPLAIN (ANALYZE, BUFFERS).

    Args:
        index: the vector index that ordered the rows, or None.
        scan: the kind of scan that read the table, such as `Index Scan`.
        milliseconds: planning and execution.
        rows_returned: number of rows returned.
        rows_scanned: number of rows read from the table.
        rows_filtered: of those, the number of rows that a condition removed.
        buffers: number of 8 kB pages accessed.
        settings: pgvector's settings in force.
        advice: what to do, in words; empty if all is well.
        plan: the server's own plan, as JSON.
    """

    index: str | None
    scan: str
    milliseconds: float
    rows_returned: int
    rows_scanned: int
    rows_filtered: int
    buffers: int
    settings: Mapping[str, str]
    advice: tuple[str, ...] = ()
    plan: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding of a check.

    Args:
        check: the name of the check, such as `invalid-index`.
        severity: `error` if searches are wrong or slow now, `warning` if they soon may be, `info` if it is worth
            knowing.
        subject: the index, the table or the server that it is about.
        what: what was found.
        why: why it matters.
        fix: what to do: an SQL statement or a command, if there is one.
    """

    check: str
    severity: Severity
    subject: str
    what: str
    why: str
    fix: str


def too_old(postgresql: int, pgvector: str | None) -> Finding | None:
    """Return what is wrong if the server or the extension is older than Rowspace requires.

    Args:
        postgresql: the server's major version.
        pgvector: the version of the extension; None if it is not installed.
    """
    if postgresql < _POSTGRESQL:
        return Finding(
            "extension",
            "error",
            "server",
            f"The server is PostgreSQL {postgresql}.",
            f"Rowspace needs {_POSTGRESQL}: earlier versions refuse the binary arrays in which it sends many queries.",
            f"Move the database to PostgreSQL {_POSTGRESQL} or newer.",
        )
    if pgvector is not None and parts_of(pgvector) < (0, 8):
        return Finding(
            "extension",
            "error",
            "vector",
            f"pgvector is {pgvector}.",
            "Iterative scans need 0.8: in earlier versions, a filtered search may end before it has k rows.",
            "Install pgvector 0.8 or newer on the server, then run ALTER EXTENSION vector UPDATE; in each database.",
        )
    return None


def parts_of(version: str) -> tuple[int, ...]:
    """Return a version as comparable numbers."""
    return tuple(int(part) for part in version.split(".")[:3] if part.isdecimal())
