"""Statements of a bulk load: a staging table, COPY into it, and the merge into the target.

COPY has no ON CONFLICT, so rows that may already exist are first copied into a temporary table; a few rows are
parameters of the merge. Identifiers come from the models and are quoted by SQLAlchemy; the texts contain no values of
rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rowspace.statements.identifiers import VALUE, qualified, quote

__all__ = ["Copy", "Merge", "StagedColumn"]

#: The WITH query of rows that are parameters.
_GIVEN = "rowspace_given"

_JSON = ("JSON", "JSONB")


@dataclass(frozen=True, slots=True)
class StagedColumn:
    """A column of the staging table: its type as DDL, and the target's type if the value must be cast.

    Args:
        name: the name of the column.
        staged_as: its type in the staging table.
        cast_to: the type to cast the value to, if necessary.
        is_local: whether that is a time without time zone, or an array of such, although the text may have one.
        stored_by: the type's `bind_expression` as SQL, if it has one, with `VALUE` in place of the value.
    """

    name: str
    staged_as: str
    cast_to: str | None = None
    is_local: bool = False
    stored_by: str | None = None

    @property
    def is_stored_as_staged(self) -> bool:
        """Whether values are stored as they are staged."""
        return self.cast_to is None and self.stored_by is None

    def value(self, staged: str) -> str:
        """Return an SQL expression that converts a staged value, itself an SQL expression, to one of the target."""
        value = self._cast(staged)
        return value if self.stored_by is None else self.stored_by.replace(VALUE, value)

    def _cast(self, staged: str) -> str:
        if self.cast_to is None:
            return staged
        cast = f"CAST({staged} AS {self.cast_to})"
        if not self.is_local:
            return cast
        # A direct cast would ignore a time zone. A text with a sign after its seconds has one, and is a point in time.
        zoned = f"TIMESTAMP WITH TIME ZONE{'[]' if self.cast_to.endswith('[]') else ''}"
        zoned = f"CAST(CAST({staged} AS {zoned}) AS {self.cast_to})"
        return f"CASE WHEN {staged} ~ ':[0-9.]+[-+]' THEN {zoned} ELSE {cast} END"


@dataclass(frozen=True, slots=True)
class Copy:
    """A binary COPY into some columns of a table; without a schema, the search path's table."""

    table: str
    schema: str | None
    columns: tuple[str, ...]

    def statement(self) -> str:
        """Return the COPY statement."""
        columns = ", ".join(map(quote, self.columns))
        return f"COPY {qualified(self.table, self.schema)} ({columns}) FROM STDIN (FORMAT BINARY)"


@dataclass(frozen=True, slots=True)
class Merge:
    """A bulk load into one table.

    Args:
        table: the name of the target.
        schema: its schema, or None for the search path's.
        columns: the columns to load.
        keys: the columns of the primary key; empty if the key is generated on insert, so that all rows are new.
        constants: columns with the same integer in every row.
        defaults: columns that are set only on insert, and the SQL of their value.
        only_new: those of the loaded columns that are set only on insert.
        touched: columns that an update sets in addition, and the SQL of their value.
        stage: the name of the staging table.
        partitioned: whether the target is a partitioned table, and not a partition.
    """

    table: str
    schema: str | None
    columns: tuple[StagedColumn, ...]
    keys: tuple[str, ...]
    constants: tuple[tuple[str, int], ...] = ()
    defaults: tuple[tuple[str, str], ...] = ()
    only_new: frozenset[str] = frozenset()
    touched: tuple[tuple[str, str], ...] = ()
    stage: str = "rowspace_stage"
    partitioned: bool = False

    @property
    def target(self) -> str:
        """The quoted name of the target."""
        return qualified(self.table, self.schema)

    @property
    def staged(self) -> str:
        """The quoted name of the staging table."""
        return qualified(self.stage, "pg_temp")

    @property
    def updates(self) -> bool:
        """Whether existing rows are updated; rows that consist only of a key are not."""
        return bool(self.keys and self._changed())

    def create_stage(self) -> str:
        """Return the DDL of the staging table, which is dropped when the transaction ends."""
        columns = ", ".join(f"{quote(column.name)} {column.staged_as}" for column in self.columns)
        return f"CREATE TEMPORARY TABLE {self.staged} ({columns}) ON COMMIT DROP"

    def drop_stage(self) -> str:
        """Return the DDL that drops the staging table."""
        return f"DROP TABLE {self.staged}"

    def clear_stage(self) -> str:
        """Return the statement that empties the staging table."""
        return f"TRUNCATE {self.staged}"

    def to_stage(self) -> Copy:
        """Return the COPY into the staging table."""
        return Copy(self.stage, "pg_temp", tuple(column.name for column in self.columns))

    def to_target(self) -> Copy:
        """Return the COPY directly into the target, for rows that cannot exist yet and columns without a cast."""
        return Copy(self.table, self.schema, tuple(column.name for column in self.columns))

    def merge(self) -> str:
        """Return the statement that merges staged rows into the target and counts inserted and updated rows.

        An inserted row has no earlier version, which shows as `xmax = 0`. System columns cannot be read through a
        partitioned table: there, the existing keys are counted in the same statement. Rows are merged in the order of
        their keys, so that concurrent loads of the same rows wait for each other without deadlocks.
        """
        return f"WITH {self._merging(self.staged)}"

    def merge_given(self, rows: int, *, for_asyncpg: bool = False) -> str:
        """Return the same statement for a number of rows whose values are parameters instead of staged.

        The text depends only on the number of rows, so that it can be prepared. The casts in the first row
        determine the types of the others.

        Args:
            rows: the number of rows.
            for_asyncpg: parameters are `$1` and so on, and JSON is text; else they are `%s`, and a percent sign is
                doubled.
        """
        given, width = self._with_json_as_text() if for_asyncpg else self, len(self.columns)
        marks = [f"${at + 1}" if for_asyncpg else "%s" for at in range(rows * width)]
        first = [f"CAST({mark} AS {column.staged_as})" for mark, column in zip(marks, given.columns, strict=False)]
        values = [first, *(marks[at : at + width] for at in range(width, rows * width, width))]
        names = ", ".join(quote(column.name) for column in self.columns)
        rest = given._merging(_GIVEN)  # noqa: SLF001 -- of the same class
        if not for_asyncpg:
            names, rest = names.replace("%", "%%"), rest.replace("%", "%%")
        table = ", ".join(f"({', '.join(row)})" for row in values)
        return f"WITH {_GIVEN} ({names}) AS (VALUES {table}), {rest}"

    def _with_json_as_text(self) -> Merge:
        # An application's codec for JSON would expect objects.
        columns = [
            replace(column, staged_as="TEXT", cast_to=column.staged_as) if column.staged_as in _JSON else column
            for column in self.columns
        ]
        return replace(self, columns=tuple(columns))

    def _merging(self, rows: str) -> str:
        fixed = [*((name, f"{value:d}") for name, value in self.constants), *self.defaults]
        names = ", ".join(map(quote, [*(name for name, _ in fixed), *(column.name for column in self.columns)]))
        values = ", ".join([*(value for _, value in fixed), *map(self._value, self.columns)])
        if not self.keys:
            insert = f"INSERT INTO {self.target} ({names}) SELECT {values} FROM {rows} RETURNING 1"
            return f"merged AS ({insert}) SELECT count(*) AS inserted, 0 AS updated FROM merged"
        insert = (
            f"INSERT INTO {self.target} ({names}) SELECT {values} FROM {rows} ORDER BY {self._order()} "
            f"ON CONFLICT ({', '.join(map(quote, self.keys))}) {self._update()} RETURNING"
        )
        if not self.partitioned:
            return (
                f"merged AS ({insert} (xmax = 0) AS inserted) "
                "SELECT count(*) FILTER (WHERE inserted) AS inserted, count(*) FILTER (WHERE NOT inserted) AS updated "
                "FROM merged"
            )
        # Without an update, the statement returns nothing for existing rows.
        return (
            f"known AS ({self._known(rows)} AND {self.updates}), merged AS ({insert} 1) "
            "SELECT (SELECT count(*) FROM merged) - rows AS inserted, rows AS updated FROM known"
        )

    def known(self) -> str:
        """Return the statement that counts the staged rows that exist in the target."""
        return self._known(self.staged)

    def _known(self, rows: str) -> str:
        return f"SELECT count(*) AS rows FROM {self.target} JOIN {rows} ON {self._same(rows)}"

    def update(self) -> str:
        """Return the statement that updates the loaded columns of existing rows, and inserts none."""
        sets = [f"{quote(column.name)} = {self._value(column, self.staged)}" for column in self._changed()]
        sets += [f"{quote(name)} = {value}" for name, value in self.touched]
        return f"UPDATE {self.target} SET {', '.join(sets)} FROM {self.staged} WHERE {self._same(self.staged)}"

    def _same(self, rows: str) -> str:
        """Return the condition that a row of the target has the key of one of `rows`.

        Neither table has an alias, because the value of a column may refer to its own table.
        """
        same = [(column.name, self._value(column, rows)) for column in self.columns if column.name in self.keys]
        same += [(name, f"{value:d}") for name, value in self.constants]
        return " AND ".join(f"{self.target}.{quote(name)} = {value}" for name, value in same)

    def _changed(self) -> Sequence[StagedColumn]:
        """Return the loaded columns that an update changes."""
        return [column for column in self.columns if column.name not in self.keys and column.name not in self.only_new]

    def _order(self) -> str:
        return ", ".join(quote(column.name) for column in self.columns if column.name in self.keys)

    def _value(self, column: StagedColumn, rows: str = "") -> str:
        return column.value(f"{rows}.{quote(column.name)}" if rows else quote(column.name))

    def _update(self) -> str:
        if not self.updates:
            return "DO NOTHING"
        sets = [f"{name} = excluded.{name}" for name in (quote(column.name) for column in self._changed())]
        sets += [f"{quote(name)} = {value}" for name, value in self.touched]
        return f"DO UPDATE SET {', '.join(sets)}"
