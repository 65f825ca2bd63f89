"""A statement that summarizes the metadata: its keys and the kinds of their values."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Double,
    Numeric,
    Select,
    Text,
    and_,
    case,
    cast,
    column,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB

from rowspace.statements.search import Target, Where

__all__ = ["key_kinds"]


def key_kinds(target: Target[Any], metadata: Any, where: Where) -> Select[Any]:
    """Select each key, the kind of its values, and three facts about numeric values.

    They are: whether all are integers that fit into 64 bits, whether all fit into unsigned 64 bits, and whether there
    is an integer that a float cannot represent. Kinds are those of `jsonb_typeof`; a key has a row for each of its
    kinds. Ordered by key. Costs a pass over the rows that match.
    """
    is_object = func.jsonb_typeof(metadata) == literal_column("'object'")
    # Not by a condition, which the server may evaluate after the function has failed on a value that is no object.
    each = func.jsonb_each(case((is_object, metadata), else_=literal_column("'{}'::jsonb")))
    pairs = each.table_valued(column("key", Text), column("value", JSONB)).alias("rowspace_pairs")
    kind = func.jsonb_typeof(pairs.c.value, type_=Text()).label("kind")
    number = cast(pairs.c.value, Numeric)
    is_number = func.jsonb_typeof(pairs.c.value) == literal_column("'number'")

    def all_whole(lowest: str, highest: str) -> ColumnElement[bool]:
        whole = and_(func.scale(number) == 0, number.between(literal_column(lowest), literal_column(highest)))
        return func.bool_and(case((is_number, whole), else_=literal_column("false")))

    signed, unsigned = all_whole("-9223372036854775808", "9223372036854775807"), all_whole("0", "18446744073709551615")
    beyond = func.bool_or(case((is_number, _is_beyond_floats(number)), else_=literal_column("false")))
    return (
        select(pairs.c.key, kind, signed, unsigned, beyond)
        .select_from(target.model)
        .join(pairs, literal_column("true"))
        .where(*target.in_scope(), *where)
        .group_by(pairs.c.key, kind)
        .order_by(pairs.c.key, kind)
    )


def _is_beyond_floats(number: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return whether an integer has digits that a 64-bit float would lose."""
    size = func.abs(number)
    # Through text: when it casts directly to numeric, the server rounds a float to 15 digits.
    kept = cast(cast(cast(number, Double), Text), Numeric)
    return case(
        (or_(func.scale(number) != 0, size <= literal_column("9007199254740992")), literal_column("false")),
        # The cast would fail.
        (size > literal_column("1.7976931348623157e308"), literal_column("true")),
        else_=number != kept,
    )
