"""Planning a load: its columns, and the handling of duplicates."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from itertools import islice
from types import MappingProxyType
from typing import Any, TypeVar
from uuid import UUID, uuid4

from sqlalchemy import Column, Table, inspect

from rowspace.errors import ConfigurationError, InvalidRow
from rowspace.repositories.given import several
from rowspace.repositories.marks import Marks
from rowspace.repositories.schemas import schema_in
from rowspace.repositories.touched import discriminator, new_by_function, new_by_sql, touched, version
from rowspace.statements.identifiers import Schemas
from rowspace.statements.models import table_of_one
from rowspace.statements.write import Merge
from rowspace.wire.encode import ColumnEncoder, EncodedRows, encoder_of, literal_of

__all__ = ["Batcher", "Plan", "aiter_rows", "atake", "check_row", "comes_by_itself", "iter_rows", "plan_load", "take"]

Row = Mapping[str, Any]

T = TypeVar("T")


def iter_rows(rows: Iterable[T]) -> Iterator[T]:
    """Iterate over rows.

    Raises:
        ConfigurationError: one text or one row in place of several.
    """
    return iter(several(rows, "rows"))


async def aiter_rows(rows: Iterable[T] | AsyncIterable[T]) -> AsyncIterator[T]:
    """Iterate over rows from a plain or an async iterable.

    Raises:
        ConfigurationError: one text or one row in place of several.
    """
    if isinstance(rows, AsyncIterable):
        async for row in rows:
            yield row
    else:
        for row in several(rows, "rows"):
            yield row


def take(source: Iterator[T], count: int) -> list[T]:
    """Return the next `count` items of an iterator, or fewer at its end, without reading beyond them."""
    return list(islice(source, count))


async def atake(source: AsyncIterator[T], count: int) -> list[T]:
    """Return the next `count` of an async iterator, fewer at its end."""
    taken: list[T] = []
    while len(taken) < count:
        try:
            taken.append(await anext(source))
        except StopAsyncIteration:
            break
    return taken


def check_row(row: Any, number: int) -> None:
    """Refuse a row that is not a mapping.

    Raises:
        InvalidRow: it is not.
    """
    if not isinstance(row, Mapping):
        message = f"Row {number}: expected a mapping of attributes to values, got {type(row).__name__} {row!r:.60}."
        raise InvalidRow(message)


class Plan:
    """A load into one table: the merge statement, the encoders, and the attribute names of its columns.

    `made` has the columns that the rows lack, with the function that makes a value for each row.
    """

    def __init__(
        self,
        merge: Merge,
        encoders: Sequence[ColumnEncoder],
        names: Mapping[str, str],
        *,
        constants: Sequence[bytes | None] | None,
        made: Mapping[Column[Any], Callable[[], Any]],
    ) -> None:
        self.merge = merge
        #: Whether a batch may be copied directly into the target.
        self.copies = (
            constants is not None and not merge.defaults and all(column.is_stored_as_staged for column in merge.columns)
        )
        self._constants = constants or ()
        self.encoders = encoders
        self._names = names
        # Under keys that no attribute has.
        self._made = {f"{column.name} by default": make for column, make in made.items()}
        self._keys = [key for key, name in names.items() if name in merge.keys]

    def keys_of(self, rows: Sequence[Row], number: int) -> list[Any]:
        """Return the key of each row, or its number if it has none; `number` is that of the first row.

        Raises:
            InvalidRow: one is not a row, has different attributes than the first one, or a key that cannot be a key.
        """
        names = self._names.keys()
        if all(type(row) is dict and row.keys() == names for row in rows):
            if not self._keys:
                return list(range(number, number + len(rows)))
            columns = [[row[key] for row in rows] for key in self._keys]
            kinds: set[Any] = {type(value) for column in columns for value in column}
            if all(kind.__hash__ is not None and kind is not type(None) for kind in kinds):
                return columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
        # Row by row, to find the invalid one.
        return [self._key_of(row, at) for at, row in enumerate(rows, number)]

    def _key_of(self, row: Row, number: int) -> Any:
        check_row(row, number)
        if row.keys() != self._names.keys():
            missing, unknown = self._names.keys() - row.keys(), row.keys() - self._names.keys()
            message = f"Row {number} has different attributes than the first row: missing {sorted(missing)}, "
            raise InvalidRow(message + f"unknown {sorted(unknown)}.")
        values = tuple([row[key] for key in self._keys])
        for key, value in zip(self._keys, values, strict=True):
            if value is None or type(value).__hash__ is None:
                message = f"Row {number} has a value of {key!r} that cannot be a key: {value!r:.60}."
                raise InvalidRow(message)
        return values[0] if len(values) == 1 else values or number

    def encode(self, rows: Iterable[Row], numbers: Iterable[int]) -> EncodedRows:
        """Return rows as one binary stream; `numbers` are their numbers in the load."""
        if self._made:
            # Now, so that an error of a function is raised before the COPY starts.
            rows = [{**row, **{key: make() for key, make in self._made.items()}} for row in rows]
        return EncodedRows(self.encoders, rows, [*self._names, *self._made], self._constants, numbers)


def plan_load(
    model: type[Any],
    attributes: Sequence[str],
    *,
    schemas: Schemas = MappingProxyType({}),
    partition: str | None = None,
    constants: Mapping[str, int] | None = None,
    empty: bool = False,
    inserts: bool = True,
    endless: bool = False,
    **encoding: Any,
) -> Plan:
    """Plan a load of rows that have `attributes` of a model.

    Args:
        model: a mapped class of one table.
        attributes: the attributes of the first row.
        schemas: translates the schemas that the model and its types name.
        partition: the name of the table to write to, if it is a partition of the model's table.
        constants: columns with the same value in every row.
        empty: whether the table is empty, so that rows may be copied directly into it, if the server's types are the
            model's.
        inserts: whether there may be new rows, which get the defaults of missing columns.
        endless: store Python's first and last dates and times as infinite, as asyncpg does.
        encoding: further keywords of `encoder_of`.

    Raises:
        ConfigurationError: an attribute is not a column, a primary key column is missing, the `default` or `onupdate`
            of a column needs a statement of SQLAlchemy, or the model is mapped to several tables.
    """
    constants = dict(constants or {})
    table = table_of_one(model, "A bulk load")
    columns = {attribute: _column(model, attribute) for attribute in attributes}
    names = {column.name for column in columns.values()}
    keys = _keys(model, table, {*names, *constants}, inserts=inserts)
    literal = partial(literal_of, schemas=schemas, endless=endless)
    encoding |= {"schemas": schemas, "endless": endless}
    encoders = [encoder_of(column, **encoding) for column in columns.values()]
    # COPY needs them in the stream; a merge sets them itself.
    fixed = {name: encoder_of(table.c[name]) for name in constants} if empty else {}
    kinds = tuple(discriminator(model, names, literal))
    versions = tuple(version(model, names, literal))
    given = {*names, *constants, *dict(kinds), *(name for name, _, _ in versions)}
    made = dict(new_by_function(table, given)) if inserts else {}
    encoders += [encoder_of(column, **encoding) for column in made]
    merge = Merge(
        table=partition or table.name,
        schema=schema_in(schemas, table),
        columns=tuple(encoder.staged for encoder in (*fixed.values(), *encoders)),
        keys=keys,
        constants=() if empty else tuple(constants.items()),
        defaults=(
            *kinds,
            *((name, first) for name, first, _ in versions),
            *(new_by_sql(table, given, literal, schemas) if inserts else ()),
        ),
        only_new=frozenset(column.name for column in made),
        touched=(*touched(table, names, literal, schemas), *((name, following) for name, _, following in versions)),
        stage=f"rowspace_{uuid4().hex[:12]}",
        partitioned=partition is None and bool(table.dialect_options["postgresql"]["partition_by"]),
    )
    names_of = {attribute: column.name for attribute, column in columns.items()}
    encoded = [encoder.encode(constants[name]) for name, encoder in fixed.items()]
    return Plan(merge, encoders, names_of, constants=encoded if empty else None, made=made)


def _keys(model: type[Any], table: Table, given: Collection[str], *, inserts: bool) -> tuple[str, ...]:
    """Return the columns of the primary key, none if a missing key is generated on insert."""
    columns = table.primary_key.columns
    absent = [column for column in columns if column.name not in given]
    if not absent:
        return tuple(column.name for column in columns)
    if inserts and given and all(map(comes_by_itself, absent)):
        return ()
    names = ", ".join(sorted(column.name for column in absent))
    message = f"A load of {model.__name__} needs its primary key; the rows lack {names}."
    raise ConfigurationError(message)


def comes_by_itself(column: Column[Any]) -> bool:
    """Return whether a new row gets a value for a column that is not given."""
    made = column.default is not None or column.server_default is not None
    return made or column is column.table.autoincrement_column


def _column(model: type[Any], attribute: str) -> Column[Any]:
    columns = {name: column for name, column in inspect(model).columns.items() if isinstance(column, Column)}
    if attribute in columns:
        return columns[attribute]
    message = f"{model.__name__} has no attribute {attribute!r}; it has {', '.join(columns)}."
    raise ConfigurationError(message)


class Batcher:
    """Makes batches without repeated primary keys, and counts repetitions.

    It keeps one hash per row of the whole load.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._seen = Marks()
        #: The number of rows so far.
        self.received = 0
        #: The number of them whose key occurred before in this load.
        self.duplicates = 0
        #: The number of them whose key occurred in an earlier batch.
        self.again = 0

    def batch(self, rows: Sequence[Row]) -> tuple[int, EncodedRows]:
        """Return the number of rows to write out of the next ones, the last one of each key, and their binary stream.

        Raises:
            InvalidRow: a row has different attributes than the first one, or a key that cannot be a key.
        """
        numbers: Sequence[int] = range(self.received, self.received + len(rows))
        last = dict(zip(self._plan.keys_of(rows, self.received), range(len(rows)), strict=True))
        again = len(self._seen.add(map(_mark, last)))
        self.received += len(rows)
        self.again += again
        self.duplicates += again + len(rows) - len(last)
        if len(last) < len(rows):
            places = sorted(last.values())
            rows, numbers = [rows[at] for at in places], [numbers[at] for at in places]
        return len(rows), self._plan.encode(rows, numbers)


#: The origin for times; time zones do not affect the difference.
_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)


def _mark(key: Any) -> int:
    # Not hash(key), which is equal for -1 and -2 and for numbers that differ by 2**61 - 1.
    return hash(_plain(key))


def _plain(key: Any) -> Any:
    """Return a text, or a tuple of texts, that is the same for equal values: 1.0 and 1.00, noon in two time zones."""
    make = _TEXTS.get(type(key)) or next(_TEXTS[kind] for kind in type(key).__mro__ if kind in _TEXTS)
    return make(key)


def _digits(key: Decimal) -> str:
    digits = format(key or 0, "f")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


#: A table by class, because each row has a key: matching on its class took a twentieth of the time of a load.
_TEXTS: dict[type, Callable[[Any], Any]] = {
    object: str,
    int: str,
    str: str,
    UUID: str,
    tuple: lambda key: tuple(map(_plain, key)),
    float: lambda key: str(int(key)) if key.is_integer() else _digits(Decimal(key)),
    Decimal: _digits,
    datetime: lambda key: str(key - _MOMENT if key.tzinfo else key),
}
