"""One statement for a search by vector and keyword: two lists of candidates, joined and fused.

The vector side has the form that the vector index needs, the text side that of the text index. Only keys, distances and
ranks are joined, and rows are read only for the k results.

Source of reciprocal rank fusion: Cormack, Clarke, Buettcher, SIGIR 2009.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

from sqlalchemy import CTE, ColumnElement, Double, Select, bindparam, case, func, literal_column, select
from sqlalchemy.orm import defer

from rowspace.errors import InvalidSetting
from rowspace.settings import check_count, check_number
from rowspace.statements.eager import apart
from rowspace.statements.search import (
    DISTANCE,
    Where,
    approximate_distance,
    by_comparison,
    distance_to,
    first_of,
    number,
)
from rowspace.statements.text import (
    MAX_RANKED,
    TEXT_RANK,
    TextSearch,
    TextTarget,
    excerpt,
    same_key,
    text_candidates,
)

__all__ = ["FOUND", "SCORE", "Fusion", "FusionMethod", "HybridSearch", "hybrid"]

M = TypeVar("M")

FusionMethod = Literal["rrf", "weighted"]

#: The labels of the score and of the number of candidates from the vector side.
SCORE, FOUND = "rowspace_score", "rowspace_found"

# Names within the statement, next to the columns of the primary key, which may have any name.
_PLACE, _SHARE = "rowspace_place", "rowspace_share"

#: The names of the bound parameters.
RRF_K, VECTOR_WEIGHT, TEXT_WEIGHT = "rowspace_rrf_k", "rowspace_vector_weight", "rowspace_text_weight"


@dataclass(frozen=True, slots=True)
class Fusion:
    """How to fuse two lists of candidates.

    Args:
        method: `rrf` sums `weight / (rrf_k + position)` over the lists, with positions from 1; `weighted` sums
            `weight * normalized`, where the best candidate of a list has 1 and the worst 0 (1 if all are equal). A row
            that is missing from a list gets 0 for it.
        vector_weight: weight of the vector list, at least 0.
        text_weight: weight of the text list, at least 0.
        rrf_k: at least 0; the larger, the less the first positions stand out.
        fetch_k: number of candidates in each list, at least k; None means twice k and at least 40.
        max_ranked: number of rows that match the text to rank for its list; None means all. If more rows match, the
            first ones found are ranked; each costs a tsvector, about 0.1 ms for 90 words.
    """

    method: FusionMethod = "rrf"
    vector_weight: float = 1.0
    text_weight: float = 1.0
    rrf_k: float = 60.0
    fetch_k: int | None = None
    max_ranked: int | None = MAX_RANKED

    def __post_init__(self) -> None:
        if self.method not in get_args(FusionMethod):
            message = f"fusion must be one of {', '.join(get_args(FusionMethod))}, got {self.method!r}."
            raise InvalidSetting(message)
        for name in ("vector_weight", "text_weight", "rrf_k"):
            object.__setattr__(self, name, check_number(name, getattr(self, name), 0, 1e9))
        for name in ("fetch_k", "max_ranked"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name))

    def fetch(self, k: int) -> int:
        """Return the number of candidates in each list, for a search of k rows.

        Raises:
            InvalidSetting: k is not an integer of at least 1.
        """
        check_count("k", k)
        # An HNSW scan finds 40 rows with default settings; fewer would cost the same.
        return max(k, self.fetch_k or max(2 * k, 40))

    @property
    def parameters(self) -> Mapping[str, float]:
        """The values for the parameters of the statement."""
        given = {RRF_K: self.rrf_k, VECTOR_WEIGHT: self.vector_weight, TEXT_WEIGHT: self.text_weight}
        return {name: float(value) for name, value in given.items() if name != RRF_K or self.method == "rrf"}


@dataclass(frozen=True, slots=True)
class HybridSearch:
    """The shape of a hybrid search: everything except its values.

    Args:
        k: number of rows to return.
        fetch_k: number of candidates in each list.
        method: how to fuse them.
        max_ranked: number of rows that match the text to rank.
        candidates: number of rows to take from a quantized index and re-rank; None for any other index.
        exact: do not use the vector index.
        highlight: how to mark the matching words, if at all.
    """

    k: int
    fetch_k: int
    method: FusionMethod = "rrf"
    max_ranked: int | None = MAX_RANKED
    candidates: int | None = None
    exact: bool = False
    highlight: bool = False


def hybrid(target: TextTarget[M], shape: HybridSearch, where: Where = ()) -> Select[Any]:
    """Select the k rows of highest score, with distance, text rank, score and the number of vector candidates.

    Costs a scan of the vector index, a scan of the text index with a tsvector for each matching row, and k rows. Ties
    are ordered by vector position, then text position, then primary key. For a row that only the text side found, the
    distance is computed; the text rank is NULL if the row is not in the text list.
    """
    vector_side = _vector_side(target, shape, where)
    text_side = _text_side(target, shape, where)
    best = _fused(target, shape, vector_side, text_side).cte("rowspace_best")
    found = select(func.count()).select_from(vector_side).scalar_subquery()
    distance = func.coalesce(best.c[DISTANCE], distance_to(target.target), type_=Double()).label(DISTANCE)
    columns = [distance, best.c[TEXT_RANK], best.c[SCORE], found.label(FOUND)]
    return (
        select(target.target.model, *columns, *excerpt(target, wanted=shape.highlight))
        .join(best, same_key(target.keys, best))
        .where(*target.target.in_scope(planned_once=not where))
        .order_by(best.c[_PLACE])
        .options(defer(target.target.attribute), *apart(target.target.model))
    )


def _vector_side(target: TextTarget[Any], shape: HybridSearch, where: Where) -> CTE:
    nearest = _nearest(target, shape, where).subquery("rowspace_nearest")
    # Numbered in the outer query, because an index scan in relaxed_order is not exactly in order.
    place = func.row_number().over(order_by=[nearest.c[DISTANCE], *_keys(target, nearest)])
    # The cosine distance to a vector of zeros is NaN, the farthest in PostgreSQL's order.
    value: ColumnElement[float] = -func.nullif(nearest.c[DISTANCE], literal_column("'NaN'::float8"), type_=Double())
    return select(*nearest.c, place.label(_PLACE), *_share(shape, value)).cte("rowspace_by_vector")


def _nearest(target: TextTarget[Any], shape: HybridSearch, where: Where) -> Select[Any]:
    distance = distance_to(target.target)
    found = (
        select(*target.keys, distance.label(DISTANCE))
        .select_from(target.target.model)
        .where(*target.target.under(where))
    )
    if shape.exact:
        return found.order_by(by_comparison(distance)).limit(number(shape.fetch_k))
    if shape.candidates is None:
        return first_of(found, distance, shape.fetch_k, filtered=bool(where))
    order = approximate_distance(target.target)
    rough = first_of(found, order, shape.candidates, filtered=bool(where)).subquery()
    return select(*rough.c).order_by(rough.c[DISTANCE], *_keys(target, rough)).limit(number(shape.fetch_k))


def _text_side(target: TextTarget[Any], shape: HybridSearch, where: Where) -> CTE:
    search = TextSearch(shape.fetch_k, shape.max_ranked)
    # A row without a vector has no distance.
    matches = text_candidates(target, search, [*where, *target.target.with_vector()]).subquery("rowspace_matches")
    rank = matches.c[TEXT_RANK]
    place = func.row_number().over(order_by=[rank.desc(), *_keys(target, matches)])
    # A text with only exclusions ranks all rows 0, which is no order to fuse.
    listed = select(*matches.c, place.label(_PLACE), *_share(shape, rank)).where(rank > literal_column("0"))
    return listed.cte("rowspace_by_text")


def _share(shape: HybridSearch, value: ColumnElement[float]) -> list[ColumnElement[float]]:
    """Return a value from 0 for the lowest to 1 for the highest of the list, 1 if all are equal, if it is used."""
    if shape.method == "rrf":
        return []
    low, high = func.min(value).over(), func.max(value).over()
    share = (value - low) / func.nullif(high - low, literal_column("0"), type_=Double())
    alike = case((value.is_(None), literal_column("0")), else_=literal_column("1"))
    return [func.coalesce(share, alike, type_=Double()).label(_SHARE)]


def _fused(target: TextTarget[Any], shape: HybridSearch, by_vector: CTE, by_text: CTE) -> Select[Any]:
    keys = [func.coalesce(by_vector.c[k.key], by_text.c[k.key], type_=k.type).label(k.key) for k in target.keys]
    score = _weighted(VECTOR_WEIGHT, _part(shape, by_vector)) + _weighted(TEXT_WEIGHT, _part(shape, by_text))
    order = [score.desc(), by_vector.c[_PLACE], by_text.c[_PLACE]]
    same = same_key([by_vector.c[key.key] for key in target.keys], by_text)
    columns = [by_vector.c[DISTANCE], by_text.c[TEXT_RANK], score.label(SCORE)]
    return (
        select(*keys, *columns, func.row_number().over(order_by=order).label(_PLACE))
        .select_from(by_vector.outerjoin(by_text, same, full=True))
        .order_by(*order)
        .limit(number(shape.k))
    )


def _part(shape: HybridSearch, side: CTE) -> ColumnElement[float]:
    if shape.method == "weighted":
        return side.c[_SHARE]
    part: ColumnElement[Any] = literal_column("1.0::float8", Double()) / (
        bindparam(RRF_K, type_=Double()) + side.c[_PLACE]
    )
    return part


def _weighted(name: str, part: ColumnElement[float]) -> ColumnElement[float]:
    weighted: ColumnElement[float] = bindparam(name, type_=Double()) * part
    return func.coalesce(weighted, literal_column("0"), type_=Double())


def _keys(target: TextTarget[Any], side: Any) -> list[ColumnElement[Any]]:
    return [side.c[key.key] for key in target.keys]
