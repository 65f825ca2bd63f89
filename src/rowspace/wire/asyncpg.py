"""asyncpg's codec for pgvector's types: binary on the wire, for our column types bytes in, for others text in and out.

asyncpg has one codec for all columns of a type, also those of models with pgvector's own column types, which know text.
Ours ask for `vector_send(column)`, so that their bytes do not pass through it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rowspace.types import HalfVector, SparseVector, Vector, VectorType

__all__ = ["register_codecs"]

_INSTALLED = """
SELECT t.typname, n.nspname FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
JOIN pg_catalog.pg_depend d ON d.objid = t.oid AND d.classid = 'pg_catalog.pg_type'::regclass AND d.deptype = 'e'
JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND e.extname = 'vector'
WHERE t.typname IN ('vector', 'halfvec', 'sparsevec')
"""


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
