"""The comparator of vector indexes: method, keys, options, operator class, cast, and whether the build succeeded.

Alembic's own comparator runs before this one. It ignores most of these, and Alembic 1.18 reports any `cast()` as a
change, so its result for a vector index is replaced. An index that differs is dropped and created, because PostgreSQL
cannot change any of it in place.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from typing import Any

from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import CreateIndexOp, DropIndexOp, MigrateOperation, ModifyTableOps
from alembic.util import PriorityDispatchResult
from sqlalchemy import Dialect, Index, Table

from rowspace.migrations.catalog import VECTOR_METHODS, StoredIndex, cast_types, read_indexes

__all__ = ["compare_indexes", "index_differences"]

_log = logging.getLogger(__name__)

#: The options that pgvector uses by default. `lists` is not included: a model may leave it to the size of the table.
_DEFAULTS = {"hnsw": {"m": "16", "ef_construction": "64"}, "ivfflat": {}}

_TRAILING_OPCLASS = re.compile(r"\s(?:\w+\.)?(\w+_ops)\)*$")
_NAME = r"(?:\"[^\"]+\"|\w+)"
_TYPE = rf"(?:{_NAME}\.)?{_NAME}(?:\s+(?:precision|varying))?(?:\s*\(\s*\d+\s*\))?(?:\[\])*"
_CAST = re.compile(rf"\bcast\s*\((.*?)\s+as\s+{_TYPE}\s*\)|::\s*{_TYPE}", re.IGNORECASE)


def compare_indexes(  # noqa: PLR0917 (the signature is Alembic's)
    context: AutogenContext,
    modify: ModifyTableOps,
    schema: str | None,
    table_name: str,
    stored_table: Table | None,
    wanted_table: Table | None,
) -> PriorityDispatchResult:
    """Add the operations to `modify` that bring the vector indexes of a table in line with the model."""
    if stored_table is None or context.connection is None:
        return PriorityDispatchResult.CONTINUE
    stored = read_indexes(context.connection, table_name, schema)
    removals = [found.removal() for op in modify.ops if (found := _removed(op, stored))]
    modify.ops[:] = [*removals, *(op for op in modify.ops if not _removed(op, stored))]
    for name, index in _named(wanted_table, context.dialect):
        if name in stored and _is_vector_index(index, stored[name]):
            _compare_index(context, modify, index, stored[name])
    return PriorityDispatchResult.CONTINUE


def index_differences(index: Index, stored: StoredIndex, dialect: Dialect) -> list[str]:
    """Return in words how a model's vector index differs from the one in the database."""
    if stored.method != _method(index):
        return [f"USING {stored.method} to {_method(index)}"]
    options = index.dialect_options["postgresql"]
    expressions = _compiled(index, dialect)
    pairs = [
        ("keys", _bare(stored.expressions), _bare(expressions)),
        ("WITH", *_compared_options(stored.method, options["with"] or {}, stored.options)),
        ("operator class", *_compared_opclasses(index, expressions, stored)),
        ("cast", cast_types(" ".join(stored.expressions)), cast_types(" ".join(expressions))),
        ("rows", _rows(stored.predicate), _rows(options["where"])),
    ]
    found = [f"{what} {old} to {new}" for what, old, new in pairs if old != new]
    return found if stored.valid else ["INVALID to valid", *found]


def _is_vector_index(index: Index, stored: StoredIndex) -> bool:
    return bool(VECTOR_METHODS & {_method(index), stored.method})


def _method(index: Index) -> str:
    return str(index.dialect_options["postgresql"]["using"] or "btree").lower()


def _compare_index(context: AutogenContext, modify: ModifyTableOps, index: Index, stored: StoredIndex) -> None:
    # Also under the model's name, which Alembic uses, and which may be longer than the one in the database.
    modify.ops[:] = [op for op in modify.ops if not _is_about(op, {stored.name, str(index.name)})]
    assert context.dialect is not None  # noqa: S101
    differences = index_differences(index, stored, context.dialect)
    drop = stored.removal()
    if not differences or not _is_included(context, index, drop.to_index(), stored):
        return
    _log.info("Detected changed index %r on %r: %s", stored.name, stored.table_name, ", ".join(differences))
    # First, before a column gets a type that the old operator class does not support.
    modify.ops.insert(0, drop)
    modify.ops.append(CreateIndexOp.from_index(index))


def _is_included(context: AutogenContext, index: Index, stored_index: Index, stored: StoredIndex) -> bool:
    """Return whether the application's `include_name` and `include_object` include the index."""
    is_named = context.run_name_filters(
        stored.name, "index", {"table_name": stored.table_name, "schema_name": stored.schema}
    )
    return is_named and context.run_object_filters(index, index.name, "index", False, stored_index)  # noqa: FBT003


def _is_about(operation: MigrateOperation, names: set[str]) -> bool:
    return isinstance(operation, CreateIndexOp | DropIndexOp) and operation.index_name in names


def _removed(operation: MigrateOperation, stored: dict[str, StoredIndex]) -> StoredIndex | None:
    """Return the vector index that an operation drops."""
    found = stored.get(str(operation.index_name)) if isinstance(operation, DropIndexOp) else None
    return found if found is not None and found.is_vector_index else None


def _named(table: Table | None, dialect: Dialect) -> Iterator[tuple[str, Index]]:
    """Yield the model's indexes by their name in the database, which truncates long names."""
    for index in table.indexes if table is not None else ():
        name = dialect.identifier_preparer.format_constraint(index, _alembic_quote=False)
        if name is not None:
            yield name, index


def _compiled(index: Index, dialect: Dialect) -> list[str]:
    keywords = {"literal_binds": True, "include_table": False}
    # The expressions of an index that is attached to a table contain no plain strings.
    expressions: list[Any] = list(index.expressions)
    return [str(expression.compile(dialect=dialect, compile_kwargs=keywords)) for expression in expressions]


def _bare(expressions: Sequence[str]) -> list[str]:
    """Return expressions without casts, operator classes, parentheses and spaces, in which the two sides differ."""
    bare = []
    for expression in expressions:
        found, text = 1, _TRAILING_OPCLASS.sub("", expression)
        while found:
            text, found = _CAST.subn(r"\1", text)
        # Compiling for psycopg doubles each %.
        bare.append(re.sub(r"[()\s\"]", "", text).lower().replace("%%", "%"))
    return bare


def _rows(predicate: Any) -> str:
    # PostgreSQL rewrites predicates, so their texts cannot be compared.
    return "all" if predicate is None else "some"


def _compared_options(
    method: str, wanted: dict[str, Any], stored: dict[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the stored and the declared options with pgvector's defaults, without those that the model leaves open."""
    full = _DEFAULTS[method] | {name.lower(): str(value).lower() for name, value in wanted.items()}
    old = _DEFAULTS[method] | stored
    return {name: value for name, value in old.items() if name in full}, full


def _compared_opclasses(index: Index, expressions: list[str], stored: StoredIndex) -> tuple[list[str], list[str]]:
    """Return the stored and the declared operator classes; by default, that of the type."""
    named = index.dialect_options["postgresql"]["ops"] or {}
    old = [str(key["opclass"]) for key in stored.keys]
    new = []
    for position, (element, compiled) in enumerate(zip(index.expressions, expressions, strict=True)):
        trailing = _TRAILING_OPCLASS.search(compiled)
        name = named.get(getattr(element, "key", None)) or (trailing and trailing[1])
        is_default = position < len(stored.keys) and stored.keys[position]["is_default"]
        new.append(name.rpartition(".")[2] if name else old[position] if is_default else "default")
    return old, new
