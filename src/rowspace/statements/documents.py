"""Statements over collections and the documents of one collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Delete,
    Select,
    Text,
    Update,
    bindparam,
    cast as sql_cast,
    column,
    delete,
    func,
    select,
    table,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, REGCONFIG

from rowspace.models import Collection, Document
from rowspace.statements.search import Target, Where, number

__all__ = [
    "by_ids",
    "collection_by_name",
    "collections",
    "count",
    "counts",
    "delete_matching",
    "is_empty",
    "languages",
    "lock_first_load",
    "target_of",
]

#: The first half of the advisory lock for the first load of a collection; the second is the collection.
_FIRST_LOAD = 0x526F7773


def collections() -> Select[Collection]:
    """Select all collections in order of their names."""
    return select(Collection).order_by(Collection.name)


def collection_by_name(name: str) -> Select[Collection]:
    """Select a collection by name."""
    return select(Collection).where(Collection.name == name)


def lock_collection(collection_id: int) -> Select[int]:
    """Select the id of a collection, and lock its row against changes, but not against references to it."""
    return select(Collection.id).where(Collection.id == collection_id).with_for_update(key_share=True)


def languages() -> Select[str]:
    """Select the names of the server's text-search configurations, as `regconfig` accepts them, in order."""
    known = table("pg_ts_config", column("oid"), schema="pg_catalog")
    name = sql_cast(sql_cast(known.c.oid, REGCONFIG), Text)
    return select(name).order_by(name)


def target_of(collection: Collection) -> Target[Document]:
    """Return the target of a search in a collection: the cast of the embedding that its index is on."""
    scope = (("collection_id", collection.id),)
    quantize = (collection.index or {}).get("quantize")
    return Target(Document, "embedding", collection.metric, collection.dimension, scope, quantize)


def matching(collection_id: int, where: Where) -> list[ColumnElement[bool]]:
    """Return the conditions of the documents of a collection that meet every other condition."""
    return [Document.collection_id == collection_id, *where]


def by_ids(collection_id: int, ids: Sequence[str]) -> Select[Document]:
    """Select documents by id, in no particular order."""
    return select(Document).where(*matching(collection_id, [Document.id == func.any(_array(ids))]))


def delete_ids(collection_id: int, ids: Sequence[str]) -> Delete:
    """Delete documents by id."""
    return delete(Document).where(*matching(collection_id, [Document.id == func.any(_array(ids))]))


def delete_matching(collection_id: int, where: Where) -> Delete:
    """Delete the documents that meet every condition."""
    return delete(Document).where(*matching(collection_id, where))


def count(collection_id: int, where: Where = ()) -> Select[int]:
    """Select the number of documents that meet every condition; costs a pass over them."""
    return select(func.count()).select_from(Document).where(*matching(collection_id, where))


def counts(collection_ids: Sequence[int]) -> Select[int, int]:
    """Select the id of each collection that has documents, and their number; costs a pass over all documents."""
    # As literals, so that the planner considers only these partitions.
    ids = [number(collection_id) for collection_id in collection_ids]
    found = Document.collection_id
    return select(found, func.count()).where(found.in_(ids)).group_by(found)


def lock_first_load(collection_id: int) -> Select[Any]:
    """Wait for the lock of a collection's first load, and hold it until the transaction ends."""
    return select(func.pg_advisory_xact_lock(number(_FIRST_LOAD), number(collection_id % 2**31)))


def is_empty(collection_id: int) -> Select[Any]:
    """Select whether a collection has no documents; costs one row."""
    return select(~select(Document.id).where(Document.collection_id == collection_id).exists())


def merge_metadata(collection_id: int, changes: Mapping[str, Any], where: Where) -> Update:
    """Set keys of the metadata of the documents that meet every condition; a None removes its key."""
    kept = {key: value for key, value in changes.items() if value is not None}
    gone = [key for key, value in changes.items() if value is None]
    merged: Any = Document.meta.op("||")(sql_cast(kept, JSONB))
    if gone:
        merged = merged.op("-")(_array(gone))
    return update(Document).where(*matching(collection_id, where)).values({Document.meta: merged})


def index_key(collection_id: int, key: str) -> Update:
    """Record that a metadata key has its own index, if that is not recorded; returns no row."""
    keys: Any = Collection.indexed_keys
    added = keys.op("||")(sql_cast([key], JSONB))
    return update(Collection).where(Collection.id == collection_id, ~keys.contains([key])).values(indexed_keys=added)


def unindex_key(collection_id: int, key: str) -> Update:
    """Record that a metadata key no longer has its own index."""
    keys: Any = Collection.indexed_keys
    left = keys.op("-")(sql_cast(key, Text))
    return update(Collection).where(Collection.id == collection_id).values(indexed_keys=left)


def indexed_keys(collection_id: int) -> Select[list[str]]:
    """Select the metadata keys of a collection with their own index."""
    return select(Collection.indexed_keys).where(Collection.id == collection_id)


#: SHA-256 of the content.
_DIGEST = func.encode(func.sha256(func.convert_to(Document.content, "UTF8")), "hex")


def set_metadata(collection_id: int, *, compared: bool) -> Update:
    """Replace the metadata of a document by the parameters `the_id`, `meta` and, if contents are compared, `digest`."""
    conditions = [Document.id == bindparam("the_id"), *([bindparam("digest") == _DIGEST] if compared else [])]
    return update(Document).where(*matching(collection_id, conditions)).values({Document.meta: bindparam("meta")})


def fingerprints(collection_id: int, ids: Sequence[str]) -> Select[str, str, dict[str, Any]]:
    """Select id, SHA-256 of the content and metadata of documents, to find those that a load would not change."""
    columns = (Document.id, _DIGEST, Document.meta)
    return select(*columns).where(*matching(collection_id, [Document.id == func.any(_array(ids))]))


def _array(values: Sequence[str]) -> Any:
    # One array parameter: the statement does not depend on the number of ids, and is prepared once.
    return bindparam(None, list(values), type_=ARRAY(Text))
