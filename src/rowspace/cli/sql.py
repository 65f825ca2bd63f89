"""The SQL of a search as text: what `rowspace search --sql` prints. No database and no embedder is asked."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from sqlalchemy import Select
from sqlalchemy.dialects.postgresql import psycopg

from rowspace.filters import filter_predicate, filter_values
from rowspace.models import Collection, Document
from rowspace.repositories._sync.searching import Scan, Search
from rowspace.services import SearchRequest
from rowspace.settings import SearchSettings
from rowspace.statements import documents as statements
from rowspace.statements.search import MAX_DISTANCE, QUERY, Nearest, built

__all__ = ["search_sql"]

_LATER = {
    "iterative": "a scan of the index that goes on until there are enough",
    "exact": "a comparison with every document that matches, as with --exact",
}


def search_sql(collection: Collection, request: SearchRequest, *, schema: str | None = None) -> str:
    """Return the statements of a search, its parameters by name as comments before them."""
    values = filter_values(request.filter)
    search = Search(
        target=statements.target_of(collection),
        shape=Nearest(request.k, max_distance=request.max_distance is not None, exact=request.exact),
        parameters={MAX_DISTANCE: request.max_distance, **values},
        where=(filter_predicate(Document.__table__.c.metadata, tuple(values)),) if values else (),
        settings=SearchSettings(ef_search=request.ef_search),
        method=collection.index.get("method"),
    )
    scan, *later = search.scans()
    text, parameters = _compiled(_statement(search, scan), schema)
    given = {**parameters, **search.parameters, QUERY: _query(collection, request)}
    lines = [f"-- :{name} = {json.dumps(given[name], ensure_ascii=False)}" for name in parameters]
    lines += ["BEGIN;", *(f"{line};" for line in _settings(search, scan)), f"{text};", "COMMIT;"]
    return "\n".join(lines + [f"-- Where that finds fewer than {request.k}: {_LATER[one]}." for one in later])


def _statement(search: Search[Any], scan: Scan) -> Select[Any, Any]:
    shape = replace(search.shape, exact=scan == "exact")
    return built(search.target, shape, search.where, iterative=scan == "iterative", keep=False)


def _settings(search: Search[Any], scan: Scan) -> list[str]:
    settings = replace(search.settings, iterative_scan="relaxed_order") if scan == "iterative" else search.settings
    return settings.statements(search.method)


def _compiled(statement: Select[Any, Any], schema: str | None) -> tuple[str, dict[str, Any]]:
    dialect = psycopg.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
    options: dict[str, Any] = {"schema_translate_map": {None: schema}, "render_schema_translate": True}
    compiled: Any = statement.compile(dialect=dialect, **(options if schema else {}))
    return str(compiled), compiled.params


def _query(collection: Collection, request: SearchRequest) -> Any:
    return f"the embedding of {request.text!r}, {collection.dimension} numbers" if request.text else request.vector
