"""Eager loading of related rows: collections by a separate statement, never joined to the rows of a search."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.orm import defaultload, selectinload

__all__ = ["apart"]


def apart(entity: Any) -> list[Any]:
    """Return loader options that load a collection by SELECT IN if the model has `lazy="joined"`.

    In a join, each row would occur once per member of the collection: SQLAlchemy refuses such a result unless its rows
    are made unique, which rows with JSON cannot be, and refuses to stream it.
    """
    return [*_options(entity, frozenset())]


def _options(entity: Any, above: frozenset[Any]) -> Iterator[Any]:
    mapper = inspect(entity).mapper
    for related in mapper.relationships:
        if related.lazy not in {"joined", False, "subquery"}:
            continue
        attribute = getattr(entity, related.key)
        if related.uselist or related.lazy == "subquery":
            yield selectinload(attribute)
        elif related.mapper not in above:
            below = [*_options(related.mapper.class_, above | {mapper})]
            if below:
                yield defaultload(attribute).options(*below)
