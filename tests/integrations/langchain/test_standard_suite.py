"""LangChain's own suite for vector stores, whole: sync and async on one object."""

from __future__ import annotations

import pytest
from langchain_tests.integration_tests import VectorStoreIntegrationTests

from rowspace.integrations.langchain import RowspaceVectorStore


class TestStandardSuite(VectorStoreIntegrationTests):
    @pytest.fixture
    async def vectorstore(self, driver_url, name):
        async with RowspaceVectorStore(self.get_embeddings(), connection=driver_url, collection_name=name) as store:
            yield store
