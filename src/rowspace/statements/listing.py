"""Statements that list rows in an order, page by page, without a search.

A listing consists of consecutive parts in which the order has no NULL: a page can then continue by a single row
comparison, which an index with that order serves.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import dropwhile
from typing import Any, Generic, TypeVar

from sqlalchemy import (
    Column,
    ColumnElement,
    Date,
    DateTime,
    Double,
    Float,
    Numeric,
    Select,
    Text,
    bindparam,
    cast,
    func,
    inspect,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import defer, undefer
from sqlalchemy.types import NullType, TypeEngine

from rowspace.errors import ConfigurationError
from rowspace.statements.browse import Key
from rowspace.statements.eager import apart
from rowspace.statements.keyed import beginning, number_and_text, text_of, value_and_text
from rowspace.statements.search import Target, Where, key_columns, number, planned_for
from rowspace.types import stored_type

__all__ = ["After", "Listing", "Part", "after", "parts", "rows", "scroll"]

M = TypeVar("M")
By = tuple[ColumnElement[Any], ...]


@dataclass(frozen=True, slots=True)
class After:
    """The last row of a page: the text of its value, or None, and of its primary key."""

    value: str | None
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listing(Generic[M]):
    """The shape of a listing.

    Args:
        target: the rows.
        key: the key to order by, before the primary key; None means the primary key alone.
        descending: reverse the order; rows without a value come last in both directions.
        with_embedding: also load the embedding.
        indexed: whether it is a metadata key with an index.
    """

    target: Target[M]
    key: Key | None = None
    descending: bool = False
    with_embedding: bool = False
    indexed: bool = False

    @property
    def keys(self) -> list[Column[Any]]:
        """The columns of the primary key that the scope leaves open."""
        return [*key_columns(self.target).values()]

    @property
    def signature(self) -> list[Any]:
        """What distinguishes this listing from others, as JSON."""
        order = [] if self.key is None else [self.key.attribute, *self.key.path]
        table = str(inspect(self.target.model).local_table)
        return [table, [value for _, value in self.target.scope], order, self.descending]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a listing, whose rows are ordered by expressions that are not NULL.

    Args:
        where: the condition of its rows.
        given: expressions that are not NULL in its rows; omitted next to a comparison with `after`, which implies that,
            since the planner would count both.
        by: the expressions to order by, before the primary key.
        holds: tells whether a value, given as the text that `scroll` selects, is in this part.
        at: the values of `by` for that value.
        first: an expression that is NULL in its rows, and the first column of the index with their order.
        after: the row after which a page continues.
    """

    where: By = ()
    given: By = ()
    by: By = ()
    holds: Callable[[str | None], bool] = lambda _: True
    at: Callable[[str | None], By] = lambda _: ()
    first: By = ()
    after: After | None = None


def parts(listing: Listing[Any], after: After | None = None) -> Iterator[Part]:
    """Yield the parts of a listing that follow a row."""
    every = _parts(listing)
    if after is None:
        yield from every
        return
    first, *others = dropwhile(lambda part: not part.holds(after.value), every)
    yield replace(first, after=after)
    yield from others


def scroll(listing: Listing[M], part: Part, limit: int, where: Where) -> Select[Any]:
    """Select rows of a part of a listing: each row, the text of its value, and of its primary key.

    Costs `limit` rows if an index has the order: the primary key, or (column, primary key). If an index has only the
    order of a column or a metadata key, all rows of each value on the page are read and sorted. Any other order costs a
    pass over the rows that match, and a sort for the page.
    """
    key, keys = listing.key, listing.keys
    # Labeled, because a cast has the name of its column, which is already selected.
    marks: list[Any] = [_as_text(column).label(f"rowspace_key_{place}") for place, column in enumerate(keys)]
    value: Any = literal_column("NULL") if key is None else _as_text(_found(key)).label("rowspace_value")
    order = [one.desc() if listing.descending else one for one in (*part.first, *part.by, *keys)]
    return (
        select(listing.target.model, value, *marks)
        .where(*listing.target.in_scope(), *planned_for(where), *part.where)
        .where(*(one.is_not(None) for one in part.given if part.after is None))
        .where(*([] if part.after is None else [_beyond(listing, part, part.after)]))
        .order_by(*order)
        .limit(number(limit))
        .options(*_loaded(listing))
    )


def after(listing: Listing[Any], value: str | None, keys: Sequence[str]) -> After:
    """Return the position to continue after, from what `scroll` selects next to its last row."""
    types = [column.type for column in listing.keys]
    last = value if listing.key is None else _read(value, listing.key.column.type)
    return After(last, tuple(str(_read(text, type_)) for text, type_ in zip(keys, types, strict=True)))


def rows(listing: Listing[M], where: Where) -> Select[M]:
    """Select every row of a listing, in its order; costs a sort, unless the primary key or a column's index has it."""
    key = listing.key
    by = () if key is None else _by_value(listing, key) if key.path else key.in_order(key.expression)
    order = [one.desc() if listing.descending else one for one in (*by, *listing.keys)]
    if key is not None and key.nullable:
        order[0] = order[0].nulls_last()
    statement = select(listing.target.model).where(*listing.target.in_scope(), *where)
    return statement.order_by(*order).options(*_loaded(listing))


def _loaded(listing: Listing[Any]) -> list[Any]:
    attribute = listing.target.attribute
    return [undefer(attribute) if listing.with_embedding else defer(attribute), *apart(listing.target.model)]


def _parts(listing: Listing[Any]) -> tuple[Part, ...]:
    key = listing.key
    if key is None:
        return (Part(),)
    if not key.path:
        return _by_column(key)
    if listing.indexed:
        return _by_index(listing, key)
    at = partial(_by_text, key, descending=listing.descending)
    return (Part(by=_by_value(listing, key), at=at),)


def _by_column(key: Key) -> tuple[Part, ...]:
    found, at = key.expression, partial(_by_text, key)
    if isinstance(found.type, NullType):
        message = (
            f"SQLAlchemy does not know the type of {key.model.__name__}.{key.attribute}, which the cursor of a page "
            "needs. Add the type to its expression, as in func.lower(column, type_=Text())."
        )
        raise ConfigurationError(message)
    by = key.in_order(found)
    if not key.nullable:
        return (Part(by=by, at=at),)
    return (Part(given=(found,), by=by, holds=_is_given, at=at), Part(where=(found.is_(None),)))


def _by_text(key: Key, text: str | None, *, descending: bool = False) -> By:
    value = _json(text) if key.path else _value(text, key.column.type)
    return key.in_order(value, descending=descending)


def _found(key: Key) -> ColumnElement[Any]:
    return key.present() if key.path else key.expression


def _by_value(listing: Listing[Any], key: Key) -> By:
    return key.in_order(func.coalesce(key.expression, _json(None)), descending=listing.descending)


def _by_index(listing: Listing[Any], key: Key) -> tuple[Part, ...]:
    """Return the order of `Key.in_order` by the columns of the index: numbers, texts, and values that are neither."""
    metadata, path = key.column, key.path
    numeric, begins = number_and_text(metadata, path)
    value, text = value_and_text(metadata, path)
    present = func.nullif(value, _json(None))
    neither = (numeric.is_(None), begins.is_(None))
    numbers = Part(given=(numeric,), by=(numeric,), holds=_is_number, at=lambda text: (cast(_json(text), Numeric()),))
    texts = Part(
        where=(numeric.is_(None),),
        given=(begins,),
        by=(begins, text),
        holds=_is_text,
        at=lambda text: (beginning(text_of(_json(text))), text_of(_json(text))),
        first=(numeric,),
    )
    others = Part(
        where=(*neither, present.is_not(None)), by=(value,), holds=_is_neither, at=lambda text: (_json(text),)
    )
    missing = Part(where=(*neither, present.is_(None)))
    # Finding the values of other types requires a look at all rows without the key, so they come last.
    return (*((texts, numbers) if listing.descending else (numbers, texts)), others, missing)


def _is_given(text: str | None) -> bool:
    return text is not None


def _is_number(text: str | None) -> bool:
    return text is not None and text.startswith(tuple("-0123456789"))


def _is_text(text: str | None) -> bool:
    return text is not None and text.startswith('"')


def _is_neither(text: str | None) -> bool:
    return text is not None and not (_is_number(text) or _is_text(text))


def _beyond(listing: Listing[Any], part: Part, after: After) -> ColumnElement[bool]:
    last = [_value(text, column.type) for text, column in zip(after.keys, listing.keys, strict=True)]
    left, right = tuple_(*part.by, *listing.keys), tuple_(*part.at(after.value), *last)
    compare: ColumnElement[bool] = left.op("<" if listing.descending else ">", is_comparison=True)(right)
    return compare


def _json(text: str | None) -> ColumnElement[Any]:
    return _value("null" if text is None else text, JSONB())


def _as_text(column: ColumnElement[Any]) -> ColumnElement[str]:
    stored = stored_type(column.type)
    if isinstance(stored, Float):
        # As bits: the session's extra_float_digits may omit digits from its text, also in JSON.
        return func.encode(func.float8send(cast(column, Double)), literal_column("'hex'", Text()), type_=Text())
    if isinstance(stored, Date | DateTime):
        # Through JSON, because its plain text depends on the session's DateStyle.
        return text_of(func.to_jsonb(column))
    return cast(column, Text)


def _read(text: str | None, type_: TypeEngine[Any]) -> str | None:
    if text is None or not isinstance(stored_type(type_), Float):
        return text
    (number,) = struct.unpack(">d", bytes.fromhex(text))
    return repr(number)


def _value(text: str | None, type_: TypeEngine[Any]) -> ColumnElement[Any]:
    return cast(bindparam(None, text, type_=Text()), type_)
