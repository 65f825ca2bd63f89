"""Indexes on one metadata key of a collection, and the comparisons that they serve.

Such an index is a b-tree of two columns: the value at the path as a number and as a text, each NULL if it is not one.
The GIN index on the whole metadata serves containment and jsonpath, but not ranges.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache, reduce
from typing import Any

from sqlalchemy import ColumnElement, Numeric, Text, and_, case, cast, func, literal_column, select
from sqlalchemy.dialects.postgresql import JSONB

from rowspace.filters import MAX_KEY_TEXT, KeyTest, Path, parameter_of
from rowspace.statements.identifiers import constant

__all__ = [
    "beginning",
    "key_predicate",
    "number_and_text",
    "text_of",
    "unseen_key_predicate",
    "value_and_text",
    "value_at",
]


@lru_cache(512)
def key_predicate(metadata: ColumnElement[Any], test: KeyTest) -> ColumnElement[bool]:
    """Return a comparison whose value the planner sees; it is cached, so that statements with it can be cached."""
    return _compared(metadata, test, _value(test))


@lru_cache(512)
def unseen_key_predicate(metadata: ColumnElement[Any], test: KeyTest) -> ColumnElement[bool]:
    """Return the same comparison with the value hidden from the planner, for a cached plan."""
    return _compared(metadata, test, select(_value(test)).scalar_subquery())


def _value(test: KeyTest) -> ColumnElement[Any]:
    return parameter_of(test.name, Text() if test.is_text else Numeric())


def _compared(metadata: ColumnElement[Any], test: KeyTest, value: Any) -> ColumnElement[bool]:
    number, text = number_and_text(metadata, test.path)
    operator = "=" if test.comparison == "==" else test.comparison
    if test.is_text:
        # On the first column of the index, so that the scan starts at its texts.
        return and_(number.is_(None), text.bool_op(operator)(value))
    return number.bool_op(operator)(value)


@lru_cache(512)
def number_and_text(metadata: ColumnElement[Any], path: Path) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Return the two columns of the index on the key of a path."""
    value, text = _at(metadata, path)
    return case((_is_a("number", value), cast(value, Numeric()))), _as_text(value, beginning(text))


@lru_cache(512)
def value_and_text(metadata: ColumnElement[Any], path: Path) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Return the value at a path, and the value as a text, whose prefix is in the index."""
    value, text = _at(metadata, path)
    return value, _as_text(value, text)


def beginning(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the prefix of a text that is in the index."""
    return func.left(text, literal_column(f"{MAX_KEY_TEXT:d}"))


def text_of(value: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the text of a jsonb string."""
    return value.op("#>>", return_type=Text())(literal_column("'{}'::text[]"))


def value_at(metadata: ColumnElement[Any], names: Iterable[ColumnElement[str]]) -> ColumnElement[Any]:
    """Return the value at a path as filters read it: by `->`, because `#>` reads digits as an array position."""
    return reduce(lambda value, name: value.op("->", return_type=JSONB())(name), names, metadata)


def _at(metadata: ColumnElement[Any], path: Path) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Return the value at a path, as jsonb and as text."""
    # The names are literals, because a cached plan cannot use the index with a parameter. They are the declared keys of
    # the collection, and do not come from the search.
    *parents, last = (literal_column(constant(name), Text()) for name in path)
    parent = value_at(metadata, parents)
    return parent.op("->")(last), parent.op("->>", return_type=Text())(last)


def _as_text(value: ColumnElement[Any], text: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((_is_a("string", value), text)).collate("C")


def _is_a(kind: str, value: ColumnElement[Any]) -> ColumnElement[bool]:
    return func.jsonb_typeof(value) == literal_column(constant(kind), Text())
