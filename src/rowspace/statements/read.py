"""Statements of a bulk read: COPY of columns out of a table.

COPY takes no parameters, so a read with conditions first collects the keys of the rows into a temporary table, by an
ordinary statement with bound parameters, and copies the join. Identifiers are the models'; no value is in these texts.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import TextClause, text

from rowspace.statements.identifiers import VALUE, qualified, quote

__all__ = ["Export", "ExportColumn"]


@dataclass(frozen=True, slots=True)
class ExportColumn:
    """A column to read.

    Args:
        name: that of the column.
        cast: the type that it is cast to on the way.
        by_json: it goes there by way of JSON.
        read_by: the SQL by which the column's type makes a value of what is stored, if it does, with `VALUE` in it.
    """

    name: str
    cast: str | None = None
    by_json: bool = False
    read_by: str | None = None

    def sql(self) -> str:
        """Return the column as an expression."""
        column = f"t.{quote(self.name)}"
        column = column if self.read_by is None else self.read_by.replace(VALUE, column)
        column = f"to_jsonb({column})" if self.by_json else column
        return column if self.cast is None else f"{column}::{self.cast}"


@dataclass(frozen=True, slots=True)
class Export:
    """A bulk read of one table.

    Args:
        table: the name of the table.
        schema: its schema, or None for the search path's.
        columns: what is read.
        keys: the key columns and their types as DDL, which tell the rows of a selection.
        selection: the name of the temporary table with the keys of the rows to read; None reads all rows.
        present: the name of a column; rows that have none in it are not read.
        constants: columns, and the one value of each in the rows that are read.
    """

    table: str
    schema: str | None
    columns: tuple[ExportColumn, ...]
    keys: tuple[tuple[str, str], ...]
    selection: str | None = None
    present: str | None = None
    constants: tuple[tuple[str, int], ...] = ()

    def create_selection(self) -> str:
        """Return the DDL of the temporary table of keys."""
        columns = ", ".join(f"{quote(name)} {ddl}" for name, ddl in self.keys)
        return f"CREATE TEMPORARY TABLE pg_temp.{quote(self.selection or '')} ({columns}) ON COMMIT DROP"

    def estimate(self) -> TextClause:
        """Select about how many rows the table has, no row where nobody knows.

        As the planner estimates it: rows a page at the last ANALYZE, times the pages now. Source: PostgreSQL's manual,
        "Row Estimation Examples".
        """
        return text(
            "SELECT (reltuples / nullif(relpages, 0) * pg_relation_size(oid)"
            " / current_setting('block_size')::int8)::int8"
            " FROM pg_class WHERE oid = to_regclass(:name) AND reltuples > 0"
        ).bindparams(name=self._table())

    def copy(self) -> str:
        """Return the COPY statement."""
        joined = ""
        if self.selection is not None:
            using = ", ".join(quote(name) for name, _ in self.keys)
            joined = f" JOIN pg_temp.{quote(self.selection)} s USING ({using})"
        conditions = [f"t.{quote(name)} = {value:d}" for name, value in self.constants]
        conditions += [] if self.present is None else [f"t.{quote(self.present)} IS NOT NULL"]
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        columns = ", ".join(column.sql() for column in self.columns)
        return f"COPY (SELECT {columns} FROM {self._table()} t{joined}{where}) TO STDOUT (FORMAT BINARY)"

    def _table(self) -> str:
        return qualified(self.table, self.schema)
