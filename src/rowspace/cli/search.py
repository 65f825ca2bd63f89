"""`rowspace search`: print the documents nearest to a text as a table or JSON, or print the SQL of the search."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rowspace.cli.console import measure, print_hits, print_rows
from rowspace.cli.process import say
from rowspace.cli.session import open_database, service, settings_of
from rowspace.errors import EmbedderMismatch
from rowspace.integrations._embedders import embedder_of
from rowspace.integrations._explained import sentence_of

if TYPE_CHECKING:
    from rowspace import SearchHit, SearchRequest
    from rowspace.cli.settings import Settings

__all__ = ["json_option", "search"]

# The measures to show in each mode. Hybrid sorts by the score.
_MEASURES = {
    "vector": ("distance", "similarity"),
    "mmr": ("distance", "similarity"),
    "text": ("text_rank",),
    "hybrid": ("score", "distance", "text_rank"),
}


def search(  # noqa: PLR0913 -- each parameter is an option of the command
    context: typer.Context,
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="The text to search for.")] = None,
    *,
    collection: Annotated[
        str | None, typer.Option("--collection", "-c", metavar="NAME", help="The collection to search.")
    ] = None,
    filter_: Annotated[
        str | None, typer.Option("--filter", "-f", metavar="JSON", help="Only documents whose metadata matches.")
    ] = None,
    k: Annotated[int, typer.Option("--k", "-k", min=1, max=10_000, metavar="N", help="Number of hits.")] = 10,
    max_distance: Annotated[
        float | None, typer.Option(metavar="X", help="Omit documents at a greater distance.")
    ] = None,
    min_similarity: Annotated[
        float | None, typer.Option(metavar="X", help="Omit documents that are less similar.")
    ] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Compare with every document, without the index.")] = False,
    ef_search: Annotated[
        int | None, typer.Option(min=1, max=1_000, metavar="N", help="pgvector's hnsw.ef_search.")
    ] = None,
    recall: Annotated[
        float | None, typer.Option(metavar="X", help="Share of the true hits to find; requires `rowspace tune`.")
    ] = None,
    mode: Annotated[
        str,
        typer.Option(metavar="MODE", help="vector: by meaning; mmr: diverse; text: by keyword; hybrid: both."),
    ] = "vector",
    vector: Annotated[str | None, typer.Option(metavar="JSON", help="Search by this vector instead of a text.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
    sql: Annotated[bool, typer.Option("--sql", help="Print the SQL instead of searching.")] = False,
) -> None:
    """Print the documents nearest to a text.

    The nearest document is first. Prints a table on a terminal, and tab-separated lines to a pipe or a file.

    \b
    Examples:
      rowspace search 'how do vector indexes work?'
      rowspace search 数据库 -c articles -k 3
      rowspace search 'HNSW ef_search' -c articles --mode hybrid
      rowspace search indexes -c articles --filter '{"year": {"$gte": 2020}}' --json
      rowspace search --vector '[0.1, 0.2, 0.3]' -c vectors
      rowspace search indexes -c articles --sql
    """  # noqa: D301
    if sql and as_json:
        message = "--sql prints statements and --json prints hits. Pass only one of them."
        raise typer.BadParameter(message)
    settings = settings_of(context)
    request = _request(
        text=_text(text),
        vector=json_option(vector, list, "--vector"),
        k=k,
        filter=json_option(filter_, dict, "--filter"),
        mode=mode,
        max_distance=max_distance,
        min_similarity=min_similarity,
        exact=exact,
        ef_search=ef_search,
        recall=recall,
    )
    name = settings.collection if collection is None else collection
    if sql:
        _print_sql(settings, name, request)
        return
    _print(_found(settings, name, request), request.mode, as_json=as_json)


def _request(**given: Any) -> SearchRequest:
    from pydantic import ValidationError

    from rowspace import SearchRequest

    try:
        return SearchRequest(**given)
    except ValidationError as error:
        raise typer.BadParameter(sentence_of(error)) from None


def _text(given: str | None) -> str | None:
    # If the locale is not UTF-8, Python passes the bytes of an argument as lone surrogates.
    return None if given is None else given.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def json_option(given: str | None, kind: type[Any], option: str) -> Any:
    """Return the JSON value of an option, or None if it was not given.

    Raises:
        BadParameter: the value is not JSON, or not of the expected type.
    """
    if given is None:
        return None
    try:
        value = json.loads(_text(given) or "")
    except (ValueError, RecursionError) as error:
        message = f"{given!r:.80} is not JSON: {error}."
        raise typer.BadParameter(message, param_hint=option) from None
    if not isinstance(value, kind):
        wanted = "an object, as in '{\"year\": 2020}'" if kind is dict else "an array of numbers"
        message = f"expected {wanted}, got {given!r}."
        raise typer.BadParameter(message, param_hint=option)
    return value


def _found(settings: Settings, name: str, request: SearchRequest) -> list[SearchHit]:
    embedder = None
    if request.vector is None and request.mode != "text":
        embedder = embedder_of(settings.embedder)
    with service(settings, embedder) as documents:
        # Vectors without a recorded embedder came from outside, so this embedder is unlikely to have made them.
        if embedder is not None and documents.collection(name).embedder is None:
            message = f"{name!r} has no embedder: its vectors were imported. Use --vector or --mode text."
            raise EmbedderMismatch(message)
        return documents.search(name, request)


def _print(hits: list[SearchHit], mode: str, *, as_json: bool) -> None:
    if as_json:
        # Fall back to ASCII if the terminal or locale may lack other characters.
        ascii_ = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
        # pydantic first: the cosine distance to a zero vector is NaN, which JSON lacks and pydantic writes as null.
        found = (json.loads(hit.model_dump_json(exclude_none=True)) for hit in hits)
        lines = (json.dumps(hit, ensure_ascii=ascii_) for hit in found)
        print("[" + ",\n ".join(lines) + "]")  # noqa: T201
    elif not hits:
        say("No document matches.")
    elif sys.stdout.isatty():
        print_hits(hits, lambda hit: hit.content, measures=_MEASURES[mode])
    else:
        measures = _MEASURES[mode]
        rows = ([hit.rank, *(measure(hit, name, 6) for name in measures), hit.id, hit.content] for hit in hits)
        print_rows(("rank", *measures, "id", "content"), rows)


def _print_sql(settings: Settings, name: str, request: SearchRequest) -> None:
    from rowspace.cli.sql import search_sql

    with open_database(settings) as database:
        print(search_sql(database, name, request))  # noqa: T201
