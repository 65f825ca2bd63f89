"""The checks of `rowspace doctor`: pure functions from facts to findings, one per check.

Each finding states what was found, why it matters and what to do, if possible as SQL or as a command. The docstring of
a check states the desired condition.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from operator import attrgetter

from rowspace.diagnosis import Finding, Severity, parts_of, too_old
from rowspace.statements.catalog import IndexFact
from rowspace.statements.health import Asked, Facts, TableFact
from rowspace.statements.identifiers import qualified
from rowspace.statements.indexing import COPY, OF_KEY, VECTOR_METHODS, PlannedIndex

__all__ = ["CHECKS", "SEVERITIES", "UNSEARCHABLE", "check", "recall_finding", "unreadable_finding"]

#: The severities, worst first.
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")

#: The checks whose findings mean that a search would fail.
UNSEARCHABLE = {"missing-table", "dimension-mismatch"}

#: The number of rows below which a search without an index is fast.
_MANY = 2_000
_DAY = 86_400

# The table that a re-embedding fills: it is not searched, and is analyzed at the end.
_FILLED = re.compile(r"documents_\d+_next")


def check(facts: Facts) -> list[Finding]:
    """Return the findings of every check, most severe first."""
    found = [finding for one in CHECKS for finding in one(facts)]
    return sorted(found, key=lambda finding: (SEVERITIES.index(finding.severity), finding.check, finding.subject))


def extension(facts: Facts) -> Iterator[Finding]:
    """The server and the extension are recent enough, and the extension is installed and up to date with its files."""
    has, newest = facts.server.extension, facts.server.available
    if (old := too_old(facts.server.postgresql, has)) is not None:
        yield old
    elif has is None:
        yield Finding(
            "extension",
            "error",
            "vector",
            "The extension is not in this database.",
            "Rowspace does not work without it.",
            "CREATE EXTENSION vector;",
        )
    elif facts.server.hidden_in is not None:
        schema = qualified(facts.server.hidden_in, None)
        yield Finding(
            "extension",
            "error",
            "vector",
            f"The extension is in the schema {schema}, which this role does not search, or may not use.",
            "Every search and every write fails, because the server does not find the types and operators.",
            f"ALTER ROLE ... SET search_path = ..., {schema}; or GRANT USAGE ON SCHEMA {schema} TO ...;",
        )
    elif newest is not None and parts_of(has) < parts_of(newest):
        yield Finding(
            "extension",
            "info",
            "vector",
            f"pgvector is {has}, the server has {newest}.",
            "Newer versions fix errors in indexes and are faster.",
            "ALTER EXTENSION vector UPDATE;",
        )


def invalid_indexes(facts: Facts) -> Iterator[Finding]:
    """No build left an INVALID index behind."""
    for index in facts.indexes:
        if index.state == "invalid":
            yield Finding(
                "invalid-index",
                "error",
                index.name,
                f"The index {index.name} on {index.table} is INVALID: its build did not finish.",
                "No search uses it, but it slows down every write.",
                _repair(facts, index),
            )


def tables(facts: Facts) -> Iterator[Finding]:
    """The table of each collection and model exists."""
    for asked in facts.asked:
        if facts.table(asked) is None:
            yield Finding(
                "missing-table",
                "error",
                asked.name,
                f"The table {asked.table} of {asked.name} does not exist.",
                "Every search and every write in it fails.",
                "If it was renamed or moved, undo that. Otherwise, restore it from a backup, or drop the collection."
                if asked.command
                else "alembic upgrade head",
            )


def partitions(facts: Facts) -> Iterator[Finding]:
    """The table of each collection is attached as a partition."""
    for asked in facts.asked:
        table = facts.table(asked)
        if asked.attach is not None and table is not None and not table.is_partition:
            yield Finding(
                "detached-partition",
                "error",
                asked.name,
                f"The table {asked.table} of {asked.name} is not a partition of documents.",
                "Searches find none of its rows.",
                f"{asked.attach};",
            )


def missing_indexes(facts: Facts) -> Iterator[Finding]:
    """Each table above a minimum size has the declared indexes on vectors and metadata keys."""
    for asked, table, plan, there in _planned(facts):
        if there is None and plan.shape.method in {*VECTOR_METHODS, "btree"} and table.rows >= _MANY:
            yield Finding(
                "missing-index",
                "warning",
                asked.name,
                f"{asked.name} has {table.rows:.0f} rows and no index {plan.name}.",
                "Every search compares the query with every row."
                if plan.is_vector
                else "Filters expect it, and read every row.",
                f"rowspace index build {asked.command}" if asked.command else f"{plan.create(concurrently=True)};",
            )


def different_indexes(facts: Facts) -> Iterator[Finding]:
    """Each index matches its declaration: the same distance, type and dimension."""
    for asked, _, plan, there in _planned(facts):
        differences = [] if there is None else there.shape.differences(plan.shape)
        if there is None or not differences:
            continue
        useless = there.opclass != plan.shape.opclass or there.shape.cast != plan.shape.cast
        yield Finding(
            "index-mismatch",
            "error" if useless else "warning",
            there.name,
            f"{there.name} of {asked.name} differs from its declaration: its {', its '.join(differences)}.",
            "Searches cannot use it, and compare every row." if useless else "Its recall and speed differ.",
            f"{plan.drop(concurrently=True)}; {plan.create(concurrently=True)};",
        )


def dimensions(facts: Facts) -> Iterator[Finding]:
    """Each vector column has the dimension that its model declares."""
    for asked in facts.asked:
        table = facts.table(asked)
        stored = {} if table is None else table.dimensions
        for column, wanted in asked.dimensions.items():
            has = stored.get(column, wanted)
            if has not in {wanted, -1}:
                yield Finding(
                    "dimension-mismatch",
                    "error",
                    asked.name,
                    f"{asked.table}.{column} has {has} dimensions, {asked.name} declares {wanted}.",
                    "Every search and every write fails.",
                    "Write a migration that changes the column, and embed its rows again.",
                )


def duplicate_indexes(facts: Facts) -> Iterator[Finding]:
    """No two indexes of a table are the same; of two, drop the one that is not declared."""
    asked = {(there.schema, there.name) for *_, there in _planned(facts) if there is not None}
    # An INVALID index has its own finding, or is being built to replace the other one.
    keyed = sorted(
        (index.schema, index.table, _after_using(index), (index.schema, index.name) not in asked, index.name)
        for index in facts.indexes
        if index.is_valid
    )
    for one, other in pairwise(keyed):
        if one[:3] == other[:3]:
            yield Finding(
                "duplicate-index",
                "warning",
                other[-1],
                f"{other[-1]} on {other[1]} is the same index as {one[-1]}.",
                "Every write updates both, and both occupy memory.",
                f"DROP INDEX CONCURRENTLY {qualified(other[-1], other[0])};",
            )


def forgotten_indexes(facts: Facts) -> Iterator[Finding]:
    """Each index on a metadata key is declared by its collection."""
    for asked in facts.asked:
        wanted = {plan.name for plan in asked.indexes}
        for index in facts.on(asked):
            if asked.command is not None and index.is_valid and OF_KEY.match(index.name) and index.name not in wanted:
                yield Finding(
                    "forgotten-index",
                    "warning",
                    index.name,
                    f"{asked.name} does not declare {index.name}: a build or a drop was interrupted, or is running.",
                    "No filter uses it, but it slows down every write.",
                    f"To use it, run rowspace index build {asked.command} --key KEY. "
                    f"To drop it, run rowspace index drop {asked.command} --key KEY.",
                )


def unfinished_reembeddings(facts: Facts) -> Iterator[Finding]:
    """No re-embedding was started and not finished."""
    for asked in facts.asked:
        if asked.reembedded_by is not None:
            yield Finding(
                "unfinished-reembedding",
                "info",
                asked.name,
                f"A re-embedding of {asked.name} by {asked.reembedded_by!r} is not finished, or is running.",
                "Until it is, each write records an id for it, and its table takes space.",
                f"To continue, run rowspace reembed {asked.command} with that embedder. To discard it, add --abandon.",
            )


def unused_indexes(facts: Facts) -> Iterator[Finding]:
    """Each large vector index has been used since the statistics were reset, if that was at least a day ago."""
    since = facts.server.counting_since
    if since is not None and since < _DAY:
        return
    for index in _vector_indexes(facts):
        # The index of a partitioned table is empty: searches use those of the partitions.
        if index.is_valid and index.size and index.scans == 0 and index.rows >= _MANY:
            yield Finding(
                "unused-index",
                "info",
                index.name,
                f"No search has used {index.name} ({_size(index.size)}) since the statistics were reset.",
                "Searches may use another distance, or compare every row. The index slows down every write.",
                "Run IndexAdvisor.explain() for a search, or drop the index.",
            )


def large_indexes(facts: Facts) -> Iterator[Finding]:
    """The vector indexes fit into shared_buffers."""
    total, room = sum(index.size for index in _vector_indexes(facts)), facts.server.shared_buffers
    if total > room:
        yield Finding(
            "large-indexes",
            "warning",
            "shared_buffers",
            f"The vector indexes have {_size(total)}, shared_buffers has {_size(room)}.",
            "A search reads hundreds of random pages, and is slow if they are not in memory.",
            'Raise shared_buffers, or quantize: HNSW(quantize="halfvec") has half the size, "bit" a tenth or less.',
        )


def build_memory(facts: Facts) -> Iterator[Finding]:
    """The largest HNSW index can be built in maintenance_work_mem."""
    largest = max(
        (index for index in _vector_indexes(facts) if index.method == "hnsw"), key=attrgetter("size"), default=None
    )
    if largest is not None and largest.size > facts.server.maintenance_work_mem:
        yield Finding(
            "build-memory",
            "info",
            "maintenance_work_mem",
            f"{largest.name} has {_size(largest.size)}, maintenance_work_mem is "
            f"{_size(facts.server.maintenance_work_mem)}.",
            "Building a graph that does not fit into it takes several times as long.",
            f"rowspace index reindex {_command(facts, largest) or 'NAME'} --memory {-(-largest.size // 2**20)}MB",
        )


def statistics(facts: Facts) -> Iterator[Finding]:
    """Each searched table has recent statistics."""
    for table in facts.tables:
        if max(table.rows, table.modified) < _MANY or _FILLED.fullmatch(table.name):
            continue
        share = table.modified / max(table.rows, 1)
        if not table.analyzed or share > 0.5:
            yield Finding(
                "stale-statistics",
                "warning" if not table.analyzed else "info",
                table.name,
                f"{table.name} was never analyzed."
                if not table.analyzed
                else f"{table.modified} rows of {table.name} changed since the last ANALYZE ({share:.0%}).",
                "The planner uses them to choose between the vector index and the conditions.",
                f"ANALYZE {qualified(table.name, table.schema)};",
            )


def dead_rows(facts: Facts) -> Iterator[Finding]:
    """Most entries of an HNSW index are live."""
    tables = {(table.schema, table.name): table for table in facts.tables}
    for index in _vector_indexes(facts):
        table = tables.get((index.schema, index.table))
        if index.method != "hnsw" or table is None or table.dead < max(_MANY, 0.4 * table.rows):
            continue
        command = _command(facts, index)
        name = qualified(index.name, index.schema)
        reindex = f"rowspace index reindex {command}" if command else f"REINDEX INDEX CONCURRENTLY {name};"
        yield Finding(
            "dead-rows",
            "info",
            index.name,
            f"{table.name} has {table.dead} dead rows, and had {table.rows:.0f} rows at the last ANALYZE.",
            f"A search visits them, and VACUUM repairs the graph around each: building {index.name} again is faster.",
            f"{reindex} first, then VACUUM {qualified(table.name, table.schema)};",
        )


def page_cost(facts: Facts) -> Iterator[Finding]:
    """The planner does not overestimate the cost of an index."""
    if facts.server.random_page_cost > 2 and any(index.rows >= _MANY for index in _vector_indexes(facts)):
        yield Finding(
            "random-page-cost",
            "info",
            "random_page_cost",
            f"random_page_cost is {facts.server.random_page_cost:g}, which is meant for spinning disks.",
            "The planner scans tables of some thousand rows completely, although the index is many times faster.",
            "ALTER SYSTEM SET random_page_cost = 1.1; SELECT pg_reload_conf();",
        )


#: Every check, in no particular order.
CHECKS: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    extension,
    invalid_indexes,
    tables,
    partitions,
    missing_indexes,
    different_indexes,
    dimensions,
    duplicate_indexes,
    forgotten_indexes,
    unfinished_reembeddings,
    unused_indexes,
    large_indexes,
    build_memory,
    statistics,
    dead_rows,
    page_cost,
)


def recall_finding(asked: Asked, recall: float, target: float, **searched: str) -> Finding | None:
    """Return the finding of a measured recall below the target, or None.

    Args:
        asked: the collection or model.
        recall: the measured recall.
        target: the desired recall.
        searched: `column` and `distance`, if the model has several.
    """
    if recall >= target:
        return None
    name = ".".join((asked.name, *([searched["column"]] if searched else [])))
    name += f" by {searched['distance']}" if "distance" in searched else ""
    options = "".join(f", {option}={value!r}" for option, value in searched.items())
    by_hand = f"IndexAdvisor(session, {asked.name}{options}).tune()" if searched else "IndexAdvisor.tune()"
    return Finding(
        "recall",
        "warning",
        name,
        f"Searches in {name} find {recall:.1%} of the true nearest rows; the target is {target:.1%}.",
        "The other rows are missing from the results.",
        f"rowspace tune {asked.command} --recall {target:g}" if asked.command else by_hand,
    )


def unreadable_finding(asked: Asked, error: Exception) -> Finding:
    """Return the finding for a collection or model whose recall the role may not measure."""
    reason = str(error).partition(". ")[0]
    return Finding(
        "unreadable",
        "warning",
        asked.name,
        f"The recall of {asked.name} was not measured: {reason}.",
        "It is unknown how many of the true nearest rows its searches find.",
        "GRANT SELECT on that table to this role, or run the check as a role that may read it.",
    )


def _planned(facts: Facts) -> Iterator[tuple[Asked, TableFact, PlannedIndex, IndexFact | None]]:
    for asked in facts.asked:
        table, there = facts.table(asked), {index.name: index for index in facts.on(asked)}
        if table is not None:
            yield from ((asked, table, plan, there.get(plan.name)) for plan in asked.indexes)


def _vector_indexes(facts: Facts) -> list[IndexFact]:
    return [index for index in facts.indexes if index.method in VECTOR_METHODS]


def _repair(facts: Facts, index: IndexFact) -> str:
    command = _command(facts, index)
    if command is not None:
        return f"rowspace index repair {command}"
    name = qualified(index.name, index.schema)
    dropped = f"DROP INDEX CONCURRENTLY {name};"
    # If it is a copy, the original index exists.
    return dropped if re.search(f"{COPY}$", index.name) else f"REINDEX INDEX CONCURRENTLY {name}; or {dropped}"


def _command(facts: Facts, index: IndexFact) -> str | None:
    owner = facts.owner(index)
    return None if owner is None else owner.command


def _after_using(index: IndexFact) -> str:
    unique = "UNIQUE " if index.is_unique else ""
    return unique + index.definition.partition(" USING ")[2]


def _size(count: int) -> str:
    value, units = float(count), ["bytes", "kB", "MB", "GB", "TB"]
    while value >= 1_024 and len(units) > 1:
        value, units = value / 1_024, units[1:]
    return f"{value:.0f} {units[0]}"
