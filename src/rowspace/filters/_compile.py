"""Filters as SQLAlchemy predicates: two parameters and their operators. No other module of filters uses SQLAlchemy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Dialect, String, and_, bindparam, cast, select, true
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH
from sqlalchemy.sql.elements import SQLCoreOperations
from sqlalchemy.types import TypeEngine, UserDefinedType

from rowspace.filters._conditions import Path
from rowspace.filters._jsonpath import to_containment, to_jsonpath
from rowspace.filters._keys import KeyTest, split
from rowspace.filters._parse import Filter, parse
from rowspace.filters._values import to_json

#: The entries of a filter, each with a value or with the entries of its operators.
_Items = tuple[tuple[str, Any], ...]

#: The names of the two parameters.
DOCUMENT, PATH = "rowspace_document", "rowspace_jsonpath"

#: The parts of a filter: comparisons of an indexed key, and each of the two parameters.
Part: TypeAlias = KeyTest | str


def compile_filter(filter_: Filter | None, /, column: SQLCoreOperations[Any]) -> ColumnElement[bool]:
    """Return the predicate over a JSONB column; `true` if the filter is empty or None, which every row matches.

    For other filters, the predicate is `column @> :document`, `column @@ :jsonpath`, or both joined by AND. A GIN index
    with `jsonb_path_ops` serves both operators. SQL's NOT of the predicate is its exact complement, unless the column
    itself is NULL.

    Raises:
        InvalidFilter: an unknown operator, a wrong operand or an invalid key; the message names the path.
    """
    clauses = [_clause(column, name, value=value, unique=True) for name, value in filter_values(filter_).items()]
    # Not None for an empty filter: select().where(None) is WHERE NULL, which matches no row.
    return and_(*clauses) if clauses else true()


def filter_values(filter_: Filter | None, /) -> dict[str, str]:
    """Return the values of a filter's parameters in `filter_predicate`: none, one or both.

    Raises:
        InvalidFilter: as in `compile_filter`.
    """
    return parameters_of(filter_parts(filter_))


def filter_parts(filter_: Filter | None, /, keys: tuple[Path, ...] = (), *, whole: bool = False) -> Mapping[Part, str]:
    """Return the values of a filter's parts: the comparisons that indexes on keys serve, then those of `filter_values`.

    Args:
        filter_: the filter.
        keys: paths with their own index.
        whole: let the values of `filter_values` express the whole filter, not only the rest of it.

    Raises:
        InvalidFilter: as in `compile_filter`.
    """
    items = _small(filter_) if type(filter_) is dict else None
    return _parts(filter_, keys, whole=whole) if items is None else _kept(items, keys, whole=whole)


def parameters_of(parts: Mapping[Part, str]) -> dict[str, str]:
    """Return the values of the parts of a filter by the names of their parameters."""
    return {part.name if isinstance(part, KeyTest) else part: value for part, value in parts.items()}


def _parts(filter_: Filter | None, keys: tuple[Path, ...], *, whole: bool) -> dict[Part, str]:
    condition = parse(filter_)
    if condition is None:
        return {}
    tests, rest = split(condition, keys)
    parts: dict[Part, str] = dict(tests.items())
    left = condition if whole else rest
    if left is not None:
        document, path = to_containment(left)
        parts |= {DOCUMENT: to_json(document)} if document else {}
        parts |= {} if path is None else {PATH: to_jsonpath(path)}
    return parts


def _small(filter_: dict[Any, Any], *, nested: bool = False) -> _Items | None:
    """Return the entries of a filter as a key of a cache; None unless all values are integers or short texts."""
    items = []
    for key, value in filter_.items():
        kind = type(value)
        kept = _small(value, nested=True) if kind is dict and not nested else value
        is_small = kind is int or (kind is str and len(value) <= _SHORT) or (kind is dict and not nested)
        if kept is None or not is_small or type(key) is not str or len(key) > _SHORT:
            return None
        items.append((key, kept))
    return tuple(items)


@lru_cache(1_024)
def _kept(items: _Items, keys: tuple[Path, ...], *, whole: bool) -> dict[Part, str]:
    # For filters that repeat, such as a tenant or a language: parsing one again takes twenty times as long. No text
    # equals a number, and only the entries of operators are tuples.
    return _parts({key: dict(value) if type(value) is tuple else value for key, value in items}, keys, whole=whole)


_SHORT = 64


@lru_cache(64)
def filter_predicate(column: ColumnElement[Any], names: tuple[str, ...]) -> ColumnElement[bool]:
    """Return the predicate with named parameters: one object per shape, so that statements with it can be cached."""
    return and_(*(_clause(column, name) for name in names))


@lru_cache(64)
def unseen_predicate(column: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the predicate of only the document, for a cached plan that uses the index on the metadata.

    To estimate how many rows match, the planner evaluates the filter on its statistics, which takes 0.2 ms per search.
    If the document is in a subselect, the planner does not see it, and uses the index.
    """
    return _operator(column, DOCUMENT, select(_parameter(DOCUMENT)).scalar_subquery())


def parameter_of(name: str, type_: TypeEngine[Any], **options: Any) -> ColumnElement[Any]:
    """Return a parameter that is passed as text and cast to the type, which all drivers accept.

    This also applies to the document, whatever the `json_serializer` of the engine.
    """
    return cast(bindparam(name, type_=_Untyped(), **options), type_)


class _Untyped(UserDefinedType[str]):
    """Text whose parameter takes the type of the cast around it.

    With SQLAlchemy's Text, the parameter is a VARCHAR that the server casts. In the generic plan of a prepared
    statement, it repeats the cast for every row: 100 values in `$in` over 160,000 rows took 4 s instead of 0.2 s.
    """

    cache_ok = True

    def get_col_spec(self, **_options: Any) -> str:
        return "TEXT"

    def literal_processor(self, dialect: Dialect) -> Callable[[str], str] | None:
        processor: Callable[[str], str] | None = String().literal_processor(dialect)  # type: ignore[no-untyped-call]
        return processor


def _clause(column: SQLCoreOperations[Any], name: str, **options: Any) -> ColumnElement[bool]:
    return _operator(column, name, _parameter(name, **options))


def _operator(column: SQLCoreOperations[Any], name: str, value: Any) -> ColumnElement[bool]:
    return column.bool_op("@>" if name == DOCUMENT else "@@")(value)


def _parameter(name: str, **options: Any) -> ColumnElement[Any]:
    return parameter_of(name, JSONB() if name == DOCUMENT else JSONPATH(), **options)
