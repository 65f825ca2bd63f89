"""Column types: `Vector`, `HalfVector`, `Bit` and `SparseVector`.

They accept any 1-d array-like, check it before any SQL is sent, and return NumPy arrays. On an engine that Rowspace
created or instrumented, values are sent in pgvector's binary format. On any other engine, and in a SELECT that is
ordered by a vector itself or by `text()`, they are sent as text, which is slower but equally correct. The types do not
know the drivers: `rowspace.wire` puts a function on the dialect that wraps the bytes for its driver.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from numbers import Integral
from typing import Any, ClassVar, Generic, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Dialect, Double, TextClause
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import Interval, TypeDecorator, TypeEngine, UserDefinedType

from rowspace import vectors
from rowspace.distance import Distance
from rowspace.errors import ConfigurationError, InvalidVector
from rowspace.vectors import SparseValue

__all__ = [
    "Bit",
    "HalfVector",
    "SparseVector",
    "Vector",
    "VectorType",
    "decorated",
    "is_jsonb",
    "on_postgresql",
    "psycopg_dialect",
    "stored_type",
    "vector_type_of",
]

T = TypeVar("T")


class _Comparator(TypeEngine.Comparator[Any]):
    def distance(self, other: Any, distance: Distance) -> ColumnElement[float]:
        """Return the distance to a value or to another column."""
        return cast("ColumnElement[float]", self.op(distance.operator, return_type=Double())(other))


class VectorComparator(_Comparator):
    """The distances of a vector column, as SQL expressions of type double precision."""

    def l2_distance(self, other: Any) -> ColumnElement[float]:
        """Return `column <-> other`, the Euclidean distance."""
        return self.distance(other, Distance.L2)

    def cosine_distance(self, other: Any) -> ColumnElement[float]:
        """Return `column <=> other`, in [0, 2]."""
        return self.distance(other, Distance.COSINE)

    def max_inner_product(self, other: Any) -> ColumnElement[float]:
        """Return `column <#> other`, the negative inner product."""
        return self.distance(other, Distance.INNER_PRODUCT)

    def l1_distance(self, other: Any) -> ColumnElement[float]:
        """Return `column <+> other`, the taxicab distance."""
        return self.distance(other, Distance.L1)


class BitComparator(_Comparator):
    """The distances of a bit column."""

    def hamming_distance(self, other: Any) -> ColumnElement[float]:
        """Return `column <~> other`, the number of bits that differ."""
        return self.distance(other, Distance.HAMMING)

    def jaccard_distance(self, other: Any) -> ColumnElement[float]:
        """Return `column <%> other`, in [0, 1]."""
        return self.distance(other, Distance.JACCARD)


class _Sent(FunctionElement[Any]):
    """A selected column: through its type's send function if the driver reads rows as text, otherwise unchanged."""

    inherit_cache = True
    type: VectorType[Any]

    def __init__(self, column: ColumnElement[Any], type_: VectorType[Any]) -> None:
        super().__init__(column)
        self.type = type_


@compiles(_Sent)
def _compile_sent(element: _Sent, compiler: Any, **kw: Any) -> str:
    inner: str = compiler.process(element.clauses, **kw)
    # A statement with literal values is printed, or defines a view or a table, whose column would become bytea.
    if kw.get("literal_binds") or not getattr(compiler.dialect, "rowspace_send", False):
        return inner
    if any(map(_is_ordered_by_vector, compiler.stack)):
        return inner
    return f"{element.type.name}_send({inner})"


def _is_ordered_by_vector(level: dict[str, Any]) -> bool:
    """Return whether a SELECT or a UNION that is being compiled has a vector in its ORDER BY.

    Its vectors are then selected as text. With DISTINCT, PostgreSQL orders only by selected expressions; a label and a
    UNION refer to the selected expression too. Bytes sort differently than vectors.
    """
    statement = level["selectable"]
    return any(_may_be_vector(clause, statement) for clause in getattr(statement, "_order_by_clauses", ()))


def _may_be_vector(clause: Any, statement: Any) -> bool:
    """Return whether a clause of an ORDER BY is a vector, or SQL text, which may be the label or number of one."""
    while hasattr(clause, "element"):  # a label, DESC, NULLS LAST
        clause = clause.element
    if isinstance(clause, str):
        clause = statement.selected_columns.get(clause)
    if isinstance(clause, TextClause) or getattr(clause, "is_literal", False):
        return True
    type_ = getattr(clause, "type", None)
    return isinstance(getattr(type_, "impl_instance", type_), VectorType)


class VectorType(UserDefinedType[T], Generic[T]):
    """Base of the four types. A `dimension` of None means any; such a column needs a cast to be indexed."""

    hashable = False
    # psycopg and asyncpg send parameters without a type, so `SELECT :query` needs the cast.
    render_bind_cast = True

    #: The name in PostgreSQL.
    name: ClassVar[str]
    #: The most dimensions that can be stored.
    max_dimension: ClassVar[int]

    def __init__(self, dimension: int | None = None) -> None:
        dimension = None if dimension is None else _checked_dimension(dimension, self)
        self.dimension = dimension

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'' if self.dimension is None else self.dimension})"

    def get_col_spec(self, **_: Any) -> str:
        """Return the type as DDL."""
        return self.name.upper() if self.dimension is None else f"{self.name.upper()}({self.dimension})"

    def coerce(self, value: Any) -> T:
        """Return `value` checked and converted to the type that rows return.

        Raises:
            InvalidVector: shape, dtype, NaN or infinity.
            DimensionMismatch: not `dimension` long.
        """
        raise NotImplementedError

    def to_text(self, value: T) -> str:
        """Return a coerced value in the type's text form."""
        raise NotImplementedError

    def to_binary(self, value: T) -> bytes:
        """Return a coerced value in the type's binary form."""
        raise NotImplementedError

    def decode(self, value: Any) -> T:
        """Return the value of what a driver returned: bytes, text, or an object of the application's adapter."""
        raise NotImplementedError

    def compare_values(self, x: Any, y: Any) -> bool:
        """Return whether two values are the same, for the ORM's change detection."""
        if x is None or y is None:
            return x is y
        if x is y and isinstance(x, np.ndarray):
            # The same array was assigned again, as by `article.embedding /= norm`: its previous numbers are unknown.
            return False
        try:
            return np.array_equal(cast("Any", self.coerce(x)), cast("Any", self.coerce(y)))
        except InvalidVector:
            return False

    def column_expression(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return the expression that a SELECT uses instead of the column."""
        return _Sent(column, type_=self)

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        """Return the function that turns a value into a parameter."""

        def process(value: Any) -> Any:
            if value is None:
                return None
            coerced = self.coerce(value)
            # Looked up at each call, because an engine may be instrumented after its first statement.
            wrap = getattr(dialect, "rowspace_wrap", None)
            if wrap is None:
                return self.to_text(coerced)
            return wrap(self.to_binary(coerced), partial(self.to_text, coerced))

        return process

    def literal_processor(self, dialect: Dialect) -> Callable[[Any], str]:  # noqa: ARG002
        """Return the function that renders a value into SQL text, for offline migrations and `--sql`."""
        return lambda value: f"'{self.to_text(self.coerce(value))}'"

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:  # noqa: ARG002
        """Return the function that turns what the driver returned into a value."""
        decode = self.decode
        return lambda value: None if value is None else decode(value)


class Vector(VectorType[NDArray[np.float32]]):
    """pgvector's `vector(n)`: n float32 numbers. Returns float32 arrays of shape (n,), accepts any 1-d array-like.

    Without a dimension, the column holds vectors of any dimension, and can be indexed only through a cast. A vector of
    another dimension raises `DimensionMismatch`; NaN, infinity, another shape or values that are not numbers raise
    `InvalidVector`, both before any SQL is sent. SQLAlchemy notices assignments, such as `article.embedding /= norm`,
    but not changes in place, such as `article.embedding[0] = 1`.
    An ORM-enabled DELETE or UPDATE with a condition on the vector itself needs `synchronize_session="fetch"`:
    SQLAlchemy cannot evaluate a comparison of arrays in Python.

    To convert other values, write a subclass instead of a `TypeDecorator`: `coerce` converts a value or a query to what
    is stored, and `decode` converts what is stored to the attribute's value. Set `cache_ok = True` on the subclass.
    """

    name = "vector"
    # Not in VectorType: SQLAlchemy looks it up in the namespace of each class, and caches no statement without it.
    cache_ok: bool | None = True
    max_dimension = vectors.MAX_DIMENSION
    comparator_factory = VectorComparator

    def coerce(self, value: Any) -> NDArray[np.float32]:
        return vectors.as_vector(value, dimension=self.dimension)

    def to_text(self, value: NDArray[np.float32]) -> str:
        return vectors.to_text(value)

    def to_binary(self, value: NDArray[np.float32]) -> bytes:
        return vectors.to_binary(value)

    def decode(self, value: Any) -> NDArray[np.float32]:
        return _decode(value, np.float32)


class HalfVector(VectorType[NDArray[np.float16]]):
    """pgvector's `halfvec(n)`: like `Vector`, with n float16 numbers up to 65,504 and float16 arrays of shape (n,)."""

    name = "halfvec"
    cache_ok: bool | None = True
    max_dimension = vectors.MAX_DIMENSION
    comparator_factory = VectorComparator

    def coerce(self, value: Any) -> NDArray[np.float16]:
        return vectors.as_halfvec(value, dimension=self.dimension)

    def to_text(self, value: NDArray[np.float16]) -> str:
        return vectors.to_text(value)

    def to_binary(self, value: NDArray[np.float16]) -> bytes:
        return vectors.to_binary(value)

    def decode(self, value: Any) -> NDArray[np.float16]:
        return _decode(value, np.float16)


class Bit(VectorType[NDArray[np.bool_]]):
    """PostgreSQL's `bit(n)`, pgvector's binary vector. Returns bool arrays of shape (n,); also accepts text of 0 and 1.

    Without a dimension it is `bit varying`, because a plain `bit` means `bit(1)`, and a cast to that silently drops all
    other bits.
    """

    name = "bit"
    cache_ok: bool | None = True
    max_dimension = 83_886_080
    comparator_factory = BitComparator

    def get_col_spec(self, **_: Any) -> str:
        return "BIT VARYING" if self.dimension is None else f"BIT({self.dimension})"

    def coerce(self, value: Any) -> NDArray[np.bool_]:
        return vectors.as_bits(_plain_bits(value), dimension=self.dimension)

    def to_text(self, value: NDArray[np.bool_]) -> str:
        return vectors.bits_to_text(value)

    def to_binary(self, value: NDArray[np.bool_]) -> bytes:
        return vectors.bits_to_binary(value)

    def decode(self, value: Any) -> NDArray[np.bool_]:
        if isinstance(value, bytes | memoryview):
            return vectors.bits_from_binary(value)
        if isinstance(value, str):
            return vectors.bits_from_text(_text_of_one(value))
        return vectors.as_bits(_plain_bits(value))

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        """Return the function that turns a value into a parameter."""
        if dialect.driver != "asyncpg":
            return super().bind_processor(dialect)
        # asyncpg has its own codec for bit strings and accepts no other type.
        from asyncpg import BitString

        def process(value: Any) -> Any:
            return None if value is None else BitString(self.to_text(self.coerce(value)))

        return process


class SparseVector(VectorType[SparseValue]):
    """pgvector's `sparsevec(n)`: returns `pgvector.SparseVector`, which has `to_numpy()` and `to_coo()`.

    Accepts that class, a dense 1-d array-like, a SciPy sparse array, a dict from 0-based indices to numbers, or
    pgvector's text form, such as `{1:0.5,3:2}/4`, which data frames and Arrow use.
    """

    name = "sparsevec"
    cache_ok: bool | None = True
    max_dimension = vectors.MAX_SPARSE_DIMENSION
    comparator_factory = VectorComparator

    def coerce(self, value: Any) -> SparseValue:
        return vectors.as_sparse(value, dimension=self.dimension)

    def compare_values(self, x: Any, y: Any) -> bool:
        """Return whether two values are the same, for the ORM's change detection."""
        if x is None or y is None:
            return x is y
        try:
            return self.coerce(x).to_text() == self.coerce(y).to_text()
        except InvalidVector:
            return False

    def to_text(self, value: SparseValue) -> str:
        return value.to_text()

    def to_binary(self, value: SparseValue) -> bytes:
        return value.to_binary()

    def decode(self, value: Any) -> SparseValue:
        if isinstance(value, bytes | memoryview):
            return SparseValue.from_binary(value)
        return SparseValue.from_text(_text_of_one(value)) if isinstance(value, str) else value


def _checked_dimension(dimension: Any, of: VectorType[Any]) -> int:
    # Reflection passes the digits as text.
    number = int(dimension) if isinstance(dimension, str) and dimension.isdecimal() else dimension
    if isinstance(number, bool) or not isinstance(number, Integral) or not 1 <= int(number) <= of.max_dimension:
        message = f"The dimension of {type(of).__name__} must be from 1 to {of.max_dimension}, got {dimension!r}."
        raise ConfigurationError(message)
    return int(number)


def _decode(value: Any, dtype: type[Any]) -> NDArray[Any]:
    if isinstance(value, bytes | memoryview):
        return vectors.from_binary(value, dtype)
    if isinstance(value, str):
        return vectors.from_text(_text_of_one(value), dtype)
    # From an adapter that the application registered, such as pgvector.psycopg.register_vector.
    return np.asarray(value.to_numpy() if hasattr(value, "to_numpy") else value, dtype)


def _text_of_one(value: str) -> str:
    """Return the text of a value, but refuse a brace or a bracket, with which the text of an array begins.

    psycopg and psycopg2 return arrays of these types as text, and SQLAlchemy treats each character as an element.
    """
    if value in {"{", "["}:
        message = (
            "Expected the text of one vector, got the text of an array of vectors, which this driver does not parse. "
            "Select the elements as rows, as in select(func.unnest(column, type_=Vector(3))), select rows instead of "
            "array_agg, read many vectors with MatrixRepository.read(), or use asyncpg."
        )
        raise ConfigurationError(message)
    return value


def _plain_bits(value: Any) -> Any:
    """Return pgvector's Bit and asyncpg's BitString as a string of digits, bytes as their bits."""
    if isinstance(value, bytes | bytearray):
        return np.unpackbits(np.frombuffer(value, np.uint8))
    for name in ("to_text", "as_string"):
        if hasattr(value, name):
            return str(getattr(value, name)()).replace(" ", "")
    return value


# Reflection looks up types by name in this table of SQLAlchemy; pgvector adds its types in the same way.
ischema_names["vector"] = Vector
ischema_names["halfvec"] = HalfVector
ischema_names["sparsevec"] = SparseVector


#: The equivalents of pgvector's column types; the attribute with their dimension differs between releases.
_TYPES: tuple[type[VectorType[Any]], ...] = (Vector, HalfVector, Bit, SparseVector)
_PGVECTOR = {kind.name.upper(): kind for kind in _TYPES}


def vector_type_of(type_: TypeEngine[Any]) -> VectorType[Any] | None:
    """Return the vector type of a column's type: the type itself, or the equivalent of one from `pgvector.sqlalchemy`.

    Returns None for any other type. Of a type with variants, the one for PostgreSQL counts.
    """
    type_ = on_postgresql(type_)
    if isinstance(type_, VectorType):
        return type_
    made = type(type_)
    if made.__module__.partition(".")[0] != "pgvector" or made.__name__ not in _PGVECTOR:
        return None
    return _PGVECTOR[made.__name__](getattr(type_, "dim", None) or getattr(type_, "length", None))


def on_postgresql(type_: TypeEngine[Any]) -> TypeEngine[Any]:
    """Return what a type is on PostgreSQL: itself, or the variant that `with_variant` gave it."""
    variant: TypeEngine[Any] = type_._variant_mapping.get("postgresql", type_)  # noqa: SLF001 -- there is no other way
    return variant


def stored_type(type_: TypeEngine[Any]) -> TypeEngine[Any]:
    """Return the type in the database: a variant, what a `TypeDecorator` decorates, or what a domain is over."""
    type_ = on_postgresql(type_)
    # SQLAlchemy's Interval is a TypeDecorator only for databases without intervals.
    while isinstance(type_, TypeDecorator) and not isinstance(type_, Interval):
        type_ = on_postgresql(type_.load_dialect_impl(psycopg_dialect()))
    return stored_type(type_.data_type) if isinstance(type_, postgresql.DOMAIN) else type_


def is_jsonb(type_: TypeEngine[Any]) -> bool:
    """Return whether a column of a type is JSONB in the database."""
    return isinstance(stored_type(type_), postgresql.JSONB)


@cache
def psycopg_dialect() -> Any:
    """Return the dialect whose rules the types use to process their values.

    There is only one, because it caches its knowledge of each type, and even a load of a few rows asks for each column.
    """
    return postgresql.psycopg.dialect()  # type: ignore[no-untyped-call]


def decorated(type_: TypeEngine[Any]) -> str:
    """Return advice on what to use instead of a `TypeDecorator` over a vector type; "" for any other type."""
    if not isinstance(type_, TypeDecorator) or vector_type_of(type_.impl_instance) is None:
        return ""
    inner = type(type_.impl_instance).__name__
    return (
        f" COPY and matrices do not support {type(type_).__name__}, because it is a TypeDecorator. Make it a subclass "
        f"of {inner} with cache_ok = True, whose coerce() converts to what is stored and decode() converts back."
    )
