"""Plain searches of a collection that is cached: one statement, which also detects whether it has changed."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, bindparam, cast, exists, inspect, literal_column, select

from rowspace.models import Collection, Document
from rowspace.statements.few import best_of_few, is_at
from rowspace.statements.search import DISTANCE, Nearest, Target, distance_to, number

__all__ = ["NAME", "VERSION", "nearest_known", "nearest_known_of_few", "with_version"]

NAME, VERSION = "rowspace_name", "rowspace_version"

# The transaction that wrote the row; it changes whenever the collection is renamed, tuned or created again.
_XMIN: Any = cast(literal_column("collections.xmin"), Text)


@cache
def with_version() -> Select[Any]:
    """Select the columns of the collection called `rowspace_name`, and its version for `nearest_known`."""
    columns = [getattr(Collection, attribute.key) for attribute in inspect(Collection).column_attrs]
    return select(*columns, _XMIN).where(Collection.name == bindparam(NAME, type_=Text()))


@lru_cache(512)
def nearest_known(target: Target[Document], k: int) -> Select[Any]:
    """Select id, content, metadata and distance of the k nearest documents, or nothing if the collection has changed.

    The parameters are the query, `rowspace_name` and `rowspace_version`.
    """
    distance = distance_to(target)
    return (
        select(*_COLUMNS, distance.label(DISTANCE))
        .where(*target.conditions(planned_once=True), _unchanged(target))
        .order_by(distance)
        .limit(number(k))
    )


@lru_cache(512)
def nearest_known_of_few(
    target: Target[Document], k: int, found: ColumnElement[bool], passing: ColumnElement[bool] | None = None
) -> Select[Any]:
    """Select the same under a filter, from the rows that an index finds; the first column says whether it found more.

    If it did, the documents are not the nearest. For the filter see `nearest_of_few`.
    """
    best, more = best_of_few(target, Nearest(k), found, passing)
    return (
        select(more, *_COLUMNS, best.c[DISTANCE])
        .join(best, is_at(target, best))
        .where(*target.in_scope(planned_once=True), _unchanged(target))
        .order_by(best.c[DISTANCE])
    )


_COLUMNS = (Document.id, Document.content, Document.meta)


def _unchanged(target: Target[Document]) -> ColumnElement[bool]:
    ((_, collection_id),) = target.scope
    return exists(literal_column("1")).where(
        Collection.id == number(collection_id),
        Collection.name == bindparam(NAME, type_=Text()),
        bindparam(VERSION, type_=Text()) == _XMIN,
    )
