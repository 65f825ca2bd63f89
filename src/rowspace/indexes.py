"""Vector indexes as plain specifications: HNSW and IVFFlat, for your own models and for collections.

This module describes indexes; the DDL that creates them is in `rowspace.statements.admin` and in migrations.
Limits and defaults: pgvector's README, sections "HNSW", "IVFFlat", "Half-Precision Indexing", "Binary Quantization".
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from sqlalchemy import ClauseElement, ColumnElement, Index, SQLColumnExpression, Table, cast, event, func, text
from sqlalchemy.sql.elements import SQLCoreOperations
from sqlalchemy.types import TypeEngine

from rowspace.distance import Distance, DistanceName
from rowspace.errors import ConfigurationError
from rowspace.settings import is_whole
from rowspace.types import Bit, HalfVector, decorated, vector_type_of

__all__ = [
    "HNSW",
    "MAX_INDEXED",
    "IVFFlat",
    "IndexName",
    "Quantize",
    "declared_distances",
    "declared_index",
    "distance_suffix",
    "escaped",
    "from_dict",
    "quantized",
    "to_dict",
]

_log = logging.getLogger(__name__)

#: Names of an index with default options.
IndexName: TypeAlias = Literal["hnsw", "ivfflat"]

#: What a quantized index stores instead of the vectors: float16 numbers, or one bit for the sign of each number.
Quantize = Literal["halfvec", "bit"]

#: The maximum number of dimensions that hnsw and ivfflat index, by type. For sparsevec, the limit is not on dimensions:
#: each value can have up to 1,000 elements other than zero.
MAX_INDEXED = {"vector": 2_000, "halfvec": 4_000, "bit": 64_000, "sparsevec": 1_000_000_000}

#: Types and distances for which pgvector has no operator class, by method.
_UNSUPPORTED = {"ivfflat": {Distance.L1, Distance.JACCARD}, "hnsw": set[Distance]()}

#: Distances for which ivfflat clusters on a sphere, which requires two dimensions.
_SPHERICAL = {Distance.COSINE, Distance.INNER_PRODUCT}

_INFO = "rowspace_index"

#: The places where `sqlalchemy.text` reads a word as the name of a parameter.
_PARAMETER = re.compile(r"(?<![:\w$\\]):(?=[\w$])")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spec:
    """Base of the two kinds of index."""

    quantize: Quantize | None = None
    where: Mapping[str, Any] | SQLColumnExpression[bool | None] | str | None = field(default=None, compare=False)

    method = ""
    if TYPE_CHECKING:
        # Each subclass declares it as its first field.
        distance: Distance

    def options(self) -> dict[str, int]:
        """Return the storage parameters for `WITH (...)`."""
        raise NotImplementedError

    def fit(self, type_name: str, dimension: int) -> Self:
        """Return the specification that will be built for a type and a dimension.

        Above 2,000 dimensions, a `vector` is indexed as halfvec, which is logged. Bit quantization is never chosen
        automatically: it is coarse, and pays off only if neighbours differ in the signs of their numbers.

        Raises:
            ConfigurationError: the type has no such distance or quantization, or there are too many dimensions.
        """
        quantize = self.quantize
        if quantize is None and type_name == "vector" and MAX_INDEXED["vector"] < dimension <= MAX_INDEXED["halfvec"]:
            _log.info(
                "%d dimensions exceed the %d that %s can index as vector: the index is built on halfvec.",
                dimension,
                MAX_INDEXED["vector"],
                self.method,
            )
            quantize = "halfvec"
        self._check(type_name, quantize, dimension)
        return replace(self, quantize=quantize)

    def opclass(self, type_name: str) -> str:
        """Return the operator class for a type, or for what the type is quantized to."""
        return "bit_hamming_ops" if self.quantize == "bit" else self.distance.opclass(self.quantize or type_name)

    def index(self, column: str, *, name: str | None = None, **options: Any) -> Index:
        """Return an `Index` on `column` for `__table_args__`; expression and operator class follow from the column.

        Further keywords go to `sqlalchemy.Index`.

        Raises:
            ConfigurationError: immediately if `where` is a metadata filter; when the table is built if the column's
                type or dimension cannot be indexed.
        """
        if isinstance(self.where, Mapping):
            message = (
                f"Expected a condition on columns as where of a model's index, got {self.where!r}, which is for a "
                "collection."
            )
            raise ConfigurationError(message)
        options |= {"postgresql_using": self.method, "postgresql_with": self.options()}
        if self.where is not None:
            options["postgresql_where"] = text(escaped(self.where)) if isinstance(self.where, str) else self.where
        index = Index(name, column, **options)
        event.listen(index, "after_parent_attach", lambda index, table: _complete(index, table, column, self))
        return index

    def _check_given(self) -> None:
        if self.quantize not in {None, "halfvec", "bit"}:
            message = f"quantize must be None, 'halfvec' or 'bit', got {self.quantize!r}."
            raise ConfigurationError(message)
        where: Any = self.where
        known = isinstance(where, str) and where.strip()
        if not (known or where is None or isinstance(where, Mapping | ClauseElement | SQLCoreOperations)):
            message = f"where must be a condition, its SQL or, for a collection, a filter, got {self.where!r:.60}."
            raise ConfigurationError(message)

    def _check(self, type_name: str, quantize: Quantize | None, dimension: int) -> None:
        kinds = {"vector": {"halfvec", "bit"}, "halfvec": {"bit"}}.get(type_name, set())
        if quantize is not None and quantize not in kinds:
            message = f"quantize must be {' or '.join(sorted(kinds)) or 'None'} for {type_name}, got {quantize!r}."
            raise ConfigurationError(message)
        if self.distance in _UNSUPPORTED[self.method] or (self.method == "ivfflat" and type_name == "sparsevec"):
            message = f"pgvector's ivfflat does not index {self.distance.value} distance of {type_name}: use HNSW."
            raise ConfigurationError(message)
        if self.method == "ivfflat" and dimension == 1 and quantize != "bit" and self.distance in _SPHERICAL:
            message = f"pgvector's ivfflat does not index {self.distance.value} distance of one dimension: use HNSW."
            raise ConfigurationError(message)
        if dimension > MAX_INDEXED[quantize or type_name]:
            raise ConfigurationError(_too_many(self.method, type_name, quantize, dimension))
        self.distance.opclass(type_name)


@dataclass(frozen=True, slots=True)
class HNSW(_Spec):
    """A graph index: better speed at a given recall than IVFFlat, but slower to build.

    Args:
        distance: the distance it orders by; a query by another distance cannot use it.
        m: connections per node and layer, 2 to 100; pgvector's default is 16.
        ef_construction: candidates during the build, 4 to 1000 and at least 2 * m; pgvector's default is 64.
        quantize: what the index stores of each number: "halfvec" two bytes (half the size, almost no loss of recall;
            numbers beyond 65504 cannot be stored), "bit" its sign (a 16th of the size at 1536 dimensions), None the
            full number, or halfvec above 2,000 dimensions. Searches re-rank the rows that a quantized index finds by
            the true distance.
        where: index only these rows: for a model a condition or its SQL, for a collection a metadata filter. A search
            uses the index only if its own conditions include this one; for a quantized index, written in the same way.
    """

    distance: Distance = Distance.COSINE
    m: int = 16
    ef_construction: int = 64

    method = "hnsw"

    if TYPE_CHECKING:
        # The signature that a dataclass would have, except that a distance can be passed by name.
        def __init__(
            self,
            distance: Distance | DistanceName = Distance.COSINE,
            m: int = 16,
            ef_construction: int = 64,
            *,
            quantize: Quantize | None = None,
            where: Mapping[str, Any] | SQLColumnExpression[bool | None] | str | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        object.__setattr__(self, "distance", Distance(self.distance))
        object.__setattr__(self, "m", _in_range("m", self.m, 2, 100))
        least = max(4, 2 * self.m)
        object.__setattr__(self, "ef_construction", _in_range("ef_construction", self.ef_construction, least, 1_000))
        self._check_given()

    def options(self) -> dict[str, int]:
        """Return the storage parameters for `WITH (...)`."""
        return {"m": self.m, "ef_construction": self.ef_construction}


@dataclass(frozen=True, slots=True)
class IVFFlat(_Spec):
    """A list index: fast to build; build it after loading the rows.

    Args:
        distance: the distance it orders by; a query by another distance cannot use it. Not available for l1 and
            jaccard.
        lists: number of clusters, 1 to 32768; None derives it from the row count at the time of the build. quantize: as
            for `HNSW`. where: as for `HNSW`.
    """

    distance: Distance = Distance.COSINE
    lists: int | None = None

    method = "ivfflat"

    if TYPE_CHECKING:

        def __init__(
            self,
            distance: Distance | DistanceName = Distance.COSINE,
            lists: int | None = None,
            *,
            quantize: Quantize | None = None,
            where: Mapping[str, Any] | SQLColumnExpression[bool | None] | str | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        object.__setattr__(self, "distance", Distance(self.distance))
        if self.lists is not None:
            object.__setattr__(self, "lists", _in_range("lists", self.lists, 1, 32_768))
        self._check_given()

    def options(self) -> dict[str, int]:
        """Return the storage parameters for `WITH (...)`."""
        return {} if self.lists is None else {"lists": self.lists}

    def sized(self, rows: int) -> IVFFlat:
        """Return a copy with `lists` chosen for a table of `rows`: rows / 1000, above a million the square root."""
        if self.lists is not None:
            return self
        return replace(self, lists=max(1, rows // 1_000 if rows <= 1_000_000 else int(rows**0.5)))


#: Either kind.
Spec: TypeAlias = HNSW | IVFFlat


def to_dict(spec: Spec | None) -> dict[str, Any]:
    """Return the specification as JSON, for `Collection.index`; `{}` for none."""
    if spec is None:
        return {}
    values = {item.name: getattr(spec, item.name) for item in fields(spec)}
    given = {name: value for name, value in values.items() if value is not None or name == "lists"}
    return {"method": spec.method, **given, "distance": spec.distance.value}


def from_dict(data: Mapping[str, Any]) -> Spec | None:
    """Return the specification that `to_dict` wrote; other keys, such as a tuning, are ignored."""
    if not data:
        return None
    kind: type[Spec] = IVFFlat if data["method"] == "ivfflat" else HNSW
    known = {item.name for item in fields(kind)}
    return kind(**{key: value for key, value in data.items() if key in known})


def quantized(vector: ColumnElement[Any], quantize: Quantize, dimension: int) -> ColumnElement[Any]:
    """Return the expression that a quantized index is on, or the same expression of a query.

    `(v::halfvec(n))` or `(binary_quantize(v)::bit(n))`: pgvector's README, "Half-Precision Indexing" and "Binary
    Quantization".
    """
    if quantize == "halfvec":
        return cast(vector, HalfVector(dimension))
    return cast(func.binary_quantize(vector), Bit(dimension))


def escaped(sql: str) -> str:
    """Return SQL escaped for `text`, which would find a parameter in `'{"draft":true}'`."""
    return _PARAMETER.sub(r"\:", sql)


def declared_index(
    table: Table, column: str, distance: Distance | None = None
) -> tuple[Distance | None, Quantize | None]:
    """Return the distance and the quantization of the vector index that a table declares on a column.

    Of several indexes, one by the given distance is preferred, and one that stores full numbers over a quantized one;
    an index on halfvec serves only its own distance. Both are None without an index; the distance is also None if the
    only index is on bits and was not created by `index`.

    Raises:
        ConfigurationError: there are indexes by several distances, and none is given.
    """
    every = _indexes_on(table, column)
    own = [kind for kind in every if distance in {None, kind[0]}]
    found = own or [kind for kind in every if kind[1] != "halfvec"]
    distances = {distance for distance, _ in found if distance is not None}
    if len(distances) > 1 and distance is None:
        names = ", ".join(sorted(distances))
        message = f"{table.name}.{column} is indexed by several distances ({names}). Name one of them by distance=..."
        raise ConfigurationError(message)
    _, quantize = min(found, key=lambda kind: (None, "halfvec", "bit").index(kind[1]), default=(None, None))
    return (distance if distance in distances else min(distances, default=None)), quantize


def declared_conditions(table: Table, column: str, distance: Distance, quantize: Quantize) -> tuple[Any, ...]:
    """Return the conditions of the indexes with a distance and a quantization, none if one of them covers every row."""
    # An index on bits serves any distance.
    kinds = {(distance, quantize)} if quantize == "halfvec" else {(one, quantize) for one in (None, *Distance)}
    on_column = [index for index in table.indexes if column in _opclasses(index)]
    found = [index for index in on_column if _declared(index, table.c[column]) in kinds]
    conditions = tuple(index.dialect_options["postgresql"]["where"] for index in found)
    return () if any(condition is None for condition in conditions) else conditions


def declared_distances(table: Table, column: str) -> list[Distance | None]:
    """Return the distances of the vector indexes that a table declares on a column; None for one without a distance."""
    found = {distance for distance, _ in _indexes_on(table, column)}
    return [distance for distance in Distance if distance in found] or [*found]


def _indexes_on(table: Table, column: str) -> list[tuple[Distance | None, Quantize | None]]:
    return [_declared(index, table.c[column]) for index in table.indexes if column in _opclasses(index)]


def _declared(index: Index, column: ColumnElement[Any]) -> tuple[Distance | None, Quantize | None]:
    spec: Spec | None = index.info.get(_INFO)
    if spec is not None:
        return spec.distance, spec.quantize
    held, _, suffix = _opclasses(index)[column.key or ""].partition("_")
    stored = getattr(column.type, "name", held)
    quantize: Quantize | None = {"halfvec": "halfvec", "bit": "bit"}.get(held) if held != stored else None  # type: ignore[assignment]
    if quantize == "bit":
        return None, quantize
    return next((d for d in Distance if distance_suffix(d) == suffix), None), quantize


def distance_suffix(distance: Distance) -> str:
    """Return the end of a distance's operator classes, for example `cosine_ops`."""
    return distance.opclass("bit" if distance.for_bits else "vector").split("_", 1)[1]


def _opclasses(index: Index) -> dict[str, str]:
    return dict(index.dialect_options["postgresql"].get("ops", {}))


def _complete(index: Index, table: Table, column: str, spec: Any) -> None:
    """Set the operator class of an index that was just attached to its table, and the expression of a quantized one."""
    indexed = table.c[column]
    name, dimension = _type_of(indexed.type, spec.method)
    fitted = spec.fit(name, dimension)
    index.info[_INFO] = fitted
    # Also under the column's name, which a generated migration uses, and as plain text, which is all Alembic renders.
    key, opclass = str(indexed.key), fitted.opclass(name)
    index.dialect_options["postgresql"]["ops"] = {key: opclass, str(indexed.name): opclass}
    if fitted.quantize is not None:
        # `Index` accepts expressions only of existing columns, and in `__table_args__` there are none yet.
        expression = quantized(indexed, fitted.quantize, dimension).label(key)
        index.expressions = index._table_bound_expressions = [expression]  # noqa: SLF001


def _type_of(type_: TypeEngine[Any], method: str) -> tuple[str, int]:
    vector = vector_type_of(type_)
    if vector is None:
        message = f"A {method} index needs a vector column, got {type_!r}.{decorated(type_)}"
        raise ConfigurationError(message)
    if vector.dimension is None:
        message = "A column without a dimension cannot be indexed. Declare the dimension, as in Vector(384)."
        raise ConfigurationError(message)
    return vector.name, vector.dimension


def _too_many(method: str, type_name: str, quantize: Quantize | None, dimension: int) -> str:
    ways = ["an embedding of fewer dimensions", "no index, which makes every search exact"]
    if quantize is None and type_name in {"vector", "halfvec"} and dimension <= MAX_INDEXED["bit"]:
        ways.insert(0, f'quantize="bit" (up to {MAX_INDEXED["bit"]} dimensions, re-ranked by the true distance)')
    held = quantize or ("halfvec" if type_name == "vector" else type_name)
    return (
        f"{method} indexes at most {MAX_INDEXED[held]} dimensions of {held}, got {dimension}. "
        f"Alternatives: {'; '.join(ways)}."
    )


def _in_range(name: str, value: Any, low: int, high: int) -> int:
    if not is_whole(value, low, high):
        message = f"{name} must be from {low} to {high}, got {value!r}."
        raise ConfigurationError(message)
    return int(value)
