"""Statements of a bulk read: COPY of columns out of a table.

COPY does not accept parameters. A read with conditions therefore first collects the keys of the rows in a temporary
table, by an ordinary statement with bound parameters, and copies the join. The texts contain only identifiers of the
models, and no values.
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
        name: the name of the column.
        cast: the type that it is cast to.
        by_json: whether it is cast through JSON.
        read_by: the type's `column_expression` as SQL, if it has one, with `VALUE` in place of the column.
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
        columns: the columns to read.
        keys: the key columns and their types as DDL, which identify the rows of a selection.
        selection: the name of the temporary table with the keys of the rows to read; None reads all rows.
        present: the name of a column; rows in which it is NULL are not read.
        constants: columns with the single value that they have in the rows to read.
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
        """Select the approximate number of rows in the table; no row if it is unknown.

        This is the planner's estimate: rows per page as of the last ANALYZE, times the current number of pages. Source:
        PostgreSQL manual, "Row Estimation Examples".
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
