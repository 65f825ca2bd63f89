"""Names and constants as SQL text: quoted as PostgreSQL asks for it."""

from __future__ import annotations

from sqlalchemy.dialects import postgresql

__all__ = ["constant", "qualified", "quote"]

# Named parameters, of which there are none: with any other style a % of a name would come out doubled.
quote = postgresql.dialect(paramstyle="named").identifier_preparer.quote  # type: ignore[no-untyped-call]


def qualified(name: str, schema: str | None) -> str:
    """Return a name in a schema; without one it is the search path's."""
    return str(quote(name)) if schema is None else f"{quote(schema)}.{quote(name)}"


def constant(value: str) -> str:
    """Return a text as a constant, in which a backslash is one whatever `standard_conforming_strings` says."""
    quoted = value.replace("'", "''")
    return "E'{}'".format(quoted.replace("\\", "\\\\")) if "\\" in quoted else f"'{quoted}'"
