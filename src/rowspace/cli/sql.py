"""The SQL of a search as text, for `rowspace search --sql`.

It runs a real search up to the first statement about documents, and records the statements instead of sending them.
The output is therefore accurate for every mode and every kind of index.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import event

from rowspace import Database, DocumentService, SearchRequest
from rowspace.cli.session import one_transaction
from rowspace.services import CollectionInfo
from rowspace.statements.search import QUERY

__all__ = ["search_sql"]

_DOCUMENTS = re.compile(r"\bFROM [^\n(]*\bdocuments(?:_\d+)?(?!\S)")
_PARAMETER = re.compile(r"%\((\w+)\)s")
_FALLBACK = "-- If this finds too few rows, Rowspace scans more of the index, and then compares every document."
_MANY = "-- If rowspace_more is true, or no row was found, Rowspace scans the vector index with the filter."


def search_sql(database: Database, name: str, request: SearchRequest) -> str:
    """Return the statements of a search as one transaction, preceded by its named parameters as comments.

    Raises:
        CollectionNotFound: there is no such collection.
    """
    with _recorded(database) as sent, suppress(_Enough), one_transaction(database) as sessions:
        documents = DocumentService(sessions)
        known = {one.name: one for one in documents.collections()}
        documents.search(name, _with_vector(request, known.get(name)))
    parameters = {key: value for _, given in sent for key, value in given.items()}
    if QUERY in parameters:
        parameters[QUERY] = request.vector or f"the embedding of {request.text!r}"
    lines = [f"-- :{key} = {json.dumps(value, ensure_ascii=False, default=str)}" for key, value in parameters.items()]
    lines += ["BEGIN;", *(f"{_named(statement)};" for statement, _ in sent), "COMMIT;"]
    if sent and "rowspace_few" in sent[-1][0]:
        lines.append(_MANY)
    return "\n".join(lines if request.exact or request.mode == "text" else [*lines, _FALLBACK])


class _Enough(Exception):
    """The first statement about documents has been recorded."""


@contextmanager
def _recorded(database: Database) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Yield a list that records settings and the first statement about documents instead of sending them."""
    sent: list[tuple[str, dict[str, Any]]] = []

    def record(_cursor: Any, statement: str, parameters: Any, _context: Any) -> bool:
        about_documents = _DOCUMENTS.search(statement) is not None
        if not about_documents and not statement.startswith("SET "):
            return False
        sent.append((statement, dict(parameters or {})))
        if about_documents:
            raise _Enough
        return True  # tells SQLAlchemy not to execute it

    event.listen(database.engine, "do_execute", record)
    try:
        yield sent
    finally:
        # The engine may belong to a host program, which keeps using it.
        event.remove(database.engine, "do_execute", record)


def _with_vector(request: SearchRequest, collection: CollectionInfo | None) -> SearchRequest:
    """Return the request with a placeholder vector instead of the embedding of its text."""
    if collection is None or request.mode == "text" or request.vector is not None:
        return request
    text = request.text if request.mode == "hybrid" else None
    return request.model_copy(update={"text": text, "vector": [1.0] * collection.dimension})


def _named(statement: str) -> str:
    # Convert psycopg's parameters to the names that psql and the comments use.
    lines = (line.rstrip() for line in _PARAMETER.sub(r":\1", statement).replace("%%", "%").splitlines())
    return "\n".join(lines)
