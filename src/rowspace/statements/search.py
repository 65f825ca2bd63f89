"""Statements that order rows by their distance to a query.

The planner uses an HNSW or IVFFlat index only for `ORDER BY <column> <operator> <value>`, ascending, with LIMIT. Each
builder keeps that form, or deliberately breaks it for an exact scan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Generic, TypeVar

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Double,
    Select,
    bindparam,
    cast,
    func,
    inspect,
    literal_column,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.orm import InstrumentedAttribute, aliased, defer, undefer

from rowspace.distance import Distance
from rowspace.errors import ConfigurationError
from rowspace.indexes import Quantize, quantized
from rowspace.settings import check_count
from rowspace.statements.eager import apart
from rowspace.types import VectorType, vector_type_of

__all__ = [
    "DISTANCE",
    "Nearest",
    "Target",
    "Where",
    "approximate_distance",
    "built",
    "by_comparison",
    "count_candidates",
    "distance_to",
    "first_of",
    "in_order",
    "key_columns",
    "loaded",
    "nearest",
    "planned_for",
    "select_hits",
]

M = TypeVar("M")
S = TypeVar("S")

#: Conditions on the rows; a row has to meet all of them.
Where = Sequence[ColumnElement[bool]]

#: The label of the distance in every statement.
DISTANCE = "rowspace_distance"

# The maximum number of rows beyond k to request from an iterative scan, and at most twice k in total. Its order is
# relaxed, so the first k rows that it finds are not the k nearest. Over 50,000 embeddings of 256 dimensions, this
# raises recall@10 from 0.965 to 0.985 under a filter that one row in ten passes, and from 0.94 to 0.98 under one that a
# quarter passes.
_BEYOND = 100

# A filtered search is planned for this many times the rows that it fetches, and for at most this many more. Compared
# with a scan of all rows that pass the filter, the planner underestimates the cost of a continued index scan several
# times: for 5 % of 50,000 rows, it chose 7.0 ms over 2.1 ms, and for 1 % of a million, 34 over 22. Planned for 300 rows
# instead of 20, it switches near the point where both take the same time, at 7 % and at 1.4 %. With much more, it would
# scan small tables completely.
_DEARER, _AT_MOST = 15, 480

# Always true. A planner that knows the values of the statement removes this condition. In a generic plan, it appears to
# count a billion numbers, which is never computed but makes the plan too expensive to be chosen. Source: PostgreSQL
# manual, "PREPARE", about generic and custom plans.
_EACH_TIME: ColumnElement[bool] = or_(
    bindparam("rowspace_planned", True, type_=Boolean()),  # noqa: FBT003
    literal_column("(SELECT count(*) FROM generate_series(1, 1000000000)) = 0"),
)

#: The names of the bound parameters.
QUERY, MAX_DISTANCE, MIN_DISTANCE = "rowspace_query", "rowspace_max_distance", "rowspace_min_distance"


@dataclass(frozen=True, slots=True)
class Target(Generic[M]):
    """What to search, in plain hashable values.

    Args:
        model: a declarative class.
        column: the key of its vector attribute.
        distance: the distance to order by.
        dimension: for a column without a dimension, that of the cast that its index is on.
        scope: pairs of an attribute and an integer to which every statement is restricted, such as the collection.
        quantize: the quantization of its index, if any.
    """

    model: type[M]
    column: str
    distance: Distance
    dimension: int | None = None
    scope: tuple[tuple[str, int], ...] = ()
    quantize: Quantize | None = None

    @property
    def attribute(self) -> InstrumentedAttribute[Any]:
        """The vector attribute of the model."""
        attribute: InstrumentedAttribute[Any] = getattr(self.model, self.column)
        return attribute

    @property
    def type(self) -> VectorType[Any]:
        """The type of the compared values."""
        declared: VectorType[Any] = vector_type_of(self.attribute.type)  # type: ignore[assignment] # it is one
        return declared if self.dimension is None else type(declared)(self.dimension)

    @property
    def expression(self) -> ColumnElement[Any]:
        """The expression that the vector index is on: the column, or its cast to the dimension."""
        column: Any = inspect(self.model).c[self.column]
        if self.dimension is not None:
            return cast(column, self.type)
        # A type of pgvector is compared as our equivalent, which does not change the statement.
        return column if isinstance(column.type, VectorType) else type_coerce(column, self.type)

    def in_scope(self, *, planned_once: bool = False) -> list[ColumnElement[bool]]:
        """Return the scope as conditions.

        Its values, which determine the partition, are literals in the statement, or parameters. With literals, the
        partition is known when the statement is prepared, and the plan is kept. With parameters, one statement serves
        all collections, and is planned for each.
        """
        values = [(name, number(value) if planned_once else value) for name, value in self.scope]
        return [getattr(self.model, name) == value for name, value in values]

    def conditions(self, *, planned_once: bool = False) -> list[ColumnElement[bool]]:
        """Return the conditions of every vector search: the scope, and that the vector is not NULL, if it may be.

        `planned_once` is as in `in_scope`.
        """
        return [*self.in_scope(planned_once=planned_once), *self.with_vector()]

    def under(self, where: Where) -> list[ColumnElement[bool]]:
        """Return the same, with the caller's conditions: a search with any is planned for their values each time."""
        return [*self.conditions(planned_once=not where), *planned_for(where)]

    def with_vector(self) -> list[ColumnElement[bool]]:
        """Return the condition that the vector is not NULL, if it may be."""
        # Indexes do not contain NULL; a scan of the table would return it last, as a row without a distance.
        column: Any = inspect(self.model).c[self.column]
        # An expression, of a `column_property` or a subquery, does not tell.
        return [self.attribute.is_not(None)] if getattr(column, "nullable", True) else []


@dataclass(frozen=True, slots=True)
class Nearest:
    """The shape of a nearest-neighbour search: everything except its values.

    Args:
        k: number of rows, at least 1; a literal in the statement.
        max_distance: whether there is an upper limit, the parameter `rowspace_max_distance`.
        min_distance: whether there is a lower limit, the parameter `rowspace_min_distance`.
        with_embedding: also load the embedding.
        exact: do not use the vector index.
        iterative: the index scan is iterative in `relaxed_order`, which is only roughly the order of the distances.
        columns: select the columns to load, see `loaded`, instead of the model's objects.
        candidates: with a quantized index, the number of rows to take from it and re-rank.
    """

    k: int = 10
    max_distance: bool = False
    min_distance: bool = False
    with_embedding: bool = False
    exact: bool = False
    iterative: bool = False
    columns: bool = False
    candidates: int | None = None

    def __post_init__(self) -> None:
        if type(self.k) is not int or not 1 <= self.k < 2**31:
            object.__setattr__(self, "k", check_count("k", self.k))


def distance_to(target: Target[Any], query: Any = None) -> ColumnElement[float]:
    """Return the distance of the indexed expression to `query`, or to the parameter `rowspace_query`.

    The parameter has the type of the column, so that a vector of another dimension is refused before any SQL is sent.
    """
    value = bindparam(QUERY, type_=target.type) if query is None else query
    operators: Any = target.expression.comparator
    distance: ColumnElement[float] = operators.distance(value, target.distance)
    return distance


def approximate_distance(target: Target[Any], query: ColumnElement[Any] | None = None) -> ColumnElement[float]:
    """Return the distance that a quantized index orders by: of float16 numbers, or the number of different signs.

    Raises:
        ConfigurationError: the target's index is not quantized.
    """
    if target.quantize is None or target.type.dimension is None:
        message = f"The index of {target.model.__name__}.{target.column} is not quantized."
        raise ConfigurationError(message)
    # The column itself, not its cast to the dimension, as in the definition of the index.
    column: Any = inspect(target.model).c[target.column]
    stored = quantized(column, target.quantize, target.type.dimension)
    given = bindparam(QUERY, type_=target.type) if query is None else query
    searched = quantized(given, target.quantize, target.type.dimension)
    distance = Distance.HAMMING if target.quantize == "bit" else target.distance
    approximate: ColumnElement[float] = stored.op(distance.operator, return_type=Double())(searched)
    return approximate


def by_comparison(distance: ColumnElement[float]) -> ColumnElement[float]:
    """Return the expression to order by a distance without using a vector index.

    Adding zero keeps the planner from using the index; there is no other way.
    """
    return distance + literal_column("0.0")


def nearest(target: Target[M], shape: Nearest, where: Where = ()) -> Select[M, float]:
    """Select the k nearest rows and their distance, nearest first.

    Costs one scan of the vector index, about `ef_search` rows; with `exact`, one pass over every row that matches. An
    iterative scan returns a few more rows, which are sorted again; the planner may choose a pass over the matching rows
    instead, if that is cheaper. A quantized index orders rows only roughly: its candidates are read from the table and
    ranked by their true distance. Source: pgvector's README, "Binary Quantization".
    """
    if shape.iterative or shape.candidates is not None:
        return _ranked_again(target, shape, where)
    distance = distance_to(target)
    order = by_comparison(distance) if shape.exact else distance
    return (
        select_hits(target, target.model, shape, distance.label(DISTANCE))
        .where(*target.under(where), *at_least(distance, shape), *at_most(distance, shape))
        .order_by(order)
        .limit(number(shape.k))
    )


def in_order(target: Target[M], shape: Nearest, where: Where = ()) -> Select[M, float]:
    """Select every row that matches and its distance, nearest first; ignores `k` of the shape.

    Always exact: an index scan would silently end after some of the rows. Costs a pass over the rows that match, and a
    sort on the server.
    """
    return nearest(target, replace(shape, exact=True), where).limit(None)


def count_candidates(target: Target[Any], shape: Nearest, where: Where = ()) -> Select[int]:
    """Select the number of re-ranked rows: fewer than k, or than `candidates`, mean that the scan ended early."""
    return select(func.count()).select_from(_candidates(target, shape, where).subquery())


def planned_for(where: Where) -> list[ColumnElement[bool]]:
    """Return conditions, if any, with another one that makes the server plan the statement for their values each time.

    For a prepared statement, the server keeps one plan for all values if that looks no more expensive than earlier
    plans, and assumes that an unknown filter matches a hundredth of the rows, or a hundredth of that: if 80 % of 50,000
    rows matched, every search from the eleventh on compared them all, 90 ms instead of 3.
    """
    return [*where, _EACH_TIME] if where else []


def first_of(rows: Select[Any], order: ColumnElement[float], count: int, *, filtered: bool) -> Select[Any]:
    """Select the first `count` of `rows`, in the order of an index scan or of a sort.

    With `filtered`, it is planned as if more rows were requested, see `_DEARER`. A materialized WITH query computes
    only the rows that the outer statement reads. Source: PostgreSQL manual, "WITH Queries (Common Table Expressions)".
    """
    if not filtered:
        return rows.order_by(order).limit(number(count))
    planned = rows.order_by(order).limit(number(min(_DEARER * count, count + _AT_MOST)))
    found = planned.cte("rowspace_found", nesting=True).prefix_with("MATERIALIZED")
    return select(*found.c).limit(number(count))


def parameters(query: Any, *, max_distance: float | None = None, min_distance: float | None = None) -> dict[str, Any]:
    """Return the values for the parameters of the statements above."""
    given = {} if query is None else {QUERY: query}
    if max_distance is not None:
        given[MAX_DISTANCE] = max_distance
    if min_distance is not None:
        given[MIN_DISTANCE] = min_distance
    return given


@lru_cache(2_048)
def _kept(build: Callable[..., Any], target: Any, shape: Any, where: Any, **options: Any) -> Any:
    return build(target, shape, where, **options)


def built(build: Callable[..., S], target: Any, shape: Any, where: Any, *, keep: bool, **options: bool) -> S:
    """Return the statement that a builder makes, with `keep` from a cache: building one costs more than running it.

    The cache identifies a condition by its identity: keep statements only if their conditions are themselves kept.
    """
    statement: S = _kept(build, target, shape, where, **options) if keep else build(target, shape, where, **options)
    return statement


def _ranked_again(target: Target[M], shape: Nearest, where: Where) -> Select[M, float]:
    # The maximum distance is applied in the outer query: inside, a scan that has passed it would continue until it has
    # seen `max_scan_tuples` rows.
    inner = _candidates(target, shape, where).subquery()
    entity: Any = aliased(target.model, inner)
    distance: ColumnElement[float] = inner.c[DISTANCE]
    return (
        select_hits(target, entity, shape, distance)
        .where(*at_most(distance, shape))
        # The planner assumes that an index scan returns rows in exact order, and would omit the sort.
        .order_by(by_comparison(distance) if shape.candidates is None else distance)
        .limit(number(shape.k))
    )


def _candidates(target: Target[Any], shape: Nearest, where: Where) -> Select[Any]:
    distance = distance_to(target)
    rows = scanned(target, distance, shape).where(*target.under(where), *at_least(distance, shape))
    return walked(rows, target, shape, distance, filtered=bool(where))


def walked(
    rows: Select[Any],
    target: Target[Any],
    shape: Nearest,
    distance: ColumnElement[float],
    *,
    filtered: bool,
    query: ColumnElement[Any] | None = None,
) -> Select[Any]:
    """Select the first of `rows` of an index scan, a few more than k, to be ranked by `distance`."""
    if shape.candidates is None:
        return first_of(rows, distance, shape.k + min(shape.k, _BEYOND), filtered=filtered)
    return first_of(rows, approximate_distance(target, query), shape.candidates, filtered=filtered)


def select_hits(
    target: Target[Any], entity: Any, shape: Nearest, distance: ColumnElement[float], *before: Any
) -> Select[Any]:
    """Select the columns `before`, then `entity`, which is the model or an alias of it, then the distance."""
    if shape.columns:
        return select(*before, *[getattr(entity, name) for name in loaded(target, shape)], distance)
    options = [loading(getattr(entity, target.column), shape), *apart(entity)]
    return select(*before, entity, distance).options(*options)


def scanned(target: Target[Any], distance: ColumnElement[float], shape: Nearest) -> Select[Any]:
    """Select the rows and their distance, for an outer statement."""
    mapper = inspect(target.model)
    # The model or its attributes instead of columns of its tables, so that the join with its parents and the criteria
    # of the session apply. Without the vectors, which are not read from here, the sorted rows are a fifth as large.
    is_one_of_several = mapper.inherits is not None or mapper.polymorphic_on is not None
    names = loaded(target, shape)
    rows = [target.model] if is_one_of_several else [getattr(target.model, name) for name in names]
    return select(*rows, distance.label(DISTANCE))


@lru_cache(512)
def loaded(target: Target[Any], shape: Nearest) -> tuple[str, ...]:
    """Return the keys of the attributes that are loaded with each row, in order."""
    attributes = inspect(target.model).column_attrs
    wanted = [one.key for one in attributes if (shape.with_embedding if one.key == target.column else not one.deferred)]
    return tuple(wanted)


@lru_cache(512)
def key_columns(target: Target[Any]) -> dict[str, Column[Any]]:
    """Return the columns of the primary key that are not fixed by the scope, by attribute: `id` for a document."""
    mapper, scoped = inspect(target.model), dict(target.scope)
    columns = {mapper.get_property_by_column(column).key: column for column in mapper.primary_key}
    return {name: column for name, column in columns.items() if name not in scoped}


def at_most(distance: ColumnElement[float], shape: Nearest) -> list[ColumnElement[bool]]:
    return [distance <= bindparam(MAX_DISTANCE)] if shape.max_distance else []


def at_least(distance: ColumnElement[float], shape: Nearest) -> list[ColumnElement[bool]]:
    return [distance >= bindparam(MIN_DISTANCE)] if shape.min_distance else []


def number(value: int) -> ColumnElement[int]:
    # Not a parameter: the generic plan of a prepared statement would assume that LIMIT returns a tenth of the table.
    return literal_column(f"{value:d}")


def loading(attribute: Any, shape: Nearest) -> Any:
    return undefer(attribute) if shape.with_embedding else defer(attribute)
