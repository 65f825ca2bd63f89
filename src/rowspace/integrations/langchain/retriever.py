"""The store's retriever: LangChain's, which also searches by vector and keyword at once."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStoreRetriever

__all__ = ["RowspaceRetriever"]


class RowspaceRetriever(VectorStoreRetriever):
    """What `as_retriever` returns. Its `search_type` may also be `hybrid`; `search_kwargs` go to that search.

    Keywords of `invoke` and `ainvoke` go before those in `search_kwargs`.
    """

    allowed_search_types: ClassVar[Collection[str]] = (*VectorStoreRetriever.allowed_search_types, "hybrid")

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **more: Any
    ) -> list[Document]:
        if self.search_type != "hybrid":
            return super()._get_relevant_documents(query, run_manager=run_manager, **more)
        return self.vectorstore.search(query, "hybrid", **{**self.search_kwargs, **more})

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **more: Any
    ) -> list[Document]:
        if self.search_type != "hybrid":
            return await super()._aget_relevant_documents(query, run_manager=run_manager, **more)
        return await self.vectorstore.asearch(query, "hybrid", **{**self.search_kwargs, **more})
