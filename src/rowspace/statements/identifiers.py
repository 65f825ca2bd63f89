"""Names, constants and expressions as SQL text, quoted for PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from sqlalchemy.dialects import postgresql

__all__ = ["DIALECT", "VALUE", "Schemas", "constant", "qualified", "quote"]

#: What stands for the schemas that models name, None for those that name none; what is not in it stands for itself.
Schemas: TypeAlias = Mapping[str | None, str | None]

#: What stands for a value in SQL that is around it.
VALUE = ":rowspace_value"

#: What text without parameters is compiled by. Named ones, of which there are none: with any other style a % of the
#: text would come out doubled.
DIALECT = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
# SQLAlchemy 2.0 doubles a backslash in a literal until it has asked a server, and no server since 9.1 wants that.
DIALECT._backslash_escapes = False  # noqa: SLF001

quote = DIALECT.identifier_preparer.quote


def qualified(name: str, schema: str | None) -> str:
    """Return a name in a schema, or without one a name for the search path."""
    return str(quote(name)) if schema is None else f"{quote(schema)}.{quote(name)}"


def constant(value: str) -> str:
    """Return a text as a constant, in which a backslash is literal whatever the value of `standard_conforming_strings`.

    It contains no % either: SQLAlchemy's asyncpg dialect would take `%(name)s` in it for a parameter.
    """
    quoted = value.replace("'", "''")
    escaped = quoted.replace("\\", "\\\\").replace("%", "\\x25")
    return f"'{quoted}'" if escaped == quoted else f"E'{escaped}'"
