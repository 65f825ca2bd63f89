"""LangChain's own suite for vector stores, whole: sync and async on one object."""

from __future__ import annotations

import pytest
from langchain_tests.integration_tests import RetrieversIntegrationTests, VectorStoreIntegrationTests

from rowspace.integrations.langchain import RowspaceRetriever, RowspaceVectorStore


class TestStandardSuite(VectorStoreIntegrationTests):
    @pytest.fixture
    async def vectorstore(self, driver_url, name):
        async with RowspaceVectorStore(self.get_embeddings(), connection=driver_url, collection_name=name) as store:
            yield store


class TestRetriever(RetrieversIntegrationTests):
    """LangChain's own suite for retrievers, over every way to search that takes no threshold."""

    @pytest.fixture(autouse=True, params=["similarity", "mmr", "hybrid"])
    async def store(self, request, driver_url, name):
        embeddings = VectorStoreIntegrationTests.get_embeddings()
        async with RowspaceVectorStore(embeddings, connection=driver_url, collection_name=name) as store:
            await store.aadd_texts(["a text", "another text", "a third text", "a fourth text"])
            self.parameters = {"vectorstore": store, "search_type": request.param}
            yield

    @property
    def retriever_constructor(self):
        return RowspaceRetriever

    @property
    def retriever_constructor_params(self):
        return self.parameters

    @property
    def retriever_query_example(self):
        return "text"
