"""Convert the conditions of a Django queryset to one condition of a SQLAlchemy statement.

Django compiles them to SQL text with placeholders. If they use only the model's table, that text becomes part of the
search's WHERE, so that an index scan can apply it. Joins, slices and the like become `key IN (subquery)`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db import connections
from sqlalchemy import ColumnElement, bindparam, false, text, tuple_
from sqlalchemy.types import NullType

from rowspace.integrations.django.tables import key_names

__all__ = ["conditions_of"]

_PLACEHOLDER = re.compile(r"%(s|%)")


def conditions_of(queryset: Any, entity: type[Any]) -> list[Any]:
    """Return the conditions of a queryset on the table of `entity`, as a list of at most one condition.

    Its values are parameters, as Django would send them to the server.
    """
    query = queryset.query
    try:
        with _server_side(connections[queryset.db]):
            if _is_plain(query, queryset.model):
                return [_fragment(*query.get_compiler(queryset.db).compile(query.where))]
            return [_key_in(queryset, entity)]
    except FullResultSet:
        return []
    except EmptyResultSet:
        return [false()]


def _is_plain(query: Any, model: Any) -> bool:
    """Return whether the conditions can be evaluated on each row of the model's table alone."""
    query.get_initial_alias()
    used = [alias for alias, count in query.alias_refcount.items() if count]
    whole = query.combinator or query.is_sliced or query.distinct or query.group_by is not None or query.extra_tables
    return used == [model._meta.db_table] and not whole and not query.where.contains_over_clause


def _key_in(queryset: Any, entity: type[Any]) -> ColumnElement[bool]:
    names = key_names(queryset.model)
    # For a slice or a DISTINCT ON, the order determines which rows it selects.
    chosen = queryset.query.is_sliced or queryset.query.distinct_fields
    inner = queryset if chosen else queryset.order_by()
    # Not `pk`: the columns of a composite key are needed separately.
    subquery = _fragment(*inner.values_list(*names).query.sql_with_params())
    keys = [getattr(entity, name) for name in names]
    key = tuple_(*keys) if len(keys) > 1 else keys[0]
    condition: ColumnElement[bool] = key.op("IN", is_comparison=True)(subquery)
    return condition


def _fragment(sql: str, params: Sequence[Any]) -> Any:
    """Convert SQL with Django's placeholders to a parenthesized SQLAlchemy text with bound parameters."""
    names = iter([f"rowspace_django_{number}" for number in range(len(params))])

    def replaced() -> Iterator[str]:
        end = 0
        for match in _PLACEHOLDER.finditer(sql):
            yield _literal(sql[end : match.start()])
            yield f":{next(names)}" if match[1] == "s" else "%"
            end = match.end()
        yield _literal(sql[end:])

    written = text(f"({''.join(replaced())})")
    # Without a type, the driver gets the value as Django prepared it, and the server infers its type.
    bound = [bindparam(f"rowspace_django_{number}", value, type_=NullType()) for number, value in enumerate(params)]
    return written.bindparams(*bound)


def _literal(sql: str) -> str:
    # In SQLAlchemy's text(), a colon starts a parameter unless it is escaped.
    return sql.replace(":", r"\:")


@contextmanager
def _server_side(wrapper: Any) -> Iterator[None]:
    """Make Django add the casts that server-side parameters need, because the parameters are bound by the server."""
    name, features = "uses_server_side_binding", vars(wrapper.features)
    before = {name: features[name]} if name in features else {}
    features[name] = True
    try:
        yield
    finally:
        del features[name]
        features.update(before)
