"""Collections and documents as unmanaged Django models. Rowspace's migrations create their tables."""

from __future__ import annotations

from typing import Any, Unpack

from django.db import IntegrityError, models, router, transaction
from django.db.models.functions import Now
from django.db.models.lookups import Exact
from django.db.models.signals import post_delete, post_save, pre_save
from pgvector.django import VectorField
from sqlalchemy.orm import Session

from rowspace import models as rows
from rowspace.errors import CollectionExists, CollectionNotFound, ConfigurationError
from rowspace.indexes import IndexName, Spec, from_dict
from rowspace.integrations.django.conf import embedder
from rowspace.integrations.django.querysets import HybridOptions, VectorQuerySet
from rowspace.integrations.django.transactions import session
from rowspace.repositories import CollectionRepository, DocumentRepository, HybridRepository, SearchOptions
from rowspace.repositories.naming import check_collection
from rowspace.results import Hit, HybridHit
from rowspace.services.embedding import check_embedder, embed_query
from rowspace.wire.values import storable_json

__all__ = ["Collection", "Document"]

#: The columns that users can change.
_OWN = ("name", "metadata", "updated_at")
#: The columns that the partition of a collection depends on.
_FIXED = ("dimension", "distance", "language")


class CollectionQuerySet(models.QuerySet):
    """A queryset that protects the columns on which the partitions depend."""

    def update(self, **values: Any) -> Any:
        """Update columns, except those that the partitions depend on.

        Raises:
            ConfigurationError: the columns include dimension, distance or language.
        """
        if changed := [name for name in _FIXED if name in values]:
            raise ConfigurationError(_unchangeable(changed))
        return super().update(**values)

    def bulk_create(self, *_: Any, **__: Any) -> Any:
        """Raise an error, because each collection needs its own partition."""
        message = "Each collection needs its own partition. Call Collection.objects.create(...) for each one."
        raise ConfigurationError(message)


class Collection(models.Model):
    """A named set of documents with one dimension, one distance and one embedder.

    Creating one creates its partition, and deleting one drops its partition, in the current transaction.
    """

    id = models.BigAutoField(primary_key=True)
    name = models.TextField(unique=True)
    dimension = models.IntegerField()
    distance = models.TextField(
        default="cosine", choices=[(name, name) for name in ("cosine", "l2", "inner_product", "l1")]
    )
    language = models.TextField(default="simple")
    index = models.JSONField(default=dict, blank=True, editable=False)
    embedder = models.TextField(null=True, blank=True, editable=False)  # noqa: DJ001 -- NULL means not known yet
    metadata = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True)
    reembedding = models.JSONField(null=True, blank=True, editable=False)
    indexed_keys = models.JSONField(default=list, blank=True, editable=False)

    objects = CollectionQuerySet.as_manager()

    class Meta:
        managed = False
        db_table = "collections"
        ordering = ("name",)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # Django sends separate signals for a proxy.
        super().__init_subclass__(**kwargs)
        _listen(cls)

    def __str__(self) -> str:
        return str(self.name)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the name and the metadata. A new collection is created with its partition.

        Raises:
            CollectionExists: the name is taken; for a new collection, it is also a `django.db.IntegrityError`.
            ConfigurationError: a value is out of range, or the dimension, distance or language has changed.
            InvalidRow, InvalidText: the metadata cannot be stored as JSON.
        """
        if not self._state.adding:
            self.check_values()
            self.check_changes(self._state.db)
            # Rowspace may have changed its own columns of the row since this instance was read.
            kwargs.setdefault("update_fields", _OWN)
            super().save(*args, **kwargs)
            return
        using = kwargs.get("using") or router.db_for_write(type(self), instance=self)
        with transaction.atomic(using=using):
            pre_save.send(type(self), instance=self, raw=False, using=using, update_fields=None)
            with session(using) as made:
                self._create(made)
            self._state.db, self._state.adding = using, False
            self.refresh_from_db(using=using)
            post_save.send(type(self), instance=self, created=True, raw=False, using=using, update_fields=None)

    def _create(self, made: Session) -> None:
        options = {"index": from_dict(self.index)} if self.index else {}
        self.check_values()
        try:
            created = CollectionRepository(made).create(
                self.name,
                self.dimension,
                distance=self.distance,
                language=self.language,
                embedder=self.embedder,
                metadata=self.metadata,
                indexed_keys=self.indexed_keys,
                **options,
            )
        except CollectionExists as error:
            raise _NameTaken(*error.args) from error
        self.pk = created.id

    def check_values(self) -> None:
        """Reject invalid values before they reach the database.

        Raises:
            ConfigurationError: a value is out of range, or the metadata is not a JSON object.
            InvalidRow, InvalidText: the metadata cannot be stored as JSON.
        """
        index: Spec | IndexName | None = (
            (from_dict(self.index) if self.index else "hnsw") if self._state.adding else None
        )
        check_collection(self.name, self.dimension, self.distance, index)
        if not isinstance(self.metadata, dict):
            message = f"The metadata of a collection must be a JSON object, got {self.metadata!r:.80}."
            raise ConfigurationError(message)
        storable_json(self.metadata)

    def check_changes(self, using: str | None) -> None:
        """Reject a change of a column that the partition depends on.

        Raises:
            ConfigurationError: dimension, distance or language differ from those of the row.
        """
        stored = type(self).objects.using(using).filter(pk=self.pk).values(*_FIXED).first() or {}
        changed = [name for name, value in stored.items() if getattr(self, name) != value]
        if changed:
            raise ConfigurationError(_unchangeable(changed))


def _unchangeable(names: list[str]) -> str:
    return (
        f"The {', '.join(names)} of a collection cannot change, because its documents are stored and indexed "
        "accordingly. Create another collection and load the documents into it."
    )


class _NameTaken(CollectionExists, IntegrityError):
    """Also Django's own error, which tells `get_or_create` that another transaction was faster."""


def check_fixture(instance: Any, raw: bool, using: str, **_: Any) -> None:  # noqa: FBT001 -- the signal's signature
    """Reject a fixture that changes a column on which the partition of a collection depends."""
    if raw:
        instance.check_changes(using)


def create_tables(instance: Any, created: bool, raw: bool, using: str, **_: Any) -> None:  # noqa: FBT001 -- as above
    """Create the partition of a collection that a fixture loaded, which bypasses `save`."""
    if raw and created:
        with transaction.atomic(using=using), session(using) as made:
            CollectionRepository(made).create_tables(made.get_one(rows.Collection, instance.pk))


def drop_tables(instance: Any, using: str, **_: Any) -> None:
    """Drop the partition of a deleted collection, with all its documents."""
    # Django deletes inside an atomic block if the model has signal receivers.
    with session(using) as made:
        # This needs only the id. The row has been deleted, so whether it was being re-embedded does not matter either.
        CollectionRepository(made).drop_tables(rows.Collection(id=instance.pk, dimension=1))


def _listen(sender: Any) -> None:
    pre_save.connect(check_fixture, sender)
    post_save.connect(create_tables, sender)
    post_delete.connect(drop_tables, sender)


_listen(Collection)


class DocumentQuerySet(VectorQuerySet):
    """A queryset of documents. A search covers one collection."""

    def in_collection(self, collection: Any) -> Any:
        """Return the queryset of the documents in a collection, given as an instance or by name.

        Raises:
            CollectionNotFound: no collection has that name.
        """
        if isinstance(collection, Collection):
            return self.filter(collection_id=collection.pk)
        found = Collection.objects.using(self.db).filter(name=collection).values_list("pk", flat=True).first()
        if found is None:
            message = f"There is no collection {collection!r}."
            raise CollectionNotFound(message)
        return self.filter(collection_id=found)

    def nearest(self, query: Any, k: int = 10, **options: Unpack[SearchOptions]) -> list[Hit[Any]]:  # type: ignore[override]
        """Return the k nearest documents, nearest first; see `VectorQuerySet.nearest`.

        Raises:
            ConfigurationError: the queryset is not limited to one collection.
            EmbedderMismatch: the query is a text, and another embedder filled the collection.
        """
        with_vectors = options.pop("with_embedding", False)

        def search(made: Session, where: list[Any]) -> list[Hit[Any]]:
            collection = self._collection(made)
            vector = _embedded(collection, query) if isinstance(query, str) else query
            return DocumentRepository(made, collection).nearest(vector, k, where=where, **options)

        return self._found(rows.Document, search, with_vectors=with_vectors)

    def hybrid(  # type: ignore[override]
        self, text: str, vector: Any = None, k: int = 10, **options: Unpack[HybridOptions]
    ) -> list[HybridHit[Any]]:
        """Return the k best documents by vector and by keyword, highest score first; see `VectorQuerySet.hybrid`.

        Raises:
            ConfigurationError, EmbedderMismatch: as for `nearest`.
        """

        def search(made: Session, where: list[Any]) -> list[HybridHit[Any]]:
            collection = self._collection(made)
            query = _embedded(collection, text) if vector is None else vector
            return HybridRepository(made, collection).hybrid(text, query, k, where=where, **options)

        return self._found(rows.Document, search)

    def _collection(self, made: Session) -> rows.Collection:
        found = made.get(rows.Collection, _collection_id(self.query.where))
        if found is None:
            message = "The collection of this queryset no longer exists."
            raise CollectionNotFound(message)
        return found


class DocumentManager(models.Manager.from_queryset(DocumentQuerySet)):  # type: ignore[misc]
    """Documents without their embeddings, which are loaded on first access."""

    def get_queryset(self) -> Any:
        """Return all documents."""
        return super().get_queryset().defer("embedding")


class Document(models.Model):
    """A text with its metadata and embedding. The same id in two collections names two rows."""

    pk = models.CompositePrimaryKey("collection_id", "id")
    collection = models.ForeignKey(
        Collection, on_delete=models.DO_NOTHING, db_constraint=False, related_name="documents"
    )
    id = models.TextField()
    content = models.TextField()
    embedding = VectorField()
    metadata = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = DocumentManager()

    class Meta:
        managed = False
        db_table = "documents"

    def __str__(self) -> str:
        return str(self.id)


def _collection_id(where: Any) -> int:
    """Return the id of the collection that a queryset's conditions select."""
    alone = where.connector == "AND" and not where.negated
    for child in where.children if alone else ():
        column = getattr(getattr(child, "lhs", None), "target", None)
        constant = isinstance(child, Exact) and isinstance(child.rhs, int)
        if constant and column is Document._meta.get_field("collection"):
            return int(child.rhs)
    message = (
        "A search covers one collection. Use collection.documents.nearest(...) or "
        "Document.objects.in_collection('name').nearest(...)."
    )
    raise ConfigurationError(message)


def _embedded(collection: rows.Collection, text: str) -> Any:
    made = embedder()
    check_embedder(collection, made)
    return embed_query(made, text)
