"""PostgreSQL's catalogs and statistics about indexes, as statements and as plain facts.

Sources: PostgreSQL's manual, "pg_index", "pg_stat_all_indexes" and "CREATE INDEX Progress Reporting".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Boolean, Float, Integer, Result, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.selectable import TextualSelect

from rowspace.diagnosis import BuildProgress, IndexState, IndexStatus
from rowspace.statements.indexing import PlannedIndex, Shape, cast_of

__all__ = [
    "PROGRESS",
    "IndexFact",
    "all_index_facts",
    "build_lock",
    "facts_of",
    "has_policies",
    "index_facts",
    "invalid_partition_index_facts",
    "is_guarded",
    "is_owned",
    "is_there",
    "keeps_builders_off",
    "progress_of",
    "schema_of",
    "statuses",
]

_COLUMNS: dict[str, Any] = {
    "schema": Text,
    "table": Text,
    "name": Text,
    "method": Text,
    "definition": Text,
    "opclass": Text,
    "options": ARRAY(Text),
    "partial": Boolean,
    "is_valid": Boolean,
    "is_unique": Boolean,
    "is_building": Boolean,
    "root": Text,
    "size": BigInteger,
    "rows": Float,
    "scans": BigInteger,
}

# An index has an entry in the progress view as soon as it exists; before that, the entry has only its table. A role
# that may not read the statistics of others sees only the pid of an entry. A concurrent build is then recognized by its
# lock on the table, which it holds throughout, and which otherwise only VACUUM and ANALYZE take. At the end of a
# REINDEX, the old index has no entry: it is invalid, and has that suffix, until its last readers have finished.
_FACTS = """
    SELECT n.nspname AS schema, tc.relname AS table, ic.relname AS name, am.amname AS method,
           pg_get_indexdef(i.indexrelid) AS definition, o.opcname AS opclass,
           coalesce(ic.reloptions, '{{}}') AS options, i.indpred IS NOT NULL AS partial,
           i.indisvalid AS is_valid, i.indisunique AS is_unique,
           EXISTS (SELECT FROM pg_stat_progress_create_index p
                    WHERE p.index_relid = i.indexrelid
                       OR (p.relid = i.indrelid AND ic.relname ~ '_ccold[0-9]*$')
                       OR (p.index_relid IS NULL AND EXISTS (
                           SELECT FROM pg_locks l
                            WHERE l.pid = p.pid AND l.relation = i.indrelid AND l.database = p.datid
                              AND l.mode = 'ShareUpdateExclusiveLock'))) AS is_building,
           (SELECT r.relname FROM pg_class r WHERE r.oid = pg_partition_root(ic.oid)) AS root,
           pg_relation_size(ic.oid) AS size, greatest(ic.reltuples, 0) AS rows, coalesce(s.idx_scan, 0) AS scans
      FROM pg_index i
      JOIN pg_class ic ON ic.oid = i.indexrelid
      JOIN pg_am am ON am.oid = ic.relam
      JOIN pg_class tc ON tc.oid = i.indrelid
      JOIN pg_namespace n ON n.oid = tc.relnamespace
      JOIN pg_opclass o ON o.oid = i.indclass[0]
      LEFT JOIN pg_stat_all_indexes s ON s.indexrelid = i.indexrelid
     WHERE ic.relkind IN ('i', 'I') AND {condition}
     ORDER BY n.nspname, tc.relname, ic.relname
"""

# pg_partition_tree is empty for a table that neither has partitions nor is one.
_OF_TABLE = """tc.oid IN (
    SELECT coalesce(part.relid, w.oid)
      FROM pg_class w JOIN pg_namespace wn ON wn.oid = w.relnamespace
      LEFT JOIN LATERAL pg_partition_tree(w.oid) part ON true
     WHERE w.relname = :table_name AND
           CASE WHEN CAST(:schema AS text) IS NULL THEN pg_table_is_visible(w.oid)
                ELSE wn.nspname = CAST(:schema AS text) END)
"""

# bit is a type of PostgreSQL, so a table with bit vectors is recognized by its index.
_OF_VECTORS = """(EXISTS (
    SELECT FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
     WHERE a.attrelid = tc.oid AND t.typname IN ('vector', 'halfvec', 'sparsevec') AND NOT a.attisdropped)
    OR EXISTS (
    SELECT FROM pg_index vi JOIN pg_class vc ON vc.oid = vi.indexrelid JOIN pg_am va ON va.oid = vc.relam
     WHERE vi.indrelid = tc.oid AND va.amname IN ('hnsw', 'ivfflat')))
"""

_INVALID_OF_PARTITIONS = """NOT i.indisvalid AND i.indrelid IN (
    SELECT h.inhrelid
      FROM pg_inherits h JOIN pg_class p ON p.oid = h.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace
     WHERE p.relname = :table_name AND
           CASE WHEN CAST(:schema AS text) IS NULL THEN pg_table_is_visible(p.oid)
                ELSE pn.nspname = CAST(:schema AS text) END)
"""

#: The backend of a connection, to find its build in `PROGRESS`.
BACKEND = text("SELECT pg_backend_pid()").columns(pid=Integer)

PROGRESS = text("""
    SELECT phase, blocks_done, blocks_total, tuples_done, tuples_total
      FROM pg_stat_progress_create_index WHERE pid = :pid
""")

CANCEL = text("SELECT pg_cancel_backend(:pid)")

BUILD_UNLOCK = text("SELECT pg_advisory_unlock_all()")

#: The first half of the advisory lock for index builds; the second is the table.
_BUILDS = 0x526F7769


@dataclass(frozen=True, slots=True)
class IndexFact:
    """One index in the catalogs."""

    schema: str
    table: str
    name: str
    method: str
    definition: str
    opclass: str = ""
    options: Sequence[str] = ()
    partial: bool = False
    is_valid: bool = True
    is_unique: bool = False
    is_building: bool = False
    #: The index of the partitioned table that it is a part of, if it is.
    root: str | None = None
    size: int = 0
    rows: float = 0
    scans: int = 0

    @property
    def shape(self) -> Shape:
        """The properties that decide which searches it serves."""
        options = dict(option.split("=", 1) for option in self.options)
        cast = cast_of(self.definition) if self.method != "btree" else None
        return Shape(self.method, self.opclass, cast, options, self.partial)

    @property
    def state(self) -> IndexState:
        """Whether searches can use it."""
        if self.is_valid:
            return "valid"
        return "building" if self.is_building else "invalid"

    def status(self, wanted: PlannedIndex | None) -> IndexStatus:
        """Return the status, compared with the declared index."""
        return IndexStatus(
            name=self.name,
            table=self.table,
            schema=self.schema,
            method=self.method,
            definition=self.definition,
            state=self.state,
            size=self.size,
            rows=int(self.rows),
            scans=self.scans,
            wanted=wanted is not None,
            differences=() if wanted is None else tuple(self.shape.differences(wanted.shape)),
        )


def index_facts(table: str, schema: str | None) -> TextualSelect:
    """Select the facts of every index of a table and of its partitions.

    Costs a catalog query and the size of each index file.
    """
    return _select(_OF_TABLE).bindparams(table_name=table, schema=schema)


def build_lock(table: str, schema: str | None) -> TextualSelect:
    """Select whether the connection obtained the lock for building and dropping indexes of a table.

    Two CREATE INDEX CONCURRENTLY on one table deadlock, and so would waiting for the other in a statement, since a
    build waits for every statement that began before it. `BUILD_UNLOCK`, or the end of the connection, releases the
    lock.
    """
    return _try("pg_try_advisory_lock", table, schema)


def keeps_builders_off(table: str, schema: str | None) -> TextualSelect:
    """Select whether no session holds the `build_lock` of a table; if so, none can get it until this transaction ends.

    Use it before creating an index in a transaction that has read or written the table: CREATE INDEX CONCURRENTLY would
    wait for that transaction, and the transaction for the build.
    """
    return _try("pg_try_advisory_xact_lock_shared", table, schema)


def _try(function: str, table: str, schema: str | None) -> TextualSelect:
    statement = text(f"SELECT {function}(:builds, hashtext(:table_name)) AS alone")
    name = table if schema is None else f"{schema}.{table}"
    return statement.bindparams(bindparam("builds", _BUILDS, type_=Integer), table_name=name).columns(alone=Boolean)


def all_index_facts() -> TextualSelect:
    """Select the facts of every index of every table with a vector column or a vector index."""
    return _select(_OF_VECTORS)


def is_guarded(table: str) -> TextualSelect:
    """Select whether a table, given as SQL, has row-level security, for any role."""
    statement = text("SELECT relrowsecurity FROM pg_class WHERE oid = to_regclass(:name)")
    return statement.bindparams(name=table).columns(guarded=Boolean)


def is_owned(table: str) -> TextualSelect:
    """Select whether the role has the rights of the table's owner, for example to build indexes.

    Args:
        table: its name as SQL, quoted if necessary.
    """
    statement = text("SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass(:name)")
    return statement.bindparams(name=table).columns(owned=Boolean)


def has_policies(table: str) -> TextualSelect:
    """Select whether the row-level security of a table, given as SQL, applies to this role."""
    statement = text("SELECT row_security_active(CAST(CAST(:name AS text) AS regclass)) AS bound")
    return statement.bindparams(name=table).columns(bound=Boolean)


def is_there(table: str) -> TextualSelect:
    """Select whether a table, given as SQL, exists; any role may ask."""
    return text("SELECT to_regclass(:name) IS NOT NULL AS there").bindparams(name=table).columns(there=Boolean)


def schema_of(table: str) -> TextualSelect:
    """Select the schema in which a table, given as SQL, is found; no row if it does not exist."""
    statement = text("""
        SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass(:name)
    """)
    return statement.bindparams(name=table).columns(schema=Text)


def invalid_partition_index_facts(table: str, schema: str | None) -> TextualSelect:
    """Select the facts of every invalid index of a table's partitions: left by a failed build, or being built."""
    return _select(_INVALID_OF_PARTITIONS).bindparams(table_name=table, schema=schema)


def facts_of(rows: Result[Any]) -> list[IndexFact]:
    """Return the rows of `index_facts` as facts, without indexes that were dropped during the query."""
    # The catalogs are read by snapshot, but the definition and the size are current: NULL if the index was dropped.
    return [IndexFact(**fact) for fact in rows.mappings() if None not in {fact["definition"], fact["size"]}]


def statuses(facts: Iterable[IndexFact], wanted: Iterable[PlannedIndex]) -> list[IndexStatus]:
    """Return the status of every existing or declared index, missing ones last."""
    plans = {plan.name: plan for plan in wanted}
    there = [fact.status(plans.pop(fact.name, None)) for fact in facts]
    missing = [
        IndexStatus(plan.name, plan.table, plan.schema, plan.shape.method, plan.create(), "missing", wanted=True)
        for plan in plans.values()
    ]
    return there + missing


def progress_of(index: str, row: Mapping[str, Any] | None, seconds: float) -> BuildProgress:
    """Return the progress of a build from a row of `PROGRESS`; without a row, it is waiting or has just ended.

    For ivfflat, pgvector counts tuples while loading them, else blocks; see its README, "Index Build Time".
    """
    if row is None:
        return BuildProgress(index, "waiting", None, seconds)
    done, total = row["tuples_done"], row["tuples_total"]
    if not total:
        done, total = row["blocks_done"], row["blocks_total"]
    return BuildProgress(index, row["phase"], min(100.0, 100.0 * done / total) if total else None, seconds)


def _select(condition: str) -> TextualSelect:
    return text(_FACTS.format(condition=condition)).columns(**_COLUMNS)
