"""Autogenerate that sees vectors: for `alembic revision --autogenerate` and `alembic check` on any models.

Alembic alone does not notice that a vector index changed its method, its options, its operator class or the type
that it casts to, that a column got a dimension, or that the extension is missing; and what it writes for a vector
column has no import. `configure_options` turns all of that on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal

from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import AlterColumnOp, UpgradeOps
from alembic.runtime.plugins import Plugin
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy import Connection, Table
from sqlalchemy.dialects.postgresql.base import ischema_names

from rowspace.migrations.catalog import VECTOR_METHODS, extension_schema
from rowspace.migrations.index_comparison import compare_indexes
from rowspace.migrations.operations import CreateExtensionOp
from rowspace.types import VectorType

__all__ = ["configure_options"]

_PLUGIN = "rowspace.autogenerate"
_EXTENSION_TYPES = ("vector", "halfvec", "sparsevec")

RenderItem = Callable[[str, Any, AutogenContext], str | Literal[False]]


def configure_options(
    *,
    render_item: RenderItem | None = None,
    autogenerate_plugins: Sequence[str] = ("alembic.autogenerate.*",),
) -> dict[str, Any]:
    """Return the keywords for `context.configure(...)` in an application's `env.py`.

    Args:
        render_item: the application's own hook; it is asked first.
        autogenerate_plugins: the application's own list; Rowspace's is added to it.
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
    add(_compare_extension, "autogenerate", qualifier=postgresql, priority=DispatchPriority.LAST)
    add(compare_indexes, "table", "vector_indexes", qualifier=postgresql, priority=DispatchPriority.LAST)
    add(_compare_dimension, "column", "dimension", qualifier=postgresql, priority=DispatchPriority.LAST)


def _render_vector_type(kind: str, item: Any, context: AutogenContext) -> str | Literal[False]:
    module = type(item).__module__
    # pgvector's own types too: Alembic writes their module's name without importing it.
    if kind != "type" or not (isinstance(item, VectorType) or module.startswith("pgvector.")):
        return False
    context.imports.add(f"import {module}")
    return f"{module}.{item!r}"


def _recognise_types(context: AutogenContext, _: UpgradeOps) -> PriorityDispatchResult:
    """Let reflection know the types where the extension's schema is not on the search path."""
    schema = extension_schema(_connection(context), "vector")
    if schema is not None:
        known = {f"{schema}.{name}".lower(): ischema_names[name] for name in _EXTENSION_TYPES}
        # On this dialect alone: another database may have the extension elsewhere.
        dialect: Any = context.dialect
        dialect.ischema_names = {**dialect.ischema_names, **known}
    return PriorityDispatchResult.CONTINUE


def _compare_extension(context: AutogenContext, upgrade: UpgradeOps) -> PriorityDispatchResult:
    needed = any(_needs_extension(table) for table in context.sorted_tables)
    if needed and extension_schema(_connection(context), "vector") is None:
        upgrade.ops.insert(0, CreateExtensionOp("vector"))
    return PriorityDispatchResult.CONTINUE


def _needs_extension(table: Table) -> bool:
    types = {str(getattr(column.type, "name", "")) for column in table.c if isinstance(column.type, VectorType)}
    methods = {index.dialect_options["postgresql"]["using"] for index in table.indexes}
    return not types.isdisjoint(_EXTENSION_TYPES) or not methods.isdisjoint(VECTOR_METHODS)


def _compare_dimension(_: AutogenContext, alter: AlterColumnOp, *place: Any) -> PriorityDispatchResult:
    """Notice `vector` against `vector(n)`: Alembic compares type arguments only where both sides have some."""
    stored, wanted = (column.type for column in place[-2:])
    both = isinstance(stored, VectorType) and isinstance(wanted, VectorType)
    if alter.modify_type is None and both and repr(stored) != repr(wanted):
        alter.modify_type, alter.existing_type = wanted, stored
    return PriorityDispatchResult.CONTINUE


def _connection(context: AutogenContext) -> Connection:
    # None only offline, where Alembic does not compare.
    assert context.connection is not None  # noqa: S101
    return context.connection
