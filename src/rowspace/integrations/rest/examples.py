"""Examples of requests and responses for the OpenAPI document. In this order, an empty server accepts all requests."""

from __future__ import annotations

from typing import Any

__all__ = ["ANSWERS", "PROBLEMS", "REQUESTS"]

Examples = dict[str, dict[str, Any]]

_COLLECTION = {
    "name": "articles",
    "dimension": 512,
    "distance": "cosine",
    "language": "simple",
    "embedder": "use-multilingual-v3",
    "index": {"method": "hnsw", "distance": "cosine", "m": 16, "ef_construction": 64},
    "metadata": {},
    "indexed_keys": [],
}
_DOCUMENT = {
    "id": "a",
    "content": "An index makes a search fast. It is read in place of the table.",
    "metadata": {"year": 2024, "tags": ["index"]},
}
_OTHER = {"id": "b", "content": "Bread is baked in an oven.", "metadata": {"year": 2023}}
_HIT = {
    "rank": 1,
    **_DOCUMENT,
    "distance": 0.31,
    "similarity": 0.69,
    "text_rank": None,
    "score": None,
    "highlight": None,
}
_HISTORY = [
    {"role": "user", "content": "What is an index?"},
    {"role": "assistant", "content": "It is read in place of the table [1]."},
]

#: By name of the endpoint, then by title.
REQUESTS: dict[str, Examples] = {
    "create_collection": {
        "For texts": {"name": "articles"},
        "For vectors of your own": {"name": "vectors", "dimension": 4, "distance": "l2"},
        "With ranges of a key": {"name": "news", "indexed_keys": ["published"]},
    },
    "put_documents": {
        "Texts": {"documents": [_DOCUMENT, _OTHER]},
        "With ids derived from the texts": {"documents": [{"content": "茶用热水泡。"}]},
    },
    "search": {
        "By a text": {"collection": "articles", "text": "What makes a search fast?", "k": 5},
        "With a filter": {
            "collection": "articles",
            "text": "index",
            "filter": {"year": {"$gte": 2020}, "tags": {"$contains": "index"}},
        },
        "By keyword and meaning": {"collection": "articles", "text": "index", "mode": "hybrid", "highlight": True},
        "Diverse hits": {"collection": "articles", "text": "index", "mode": "mmr", "lambda_mult": 0.3},
        "Within a distance": {"collection": "articles", "text": "index", "max_distance": 0.8},
        "Similar enough": {"collection": "articles", "text": "index", "min_similarity": 0.2},
        "By a vector": {"collection": "vectors", "vector": [0.1, 0.2, 0.3, 0.4]},
        "Many at once": {"collection": "articles", "queries": ["index", "bread"], "k": 1},
    },
    "chat": {
        "A question": {"collection": "articles", "question": "What makes a search fast?"},
        "A question that follows another": {
            "collection": "articles",
            "question": "And what is it good for?",
            "history": _HISTORY,
        },
        "As server-sent events": {"collection": "articles", "question": "What is baked?", "stream": True},
    },
    "count_documents": {"All": {}, "Those that match a filter": {"filter": {"year": 2024}}},
    "scroll_documents": {
        "By id": {"limit": 100},
        "By a key of the metadata": {"order_by": "year", "descending": True, "filter": {"year": {"$exists": True}}},
    },
    "delete_documents": {"By id": {"ids": ["a", "b"]}, "By filter": {"filter": {"year": {"$lt": 2020}}}},
}

#: By name of the endpoint.
ANSWERS: dict[str, Any] = {
    "list_collections": {"collections": [_COLLECTION]},
    "create_collection": _COLLECTION,
    "get_collection": _COLLECTION,
    "put_documents": {"received": 2, "inserted": 2, "updated": 0, "unchanged": 0, "duplicates": 0},
    "get_document": _DOCUMENT,
    "count_documents": {"count": 2},
    "scroll_documents": {"documents": [_DOCUMENT, _OTHER], "cursor": None},
    "delete_documents": {"deleted": 2},
    "search": {"hits": [_HIT]},
    "chat": {
        "question": "What makes a search fast?",
        "text": "An index makes a search fast. [1]",
        "kind": "extractive",
        "collection": "articles",
        "sources": [
            {"number": 1, **_DOCUMENT, "distance": 0.31, "similarity": 0.69, "truncated": False, "cited": True}
        ],
        "searched_for": None,
        "notice": "This answer is extractive: it quotes sentences of the sources. No language model is configured.",
        "model": None,
        "usage": None,
    },
    "healthz": {"status": "ok"},
    "readyz": {"status": "ready"},
}

#: An example of the `detail` for each status.
PROBLEMS: dict[int, str] = {
    400: "The body is not JSON: expected value at line 1 column 1.",
    401: "This server requires an API key. Send `Authorization: Bearer <key>`.",
    403: "This key allows reading only.",
    404: "There is no collection 'articles'.",
    408: "No data arrived for 30 seconds. Nothing was stored.",
    409: "The collection 'articles' is already there.",
    413: "The body is larger than the maximum of 16,777,216 bytes. Send it in parts.",
    415: "The Content-Type of the body is text/plain, expected application/json.",
    422: "/k: Input should be greater than or equal to 1.",
    429: "Every connection to the database is in use. Try again.",
    500: "The server failed. Its log has the details under the request id.",
    502: "The language model or the embedder failed, or returned an unreadable response.",
    503: "The database cannot be reached. Try again.",
}
