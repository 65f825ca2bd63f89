"""Statements about the rows that the rules of a session make visible, for operations that use COPY.

Each is an ORM SELECT from the model, to which `with_loader_criteria` and the discriminator of an inheritance apply. The
writing part is a WITH query inside it, because event listeners look for a SELECT.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, MetaData, Select, Table, and_, cast, func, inspect, literal_column, select
from sqlalchemy.sql.dml import Delete, Insert

from rowspace.statements.search import Where

__all__ = ["collect", "discard_hidden", "staged_visible"]


def collect(model: type[Any], keys: Sequence[Column[Any]], selection: str, where: Where) -> Select[int]:
    """Insert the keys of rows that meet the conditions into the temporary table `selection`; select their number."""
    rows = select(*keys).select_from(model).where(*where)
    insert = _temporary(selection, keys).insert().from_select([key.name for key in keys], rows)
    return _counted(model, insert)


def staged_visible(model: type[Any], stage: str, constants: Sequence[tuple[str, int]]) -> Select[int]:
    """Select the number of rows whose key is in the temporary table `stage`."""
    keys = _keys(model, constants)
    staged = _temporary(stage, keys)
    return select(func.count()).select_from(model).join(staged, _same(model, staged, keys, constants))


def discard_hidden(model: type[Any], stage: str, constants: Sequence[tuple[str, int]]) -> Select[int]:
    """Delete the rows of the temporary table `stage` whose key has no row, and select their number."""
    keys = _keys(model, constants)
    staged = _temporary(stage, keys)
    known: Select[Any] = select(literal_column("1")).select_from(model).where(_same(model, staged, keys, constants))
    return _counted(model, staged.delete().where(~known.correlate(staged).exists()))


def _counted(model: type[Any], change: Insert | Delete) -> Select[int]:
    changed = change.returning(literal_column("1").label("one")).cte("rowspace_changed")
    # It starts as a SELECT of the model, so that the rules of the session apply.
    begun = select(model).with_only_columns(func.count(), maintain_column_froms=False)
    return begun.select_from(changed)


def _keys(model: type[Any], constants: Sequence[tuple[str, int]]) -> list[Column[Any]]:
    fixed = dict(constants)
    return [key for key in inspect(model).local_table.primary_key.columns if key.name not in fixed]


def _temporary(name: str, keys: Sequence[Column[Any]]) -> Table:
    return Table(name, MetaData(), *(Column(key.name, key.type) for key in keys), schema="pg_temp")


def _same(
    model: type[Any], staged: Table, keys: Sequence[Column[Any]], constants: Sequence[tuple[str, int]]
) -> ColumnElement[bool]:
    table = inspect(model).local_table
    fixed = [table.c[name] == value for name, value in constants]
    return and_(*fixed, *(key == cast(staged.c[key.name], key.type) for key in keys))
