"""Load record batches into a collection or a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from inspect import signature
from itertools import chain
from typing import Any, Literal, TypeAlias
from uuid import uuid4

from sqlalchemy import true

from rowspace._optional import require
from rowspace.errors import CollectionExists, CollectionNotFound, ConfigurationError, InvalidRow
from rowspace.indexes import from_dict
from rowspace.integrations._frames.columns import plain, plain_type
from rowspace.integrations._frames.metadata import keep_schema
from rowspace.integrations._frames.rows import Rows
from rowspace.models import Collection
from rowspace.repositories import CollectionRepository, DocumentRepository, Repository, TableRepository
from rowspace.repositories.given import AnySession, callback, size
from rowspace.results import LoadReport, Reject

__all__ = ["Existing", "Loading", "load"]

pa: Any = require("pyarrow", extra="arrow")

Existing: TypeAlias = Literal["fail", "append", "replace"]


#: The keys that `create` can have: the parameters of `CollectionRepository.create` except the name.
_CREATE = signature(CollectionRepository.create).parameters.keys() - {"self", "name"}


@dataclass(frozen=True, slots=True)
class Loading:
    """The options of a load; see `rowspace.integrations.arrow.write_table`."""

    if_exists: str
    names: Mapping[str, str]
    chunksize: int
    create: Mapping[str, Any]
    build_indexes: bool
    rejects: Callable[[Reject], object] | None

    def __post_init__(self) -> None:
        if self.if_exists not in {"fail", "append", "replace"}:
            message = f"if_exists must be fail, append or replace, got {self.if_exists!r}."
            raise ConfigurationError(message)
        size("chunksize", self.chunksize)
        callback("rejects", self.rejects)
        if unknown := [repr(name) for name in self.create if name not in _CREATE]:
            message = f"create can have {', '.join(sorted(_CREATE))}, got {', '.join(unknown)}."
            raise ConfigurationError(message)


@dataclass(frozen=True, slots=True)
class _Data:
    """Record batches, as a list if they can be read twice, and their conversion to rows."""

    batches: Iterable[Any]
    rows: Rows


def load(session: AnySession, over: Any, data: Any, loading: Loading) -> LoadReport:
    """Write rows to a collection or a table; see `rowspace.integrations.arrow.write_table`."""
    batches, schema = _batches(data, loading.names)
    documents = isinstance(over, str | Collection)
    if loading.create and not documents:
        message = f"create applies only to a new collection, but {over!r:.80} has a table. Omit it."
        raise ConfigurationError(message)
    known = _known(session, over) if documents else None
    rows = Rows.of(schema, known, None if documents else TableRepository(session, over))
    rejected = 0
    is_list, rejects = isinstance(batches, list), loading.rejects
    if rejects is not None:

        def reject(bad: Reject) -> None:
            nonlocal rejected
            rejected += 1
            rejects(bad)

        sound = rows.sound(batches, reject)
        batches = list(sound) if is_list else sound
    if is_list:
        rows = rows.checked(batches)
    given = _Data(batches, rows)
    # In a savepoint, an error leaves nothing behind, even if the caller catches it and commits.
    with session.begin_nested():
        if documents:
            report = _load_documents(session, known or over, given, loading)
        else:
            report = _load_model(session, over, given, loading)
        if report.duplicates:
            message = f"{report.duplicates} rows have the key of an earlier row in the data. Keys must be unique."
            raise InvalidRow(message)
    return report + LoadReport(received=rejected, rejected=rejected)


def _batches(data: Any, names: Mapping[str, str]) -> tuple[Any, Any]:
    """Return the data as record batches with renamed columns, and their schema."""
    if isinstance(data, pa.RecordBatch):
        data = pa.Table.from_batches([data])
    if not isinstance(data, pa.Table | pa.RecordBatchReader):
        if not hasattr(data, "__arrow_c_stream__"):
            message = f"Expected an Arrow table or a stream of record batches, got {type(data).__name__}."
            raise InvalidRow(message)
        data = pa.RecordBatchReader.from_stream(data)
    schema = _renamed(data.schema, names)
    if isinstance(data, pa.Table):
        return [_batch(batch, schema) for batch in data.to_batches()], schema
    return (_batch(batch, schema) for batch in data), schema


def _batch(batch: Any, schema: Any) -> Any:
    columns = zip(batch.columns, schema.types, strict=True)
    return pa.RecordBatch.from_arrays([plain(array, type_) for array, type_ in columns], schema=schema)


def _renamed(schema: Any, names: Mapping[str, str]) -> Any:
    if unknown := [name for name in names if name not in schema.names]:
        message = f"names has {unknown[0]!r}, which is not a column of the data. Columns: {', '.join(schema.names)}."
        raise ConfigurationError(message)
    renamed = [names.get(name, name) for name in schema.names]
    if twice := sorted(name for name, times in Counter(renamed).items() if times > 1):
        message = f"More than one column is named {twice[0]!r}."
        raise InvalidRow(message)
    fields = [
        field.with_name(name).with_type(plain_type(field.type)) for field, name in zip(schema, renamed, strict=True)
    ]
    return pa.schema(fields, metadata=schema.metadata)


def _known(session: AnySession, over: str | Collection) -> Collection | None:
    if isinstance(over, Collection):
        return over
    try:
        return CollectionRepository(session).get(over)
    except CollectionNotFound:
        return None


def _load_documents(session: AnySession, over: str | Collection, data: _Data, loading: Loading) -> LoadReport:
    source = iter(data.batches)
    first = next((batch for batch in source if len(batch)), None)
    dimension = data.rows.dimension_of(first)
    collection, aside = _collection(session, over, dimension, loading)
    found = [] if first is None else [first]
    shown = data.batches if isinstance(data.batches, list) else found
    collection.meta = keep_schema(collection.meta, data.rows.kept(shown), data.rows.notes)
    repository = DocumentRepository(session, collection)
    was_empty = repository.begin_first_load()
    rows = data.rows.of_dimension(collection.dimension).of_batches(chain(found, source))
    report = repository.upsert(rows, batch_size=loading.chunksize)
    if was_empty and report.written and loading.build_indexes:
        repository.create_indexes()
    if aside is not None:
        CollectionRepository(session).drop(aside)
    return report


def _collection(
    session: AnySession, over: str | Collection, dimension: int | None, loading: Loading
) -> tuple[Collection, str | None]:
    """Return the collection to load, and the temporary name of the one that it replaces."""
    aside = None
    collections = CollectionRepository(session)
    options = dict(loading.create)
    name = over if isinstance(over, str) else over.name
    if isinstance(over, Collection):
        if loading.if_exists == "append":
            return over, None
        if loading.if_exists == "fail":
            message = f"The collection {name!r} already exists. Pass if_exists='append' or 'replace'."
            raise CollectionExists(message)
        kept = {"distance": over.distance, "language": over.language, "indexed_keys": over.indexed_keys}
        options = {**kept, "index": from_dict(over.index), **options}
        dimension = over.dimension if dimension is None else dimension
        # Drop it after the load: from the DROP to the end of the transaction, nobody else can read or write any
        # collection.
        aside = f"{uuid4().hex} is replaced"
        collections.rename(name, aside)
    dimension = options.pop("dimension", dimension)
    if dimension is None:
        message = (
            f"The collection {name!r} does not exist, and the data has no embedding to infer its dimension from. "
            'Pass create={"dimension": ...}.'
        )
        raise InvalidRow(message)
    return collections.create(name, dimension, **options), aside


def _load_model(session: AnySession, model: type[Any], data: _Data, loading: Loading) -> LoadReport:
    repository: Repository[Any] = Repository(session, model, column=data.rows.vector)
    if loading.if_exists == "replace":
        repository.delete_where(true())
    elif loading.if_exists == "fail" and repository.count():
        message = f"The table of {model.__name__} has rows. Pass if_exists='append' or 'replace'."
        raise CollectionExists(message)
    return repository.upsert(data.rows.of_batches(data.batches), batch_size=loading.chunksize)
