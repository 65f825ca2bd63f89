"""The only module of the filters that knows SQLAlchemy: two parameters and the operators around them."""

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

#: A filter's entries, each a value or the entries of its operators.
_Items = tuple[tuple[str, Any], ...]

#: The names of the two parameters.
DOCUMENT, PATH = "rowspace_document", "rowspace_jsonpath"

#: What a filter consists of: comparisons of one key, and either of the two.
Part: TypeAlias = KeyTest | str


def compile_filter(filter_: Filter | None, /, column: SQLCoreOperations[Any]) -> ColumnElement[bool]:
    """Return the predicate over a JSONB column; of a filter that is empty or None, which every row matches, `true`.

    Of any other it is one of `column @> :document`, `column @@ :jsonpath` and the two joined by AND. Both operators are
    served by a GIN index with `jsonb_path_ops`. SQL's NOT of it is its exact complement, unless the column itself is
    NULL.

    Raises:
        InvalidFilter: an unknown operator, a wrong operand or a key that cannot be; the message names the path.
    """
    clauses = [_clause(column, name, value=value, unique=True) for name, value in filter_values(filter_).items()]
    # Not None for an empty one: select().where(None) is WHERE NULL, and no row.
    return and_(*clauses) if clauses else true()


def filter_values(filter_: Filter | None, /) -> dict[str, str]:
    """Return the values of the parameters that a filter has in `filter_predicate`: none, one or both.

    Raises:
        InvalidFilter: as in `compile_filter`.
    """
    return parameters_of(filter_parts(filter_))


def filter_parts(filter_: Filter | None, /, keys: tuple[Path, ...] = (), *, whole: bool = False) -> Mapping[Part, str]:
    """Return the values of a filter's parts: comparisons that indexes on metadata keys serve, then `filter_values`.

    Args:
        filter_: the filter.
        keys: paths that have an index of their own.
        whole: let the values of `filter_values` say all of the filter, not only what is left.

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
    """Return the entries of a filter that may be kept, as it may come again: of whole numbers and short texts."""
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
    # A tenant, a language: reading the filter again takes twenty times as long. No text equals a number, and no entry
    # is a tuple but one of operators.
    return _parts({key: dict(value) if type(value) is tuple else value for key, value in items}, keys, whole=whole)


_SHORT = 64


@lru_cache(64)
def filter_predicate(column: ColumnElement[Any], names: tuple[str, ...]) -> ColumnElement[bool]:
    """Return the predicate with named parameters: one object a shape, so that a statement around it can be kept."""
    return and_(*(_clause(column, name) for name in names))


@lru_cache(64)
def unseen_predicate(column: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the predicate of the document alone, which the index on the metadata serves, for a plan that is kept.

    The planner estimates how many rows pass a filter by trying it on its samples, each time: 0.2 ms. In a subselect it
    does not see the document, and takes the index.
    """
    return _operator(column, DOCUMENT, select(_parameter(DOCUMENT)).scalar_subquery())


def parameter_of(name: str, type_: TypeEngine[Any], **options: Any) -> ColumnElement[Any]:
    """Return a parameter that is given as text, whatever it is a text of: psycopg, psycopg2 and asyncpg take it alike.

    Of a document too, whatever `json_serializer` the engine has.
    """
    return cast(bindparam(name, type_=_Untyped(), **options), type_)


class _Untyped(UserDefinedType[str]):
    """Text whose parameter takes the type of the cast around it.

    With SQLAlchemy's Text the parameter is a VARCHAR that the server casts. Once the driver has prepared the statement
    and the plan is generic, it does so again for every row: 100 values in `$in` over 160,000 rows took 4 s, not 0.2 s.
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
