"""What sync and async loads share: which columns a load has, and what becomes of duplicates."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from typing import Any
from uuid import uuid4

from sqlalchemy import Column, Table

from rowspace.errors import ConfigurationError, InvalidRow
from rowspace.statements.write import Merge
from rowspace.wire.encode import ColumnEncoder, encode_rows, encoder_of

__all__ = ["Batcher", "Plan", "aiter_rows", "plan_load"]

Row = Mapping[str, Any]


async def aiter_rows(rows: Iterable[Row] | AsyncIterable[Row]) -> AsyncIterator[Row]:
    """Iterate over rows from a plain or an async iterable; what `iter` is to the sync side."""
    if isinstance(rows, AsyncIterable):
        async for row in rows:
            yield row
    else:
        for row in rows:
            yield row


class Plan:
    """A load into one table: the merge statement, the encoders, and the attribute names of its columns."""

    def __init__(self, merge: Merge, encoders: Sequence[ColumnEncoder], names: Mapping[str, str]) -> None:
        self.merge = merge
        self.encoders = encoders
        self._names = names
        self._keys = [key for key, name in names.items() if name in merge.keys]

    def key_of(self, row: Row, number: int) -> Any:
        """Return what identifies a row in this load.

        Raises:
            InvalidRow: it has other attributes than the first row.
        """
        if row.keys() != self._names.keys():
            missing, unknown = self._names.keys() - row.keys(), row.keys() - self._names.keys()
            message = f"Row {number} has other attributes than the first row: missing {sorted(missing)}, "
            raise InvalidRow(message + f"unknown {sorted(unknown)}.")
        return row[self._keys[0]] if len(self._keys) == 1 else tuple(row[key] for key in self._keys)

    def encode(self, rows: Iterable[Row], first: int) -> bytes:
        """Return rows as one binary stream."""
        if any(key != name for key, name in self._names.items()):
            rows = ({self._names[key]: value for key, value in row.items()} for row in rows)
        return encode_rows(self.encoders, rows, first=first)


def plan_load(
    table: Table,
    attributes: Sequence[str],
    *,
    schema: str | None = None,
    name: str | None = None,
    constants: Mapping[str, int] | None = None,
    strip_nul: bool = False,
) -> Plan:
    """Plan a load of rows that have `attributes` (keys of the table's columns).

    Args:
        table: the mapped table.
        attributes: what the first row brings.
        schema: the schema to use for a table that names none.
        name: the name of the table to write to, where it is a partition of `table`.
        constants: columns that have one value in every row.
        strip_nul: leave NUL bytes out of text, in place of an error.

    Raises:
        ConfigurationError: an attribute that is no column, or a primary key column that is missing.
    """
    constants = dict(constants or {})
    columns = [_column(table, attribute) for attribute in attributes]
    keys = [column for column in table.primary_key.columns if column.key not in constants]
    absent = [str(key.key) for key in keys if key.key not in attributes]
    if absent:
        message = f"A load into {table.name} needs its primary key: {', '.join(absent)} is missing from the rows."
        raise ConfigurationError(message)
    encoders = [encoder_of(column, strip_nul=strip_nul) for column in columns]
    merge = Merge(
        table=name or table.name,
        schema=table.schema or schema,
        columns=tuple(encoder.staged for encoder in encoders),
        keys=tuple(column.name for column in table.primary_key.columns),
        constants=tuple(constants.items()),
        touched=tuple(c.name for c in table.columns if c.onupdate is not None and c.key not in attributes),
        stage=f"rowspace_{uuid4().hex[:12]}",
    )
    return Plan(merge, encoders, {attribute: column.name for attribute, column in zip(attributes, columns, strict=True)})


def _column(table: Table, attribute: str) -> Column[Any]:
    if attribute in table.c:
        return table.c[attribute]
    message = f"{table.name} has no column {attribute!r}; it has {', '.join(table.c.keys())}."
    raise ConfigurationError(message)


class Batcher:
    """Collects rows into batches in which no primary key comes twice, and counts those that did.

    What it remembers of the whole load is one hash a row.
    """

    def __init__(self, plan: Plan, first: Row) -> None:
        self._plan = plan
        self._rows: dict[Any, Row] = {}
        self._seen: set[int] = set()
        #: Rows handed over so far.
        self.received = 0
        #: Of those, rows whose key had come before in this load.
        self.duplicates = 0
        #: Of those, rows whose key had been merged with an earlier batch.
        self.again = 0
        self.add(first)

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: Row) -> None:
        """Add a row; a later one with the same key takes its place."""
        key = self._plan.key_of(row, self.received)
        mark = hash(key)
        if mark in self._seen:
            self.duplicates += 1
            self.again += key not in self._rows
        self._seen.add(mark)
        # To the end, so that the batch keeps the order in which the last ones came.
        self._rows.pop(key, None)
        self._rows[key] = row
        self.received += 1

    def take(self) -> bytes:
        """Return the batch as a binary stream and start the next one."""
        data = self._plan.encode(self._rows.values(), self.received - len(self._rows))
        self._rows = {}
        return data
