"""Statements of a bulk read: COPY of vectors and keys out of a table.

COPY takes no parameters, so a read with conditions first collects the keys of the rows into a temporary table, by an
ordinary statement with bound parameters, and copies the join. Identifiers are the models'; no value is in these texts.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.dialects import postgresql

__all__ = ["Export", "ExportKey"]

_quote = postgresql.dialect().identifier_preparer.quote  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class ExportKey:
    """A key column: its name, its type as DDL, and whether it is read as text."""

    name: str
    ddl: str
    as_text: bool


@dataclass(frozen=True, slots=True)
class Export:
    """A bulk read of one table.

    Args:
        table: the name of the table.
        schema: its schema, or None for the search path's.
        vector: the name of the vector column.
        keys: the key columns.
        selection: the name of the temporary table with the keys of the rows to read; None reads all rows.
    """

    table: str
    schema: str | None
    vector: str
    keys: tuple[ExportKey, ...]
    selection: str | None = None

    def create_selection(self) -> str:
        """Return the DDL of the temporary table of keys."""
        columns = ", ".join(f"{_quote(key.name)} {key.ddl}" for key in self.keys)
        return f"CREATE TEMPORARY TABLE pg_temp.{_quote(self.selection or '')} ({columns}) ON COMMIT DROP"

    def copy(self) -> str:
        """Return the COPY statement: the vector as `vector`, then the keys."""
        keys = [f"t.{_quote(key.name)}" + ("::text" if key.as_text else "") for key in self.keys]
        table = _quote(self.table) if self.schema is None else f"{_quote(self.schema)}.{_quote(self.table)}"
        joined = ""
        if self.selection is not None:
            using = ", ".join(_quote(key.name) for key in self.keys)
            joined = f" JOIN pg_temp.{_quote(self.selection)} s USING ({using})"
        columns = ", ".join([f"t.{_quote(self.vector)}::vector", *keys])
        return f"COPY (SELECT {columns} FROM {table} t{joined}) TO STDOUT (FORMAT BINARY)"
