"""asyncpg's codec for pgvector's types: bytes in, bytes out; `rowspace.types` does the rest."""

from __future__ import annotations

from typing import Any

__all__ = ["register_codecs"]

_INSTALLED = """
SELECT t.typname, n.nspname FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
JOIN pg_catalog.pg_depend d ON d.objid = t.oid AND d.classid = 'pg_catalog.pg_type'::regclass AND d.deptype = 'e'
JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND e.extname = 'vector'
WHERE t.typname IN ('vector', 'halfvec', 'sparsevec')
"""


async def register_codecs(connection: Any) -> bool:
    """Register the codecs on an asyncpg connection, in whichever schema the extension lives.

    Returns:
        Whether the extension is installed; without it there is nothing to register.
    """
    installed = await connection.fetch(_INSTALLED)
    for name, schema in installed:
        await connection.set_type_codec(name, schema=schema, encoder=bytes, decoder=bytes, format="binary")
    return bool(installed)
