"""Values: what a vector column accepts, and its text and binary forms on the wire.

Plain NumPy, and pgvector's own class for sparse vectors; the column types in `rowspace.types` and the COPY encoder in
`rowspace.wire` build on it.
The binary forms are those of pgvector's `vector_recv`, `halfvec_recv` and PostgreSQL's `bit_recv`: all
numbers big-endian.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rowspace.errors import DimensionMismatch, InvalidVector

try:
    from pgvector import SparseVector as SparseValue
except ImportError:  # pgvector 0.3, which langchain-postgres and vecs pin
    from pgvector.utils import SparseVector as SparseValue  # type: ignore[no-redef]

__all__ = [
    "MAX_DIMENSION",
    "MAX_SPARSE_DIMENSION",
    "SparseValue",
    "as_bits",
    "as_halfvec",
    "as_matrix",
    "as_sparse",
    "as_vector",
    "bits_from_binary",
    "bits_from_text",
    "bits_to_binary",
    "bits_to_text",
    "fault_of",
    "from_binary",
    "from_text",
    "matrix_to_binary",
    "sound_rows",
    "to_binary",
    "to_text",
]

#: The maximum number of dimensions of a `vector` or `halfvec`, and of a `sparsevec`.
MAX_DIMENSION, MAX_SPARSE_DIMENSION = 16_000, 1_000_000_000

_IS_BIG_ENDIAN = sys.byteorder == "big"

Float32 = NDArray[np.float32]
Float16 = NDArray[np.float16]
Bits = NDArray[np.bool_]


def as_vector(value: Any, *, dimension: int | None = None) -> Float32:
    """Return `value` as a C-contiguous float32 array of shape (n,), without a copy if it already is one.

    Args:
        value: a list, tuple, range, NumPy array of any int or float dtype, or a pgvector `Vector`.
        dimension: the required n.

    Raises:
        InvalidVector: not one-dimensional, empty, above 16,000 dimensions, not numeric, or with a NaN or an infinity.
        DimensionMismatch: not of the required dimension.
    """
    # Fast path: most searches pass such an array.
    plain = type(value) is np.ndarray and value.dtype == np.float32 and value.shape == (dimension,)
    array = value if plain else _storable(_numeric(value), dimension)
    return _finite(array, np.float32)


def as_halfvec(value: Any, *, dimension: int | None = None) -> Float16:
    """Return `value` as a float16 array of shape (n,); see `as_vector`.

    Raises:
        InvalidVector: as in `as_vector`, or a number beyond the range of float16 (65,504).
        DimensionMismatch: not of the required dimension.
    """
    return _finite(_storable(_numeric(value), dimension), np.float16)


def as_matrix(value: Any, *, dimension: int | None = None) -> Float32:
    """Return `value` as a C-contiguous float32 array of shape (rows, n).

    Raises:
        InvalidVector: not two-dimensional, not numeric, or with a NaN or an infinity; the message names the row.
        DimensionMismatch: rows not of the required dimension.
    """
    array = _numeric(value)
    if array.ndim != 2:
        message = f"Expected a matrix of shape (rows, dimension), got an array of shape {array.shape}."
        raise InvalidVector(message)
    _check_dimension(array.shape[1], dimension)
    return _finite(array, np.float32)


def sound_rows(value: Any) -> tuple[Float32, list[int]]:
    """Return `value` as a float32 array of shape (rows, n), and which of its rows hold a NaN or an infinity.

    A valid matrix costs one pass; the rows are checked one by one only if something is wrong.

    Raises:
        InvalidVector: not two-dimensional, or not numeric.
    """
    array = _numeric(value)
    try:
        return as_matrix(array), []
    except InvalidVector:
        if array.ndim != 2:
            raise
    with np.errstate(all="ignore"):
        out = np.ascontiguousarray(array, np.float32)
    return out, np.flatnonzero(~np.isfinite(out).all(axis=1)).tolist()


def fault_of(value: Any, *, dimension: int | None = None) -> InvalidVector | None:
    """Return the message of `as_vector` for a value that is not a vector; None if it is one."""
    try:
        as_vector(value, dimension=dimension)
    except InvalidVector as error:
        return error
    return None


def as_bits(value: Any, *, dimension: int | None = None) -> Bits:
    """Return `value` as a bool array of shape (n,).

    Args:
        value: bools or 0/1 numbers in any 1-d array-like, a string such as `"0101"`, or a pgvector `Bit`.
        dimension: the required n.

    Raises:
        InvalidVector: not one-dimensional, empty, or with anything but 0 and 1.
        DimensionMismatch: not of the required dimension.
    """
    if isinstance(value, str):
        value = _digits(value)
    _refuse_masked(value)
    array = np.asarray(value.to_numpy() if hasattr(value, "to_numpy") else value)
    array = _one_dimensional(array, dimension)
    if array.dtype.kind not in "biuf" or not bool(np.isin(array, (0, 1)).all()):
        message = f"A bit vector can contain only 0 and 1, got {_brief(value)}."
        raise InvalidVector(message)
    return array.astype(np.bool_)


def as_sparse(value: Any, *, dimension: int | None = None) -> SparseValue:
    """Return `value` as pgvector's sparse vector, without elements that are zero as a float32.

    Args:
        value: a sparse vector, a dense 1-d array-like, a SciPy sparse array, a dict from 0-based indices to numbers, or
            pgvector's text form.
        dimension: the required n; needed for a dict.

    Raises:
        InvalidVector: none of these, no dimension or above a billion of them, a number that is not a finite float32, or
            above 16,000 that are not zero.
        DimensionMismatch: not of the required dimension.
    """
    sparse = _sparse(value, dimension)
    _check_dimension(sparse.dimensions(), dimension)
    if not 1 <= sparse.dimensions() <= MAX_SPARSE_DIMENSION:
        message = f"A sparsevec must have 1 to {MAX_SPARSE_DIMENSION:,} dimensions, got {sparse.dimensions():,}."
        raise InvalidVector(message)
    with np.errstate(all="ignore"):
        numbers = np.asarray(sparse.values(), np.float64).astype(np.float32)
    if not np.isfinite(numbers).all():
        message = (
            f"A sparse vector can contain only finite numbers in the range of float32, got {sparse.values()!r:.60}."
        )
        raise InvalidVector(message)
    if not numbers.all():
        # Numbers too small for float32 become zeros, which pgvector does not accept.
        sparse = SparseValue(dict(zip(sparse.indices(), numbers.tolist(), strict=True)), sparse.dimensions())
    if len(sparse.indices()) > MAX_DIMENSION:
        count = len(sparse.indices())
        message = f"A sparsevec can have at most {MAX_DIMENSION:,} elements other than zero, got {count:,}."
        raise InvalidVector(message)
    return sparse


def to_binary(array: Float32 | Float16) -> bytes:
    """Return the binary form of a checked vector: int16 dimension, int16 zero, big-endian numbers."""
    numbers = array if _IS_BIG_ENDIAN else array.byteswap()
    return len(array).to_bytes(2, "big") + b"\0\0" + numbers.tobytes()


def matrix_to_binary(matrix: Float32, *, lead: int = 0) -> NDArray[np.uint8]:
    """Return the binary forms of all rows of a checked (rows, n) matrix as one (rows, lead + 4 + 4 * n) uint8 array.

    The caller fills the first `lead` bytes of each row.
    """
    rows, dimension = matrix.shape
    start = lead + 4
    out = np.empty((rows, start + 4 * dimension), np.uint8)
    out[:, lead:start] = np.frombuffer(dimension.to_bytes(2, "big") + b"\0\0", np.uint8)
    # One pass copies the numbers and reverses their bytes; NumPy does this faster for integers than for floats.
    np.ndarray(matrix.shape, ">u4", out, start, (out.shape[1], 4))[:] = matrix.view(np.uint32)
    return out


def from_binary(data: bytes | memoryview, dtype: type[np.float32 | np.float16] = np.float32) -> NDArray[Any]:
    """Return the vector in the bytes of `vector_send` or `halfvec_send` as a new array of `dtype`."""
    return np.frombuffer(data, np.dtype(dtype).newbyteorder(">"), offset=4).astype(dtype)


def to_text(array: Float32 | Float16) -> str:
    """Return the text form of a checked vector, `[1,2.5]`, with enough digits to read back the same numbers."""
    form = "%.9g" if array.dtype == np.float32 else "%.5g"
    return "[" + ",".join([form % number for number in array.tolist()]) + "]"


def from_text(text: str, dtype: type[np.float32 | np.float16] = np.float32) -> NDArray[Any]:
    """Return the vector in a text such as `[1,2.5]` as a new array of `dtype`."""
    return np.array(text[1:-1].split(","), dtype)


def bits_to_binary(bits: Bits) -> bytes:
    """Return the binary form of a bit string: int32 length, then the bits packed from the left."""
    return len(bits).to_bytes(4, "big") + np.packbits(bits).tobytes()


def bits_from_binary(data: bytes | memoryview) -> Bits:
    """Return the bits in the bytes of `bit_send` as a new bool array."""
    length = int.from_bytes(data[:4], "big")
    return np.unpackbits(np.frombuffer(data, np.uint8, offset=4), count=length).astype(np.bool_)


def bits_to_text(bits: Bits) -> str:
    """Return bits as text such as `0101`."""
    return (bits + ord("0")).astype(np.uint8).tobytes().decode("ascii")


def bits_from_text(text: str) -> Bits:
    """Return the bits in a text such as `0101` as a new bool array."""
    return np.equal(np.frombuffer(text.encode("ascii"), np.uint8), ord("1"))


def _numeric(value: Any) -> NDArray[Any]:
    if isinstance(value, str | bytes | bytearray | dict | set):
        message = f"Expected a vector of numbers, got {_brief(value)}."
        raise InvalidVector(message)
    _refuse_masked(value)
    # pgvector's Vector and HalfVector, a pandas Series and a torch tensor on the CPU all convert to NumPy.
    convert = getattr(value, "to_numpy", None)
    try:
        array = np.asarray(convert() if convert else value)
    # RuntimeError: a torch tensor that requires grad explains how to detach it.
    except (ValueError, TypeError, RuntimeError) as error:
        message = f"Expected a vector of numbers, got {_brief(value)}: {str(error).removesuffix('.')}."
        raise InvalidVector(message) from error
    if array.dtype.kind == "O":
        array = _from_objects(array, value)
    if array.dtype.kind not in "iuf":
        message = f"Expected a vector of numbers, got {_brief(value)} of dtype {array.dtype}."
        raise InvalidVector(message)
    return array


def _refuse_masked(value: Any) -> None:
    # As a plain array, it would contain the values under the mask.
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        message = (
            f"A vector needs a number at every index, got {_brief(value)}. Fill the masked numbers, or omit the row."
        )
        raise InvalidVector(message)


def _from_objects(array: NDArray[Any], value: Any) -> NDArray[Any]:
    """Accept Decimals and integers beyond 64 bits; refuse None and strings, which float() would let through."""
    wrong = next((item for item in array.ravel() if item is None or isinstance(item, str | bytes)), array)
    if wrong is not array:
        message = f"Expected a vector of numbers, got {_brief(value)} with {wrong!r} in it."
        raise InvalidVector(message)
    try:
        return array.astype(np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        message = f"Expected a vector of numbers, got {_brief(value)}: {error}."
        raise InvalidVector(message) from error


def _one_dimensional(array: NDArray[Any], dimension: int | None) -> NDArray[Any]:
    if array.ndim != 1:
        hint = " Take one row, as in `matrix[0]`." if array.ndim == 2 else ""
        message = f"Expected a vector of shape (n,), got an array of shape {array.shape}.{hint}"
        raise InvalidVector(message)
    _check_dimension(len(array), dimension)
    if len(array) == 0:
        message = "Expected a vector of at least 1 dimension, got an empty one."
        raise InvalidVector(message)
    return array


def _storable(array: NDArray[Any], dimension: int | None) -> NDArray[Any]:
    """Return the array of a `vector` or `halfvec`, whose dimension is limited to 16,000."""
    array = _one_dimensional(array, dimension)
    if len(array) > MAX_DIMENSION:
        message = f"pgvector stores at most {MAX_DIMENSION:,} dimensions in a vector, got {len(array):,}."
        raise InvalidVector(message)
    return array


def _check_dimension(given: int, dimension: int | None) -> None:
    if dimension is not None and given != dimension:
        message = f"Expected {dimension} dimensions, got {given}."
        raise DimensionMismatch(message)


def _finite(array: NDArray[Any], dtype: type[Any]) -> NDArray[Any]:
    if array.dtype == dtype:
        out = np.ascontiguousarray(array)
    else:
        # Whatever the application's NumPy settings: a number too small for the type becomes zero.
        with np.errstate(all="ignore"):
            out = np.ascontiguousarray(array, dtype)
    # Twice as fast as `all`, which is written in Python.
    if _suspect(out) and np.count_nonzero(np.isfinite(out)) < out.size:
        raise InvalidVector(_not_finite(array, out))
    return out


def _suspect(array: NDArray[Any]) -> bool:
    if array.ndim == 1 or array.dtype == np.float16:
        return True
    # The dot product of a row with itself is finite only if every number is: one pass over the matrix without a
    # temporary array. It can also overflow for large numbers, so suspicious rows are checked again.
    flat = array.reshape(-1)
    with np.errstate(all="ignore"):
        return not np.isfinite(np.dot(flat, flat))


def _not_finite(array: NDArray[Any], out: NDArray[Any]) -> str:
    at = tuple(int(i) for i in np.argwhere(~np.isfinite(out))[0])
    where = f"index {at[0]}" if len(at) == 1 else f"row {at[0]}, index {at[1]}"
    given = array[at]
    if np.isfinite(given):
        limit = float(np.finfo(out.dtype).max)
        return f"The number {given} at {where} is outside the range of {out.dtype} (+-{limit:g})."
    name = "NaN" if np.isnan(given) else "infinity"
    return f"A vector cannot contain {name}, which is at {where}."


def _digits(text: str) -> list[int]:
    if set(text) <= {"0", "1"}:
        return [int(digit) for digit in text]
    message = f"A bit vector can contain only 0 and 1, got {_brief(text)}."
    raise InvalidVector(message)


def _sparse(value: Any, dimension: int | None) -> SparseValue:
    if isinstance(value, SparseValue):
        return value
    if isinstance(value, str):
        return _sparse_of_text(value)
    if isinstance(value, dict):
        if dimension is None:
            message = "A dict from indices to numbers has no dimension. Use a SparseVector(n) column."
            raise InvalidVector(message)
        wrong = [index for index in value if not isinstance(index, int | np.integer) or not 0 <= index < dimension]
        if wrong:
            message = f"Index {wrong[0]!r} is outside the range 0 to {dimension - 1}."
            raise InvalidVector(message)
        try:
            return SparseValue(value, dimension)
        except (TypeError, ValueError):
            message = f"A sparse vector can contain only finite numbers in the range of float32, got {value!r:.60}."
            raise InvalidVector(message) from None
    if hasattr(value, "tocoo"):
        return _sparse_of_scipy(value)
    # Not by `as_vector`, whose maximum dimension is that of another type.
    return SparseValue(_finite(_one_dimensional(_numeric(value), dimension), np.float32))


def _sparse_of_scipy(value: Any) -> SparseValue:
    if value.shape != (value.shape[-1],) and value.shape != (1, value.shape[-1]):
        message = f"Expected a sparse array of shape (n,) or (1, n), got one of shape {value.shape}."
        raise InvalidVector(message)
    if value.dtype.kind not in "biuf":
        message = f"Expected a sparse array of numbers, got one of dtype {value.dtype}."
        raise InvalidVector(message)
    # Not by pgvector's class, which in 0.3 confuses the rows of a matrix with its columns. An index may occur twice.
    found, numbers = value.tocoo(), dict[int, float]()
    columns = found.coords[-1] if hasattr(found, "coords") else found.col
    for index, number in zip(columns.tolist(), found.data.tolist(), strict=True):
        numbers[index] = numbers.get(index, 0.0) + number
    return SparseValue(numbers, value.shape[-1])


def _sparse_of_text(text: str) -> SparseValue:
    try:
        entries, size = text.removeprefix("{").split("}/")
        # pgvector's text form counts from 1.
        pairs = [entry.split(":") for entry in entries.split(",") if entries]
        numbers, dimension = {int(index) - 1: float(number) for index, number in pairs}, int(size)
        if len(numbers) == len(pairs) and all(0 <= index < dimension for index in numbers):
            return SparseValue(numbers, dimension)
    except ValueError:
        pass
    message = f"Expected the text of a sparse vector, such as {{1:0.5,3:2}}/4, got {text!r:.60}."
    raise InvalidVector(message)


def _brief(value: Any) -> str:
    text = repr(value)
    text = text if len(text) <= 60 else text[:57] + "..."
    return f"{type(value).__name__} {text}"
