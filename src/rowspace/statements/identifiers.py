"""Names, constants and expressions as SQL text, quoted for PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from sqlalchemy.dialects import postgresql

__all__ = ["DIALECT", "VALUE", "Schemas", "constant", "qualified", "quote"]

#: Maps the schemas of models to actual schemas; None is the key for models without one. Others remain unchanged.
Schemas: TypeAlias = Mapping[str | None, str | None]

#: The placeholder for a value in the SQL around it.
VALUE = ":rowspace_value"

#: Compiles text without parameters. With any paramstyle other than named, a % in the text would be doubled.
DIALECT = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
# SQLAlchemy 2.0 doubles backslashes in literals until it has connected to a server; PostgreSQL 9.1 and later do not
# expect that.
DIALECT._backslash_escapes = False  # noqa: SLF001

quote = DIALECT.identifier_preparer.quote


def qualified(name: str, schema: str | None) -> str:
    """Return a quoted name with its schema, if one is given."""
    return str(quote(name)) if schema is None else f"{quote(schema)}.{quote(name)}"


def constant(value: str) -> str:
    """Return a text as a constant, in which a backslash is literal whatever the value of `standard_conforming_strings`.

    It contains no % either, because SQLAlchemy's asyncpg dialect would read `%(name)s` in it as a parameter.
    """
    quoted = value.replace("'", "''")
    escaped = quoted.replace("\\", "\\\\").replace("%", "\\x25")
    return f"'{quoted}'" if escaped == quoted else f"E'{escaped}'"
