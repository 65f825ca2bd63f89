"""Autogenerate for vectors: for `alembic revision --autogenerate` and `alembic check` on any models.

Alembic alone does not detect that a vector index has another method, other options, another operator class or a cast to
another type, that a column got a dimension, or that the extension is missing. The code that it generates for a vector
column has no import. `configure_options` changes all of this.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal

from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import AlterColumnOp, CreateIndexOp, DropIndexOp, ModifyTableOps, UpgradeOps
from alembic.runtime.plugins import Plugin
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy import Connection, Dialect, Table
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.types import NullType, TypeEngine

from rowspace.indexes import escaped
from rowspace.migrations.catalog import VECTOR_METHODS, extension_schema
from rowspace.migrations.index_comparison import compare_indexes
from rowspace.migrations.operations import CreateExtensionOp
from rowspace.types import VectorType, stored_type

__all__ = ["configure_options"]

_PLUGIN = "rowspace.autogenerate"
_EXTENSION_TYPES = ("vector", "halfvec", "sparsevec")
_VECTOR_TYPE = re.compile(r"(?:\w+\.)?(?:vector|halfvec|sparsevec)\b")
_SIZED_TYPE = re.compile(rf"{_VECTOR_TYPE.pattern}|bit\b")

RenderItem = Callable[[str, Any, AutogenContext], str | Literal[False]]


def configure_options(
    *,
    render_item: RenderItem | None = None,
    autogenerate_plugins: Sequence[str] = ("alembic.autogenerate.*",),
) -> dict[str, Any]:
    """Return the keywords for `context.configure(...)` in an application's `env.py`.

    Args:
        render_item: the application's hook, which is called first.
        autogenerate_plugins: the application's list, to which Rowspace's plugin is added.
    """
    _register()

    def render(kind: str, item: Any, context: AutogenContext) -> str | Literal[False]:
        rendered = render_item(kind, item, context) if render_item is not None else False
        return _render_vector_type(kind, item, context) if rendered is False else rendered

    return {"render_item": render, "autogenerate_plugins": [*autogenerate_plugins, _PLUGIN]}


@cache
def _register() -> None:
    plugin = Plugin(_PLUGIN)
    add, postgresql = plugin.add_autogenerate_comparator, "postgresql"
    add(_recognise_types, "autogenerate", qualifier=postgresql, priority=DispatchPriority.FIRST)
    add(_write_sql_as_it_is, "autogenerate", qualifier=postgresql, priority=DispatchPriority.FIRST)
    add(_compare_extension, "autogenerate", qualifier=postgresql, priority=DispatchPriority.LAST)
    add(_free_names, "autogenerate", qualifier=postgresql, priority=DispatchPriority.LAST)
    add(compare_indexes, "table", "vector_indexes", qualifier=postgresql, priority=DispatchPriority.LAST)
    # In Alembic's own group, whose first member ends it if the application's `compare_type` decides.
    add(_compare_dimension, "column", "types", qualifier=postgresql, priority=DispatchPriority.LAST)


def _render_vector_type(kind: str, item: Any, context: AutogenContext) -> str | Literal[False]:
    module = type(item).__module__
    # Also for pgvector's types: Alembic writes the name of their module without importing it.
    if kind != "type" or not (isinstance(item, VectorType) or module.startswith("pgvector.")):
        return False
    context.imports.add(f"import {module}")
    # Leave variants to Alembic, which writes `with_variant` and calls this hook for each type.
    return False if item._variant_mapping else f"{module}.{item!r}"  # noqa: SLF001 -- there is no other way


def _recognise_types(context: AutogenContext, _: UpgradeOps) -> PriorityDispatchResult:
    """Let reflection recognize the types if the schema of the extension is not on the search path."""
    schema = extension_schema(_connection(context))
    if schema is not None:
        known = {f"{schema}.{name}".lower(): ischema_names[name] for name in _EXTENSION_TYPES}
        # Only on this dialect: another database may have the extension in another schema.
        dialect: Any = context.dialect
        dialect.ischema_names = {**dialect.ischema_names, **known}
    return PriorityDispatchResult.CONTINUE


def _write_sql_as_it_is(context: AutogenContext, _: UpgradeOps) -> PriorityDispatchResult:
    """Keep `LIKE 'a%'` and `'{"draft":true}'` in a generated file.

    Alembic writes SQL as it is sent to psycopg, with each % doubled, and running the file doubles it again: an index on
    `LIKE 'a%%'` serves no search for `LIKE 'a%'`. In a `text()` of the file, a word after a colon is a parameter.
    """
    impl: Any = context.migration_context.impl
    render = type(impl).render_ddl_sql_expr
    doubled = impl.dialect.identifier_preparer._double_percents  # noqa: SLF001 -- what decides it for SQLAlchemy too

    def written(expression: Any, *, is_index: bool = False, **options: Any) -> str:
        sql: str = render(impl, expression, is_index=is_index, **options)
        sql = sql.replace("%%", "%") if doubled else sql
        # Alembic writes the expressions of an index as `literal_column()`, which has no parameters.
        return sql if is_index else escaped(sql)

    # Only on this instance: Alembic creates a new one for each command and database.
    impl.render_ddl_sql_expr = written
    return PriorityDispatchResult.CONTINUE


def _compare_extension(context: AutogenContext, upgrade: UpgradeOps) -> PriorityDispatchResult:
    dialect = _connection(context).dialect
    # If several databases share the models, one of them may have no table with vectors.
    tables = [table for table in context.sorted_tables if _is_included(table, context)]
    if any(_needs_extension(table, dialect) for table in tables) and extension_schema(_connection(context)) is None:
        upgrade.ops.insert(0, CreateExtensionOp("vector"))
    return PriorityDispatchResult.CONTINUE


def _is_included(table: Table, context: AutogenContext) -> bool:
    return context.run_object_filters(table, table.name, "table", False, None)  # noqa: FBT003


def _needs_extension(table: Table, dialect: Dialect) -> bool:
    methods = {index.dialect_options["postgresql"]["using"] for index in table.indexes}
    # The stored type: the DDL of a domain is only its name.
    types = [_ddl(stored_type(column.type), dialect) for column in table.c]
    return any(map(_VECTOR_TYPE.match, types)) or bool(methods & VECTOR_METHODS)


def _free_names(_: AutogenContext, upgrade: UpgradeOps) -> PriorityDispatchResult:
    """Create an index after the one with its name on another table is dropped: index names are unique in a schema."""
    changes = [op for op in upgrade.ops if isinstance(op, ModifyTableOps)]
    dropped = {op.index_name: change for change in changes for op in change.ops if isinstance(op, DropIndexOp)}
    for change in changes:
        created = [op for op in change.ops if isinstance(op, CreateIndexOp)]
        moved = [op for op in created if dropped.get(str(op.index_name), change) is not change]
        if moved:
            change.ops[:] = [op for op in change.ops if op not in moved]
            upgrade.ops.append(ModifyTableOps(change.table_name, moved, schema=change.schema))
            if change.is_empty():
                upgrade.ops.remove(change)
    return PriorityDispatchResult.CONTINUE


def _compare_dimension(context: AutogenContext, alter: AlterColumnOp, *place: Any) -> PriorityDispatchResult:
    """Detect `vector` against `vector(n)`: Alembic compares type arguments only if both sides have some."""
    stored, wanted = (column.type for column in place[-2:])
    # In PostgreSQL, an array can have any number of dimensions, whatever its declaration.
    old, new = (re.sub(r"(\[\])+", "[]", _ddl(type_, _connection(context).dialect)) for type_ in (stored, wanted))
    if alter.modify_type is None and old != new and _SIZED_TYPE.match(old) and _SIZED_TYPE.match(new):
        alter.modify_type, alter.existing_type = wanted, stored
    return PriorityDispatchResult.CONTINUE


def _ddl(type_: TypeEngine[Any], dialect: Dialect) -> str:
    """Return a type as DDL, which also recognizes pgvector's types and decorated types."""
    return "" if isinstance(type_, NullType) else type_.compile(dialect=dialect).lower()


def _connection(context: AutogenContext) -> Connection:
    # None only in offline mode, in which Alembic does not compare.
    assert context.connection is not None  # noqa: S101
    return context.connection
