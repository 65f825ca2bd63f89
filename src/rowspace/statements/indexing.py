"""DDL of single indexes: their definition, how to create, rebuild and drop them, and how an existing one differs.

These texts contain only checked numbers, quoted identifiers, and definitions that the application declared. For
existing indexes, see `rowspace.statements.catalog`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from sqlalchemy import Column, Index, MetaData, Numeric, Table, Text, and_, case, cast, func, literal
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import CompileError
from sqlalchemy.schema import CreateIndex

from rowspace.errors import ConfigurationError, InvalidSetting
from rowspace.filters import compile_filter, key_path
from rowspace.indexes import IVFFlat, Spec
from rowspace.settings import is_whole
from rowspace.statements.browse import Key
from rowspace.statements.identifiers import DIALECT, qualified, quote
from rowspace.statements.keyed import number_and_text
from rowspace.statements.locks import patiently

__all__ = [
    "COPY",
    "OF_KEY",
    "VECTOR_METHODS",
    "PlannedIndex",
    "Shape",
    "build_settings",
    "clustered",
    "planned",
    "planned_key",
    "planned_vector",
]

#: The number of characters of a metadata value by which rows are ordered.
_ORDERED = 200
#: The maximum number of bytes of a metadata key in the name of its index.
_NAMED = 24

_METADATA = Table("documents", MetaData(), Column("metadata", JSONB)).c.metadata

# By prefix, because a column may be called `dev_ops`.
_OPCLASS = re.compile(r"\b(?:vector|halfvec|bit|sparsevec|jsonb)_\w+_ops\b|\bjsonb_ops\b")
# The name is quoted if quote_all_identifiers is on.
_CAST = re.compile(r'\b(vector|halfvec|bit|sparsevec)"?\s*\(\s*(\d+)\s*\)', re.IGNORECASE)
_MEMORY = re.compile(r"[1-9]\d{0,9} ?(?:kB|MB|GB|TB)")
_WITH = re.compile(r"\bWITH \(([^)]*)\)")

#: The suffix that REINDEX CONCURRENTLY adds to the index that it creates or drops (PostgreSQL manual, "REINDEX").
COPY = r"_cc(?:new|old)\d*"

#: The names of indexes on metadata keys; this is followed by the key, or by a hash of a long one.
OF_KEY = re.compile(r"ix_documents_\d+_key_")

#: The access methods of pgvector.
VECTOR_METHODS = frozenset({"hnsw", "ivfflat"})

#: The options that pgvector uses by default. `lists` is not included: a specification may leave it to the table's size.
_DEFAULTS: Mapping[str, Mapping[str, str]] = {"hnsw": {"m": "16", "ef_construction": "64"}}


@dataclass(frozen=True, slots=True)
class Shape:
    """The properties that decide which searches an index serves, and how well.

    Args:
        method: the access method.
        opclass: the operator class of its first key; None if the declaration leaves it to the type.
        cast: the type and dimension that it casts to, such as `("halfvec", 3072)`.
        options: its storage parameters.
        partial: whether it contains only the rows that meet a condition.
    """

    method: str
    opclass: str | None = None
    cast: tuple[str, int] | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    partial: bool = False

    def differences(self, wanted: Shape) -> list[str]:
        """Return in words how this existing index differs from the declared one."""
        pairs: list[tuple[str, Any, Any]] = [
            ("method", self.method, wanted.method),
            ("operator class", self.opclass, wanted.opclass or self.opclass),
            ("cast", self.cast, wanted.cast),
            ("condition", self.partial, wanted.partial),
        ]
        if self.method == wanted.method:
            stored, asked = (
                {**_DEFAULTS.get(self.method, {}), **options} for options in (self.options, wanted.options)
            )
            pairs += [(name, stored.get(name), value) for name, value in asked.items()]
        return [f"{what} is {_word(is_)}, not {_word(asked)}" for what, is_, asked in pairs if is_ != asked]


@dataclass(frozen=True, slots=True)
class PlannedIndex:
    """An index that a model or a collection declares.

    Args:
        name: its name, not quoted.
        table: the table's name, not quoted.
        definition: the part of CREATE INDEX that follows USING.
        schema: the schema of both, or None for the search path's.
        unique: whether it is a unique index.
    """

    name: str
    table: str
    definition: str
    schema: str | None = None
    unique: bool = False

    @property
    def shape(self) -> Shape:
        """The properties that decide which searches it serves."""
        if self.definition.startswith("btree "):
            # Only a key, whose name can contain any words.
            return Shape("btree")
        found = _OPCLASS.search(self.definition)
        cast = cast_of(self.definition)
        options = _WITH.search(self.definition)
        pairs = (part.split("=", 1) for part in options[1].split(",")) if options else ()
        return Shape(
            method=self.definition.split(maxsplit=1)[0].lower(),
            opclass=found[0] if found else None,
            cast=cast,
            options={name.strip(): value.strip(" '") for name, value in pairs},
            partial=" WHERE " in self.definition,
        )

    @property
    def is_vector(self) -> bool:
        """Whether its access method is one of pgvector's."""
        return self.shape.method in VECTOR_METHODS

    @property
    def unsized(self) -> bool:
        """Whether it is an ivfflat index whose `lists` depends on the number of rows."""
        shape = self.shape
        return shape.method == "ivfflat" and "lists" not in shape.options

    def sized(self, rows: int) -> PlannedIndex:
        """Return a copy of an `unsized` index with `lists` chosen for a table of `rows`."""
        head, where, tail = self.definition.partition(" WHERE ")
        return replace(self, definition=f"{head} WITH (lists = {IVFFlat().sized(rows).lists:d}){where}{tail}")

    def create(self, *, concurrently: bool = False, if_not_exists: bool = False) -> str:
        """Return the statement that creates it; `concurrently` blocks no writers and needs autocommit."""
        words = ["CREATE", "UNIQUE" if self.unique else "", "INDEX", "CONCURRENTLY" if concurrently else ""]
        words += ["IF NOT EXISTS" if if_not_exists else "", quote(self.name), "ON", self._qualified(self.table)]
        return " ".join([*filter(None, words), "USING", self.definition])

    def drop(self, *, concurrently: bool = False) -> str:
        """Return the statement that drops it, if it exists."""
        return f"DROP INDEX {'CONCURRENTLY ' if concurrently else ''}IF EXISTS {self._qualified(self.name)}"

    def reindex(self, *, concurrently: bool = False) -> str:
        """Return the statement that rebuilds it; with `concurrently`, next to the old one."""
        return f"REINDEX INDEX {'CONCURRENTLY ' if concurrently else ''}{self._qualified(self.name)}"

    def analyze(self) -> str:
        """Return the statement that refreshes the statistics of its table."""
        return f"ANALYZE {self._qualified(self.table)}"

    def _qualified(self, name: str) -> str:
        return qualified(name, self.schema)


def planned(index: Index, schema: str | None = None) -> PlannedIndex:
    """Return a declared index of a model's table, which is in `schema`; None is the search path's.

    Raises:
        ConfigurationError: the index has no table yet, or no name.
    """
    table = index.table
    if table is None:
        message = f"{index!r} has no table. Add it to the __table_args__ of a model."
        raise ConfigurationError(message)
    if index.name is None:
        message = f"An index of {table.name} has no name, and the naming convention gives it none. Pass name=..."
        raise ConfigurationError(message)
    name = DIALECT.identifier_preparer.format_constraint(index, _alembic_quote=False)
    sql = str(CreateIndex(index).compile(dialect=DIALECT))
    # Split after the table, because names and conditions can contain any word.
    rest = sql.partition(f" ON {DIALECT.identifier_preparer.format_table(table)} ")[2]
    definition = rest.removeprefix("USING ") if rest.startswith("USING ") else f"btree {rest}"
    return PlannedIndex(str(name), table.name, definition, schema, index.unique)


def planned_vector(spec: Spec, dimension: int) -> str:
    """Return the definition (the part that follows USING) of a vector index over the documents of a collection."""
    held = f"embedding::{spec.quantize or 'vector'}({dimension:d})"
    if spec.quantize == "bit":
        held = f"binary_quantize(embedding)::bit({dimension:d})"
    definition = f"{spec.method} (({held}) {spec.opclass('vector')})"
    if spec.options():
        definition += " WITH (" + ", ".join(f"{name} = {value:d}" for name, value in spec.options().items()) + ")"
    return definition if spec.where is None else f"{definition} WHERE {_predicate(spec.where)}"


def planned_key(key: str) -> tuple[str, str]:
    """Return the suffix of the name of the index on a metadata key, and its definition (the part that follows USING).

    Writing a number of more than about 5,000 digits fails, because it does not fit in a b-tree entry.

    Raises:
        InvalidFilter: the key is malformed.
    """
    columns = ", ".join(f"({as_sql(column)})" for column in number_and_text(_METADATA, key_path(key)))
    is_short = len(key.encode()) <= _NAMED
    return f"key_{key if is_short else sha256(key.encode()).hexdigest()[:_NAMED]}", f"btree ({columns})"


def clustered(table: str, schema: str | None, key: Key) -> list[str]:
    """Return the statements that rewrite a table in the order of a key: a separate transaction, then ANALYZE.

    The order is that of an index that exists only during the transaction. The table is locked first: if the lock were
    taken after the weaker one of the index build, two transactions that also write would deadlock.
    """
    order = PlannedIndex(f"ix_{table}_rowspace_order", table, f"btree ({_order(key)})", schema)
    name = qualified(table, schema)
    return [
        "BEGIN",
        patiently([f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE"], table),
        order.create(),
        f"CLUSTER {name} USING {quote(order.name)}",
        order.drop(),
        "COMMIT",
        order.analyze(),
    ]


def _order(key: Key) -> str:
    """Return the keys of an index that sorts by a column, or by metadata: numbers first, then the rest as text.

    An entry of a b-tree holds 2,704 bytes, so the index contains only the prefix of a long text.
    """
    if not key.path:
        return f"({as_sql(key.column)})"
    path = postgresql.array([literal(name, Text()) for name in key.path])
    text = key.column.op("#>>")(path)
    kind = func.jsonb_typeof(key.column.op("#>")(path))
    is_number = and_(kind == literal("number", Text()), func.length(text) <= _ORDERED)
    return f"({as_sql(case((is_number, cast(text, Numeric))))}), ({as_sql(func.left(text, _ORDERED))})"


def as_sql(condition: Any) -> str | None:
    """Return the condition of an index with literal values, without the table; None if a value cannot be rendered."""
    try:
        return str(condition.compile(dialect=DIALECT, compile_kwargs={"literal_binds": True, "include_table": False}))
    except CompileError:
        return None


def cast_of(definition: str) -> tuple[str, int] | None:
    """Return the vector type and dimension that an index expression casts to."""
    found = _CAST.search(definition)
    return (found[1].lower(), int(found[2])) if found else None


def _predicate(where: Any) -> str:
    return str(as_sql(compile_filter(where, _METADATA)))


def _word(value: Any) -> str:
    if isinstance(value, tuple):
        return f"{value[0]}({value[1]})"
    return {True: "there", False: "absent", None: "absent"}.get(value, str(value))


def build_settings(maintenance_work_mem: str | None, parallel_workers: int | None) -> list[str]:
    """Return the SET statements for a connection that builds indexes, which also disable the role's timeouts.

    Args:
        maintenance_work_mem: memory for one build, such as "1GB"; an HNSW graph that fits is built much faster.
        parallel_workers: worker processes besides the leader, 0 to 1024; None keeps the server's setting.

    Raises:
        InvalidSetting: not a number with a unit, or out of range.
    """
    out = ["SET statement_timeout = 0", "SET lock_timeout = 0"]
    if maintenance_work_mem is not None:
        if not _MEMORY.fullmatch(str(maintenance_work_mem)):
            message = f"maintenance_work_mem must be a number with kB, MB, GB or TB, got {maintenance_work_mem!r}."
            raise InvalidSetting(message)
        out.append(f"SET maintenance_work_mem = '{maintenance_work_mem}'")
    if parallel_workers is not None:
        if not is_whole(parallel_workers, 0, 1_024):
            message = f"parallel_workers must be a whole number from 0 to 1024, got {parallel_workers!r}."
            raise InvalidSetting(message)
        out.append(f"SET max_parallel_maintenance_workers = {parallel_workers:d}")
    return out
