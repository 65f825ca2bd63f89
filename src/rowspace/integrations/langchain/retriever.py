"""The retriever of the store. It adds hybrid search to LangChain's retriever."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStoreRetriever
from pydantic import ConfigDict, model_validator

__all__ = ["RowspaceRetriever"]


class RowspaceRetriever(VectorStoreRetriever):
    """The retriever that `as_retriever` returns; its `search_type` may also be `hybrid`.

    `search_kwargs` go to the search. `k` can also be passed directly. Other keyword arguments are rejected, because
    LangChain would ignore a filter among them. Arguments of `invoke` and `ainvoke` override those in `search_kwargs`.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    allowed_search_types: ClassVar[Collection[str]] = (*VectorStoreRetriever.allowed_search_types, "hybrid")

    @model_validator(mode="before")
    @classmethod
    def _k_among_the_keywords(cls, values: dict[str, Any]) -> dict[str, Any]:
        if "k" not in values:
            return values
        others = {name: value for name, value in values.items() if name != "k"}
        return {**others, "search_kwargs": {**values.get("search_kwargs", {}), "k": values["k"]}}

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
