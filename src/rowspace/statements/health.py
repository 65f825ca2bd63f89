"""The facts for the checks of `rowspace.statements.checks`, and the statements that read them.

Sources: PostgreSQL's manual, "pg_stat_all_tables", "pg_class" and "pg_available_extensions".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, TypeVar

from sqlalchemy import JSON, BigInteger, Boolean, Float, Integer, Result, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.selectable import TextualSelect

from rowspace.statements.catalog import IndexFact
from rowspace.statements.indexing import PlannedIndex

__all__ = ["SERVER", "Asked", "Facts", "ServerFact", "TableFact", "tables", "tables_of"]

T = TypeVar("T")

SERVER = text("""
    SELECT CAST(current_setting('server_version_num') AS integer) / 10000 AS postgresql,
           (SELECT extversion FROM pg_extension WHERE extname = 'vector') AS extension,
           (SELECT nspname FROM pg_namespace n JOIN pg_extension e ON e.extnamespace = n.oid
             WHERE e.extname = 'vector' AND nspname <> ALL (current_schemas(true))) AS hidden_in,
           (SELECT default_version FROM pg_available_extensions WHERE name = 'vector') AS available,
           pg_size_bytes(current_setting('shared_buffers')) AS shared_buffers,
           pg_size_bytes(current_setting('maintenance_work_mem')) AS maintenance_work_mem,
           CAST(current_setting('random_page_cost') AS float) AS random_page_cost,
           (SELECT CAST(extract(epoch FROM now() - stats_reset) AS float)
              FROM pg_stat_database WHERE datname = current_database()) AS counting_since
""").columns(
    postgresql=Integer,
    extension=Text,
    hidden_in=Text,
    available=Text,
    shared_buffers=BigInteger,
    maintenance_work_mem=BigInteger,
    random_page_cost=Float,
    counting_since=Float,
)

# The modifier of a pgvector type is its dimension, or -1. If a load ends with ANALYZE, the server counts its rows as
# changed when it commits. The number of changes is therefore limited to the rows added since, plus all updates and
# deletes. A standby, and a server whose counters were reset, have no time of the last ANALYZE, so the query looks for
# the statistics themselves.
_TABLES = text("""
    SELECT n.nspname AS schema, c.relname AS name, coalesce(nullif(c.reltuples, -1), s.n_live_tup, 0) AS rows,
           coalesce(least(
               s.n_mod_since_analyze,
               CAST(greatest(s.n_live_tup - greatest(c.reltuples, 0), 0) AS bigint) + s.n_tup_upd + 2 * s.n_tup_del
           ), 0) AS modified, coalesce(s.n_dead_tup, 0) AS dead,
           s.last_analyze IS NOT NULL OR s.last_autoanalyze IS NOT NULL OR EXISTS (
               SELECT FROM pg_stats p WHERE p.schemaname = n.nspname AND p.tablename = c.relname
           ) AS analyzed, coalesce(v.dimensions, '{}') AS dimensions, pg_table_is_visible(c.oid) AS is_visible,
           c.relispartition AS is_partition
      FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN (SELECT a.attrelid, json_object_agg(a.attname, a.atttypmod) AS dimensions
              FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
             WHERE t.typname IN ('vector', 'halfvec', 'sparsevec') AND a.attnum > 0 AND NOT a.attisdropped
             GROUP BY a.attrelid) v ON v.attrelid = c.oid
      LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
     WHERE c.relkind IN ('r', 'p', 'm', 'f', 'v') AND c.relpersistence <> 't'
       AND (v.attrelid IS NOT NULL OR c.relname = ANY(:asked))
     ORDER BY n.nspname, c.relname
""").columns(
    schema=Text,
    name=Text,
    rows=Float,
    modified=BigInteger,
    dead=BigInteger,
    analyzed=Boolean,
    dimensions=JSON,
    is_visible=Boolean,
    is_partition=Boolean,
)


@dataclass(frozen=True, slots=True)
class ServerFact:
    """The server: its version and the extension's, sizes in bytes, and the age in seconds of its index statistics."""

    postgresql: int
    extension: str | None
    available: str | None
    shared_buffers: int
    maintenance_work_mem: int
    random_page_cost: float
    #: None if the counters were never reset.
    counting_since: float | None
    #: The schema of the extension, if it is not in this role's search path.
    hidden_in: str | None = None


@dataclass(frozen=True, slots=True)
class TableFact:
    """A table: rows as of the last ANALYZE, changes since then, and dead rows that have not been vacuumed."""

    schema: str
    name: str
    rows: float = 0
    modified: int = 0
    dead: int = 0
    analyzed: bool = True
    #: The dimension of each vector column, or -1.
    dimensions: Mapping[str, int] = field(default_factory=dict)
    #: Whether the search path finds it without its schema.
    is_visible: bool = True
    is_partition: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What a model or a collection declares.

    Args:
        name: its name in messages.
        table: its table, not quoted.
        indexes: its declared indexes.
        dimensions: the dimension of each column that declares one.
        command: its name on the command line; None for a model.
        schema: the schema of the table; None is the search path's.
        reembedded_by: the embedder of an unfinished re-embedding, else None.
        attach: the statement that attaches the table of a collection as a partition; None for a model.
    """

    name: str
    table: str
    indexes: Sequence[PlannedIndex]
    dimensions: Mapping[str, int] = field(default_factory=dict)
    command: str | None = None
    schema: str | None = None
    reembedded_by: str | None = None
    attach: str | None = None

    def is_of(self, table: TableFact) -> bool:
        """Whether a table of that name is the declared one."""
        return table.is_visible if self.schema is None else table.schema == self.schema


@dataclass(frozen=True, slots=True)
class Facts:
    """The input of all checks."""

    server: ServerFact
    tables: Sequence[TableFact] = ()
    indexes: Sequence[IndexFact] = ()
    asked: Sequence[Asked] = ()
    # By table name: each check looks up each collection, and there may be thousands.
    _tables: Mapping[str, list[TableFact]] = field(init=False, repr=False, compare=False)
    _indexes: Mapping[str, list[IndexFact]] = field(init=False, repr=False, compare=False)
    _asked: Mapping[str, list[Asked]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_tables", _by(attrgetter("name"), self.tables))
        object.__setattr__(self, "_indexes", _by(attrgetter("table"), self.indexes))
        object.__setattr__(self, "_asked", _by(attrgetter("table"), self.asked))

    def table(self, asked: Asked) -> TableFact | None:
        """Return the declared table, if it exists."""
        tables = self._tables.get(asked.table, [])
        return next(filter(asked.is_of, tables), None)

    def on(self, asked: Asked) -> list[IndexFact]:
        """Return the indexes of the declared table."""
        indexes = self._indexes.get(asked.table, [])
        return [index for index in indexes if self._is_on(index, asked)]

    def owner(self, index: IndexFact) -> Asked | None:
        """Return what declares the table of an index, if anything does."""
        asked = self._asked.get(index.table, [])
        return next((one for one in asked if self._is_on(index, one)), None)

    def _is_on(self, index: IndexFact, asked: Asked) -> bool:
        table = self.table(asked)
        return table is not None and index.schema == table.schema


def _by(name: Callable[[T], str], facts: Iterable[T]) -> dict[str, list[T]]:
    found: dict[str, list[T]] = {}
    for fact in facts:
        found.setdefault(name(fact), []).append(fact)
    return found


def tables(asked: Iterable[Asked]) -> TextualSelect:
    """Select the facts of every table with a vector column, and of the declared tables."""
    names = bindparam("asked", [one.table for one in asked], type_=ARRAY(Text))
    return _TABLES.bindparams(names)


def tables_of(rows: Result[Any]) -> list[TableFact]:
    """Return the rows of `tables` as facts."""
    return [TableFact(**fact) for fact in rows.mappings()]
