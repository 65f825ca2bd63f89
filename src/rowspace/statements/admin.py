"""DDL of collections: a partition of `documents`, and the indexes on it.

These texts contain only checked numbers, quoted identifiers that Rowspace generated, and quoted literals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rowspace.indexes import MAX_INDEXED, Spec
from rowspace.statements.identifiers import qualified, quote
from rowspace.statements.indexing import PlannedIndex, planned_key, planned_vector
from rowspace.statements.text import text_vector_ddl

__all__ = ["Partition"]

#: The statistics target of the metadata; PostgreSQL's default is 100.
_SAMPLES = 500
#: The bytes of a row besides its vector above which PostgreSQL moves values out of the page; PostgreSQL's default.
_BESIDE = 2_040
#: The maximum of `toast_tuple_target`: a row that fills its page.
_MAX_TARGET = 8_160


@dataclass(frozen=True, slots=True)
class Partition:
    """The partition of one collection, and the statements that create, index and drop it.

    Args:
        collection_id: the collection's id.
        dimension: length of an embedding.
        schema: the schema of `documents`, or None for the search path's.
        suffix: a suffix of the table's name, for a table that will replace a partition later.
    """

    collection_id: int
    dimension: int
    schema: str | None = None
    suffix: str = ""

    @property
    def name(self) -> str:
        """The name of the table, not quoted."""
        return f"documents_{self.collection_id:d}{self.suffix}"

    @property
    def qualified(self) -> str:
        """The name of the table with its schema, quoted."""
        return self._in_schema(self.name)

    @property
    def key(self) -> str:
        """The name of its primary key and the index of that, not quoted."""
        return f"pk_{self.name}"

    def create(self) -> list[str]:
        """Return the statements that create the partition: it is built as a table, then attached.

        `CREATE TABLE ... PARTITION OF` would lock all other collections meanwhile (PostgreSQL manual, "Declarative
        Partitioning").
        """
        return [*self.build(), self.attach()]

    def attach(self) -> str:
        """Return the statement that makes the table a partition."""
        parent = self._in_schema("documents")
        return f"ALTER TABLE {parent} ATTACH PARTITION {self.qualified} FOR VALUES IN ({self.collection_id:d})"

    def build(self) -> list[str]:
        """Return the statements that create the table, not yet attached to `documents`."""
        parent, table = self._in_schema("documents"), self.qualified
        parts = (
            f"LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE",
            f"CONSTRAINT {quote(f'ck_{self.name}_dimension')} CHECK (vector_dims(embedding) = {self.dimension:d})",
            f"CONSTRAINT {quote(self.key)} PRIMARY KEY (collection_id, id)",
        )
        return [
            f"CREATE TABLE {table} ({', '.join(parts)})",
            *self._store_inline(table),
            # The planner evaluates a filter on its sampled values. A filter that 1 % of the rows pass often matches
            # three or four of 100, and the planner then scans the whole vector index. Costs 0.04 ms of planning.
            f"ALTER TABLE {table} ALTER COLUMN metadata SET STATISTICS {_SAMPLES:d}",
        ]

    def _store_inline(self, table: str) -> list[str]:
        """Return the statements that keep vectors in the row itself, for every dimension that an index supports.

        PostgreSQL moves a vector of 500 or more dimensions out of the row. The planner ignores the cost of fetching it,
        and therefore compares every row of a small collection although the index takes a hundredth of the time
        (pgvector's README, "Performance"). `main` never refuses a row: values that do not fit in a page still move out.
        """
        if self.dimension > MAX_INDEXED["vector"]:
            return []
        target = min(4 * self.dimension + _BESIDE, _MAX_TARGET)
        return [
            f"ALTER TABLE {table} ALTER COLUMN embedding SET STORAGE MAIN",
            f"ALTER TABLE {table} SET (toast_tuple_target = {target:d})",
        ]

    def guard(self) -> str:
        """Return the statement that denies all but the owner direct access to the table, which has no policies."""
        return f"ALTER TABLE {self.qualified} ENABLE ROW LEVEL SECURITY"

    def hold(self) -> str:
        """Return the PL/pgSQL statement that locks the collection's row."""
        return f"PERFORM FROM {self._in_schema('collections')} WHERE id = {self.collection_id:d} FOR UPDATE"

    def drop(self) -> str:
        """Return the statement that drops the partition with all its rows."""
        return f"DROP TABLE IF EXISTS {self.qualified}"

    def indexes(self, spec: Spec | None, language: str, keys: Sequence[str] = ()) -> list[PlannedIndex]:
        """Return the secondary indexes: on metadata, text and keys, and on the vectors if there is a specification.

        Raises:
            InvalidFilter: a key is malformed.
        """
        parts = {"metadata": "gin (metadata jsonb_path_ops)", "text": f"gin ({text_vector_ddl(language)})"}
        if spec is not None:
            parts["embedding"] = planned_vector(spec, self.dimension)
        return [*(self._index(*part) for part in parts.items()), *map(self.key_index, keys)]

    def key_index(self, key: str) -> PlannedIndex:
        """Return the index on a metadata key.

        Raises:
            InvalidFilter: the key is malformed.
        """
        return self._index(*planned_key(key))

    def _index(self, suffix: str, definition: str) -> PlannedIndex:
        return PlannedIndex(f"ix_{self.name}_{suffix}", self.name, definition, self.schema)

    def create_indexes(self, spec: Spec | None, language: str, keys: Sequence[str] = ()) -> list[str]:
        """Return the statements that create the secondary indexes, unless they exist.

        Run them after loading the rows: building an HNSW index is several times faster than filling it row by row.
        """
        return [index.create(if_not_exists=True) for index in self.indexes(spec, language, keys)]

    def analyze(self) -> str:
        """Return the statement that refreshes the planner's statistics, which decide between the indexes."""
        return f"ANALYZE {self.qualified}"

    def _in_schema(self, name: str) -> str:
        return qualified(name, self.schema)
