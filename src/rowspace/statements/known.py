"""The plainest search of a collection that was looked up before: one statement, which also finds out if it changed."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

from sqlalchemy import Select, Text, bindparam, cast, exists, inspect, literal_column, select

from rowspace.models import Collection, Document
from rowspace.statements.search import Target, distance_to

__all__ = ["NAME", "VERSION", "nearest_known", "with_version"]

NAME, VERSION = "rowspace_name", "rowspace_version"

# The transaction that wrote the row: another one whenever the collection was renamed, tuned or made anew.
_XMIN: Any = cast(literal_column("collections.xmin"), Text)


@cache
def with_version() -> Select[Any]:
    """Select the columns of the collection called `rowspace_name`, and last what `nearest_known` knows its state by."""
    columns = [getattr(Collection, attribute.key) for attribute in inspect(Collection).column_attrs]
    return select(*columns, _XMIN).where(Collection.name == bindparam(NAME, type_=Text()))


@lru_cache(512)
def nearest_known(target: Target[Document], k: int) -> Select[Any]:
    """Select id, content, metadata and distance of the k nearest documents, or nothing where the collection changed.

    Its parameters are the query, `rowspace_name` and `rowspace_version`.
    """
    distance = distance_to(target)
    ((_, collection_id),) = target.scope
    unchanged = exists(literal_column("1")).where(
        Collection.id == literal_column(f"{collection_id:d}"),
        Collection.name == bindparam(NAME, type_=Text()),
        bindparam(VERSION, type_=Text()) == _XMIN,
    )
    return (
        select(Document.id, Document.content, Document.meta, distance.label("distance"))
        .where(*target.conditions(planned_once=True), unchanged)
        .order_by(distance)
        .limit(literal_column(f"{k:d}"))
    )
