"""Vector indexes as plain specifications: HNSW and IVFFlat, for people's own models and for collections.

Here is what an index is; making one in the database is DDL, in `rowspace.statements.admin` and in migrations.
Limits and defaults: pgvector's README, sections "HNSW" and "IVFFlat".
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Index, Table, event
from sqlalchemy.types import TypeEngine

from rowspace.distance import Distance
from rowspace.errors import ConfigurationError
from rowspace.types import VectorType

__all__ = ["HNSW", "MAX_INDEXED", "IVFFlat", "distance_of", "from_dict", "to_dict"]

#: The most dimensions that hnsw and ivfflat index, by type.
MAX_INDEXED = {"vector": 2_000, "halfvec": 4_000, "bit": 64_000, "sparsevec": 1_000}


class _Spec:
    """What the two kinds share."""

    method: str
    distance: Distance

    def options(self) -> dict[str, int]:
        """Return the storage parameters for `WITH (...)`."""
        raise NotImplementedError

    def index(self, column: str, *, name: str | None = None, **options: Any) -> Index:
        """Return an `Index` on `column` for `__table_args__`; the operator class follows from the column's type.

        Further keywords go to `sqlalchemy.Index`, for example `postgresql_where`.

        Raises:
            ConfigurationError: when the table is built, if the column's type or dimension cannot be indexed.
        """
        options |= {"postgresql_using": self.method, "postgresql_with": self.options()}
        index = Index(name, column, **options)
        event.listen(index, "after_parent_attach", lambda index, table: _set_opclass(index, table, column, self))
        return index

    def check(self, type_: TypeEngine[Any], dimension: int | None) -> str:
        """Return the operator class for a column type.

        Raises:
            ConfigurationError: the type has no such distance, or more dimensions than the index takes.
        """
        name = getattr(type_, "name", None)
        if not isinstance(type_, VectorType) or name is None:
            message = f"A {self.method} index needs a vector column, got {type_!r}."
            raise ConfigurationError(message)
        limit = MAX_INDEXED[name]
        if dimension is None:
            message = "A column without a dimension is indexed through a cast; give it one, as in Vector(384)."
            raise ConfigurationError(message)
        if dimension > limit:
            message = (
                f"{self.method} indexes at most {limit} dimensions of {name}, got {dimension}. "
                "Use HalfVector (up to 4000), Bit (up to 64000), or no index."
            )
            raise ConfigurationError(message)
        return self.distance.opclass(name)


@dataclass(frozen=True, slots=True)
class HNSW(_Spec):
    """A graph index: the better trade of speed and recall, slower to build.

    Args:
        distance: what it orders by; a query by another distance cannot use it.
        m: connections a node and layer, 2 to 100; pgvector's default is 16.
        ef_construction: candidates while building, 4 to 1000 and at least 2 * m; pgvector's default is 64.
    """

    distance: Distance = Distance.COSINE
    m: int = 16
    ef_construction: int = 64

    method = "hnsw"

    def __post_init__(self) -> None:
        object.__setattr__(self, "distance", Distance(self.distance))
        _check_range("m", self.m, 2, 100)
        _check_range("ef_construction", self.ef_construction, max(4, 2 * self.m), 1_000)

    def options(self) -> dict[str, int]:
        """Return the storage parameters for `WITH (...)`."""
        return {"m": self.m, "ef_construction": self.ef_construction}


@dataclass(frozen=True, slots=True)
class IVFFlat(_Spec):
    """A list index: fast to build, best made after the rows are there.

    Args:
        distance: what it orders by; a query by another distance cannot use it.
        lists: clusters, 1 to 32768; None derives it from the row count when it is built.
    """

    distance: Distance = Distance.COSINE
    lists: int | None = None

    method = "ivfflat"

    def __post_init__(self) -> None:
        object.__setattr__(self, "distance", Distance(self.distance))
        if self.lists is not None:
            _check_range("lists", self.lists, 1, 32_768)

    def options(self) -> dict[str, int]:
        """Return the storage parameters for `WITH (...)`."""
        return {} if self.lists is None else {"lists": self.lists}

    def sized(self, rows: int) -> IVFFlat:
        """Return it with `lists` chosen for a table of `rows`: rows / 1000, above a million the square root."""
        if self.lists is not None:
            return self
        return replace(self, lists=max(1, rows // 1_000 if rows <= 1_000_000 else int(rows**0.5)))


def to_dict(spec: HNSW | IVFFlat | None) -> dict[str, Any]:
    """Return the specification as JSON, for `Collection.index`; `{}` for none."""
    return {} if spec is None else {"method": spec.method, **asdict(spec), "distance": spec.distance.value}


def from_dict(data: dict[str, Any]) -> HNSW | IVFFlat | None:
    """Return the specification that `to_dict` wrote."""
    if not data:
        return None
    options = {key: value for key, value in data.items() if key != "method"}
    return IVFFlat(**options) if data["method"] == "ivfflat" else HNSW(**options)


def distance_of(table: Table, column: str) -> Distance | None:
    """Return the distance that the vector index of a table's column orders by, or None without one.

    Raises:
        ConfigurationError: there are indexes by several distances.
    """
    opclasses = {str(_opclasses(index).get(column)) for index in table.indexes if column in _opclasses(index)}
    found = {distance for distance in Distance for name in opclasses if name.endswith(f"_{distance_suffix(distance)}")}
    if len(found) > 1:
        names = ", ".join(sorted(found))
        message = f"{table.name}.{column} is indexed by several distances ({names}): say which one, distance=..."
        raise ConfigurationError(message)
    return found.pop() if found else None


def distance_suffix(distance: Distance) -> str:
    """Return the end of a distance's operator classes, for example `cosine_ops`."""
    return distance.opclass("bit" if distance.for_bits else "vector").split("_", 1)[1]


def _opclasses(index: Index) -> dict[str, Any]:
    return dict(index.dialect_options["postgresql"].get("ops", {}))


def _set_opclass(index: Index, table: Table, column: str, spec: _Spec) -> None:
    type_ = table.c[column].type
    opclass = spec.check(type_, getattr(type_, "dimension", None))
    index.dialect_options["postgresql"]["ops"] = {table.c[column].key: opclass}


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        message = f"{name} is from {low} to {high}, got {value!r}."
        raise ConfigurationError(message)
