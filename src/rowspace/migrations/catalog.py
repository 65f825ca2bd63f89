"""The indexes of a table from PostgreSQL's catalogs, with everything needed to compare and to restore them.

SQLAlchemy's reflection omits operator classes in some versions, so it cannot restore a dropped index.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from alembic.operations.ops import CreateIndexOp, DropIndexOp
from sqlalchemy import JSON, Boolean, Connection, Text, literal_column, text
from sqlalchemy.dialects.postgresql import ARRAY

from rowspace.indexes import escaped

__all__ = ["VECTOR_METHODS", "StoredIndex", "cast_types", "extension_schema", "read_indexes"]

#: The access methods of pgvector.
VECTOR_METHODS = frozenset({"hnsw", "ivfflat"})

_INDEXES = text("""
    SELECT ic.relname AS name, am.amname AS method, i.indisvalid AS valid, i.indisunique AS is_unique,
           coalesce(ic.reloptions, '{}') AS options, pg_get_expr(i.indpred, i.indrelid) AS predicate,
           (SELECT json_agg(json_build_object(
                       'column', a.attname,
                       'expression', CASE WHEN a.attname IS NULL
                                          THEN pg_get_indexdef(i.indexrelid, k.n::int, true) END,
                       'opclass', o.opcname,
                       'is_default', o.opcdefault) ORDER BY k.n)
              FROM unnest(i.indclass::oid[]) WITH ORDINALITY AS k (opclass, n)
              JOIN pg_opclass o ON o.oid = k.opclass
              LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k.n - 1] AND a.attnum > 0
           ) AS keys
      FROM pg_index i
      JOIN pg_class ic ON ic.oid = i.indexrelid
      JOIN pg_am am ON am.oid = ic.relam
      JOIN pg_class tc ON tc.oid = i.indrelid
      JOIN pg_namespace n ON n.oid = tc.relnamespace
     WHERE tc.relname = :table_name
       AND CASE WHEN CAST(:schema AS text) IS NULL THEN pg_table_is_visible(tc.oid) ELSE n.nspname = :schema END
     ORDER BY ic.relname
""").columns(name=Text, method=Text, valid=Boolean, is_unique=Boolean, options=ARRAY(Text), predicate=Text, keys=JSON)

_EXTENSION = text("""
    SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'
""")

# The name is quoted if quote_all_identifiers is on.
_CAST_TYPE = re.compile(r'\b(vector|halfvec|sparsevec|bit)"?\s*\(\s*(\d+)\s*\)', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class StoredIndex:
    """An index in the database."""

    name: str
    table_name: str
    schema: str | None
    method: str
    #: False after a failed CREATE INDEX CONCURRENTLY: the planner does not use such an index.
    valid: bool
    is_unique: bool
    options: dict[str, str]
    predicate: str | None
    #: For each key: `column` or `expression`, `opclass`, and whether that `is_default` for the type and method.
    keys: Sequence[dict[str, Any]]

    @property
    def is_vector_index(self) -> bool:
        """Whether the access method is pgvector's."""
        return self.method in VECTOR_METHODS

    @property
    def expressions(self) -> list[str]:
        """The name of the column or the expression of each key."""
        return [str(key["column"] or key["expression"]) for key in self.keys]

    def creation(self) -> CreateIndexOp:
        """Return the operation that creates this index."""
        columns: list[Any] = [
            key["column"] or literal_column(f"({key['expression']})").label(f"key_{number}")
            for number, key in enumerate(self.keys, 1)
        ]
        names = [column if isinstance(column, str) else column.name for column in columns]
        options: dict[str, Any] = {
            "postgresql_using": self.method,
            "postgresql_ops": dict(zip(names, (key["opclass"] for key in self.keys), strict=True)),
        }
        if self.options:
            options["postgresql_with"] = self.options
        if self.predicate:
            options["postgresql_where"] = text(escaped(self.predicate))
        return CreateIndexOp(self.name, self.table_name, columns, schema=self.schema, unique=self.is_unique, **options)

    def removal(self) -> DropIndexOp:
        """Return the operation that drops this index; reversed, it creates the index with all of its options."""
        return DropIndexOp.from_index(self.creation().to_index())


def read_indexes(connection: Connection, table_name: str, schema: str | None) -> dict[str, StoredIndex]:
    """Return the indexes of a table by name; with `schema` None, of the table that the search path finds."""
    rows = connection.execute(_INDEXES, {"table_name": table_name, "schema": schema}).mappings()
    return {row["name"]: _stored(dict(row), table_name, schema) for row in rows}


def extension_schema(connection: Connection) -> str | None:
    """Return the schema of pgvector, or None if the database does not have it."""
    found: str | None = connection.scalar(_EXTENSION)
    return found


def cast_types(expression: str) -> list[tuple[str, int]]:
    """Return the vector types with a dimension that an index expression names, in order."""
    return [(name.lower(), int(dimension)) for name, dimension in _CAST_TYPE.findall(expression)]


def _stored(row: dict[str, Any], table_name: str, schema: str | None) -> StoredIndex:
    options = dict(option.split("=", 1) for option in row.pop("options"))
    return StoredIndex(table_name=table_name, schema=schema, options=options, **row)
