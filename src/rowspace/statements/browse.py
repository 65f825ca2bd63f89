"""Statements that list rows and summarise a key: no vector, no text.

A key is a metadata key or a column. Metadata values compare as jsonb does: null, then strings, numbers, booleans,
arrays, objects (PostgreSQL's manual, "jsonb Indexing"), so that values of different types have one order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    CompoundSelect,
    Select,
    Text,
    and_,
    bindparam,
    cast as sql_cast,
    func,
    inspect,
    literal_column,
    or_,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import defer, undefer

from rowspace.statements.eager import apart
from rowspace.statements.search import Target, key_columns, number, planned_for

__all__ = ["After", "Key", "Listing", "distinct", "facet", "rows", "scroll", "stats"]

M = TypeVar("M")

_NULL = literal_column("'null'::jsonb", JSONB())
_ONE = literal_column("1", BigInteger())
_ROWS = "rowspace_rows"


@dataclass(frozen=True, slots=True)
class Key:
    """A column of a model, or a path into its JSON metadata.

    Args:
        model: a declarative class.
        attribute: the key of the column, or of the JSONB column that holds the metadata.
        path: the path into it; empty for the column itself.
    """

    model: type[Any]
    attribute: str
    path: tuple[str, ...] = ()

    @property
    def column(self) -> Column[Any]:
        """The column that the key is, or is in."""
        found: Column[Any] = inspect(self.model).columns[self.attribute]
        return found

    @property
    def expression(self) -> ColumnElement[Any]:
        """The value of a row."""
        if not self.path:
            return self.column
        path = bindparam(None, list(self.path), type_=ARRAY(Text))
        return self.column.op("#>", return_type=JSONB())(path)

    @property
    def is_json(self) -> bool:
        """Whether values are jsonb."""
        return isinstance(self.column.type, JSONB)

    @property
    def nullable(self) -> bool:
        """Whether a row may have no value."""
        # A column_property is an expression, which does not say.
        return bool(self.path) or getattr(self.column, "nullable", True)

    def present(self) -> ColumnElement[Any]:
        """Return the value of a row, NULL also where it is null in JSON."""
        return func.nullif(self.expression, _NULL) if self.is_json else self.expression


@dataclass(frozen=True, slots=True)
class After:
    """The last row of a page: the text of its value, None where it had none, and of its primary key."""

    value: str | None
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listing(Generic[M]):
    """The shape of a listing.

    Args:
        target: the rows.
        key: what they are ordered by before their primary key; None means by that alone.
        descending: the other way round; rows without a value come last both ways.
        with_embedding: load the embedding too.
    """

    target: Target[M]
    key: Key | None = None
    descending: bool = False
    with_embedding: bool = False

    @property
    def keys(self) -> list[Column[Any]]:
        """The columns of the primary key that the scope leaves open."""
        return [*key_columns(self.target).values()]

    @property
    def signature(self) -> list[Any]:
        """What tells this listing from another, as JSON."""
        order = [] if self.key is None else [self.key.attribute, *self.key.path]
        table = str(inspect(self.target.model).local_table)
        return [table, [value for _, value in self.target.scope], order, self.descending]


def rows(listing: Listing[M], where: Sequence[ColumnElement[bool]]) -> Select[M]:
    """Select every row of a listing, in its order; costs a sort in the server where no index has that order."""
    attribute = listing.target.attribute
    return (
        select(listing.target.model)
        .where(*listing.target.in_scope(), *where)
        .order_by(*_order(listing))
        .options(undefer(attribute) if listing.with_embedding else defer(attribute), *apart(listing.target.model))
    )


def scroll(listing: Listing[M], limit: int, after: After | None, where: Sequence[ColumnElement[bool]]) -> Select[Any]:
    """Select a page of a listing: each row, the text of its value, and of its primary key.

    Costs `limit` rows where an index has the order: the primary key, or a column with an index, first of (column,
    primary key). Any other order is a pass over the rows that match, and a sort of those on the page.
    """
    key, keys = listing.key, listing.keys
    # Labelled: a cast is called as its column, of which there is one already.
    marks: list[Any] = [_as_text(column).label(f"rowspace_key_{place}") for place, column in enumerate(keys)]
    value: Any = literal_column("NULL") if key is None else _as_text(key.expression).label("rowspace_value")
    attribute = listing.target.attribute
    return (
        select(listing.target.model, value, *marks)
        .where(*listing.target.in_scope(), *planned_for(where), *([] if after is None else [_beyond(listing, after)]))
        .order_by(*_order(listing))
        .limit(number(limit))
        .options(undefer(attribute) if listing.with_embedding else defer(attribute), *apart(listing.target.model))
    )


def _order(listing: Listing[Any]) -> list[Any]:
    key, columns = listing.key, listing.keys
    order = [column.desc() if listing.descending else column for column in columns]
    if key is None:
        return order
    first = key.expression.desc() if listing.descending else key.expression
    return [first.nulls_last() if key.nullable else first, *order]


def _beyond(listing: Listing[Any], after: After) -> ColumnElement[bool]:
    last = [_value(text, column) for text, column in zip(after.keys, listing.keys, strict=True)]
    later = _further(tuple_(*listing.keys), tuple_(*last), listing)
    if listing.key is None:
        return later
    found = listing.key.expression
    if after.value is None:
        return and_(found.is_(None), later)
    value = _value(after.value, listing.key.column)
    if not listing.key.nullable:
        # As one comparison of rows, which an index on (column, primary key) answers.
        return _further(tuple_(found, *listing.keys), tuple_(value, *last), listing)
    same = found.op("=", is_comparison=True, return_type=Boolean())(value)
    return or_(_further(found, value, listing), and_(same, later), found.is_(None))


def _further(left: Any, right: Any, listing: Listing[Any]) -> ColumnElement[bool]:
    compare: ColumnElement[bool] = left.op("<" if listing.descending else ">", is_comparison=True)(right)
    return compare


def _as_text(column: ColumnElement[Any]) -> ColumnElement[str]:
    if isinstance(column.type, JSONB | ARRAY):
        # An array's JSON is no text that an array is read from.
        return sql_cast(column, Text)
    # By way of JSON: the plain text of a date depends on the session's DateStyle.
    return func.to_jsonb(column).op("#>>", return_type=Text())(literal_column("'{}'::text[]"))


def _value(text: str, column: Column[Any]) -> ColumnElement[Any]:
    return sql_cast(bindparam(None, text, type_=Text()), column.type)


def _values(target: Target[Any], key: Key, where: Sequence[ColumnElement[bool]]) -> Select[Any] | CompoundSelect[Any]:
    """Select the values of a key, an array's elements in place of it, but no null, and how many rows each stands for.

    An element comes once for each of the different arrays that it is in. These are found first, and only they are taken
    apart: it costs ten times as much as to count a value.
    """
    whole = select(key.expression.label("value")).select_from(target.model).where(*target.in_scope(), *where)
    if not (key.is_json or isinstance(key.column.type, ARRAY)):
        return whole.add_columns(_ONE.label(_ROWS)).where(key.expression.is_not(None))
    every = whole.subquery("rowspace_every")
    found = select(every.c.value, func.count().label(_ROWS)).group_by(every.c.value).cte("rowspace_whole")
    if isinstance(key.column.type, ARRAY):
        return _elements(found, key, func.unnest(found.c.value, type_=key.column.type.item_type))
    kind = func.jsonb_typeof(found.c.value)
    # In lax mode `$[*]` is each element of an array, and no error where the planner has it look at anything else.
    each = func.jsonb_path_query(found.c.value, literal_column("'$[*]'::jsonpath"), type_=JSONB())
    return union_all(
        select(found.c.value, found.c[_ROWS]).where(kind.not_in([_literal("array"), _literal("null")])),
        _elements(found, key, each).where(kind == _literal("array")),
    )


def _elements(found: CTE, key: Key, each: ColumnElement[Any]) -> Select[Any]:
    """Select the elements of arrays but no null, and how many rows each of the arrays stands for."""
    element = select(each.label("value")).distinct().correlate(found).lateral("rowspace_elements")
    value = element.c.value
    null = value == _NULL if key.is_json else value.is_(None)
    return select(value, found.c[_ROWS]).select_from(found.join(element, true())).where(~null)


def _literal(text: str) -> ColumnElement[str]:
    return literal_column(f"'{text}'", Text())


def facet(target: Target[Any], key: Key, limit: int, where: Sequence[ColumnElement[bool]] = ()) -> Select[Any]:
    """Select the commonest values of a key and how many rows have each; values as common as each other in order.

    Costs a pass over the rows that match.
    """
    values = _values(target, key, where).subquery("rowspace_values")
    # A sum of bigint is numeric.
    count = sql_cast(func.sum(values.c[_ROWS]), BigInteger)
    return (
        select(values.c.value, count)
        .group_by(values.c.value)
        .order_by(count.desc(), values.c.value)
        .limit(number(limit))
    )


def distinct(target: Target[Any], key: Key, limit: int, where: Sequence[ColumnElement[bool]] = ()) -> Select[Any]:
    """Select the different values of a key in ascending order; costs a pass over the rows that match."""
    values = _values(target, key, where).subquery("rowspace_values")
    # Not DISTINCT, which has to order by what it selects: of a vector that is how it travels.
    return select(values.c.value).group_by(values.c.value).order_by(values.c.value).limit(number(limit))


def stats(target: Target[Any], key: Key, where: Sequence[ColumnElement[bool]] = ()) -> Select[Any]:
    """Select what `rowspace.results.Stats` has of a key; costs two passes over the rows that match."""
    values = _values(target, key, where).subquery("rowspace_values")
    different = select(values.c.value).distinct().cte("rowspace_distinct")
    value = different.c.value
    present = func.count(key.present())
    counts = [present, func.count() - present, select(func.count()).select_from(different).scalar_subquery()]
    ends = [select(value).order_by(order).limit(number(1)).scalar_subquery() for order in (value, value.desc())]
    return select(*counts, *ends).select_from(target.model).where(*target.in_scope(), *where)
