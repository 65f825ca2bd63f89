"""The only module of the filters that knows SQLAlchemy: two parameters and the operators around them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, ColumnElement, Text, and_, bindparam, cast
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH
from sqlalchemy.sql.elements import SQLCoreOperations
from sqlalchemy.types import TypeEngine

from rowspace.filters._jsonpath import to_containment, to_jsonpath
from rowspace.filters._parse import Filter, parse
from rowspace.filters._values import to_json


def compile_filter(filter_: Filter | None, /, column: SQLCoreOperations[Any]) -> ColumnElement[bool] | None:
    """Return the predicate over a JSONB column, or None when the filter is empty or None.

    It is one of `column @> :document`, `column @@ :jsonpath` and the two joined by AND. Both operators are served by a
    GIN index with `jsonb_path_ops`. SQL's NOT of it is its exact complement, unless the column itself is NULL.

    Raises:
        InvalidFilter: an unknown operator, a wrong operand or a key that cannot be; the message names the path.
    """
    condition = parse(filter_)
    if condition is None:
        return None
    document, rest = to_containment(condition)
    clauses = []
    if document:
        clauses.append(_matched(column, "@>", to_json(document), JSONB()))
    if rest is not None:
        clauses.append(_matched(column, "@@", to_jsonpath(rest), JSONPATH()))
    return and_(*clauses)


def _matched(column: SQLCoreOperations[Any], operator: str, value: str, kind: TypeEngine[Any]) -> ColumnElement[bool]:
    # Text with a cast is sent alike by psycopg, psycopg2 and asyncpg, and the engine's json_serializer stays out of it.
    parameter = cast(bindparam(None, value, type_=Text(), unique=True), kind)
    return column.op(operator, is_comparison=True, return_type=Boolean())(parameter)
