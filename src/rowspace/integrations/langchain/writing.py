"""The writes of the store, sync and async: add, delete, and get by id."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any, TypeAlias
from uuid import UUID, uuid4

from langchain_core.documents import Document

from rowspace.errors import ConfigurationError
from rowspace.integrations.langchain.base import StoreBase, documents_of
from rowspace.integrations.langchain.options import refuse_unknown
from rowspace.repositories.given import several
from rowspace.repositories.subjects import Where

__all__ = ["WritingStore"]

#: PGVector also allows numbers and UUIDs as ids.
Id: TypeAlias = str | int | UUID
Ids: TypeAlias = Sequence[Id | None]
#: Fields of documents, unchecked. The service checks them, and its errors name the row.
Rows: TypeAlias = list[dict[str, Any]]


class WritingStore(StoreBase):
    """Adds documents, deletes them and gets them by id.

    A document whose id exists is updated, and an unchanged text is not embedded again. A document without an id gets a
    random one.
    """

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        ids: Ids | None = None,
        *,
        batch_size: int = 500,
        strip_nul: bool = False,
        **unknown: Any,
    ) -> list[str]:
        """Embed texts and add them, either all or none. Return their ids in the order of the texts.

        Args:
            texts: the texts; the iterable is read once.
            metadatas: one per text.
            ids: one per text; without ids, or for an id of None, a random id is used. Numbers and UUIDs are converted
                to strings.
            batch_size: the number of texts to embed and write at once.
            strip_nul: remove NUL bytes, which PostgreSQL cannot store, instead of raising an error.
            unknown: rejected.

        Raises:
            ConfigurationError: a keyword argument is unknown, `texts` is a single string, or the number of metadatas or
                ids differs from that of the texts.
            EmbedderMismatch: another embedder filled the collection.
            InvalidText, InvalidRow: a text or its metadata cannot be stored. The message names the row.
        """
        refuse_unknown(unknown)
        return self._add(_rows(texts, metadatas, ids), batch_size=batch_size, strip_nul=strip_nul)

    async def aadd_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        ids: Ids | None = None,
        *,
        batch_size: int = 500,
        strip_nul: bool = False,
        **unknown: Any,
    ) -> list[str]:
        """Embed texts and add them; see `add_texts`."""
        refuse_unknown(unknown)
        return await self._aadd(_rows(texts, metadatas, ids), batch_size=batch_size, strip_nul=strip_nul)

    def add_documents(
        self,
        documents: list[Document],
        *,
        ids: Ids | None = None,
        batch_size: int = 500,
        strip_nul: bool = False,
        **unknown: Any,
    ) -> list[str]:
        """Embed documents and add them, either all or none. Return their ids; `ids` overrides the documents' own."""
        refuse_unknown(unknown)
        return self._add(_rows_of(documents, ids), batch_size=batch_size, strip_nul=strip_nul)

    async def aadd_documents(
        self,
        documents: list[Document],
        *,
        ids: Ids | None = None,
        batch_size: int = 500,
        strip_nul: bool = False,
        **unknown: Any,
    ) -> list[str]:
        """Embed documents and add them; see `add_documents`."""
        refuse_unknown(unknown)
        return await self._aadd(_rows_of(documents, ids), batch_size=batch_size, strip_nul=strip_nul)

    def add_embeddings(
        self,
        texts: Sequence[str],
        embeddings: Sequence[Any],
        metadatas: list[dict[str, Any]] | None = None,
        ids: Ids | None = None,
    ) -> list[str]:
        """Add texts with existing embeddings, either all or none, and return their ids.

        Raises:
            ConfigurationError: the number of embeddings, metadatas or ids differs from that of the texts.
            InvalidVector, DimensionMismatch: an embedding is invalid. The message names the row.
        """
        return self._add(_rows(texts, metadatas, ids, embeddings))

    async def aadd_embeddings(
        self,
        texts: Sequence[str],
        embeddings: Sequence[Any],
        metadatas: list[dict[str, Any]] | None = None,
        ids: Ids | None = None,
    ) -> list[str]:
        """Add texts with existing embeddings; see `add_embeddings`."""
        return await self._aadd(_rows(texts, metadatas, ids, embeddings))

    def delete(self, ids: Sequence[Id] | None = None, *, filter: Where | None = None, **unknown: Any) -> bool:
        """Delete documents by id or by a metadata filter. Unknown ids are ignored.

        `collection_only` is accepted for compatibility: an id belongs to this collection.

        Raises:
            ConfigurationError: neither or both were passed; `delete_collection` deletes everything.
        """
        refuse_unknown(unknown, known={"ids", "filter", "collection_only"})
        _one_of(ids, filter)
        self._ready()
        self._service.delete(self.collection_name, _texts(ids or ()), where=filter)  # type: ignore[arg-type]
        return True

    async def adelete(self, ids: list[str] | None = None, *, filter: Where | None = None, **unknown: Any) -> bool:
        """Delete documents by id or by a metadata filter; see `delete`."""
        refuse_unknown(unknown, known={"ids", "filter", "collection_only"})
        _one_of(ids, filter)
        await self._aready()
        await self._aservice.delete(self.collection_name, _texts(ids or ()), where=filter)  # type: ignore[arg-type]
        return True

    def get_by_ids(self, ids: Sequence[Id], /) -> list[Document]:
        """Return documents by id, in the order of the ids. Unknown ids are skipped."""
        self._ready()
        return documents_of(self._service.get(self.collection_name, _texts(ids)))

    async def aget_by_ids(self, ids: Sequence[Id], /) -> list[Document]:
        """Return documents by id, in the order of the ids. Unknown ids are skipped."""
        await self._aready()
        return documents_of(await self._aservice.get(self.collection_name, _texts(ids)))

    def _add(self, rows: Rows, **options: Any) -> list[str]:
        self._ready()
        self._service.add(self.collection_name, rows, **options)
        return [row["id"] for row in rows]

    async def _aadd(self, rows: Rows, **options: Any) -> list[str]:
        await self._aready()
        await self._aservice.add(self.collection_name, rows, **options)
        return [row["id"] for row in rows]


def _rows(texts: Iterable[str], metadatas: Any, ids: Any, embeddings: Any = None) -> Rows:
    contents = list(several(texts, "texts"))
    ids = None if ids is None else _texts(ids)
    for name, given in (("metadatas", metadatas), ("ids", ids), ("embeddings", embeddings)):
        if given is not None and len(given) != len(contents):
            message = f"Expected one of {name} per text, got {len(given)} for {len(contents)} texts."
            raise ConfigurationError(message)
    columns = (repeat(None) if given is None else given for given in (metadatas, ids, embeddings))
    return [
        {
            "content": content,
            "id": str(uuid4()) if id_ is None else id_,
            "metadata": {} if metadata is None else metadata,
            "embedding": embedding,
        }
        for content, metadata, id_, embedding in zip(contents, *columns, strict=False)
    ]


def _rows_of(documents: Iterable[Document], ids: Any) -> Rows:
    given = list(documents)
    own = [document.id for document in given] if ids is None else ids
    return _rows([document.page_content for document in given], [document.metadata for document in given], own)


def _texts(ids: Ids) -> list[Any]:
    return [str(id_) if isinstance(id_, int | UUID) else id_ for id_ in several(ids, "ids")]


def _one_of(ids: Sequence[Id] | None, where: Where | None) -> None:
    if (ids is None) == (where is None):
        message = "Expected either ids or a filter. To delete everything, call delete_collection()."
        raise ConfigurationError(message)
