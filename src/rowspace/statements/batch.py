"""Statements that search for several queries at once: one index scan per query, in a single statement.

The queries are a small table, `rowspace_queries(position, query)`, joined to the search by LATERAL. The planner sees
`ORDER BY column <operator> queries.query LIMIT k`, which an HNSW or IVFFlat index serves for each row of it. The search
is planned once; a UNION ALL would plan each search separately.
"""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Float,
    FromClause,
    Select,
    Text,
    and_,
    bindparam,
    cast,
    column,
    func,
    inspect,
    literal_column,
    not_,
    select,
    table as sql_table,
    true,
)
from sqlalchemy.orm import aliased

from rowspace.statements.arrays import vectors_parameter
from rowspace.statements.search import (
    DISTANCE,
    Nearest,
    Target,
    Where,
    at_least,
    at_most,
    by_comparison,
    distance_to,
    key_columns,
    number,
    scanned,
    select_hits,
    walked,
)

__all__ = [
    "QUERIES",
    "are_up_to",
    "count_many",
    "key_parameters",
    "nearest_keys",
    "nearest_many",
    "similar_to",
    "worth_comparing",
]

M = TypeVar("M")

#: The parameter with the queries.
QUERIES = "rowspace_queries"
_KEY = "rowspace_key_"

_VECTOR = "rowspace_vector"

#: The time to visit a row in a walk of the vector index, relative to comparing one in a scan: 37 times with 768
#: dimensions, 50 times with 64.
_DEARER = 40
#: The number of rows assumed for a table that is smaller or was never analyzed.
_ROWS = 50_000
#: The maximum bytes of vectors that the server keeps for all queries, beyond `work_mem` in a temporary file; and the
#: maximum dimension of a vector.
_KEPT, _LONGEST = 128 << 20, 16_000


def nearest_many(
    target: Target[M], shape: Nearest, where: Where = (), *, found_once: bool = False
) -> Select[int, M, float]:
    """Select position, row and distance of the k nearest rows to each query, by position and distance.

    Positions start at 1; a query without hits has no row. The parameter `rowspace_queries` is a sequence of vectors.
    Costs one index scan per query; with `exact`, one pass per query over the rows that match. With `found_once`, the
    matching rows are found once, and their vectors are kept and compared with each query: exact, and suitable if they
    are few.
    """
    if found_once:
        return _hits_among(_given(target), target, shape, where)
    return _hits(_given(target), target, shape, where)


def nearest_keys(target: Target[Any], shape: Nearest, where: Where, *, found_once: bool) -> Select[Any]:
    """Select the same as `nearest_many`, with the columns of `key_columns` instead of the row."""
    queries = _given(target)
    if found_once:
        inner = _nearest_among(queries, target, shape, where).lateral("rowspace_hits")
        keys: list[Any] = [inner.c[_KEY + name] for name in key_columns(target)]
    else:
        inner = _nearest(queries, target, shape, where).lateral("rowspace_hits")
        keys = [inner.corresponding_column(column) for column in key_columns(target).values()]
    distance = inner.c[DISTANCE]
    return (
        select(queries.c.position, *keys, distance)
        .select_from(queries.join(inner, true()))
        .where(*at_most(distance, shape))
        .order_by(queries.c.position, distance)
    )


def similar_to(
    target: Target[M], shape: Nearest, where: Where = (), *, found_once: bool = False
) -> Select[int, M, float]:
    """Select 1, row and distance of the k rows nearest to a stored row, without that row, nearest first.

    The parameters are those of `key_parameters`. The embedding stays on the server. Costs one row by its primary key
    and one index scan; with `found_once`, all rows that match, as in `nearest_many`.
    """
    if found_once:
        return _hits_among(_stored(target), target, shape, [*where, not_(_is_key(target, target.model))])
    return _hits(_stored(target), target, shape, where, but_for=[not_(_is_key(target, target.model))])


def count_many(target: Target[Any], shape: Nearest, where: Where = (), *, stored: bool) -> Select[int, int]:
    """Select position and number of rows of the scan of each query, before the maximum distance is applied.

    Fewer than k rows mean that the scan ended early, and not because of the range. With `stored`, this is for
    `similar_to`, else for `nearest_many`.
    """
    queries = _stored(target) if stored else _given(target)
    itself = [not_(_is_key(target, target.model))] if stored else []
    inner = _nearest(queries, target, shape, where, but_for=itself).lateral("rowspace_hits")
    return (
        select(queries.c.position, func.count(inner.c[DISTANCE]))
        .select_from(queries.outerjoin(inner, true()))
        .group_by(queries.c.position)
    )


def are_up_to(target: Target[Any], most: ColumnElement[int], where: Where) -> Select[bool]:
    """Select whether at most `most` rows match; costs finding at most one more than that."""
    rows: Any = select(literal_column("1")).select_from(target.model).where(*target.under(where))
    return select(func.count() <= most).select_from(rows.limit(most + literal_column("1")).subquery())


def worth_comparing(table: str, k: int, dimension: int | None) -> ColumnElement[int]:
    """Return the number of matching rows up to which comparing all of them is as fast as walking the vector index.

    A walk finds one matching row among `rows / matching`. Both take the same time if the square of `matching` is
    `_DEARER * k * rows`. The result is limited by the memory for their vectors.

    Args:
        table: its quoted name; its number of rows is that of the last ANALYZE.
        k: number of rows per query.
        dimension: length of a vector, if known.
    """
    known = sql_table("pg_class", column("oid"), column("reltuples", Float), schema="pg_catalog")
    rows = select(known.c.reltuples).where(known.c.oid == func.to_regclass(bindparam(None, table, type_=Text())))
    at_least = func.greatest(rows.scalar_subquery(), number(_ROWS), type_=Float())
    kept = number(_KEPT // (4 * min(dimension or _LONGEST, _LONGEST)))
    same = cast(func.sqrt(number(_DEARER * k) * at_least), BigInteger)
    return select(func.least(same, kept, type_=BigInteger())).scalar_subquery()


def key_parameters(target: Target[Any], key: tuple[Any, ...]) -> dict[str, Any]:
    """Return the parameters for the key of `similar_to`, one value for each of `key_columns`."""
    return {_KEY + name: value for name, value in zip(key_columns(target), key, strict=True)}


def _given(target: Target[Any]) -> FromClause:
    # In a subselect, the planner does not see the number of queries and assumes ten. The number would not change the
    # plan, but a hundred index scans look expensive enough for JIT compilation, which takes longer than the scans.
    queries = select(vectors_parameter(QUERIES, target.type)).scalar_subquery()
    columns = func.unnest(queries).table_valued(column("query", target.type), with_ordinality="position")
    return columns.render_derived("rowspace_queries")


def _stored(target: Target[Any]) -> FromClause:
    # Not an alias: by default, `with_loader_criteria` does not apply to aliases.
    row = target.model
    embedding: Any = getattr(row, target.column)
    query = embedding if target.dimension is None else cast(embedding, target.type)
    return (
        select(literal_column("1").label("position"), query.label("query"))
        .where(*target.in_scope(), _is_key(target, row), embedding.is_not(None))
        # Materialized, so that the row is read and its vector detoasted once.
        .offset(literal_column("0"))
        .subquery("rowspace_queries")
    )


def _is_key(target: Target[Any], entity: Any) -> ColumnElement[bool]:
    return and_(*(getattr(entity, name) == bindparam(_KEY + name) for name in key_columns(target)))


def _hits(
    queries: FromClause, target: Target[M], shape: Nearest, where: Where, *, but_for: Where = ()
) -> Select[int, M, float]:
    inner = _nearest(queries, target, shape, where, but_for=but_for).lateral("rowspace_hits")
    entity: Any = aliased(target.model, inner)
    distance = inner.c[DISTANCE]
    statement: Select[int, M, float] = (
        select_hits(target, entity, shape, distance, queries.c.position)
        .select_from(queries.join(inner, true()))
        .where(*at_most(distance, shape))
        .order_by(queries.c.position, distance)
    )
    return statement


def _nearest(
    queries: FromClause, target: Target[Any], shape: Nearest, where: Where, *, but_for: Where = ()
) -> Select[Any]:
    distance = distance_to(target, queries.c.query)
    rows = scanned(target, distance, shape).where(*target.under(where), *but_for, *at_least(distance, shape))
    rows = rows.correlate(queries)
    if shape.exact or not (shape.iterative or shape.candidates):
        order = by_comparison(distance) if shape.exact else distance
        return rows.order_by(order).limit(number(shape.k)).correlate(queries)
    found = walked(rows, target, shape, distance, filtered=bool(where), query=queries.c.query)
    inner = found.lateral("rowspace_ranked")
    ranked = select(*inner.c).order_by(by_comparison(inner.c[DISTANCE])).limit(number(shape.k))
    return ranked.correlate(queries)


def _hits_among(queries: FromClause, target: Target[M], shape: Nearest, where: Where) -> Select[int, M, float]:
    inner = _nearest_among(queries, target, shape, where).lateral("rowspace_hits")
    names = _all_key_names(target)
    same = and_(*(getattr(target.model, name) == inner.c[_KEY + name] for name in names))
    distance = inner.c[DISTANCE]
    statement: Select[int, M, float] = (
        select_hits(target, target.model, shape, distance, queries.c.position)
        .select_from(queries.join(inner, true()).join(target.model, same))
        # As a literal: nothing else tells the planner the partition of the keys.
        .where(*target.in_scope(), *at_most(distance, shape))
        .order_by(queries.c.position, distance)
    )
    return statement


def _nearest_among(queries: FromClause, target: Target[Any], shape: Nearest, where: Where) -> Select[Any]:
    """Select keys and distances of the k nearest among rows that a WITH query finds once for all queries."""
    keys = [getattr(target.model, name).label(_KEY + name) for name in _all_key_names(target)]
    rows: Any = (
        select(*keys, target.expression.label(_VECTOR))
        .select_from(target.model)
        .where(*target.under(where))
        .cte("rowspace_rows")
        .prefix_with("MATERIALIZED")
    )
    operators: Any = rows.c[_VECTOR].comparator
    distance = operators.distance(queries.c.query, target.distance)
    found = select(*(rows.c[key.name] for key in keys), distance.label(DISTANCE)).where(*at_least(distance, shape))
    return found.order_by(distance).limit(number(shape.k)).correlate(queries)


def _all_key_names(target: Target[Any]) -> list[str]:
    mapper = inspect(target.model)
    return [mapper.get_property_by_column(key).key for key in mapper.primary_key]
