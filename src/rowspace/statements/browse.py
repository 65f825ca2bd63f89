"""Statements that summarize a key: a metadata key or a column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    Column,
    ColumnElement,
    CompoundSelect,
    Integer,
    Select,
    Text,
    bindparam,
    case,
    cast as sql_cast,
    func,
    inspect,
    literal_column,
    select,
    true,
    type_coerce,
    union_all,
)
from sqlalchemy.dialects.postgresql import HSTORE, JSONB

from rowspace.statements.keyed import text_of, value_at
from rowspace.statements.search import Target, Where, number
from rowspace.types import is_jsonb, stored_type

__all__ = ["Key", "distinct", "facet", "is_used", "stats"]

_NULL = literal_column("'null'::jsonb", JSONB())
_ONE = literal_column("1", BigInteger())
_ROWS = "rowspace_rows"
_STRING, _NUMBER, _ARRAY, _NO = (literal_column(f"'{kind}'", Text()) for kind in ("string", "number", "array", "null"))


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
        """The column of the key, or the metadata column that contains it."""
        found: Column[Any] = inspect(self.model).columns[self.attribute]
        return found

    @property
    def expression(self) -> ColumnElement[Any]:
        """The value of a row."""
        if not self.path:
            return self.column
        return value_at(self.column, (bindparam(None, name, type_=Text()) for name in self.path))

    @property
    def is_json(self) -> bool:
        """Whether values are jsonb."""
        return is_jsonb(self.column.type)

    @property
    def nullable(self) -> bool:
        """Whether a row may have no value."""
        # A column_property is an expression, for which this is unknown.
        return bool(self.path) or getattr(self.column, "nullable", True)

    def present(self) -> ColumnElement[Any]:
        """Return the value of a row; NULL also for JSON null."""
        return func.nullif(self.expression, _NULL, type_=JSONB()) if self.is_json else self.expression

    def in_order(self, value: ColumnElement[Any], *, descending: bool = False) -> tuple[ColumnElement[Any], ...]:
        """Return the expressions that order the values of the key, which are not NULL unless the value is.

        Metadata values are ordered by type: numbers, then texts by code points, as filters compare them. In both
        directions, booleans, arrays and objects follow in the order of jsonb, and null comes last.
        """
        if not self.path:
            # An hstore can be sorted but has no `>`.
            return (sql_cast(value, JSONB()) if isinstance(stored_type(self.column.type), HSTORE) else value,)
        kind = func.jsonb_typeof(value)
        others, last = (-1, -2) if descending else (2, 3)
        places: dict[Any, Any] = {_NUMBER: _place(0), _STRING: _place(1), _NO: _place(last)}
        place = case(*places.items(), value=kind, else_=_place(others))
        text = case((kind == _STRING, text_of(value)), else_=literal_column("''", Text()))
        # As jsonb, numbers are ordered by value.
        return place, text.collate("C"), value


def _place(number: int) -> ColumnElement[int]:
    return literal_column(f"{number:d}", Integer())


def _values(target: Target[Any], key: Key, where: Where) -> Select[Any] | CompoundSelect[Any]:
    """Select the values of a key without null, or the elements of arrays, and the number of rows of each.

    An element is returned once for each distinct array that contains it. The distinct arrays are found first, and only
    these are unpacked, since unpacking costs ten times as much as counting a value.
    """
    # For a container, the type of its elements, which a TypeDecorator over it does not define.
    type_ = stored_type(key.expression.type)
    is_array = isinstance(type_, ARRAY)
    value = type_coerce(key.expression, type_) if key.is_json or is_array else key.expression
    whole = select(value.label("value")).select_from(target.model).where(*target.in_scope(), *where)
    if not (key.is_json or is_array):
        return whole.add_columns(_ONE.label(_ROWS)).where(key.expression.is_not(None))
    every = whole.subquery("rowspace_every")
    found = select(every.c.value, func.count().label(_ROWS)).group_by(every.c.value).cte("rowspace_whole")
    if isinstance(type_, ARRAY):
        return _elements(found, key, func.unnest(found.c.value, type_=type_.item_type))
    kind = func.jsonb_typeof(found.c.value)
    # In lax mode, `$[*]` selects each element of an array, and is no error if the planner evaluates it on other values.
    each = func.jsonb_path_query(found.c.value, literal_column("'$[*]'::jsonpath"), type_=JSONB())
    return union_all(
        select(found.c.value, found.c[_ROWS]).where(kind.not_in([_ARRAY, _NO])),
        _elements(found, key, each).where(kind == _ARRAY),
    )


def _elements(found: CTE, key: Key, each: ColumnElement[Any]) -> Select[Any]:
    """Select the elements of arrays without null, and the number of rows of each array."""
    element = select(each.label("value")).distinct().correlate(found).lateral("rowspace_elements")
    value = element.c.value
    null = value == _NULL if key.is_json else value.is_(None)
    return select(value, found.c[_ROWS]).select_from(found.join(element, true())).where(~null)


def facet(target: Target[Any], key: Key, limit: int, where: Where = ()) -> Select[Any]:
    """Select the most common values of a key and the number of rows that have each; ties in the order of the values.

    Costs a pass over the rows that match.
    """
    values = _values(target, key, where).subquery("rowspace_values")
    # The sum of bigint values is numeric.
    count = sql_cast(func.sum(values.c[_ROWS]), BigInteger)
    return (
        select(values.c.value, count)
        .group_by(values.c.value)
        .order_by(count.desc(), *key.in_order(values.c.value))
        .limit(number(limit))
    )


def distinct(target: Target[Any], key: Key, limit: int, where: Where = ()) -> Select[Any]:
    """Select the distinct values of a key in ascending order; costs a pass over the rows that match."""
    values = _values(target, key, where).subquery("rowspace_values")
    # Not DISTINCT, which can only order by selected expressions: a vector is selected in its wire format.
    order = key.in_order(values.c.value)
    return select(values.c.value).group_by(values.c.value).order_by(*order).limit(number(limit))


def stats(target: Target[Any], key: Key, where: Where = ()) -> Select[Any]:
    """Select the `rowspace.results.Stats` of a key; costs two passes over the rows that match."""
    values = _values(target, key, where).subquery("rowspace_values")
    different = select(values.c.value).distinct().cte("rowspace_distinct")
    value = different.c.value
    present = func.count(key.present())
    counts = [present, func.count() - present, select(func.count()).select_from(different).scalar_subquery()]
    order = key.in_order(value)
    ends = [
        select(value).order_by(*by).limit(number(1)).scalar_subquery() for by in (order, [one.desc() for one in order])
    ]
    return select(*counts, *ends).select_from(target.model).where(*target.in_scope(), *where)


def is_used(key: Key) -> Select[Any]:
    """Select whether any row has a value of a key, NULL if there are no rows; costs a pass over them."""
    return select(func.bool_or(key.present().is_not(None)))
