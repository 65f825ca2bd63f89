"""asyncpg's codec for pgvector's types: binary on the wire, bytes in for our column types, text in and out for others.

asyncpg has one codec for all columns of a type, including those of models with pgvector's own column types, which
expect text. Our types select `vector_send(column)`, whose bytes bypass the codec.
"""

from __future__ import annotations

import itertools
import struct
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rowspace.errors import sqlstate_of
from rowspace.types import HalfVector, SparseVector, Vector, VectorType

__all__ = ["WireBytes", "as_parameters", "is_outdated", "register_codecs"]

_INSTALLED = """
SELECT t.typname, n.nspname FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
JOIN pg_catalog.pg_depend d ON d.objid = t.oid AND d.classid = 'pg_catalog.pg_type'::regclass AND d.deptype = 'e'
JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND e.extname = 'vector'
WHERE t.typname IN ('vector', 'halfvec', 'sparsevec')
"""


class WireBytes(bytes):
    """A vector in binary. On a connection without our codecs, asyncpg's error contains the name of this class."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return a text for that error, which must not contain the numbers."""
        return "..."


def is_outdated(error: BaseException) -> bool:
    """Return whether an error means that the codecs of a connection are for types that no longer exist.

    This happens after the extension was created again, for example by a restore: the server no longer knows the type of
    a prepared statement's parameter, or asyncpg has no codec for the new type.
    """
    # Other errors may contain the same words in a text of the caller.
    state, said = sqlstate_of(error), str(error)
    if state == "XX000":
        return "cache lookup failed for type" in said
    return state == "22000" and said.endswith(f"got {WireBytes.__name__})")


_TYPES: dict[str, VectorType[Any]] = {"vector": Vector(), "halfvec": HalfVector(), "sparsevec": SparseVector()}


async def register_codecs(connection: Any) -> bool:
    """Register the codecs on an asyncpg connection, in whichever schema the extension lives.

    Returns:
        Whether the extension is installed; without it there is nothing to register.
    """
    installed = await connection.fetch(_INSTALLED)
    for name, schema in installed:
        encode, decode = _codec(_TYPES[name])
        await connection.set_type_codec(name, schema=schema, encoder=encode, decoder=decode, format="binary")
    return bool(installed)


def _codec(type_: VectorType[Any]) -> tuple[Callable[[Any], bytes], Callable[[bytes], str]]:
    def encode(value: Any) -> bytes:
        return bytes(value) if isinstance(value, bytes | memoryview) else type_.to_binary(type_.decode(value))

    def decode(data: bytes) -> str:
        return type_.to_text(type_.decode(data))

    return encode, decode


def as_parameters(values: Iterable[bytes | None], ddl: Sequence[str]) -> tuple[Any, ...]:
    """Return binary values as parameters, row by row: asyncpg encodes every type itself.

    Args:
        values: the values of `EncodedRows`, row by row.
        ddl: the type of each column.
    """
    read = [_READ.get(type_.partition("(")[0], WireBytes) for type_ in ddl]
    return tuple(None if data is None else of(data) for data, of in zip(values, itertools.cycle(read), strict=False))


def _integer(data: bytes) -> int:
    return int.from_bytes(data, "big", signed=True)


def _bits(data: bytes) -> Any:
    from asyncpg import BitString

    return BitString.frombytes(data[4:], bitlength=_integer(data[:4]))


#: How the types of `rowspace.wire.encode` are read. pgvector's are not included, because their codecs accept bytes.
_READ: Mapping[str, Callable[[bytes], Any]] = {
    "SMALLINT": _integer,
    "INTEGER": _integer,
    "BIGINT": _integer,
    "DOUBLE PRECISION": lambda data: struct.unpack(">d", data)[0],
    "REAL": lambda data: struct.unpack(">f", data)[0],
    "BOOLEAN": lambda data: data == b"\x01",
    "TEXT": bytes.decode,
    "VARCHAR": bytes.decode,
    "UUID": lambda data: uuid.UUID(bytes=data),
    "BIT": _bits,
    "BIT VARYING": _bits,
    "JSON": bytes.decode,
    # After the number of the format.
    "JSONB": lambda data: data[1:].decode(),
}
