"""The conditions of a Django queryset as one condition of a SQLAlchemy statement.

Django compiles them to SQL text with placeholders. Where they concern the model's table alone, that text goes into the
WHERE of the search, so that an index scan sees it; joins, slices and the like become `key IN (subquery)`.
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
    """Return the conditions of a queryset over the table of `entity`: none, or one.

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
    """Return whether the conditions can be asked of each row of the model's table by itself."""
    query.get_initial_alias()
    used = [alias for alias, count in query.alias_refcount.items() if count]
    whole = query.combinator or query.is_sliced or query.distinct or query.group_by is not None or query.extra_tables
    return used == [model._meta.db_table] and not whole and not query.where.contains_over_clause


def _key_in(queryset: Any, entity: type[Any]) -> ColumnElement[bool]:
    names = key_names(queryset.model)
    # The order says which rows a slice or a DISTINCT ON chooses.
    chosen = queryset.query.is_sliced or queryset.query.distinct_fields
    inner = queryset if chosen else queryset.order_by()
    # Not `pk`: of a composite key the columns are needed one by one.
    subquery = _fragment(*inner.values_list(*names).query.sql_with_params())
    keys = [getattr(entity, name) for name in names]
    key = tuple_(*keys) if len(keys) > 1 else keys[0]
    condition: ColumnElement[bool] = key.op("IN", is_comparison=True)(subquery)
    return condition


def _fragment(sql: str, params: Sequence[Any]) -> Any:
    """Return SQL with Django's placeholders as SQLAlchemy's text in parentheses, the values as parameters."""
    names = iter([f"rowspace_django_{number}" for number in range(len(params))])

    def replaced() -> Iterator[str]:
        end = 0
        for match in _PLACEHOLDER.finditer(sql):
            yield _literal(sql[end : match.start()])
            yield f":{next(names)}" if match[1] == "s" else "%"
            end = match.end()
        yield _literal(sql[end:])

    written = text(f"({''.join(replaced())})")
    # Without a type: the value goes to the driver as Django made it, and takes the type of its place.
    bound = [bindparam(f"rowspace_django_{number}", value, type_=NullType()) for number, value in enumerate(params)]
    return written.bindparams(*bound)


def _literal(sql: str) -> str:
    # In SQLAlchemy's text a colon begins a parameter, unless it is escaped.
    return sql.replace(":", r"\:")


@contextmanager
def _server_side(wrapper: Any) -> Iterator[None]:
    """Have Django write the casts that it writes where parameters are bound by the server, as they are here."""
    name, features = "uses_server_side_binding", vars(wrapper.features)
    before = {name: features[name]} if name in features else {}
    features[name] = True
    try:
        yield
    finally:
        del features[name]
        features.update(before)
