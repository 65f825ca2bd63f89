"""LangChain (extra `langchain`): a vector store on a collection, its retriever, and a translator of models' filters.

They need only `langchain-core`.
"""

from rowspace._optional import require

require("langchain_core", extra="langchain")

from rowspace.integrations.langchain.embeddings import RowspaceEmbeddings  # noqa: E402 -- after the check of the extra
from rowspace.integrations.langchain.options import DistanceStrategy  # noqa: E402
from rowspace.integrations.langchain.retriever import RowspaceRetriever  # noqa: E402
from rowspace.integrations.langchain.translator import RowspaceTranslator  # noqa: E402
from rowspace.integrations.langchain.vectorstore import RowspaceVectorStore  # noqa: E402

__all__ = ["DistanceStrategy", "RowspaceEmbeddings", "RowspaceRetriever", "RowspaceTranslator", "RowspaceVectorStore"]
