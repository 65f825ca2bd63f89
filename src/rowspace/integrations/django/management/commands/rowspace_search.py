"""`manage.py rowspace_search`: print the documents that are nearest to a text, or that match it by keyword."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from rowspace.integrations.django.management.base import RowspaceCommand
from rowspace.integrations.django.transactions import document_service
from rowspace.services import SearchHit, SearchRequest

__all__ = ["Command"]


class Command(RowspaceCommand):
    """Search in a collection."""

    help = "Print the documents of a collection that are nearest to a text, one per line, best first."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the query and its options."""
        super().add_arguments(parser)
        parser.add_argument("text", nargs="?", default=None, help="The text to search for.")
        parser.add_argument("--collection", "-c", required=True, help="The collection to search.")
        parser.add_argument("-k", type=int, default=10, help="Number of hits.")
        parser.add_argument("--filter", default=None, metavar="JSON", help="A metadata filter.")
        parser.add_argument("--mode", choices=["vector", "text", "hybrid"], default="vector")
        parser.add_argument("--vector", default=None, metavar="JSON", help="Search by this vector instead of a text.")
        parser.add_argument("--exact", action="store_true", help="Compare with every document that matches.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object per line.")

    def run(self, **options: Any) -> None:
        """Search and print."""
        request = SearchRequest(
            text=options["text"],
            vector=_json(options["vector"], "--vector"),
            k=options["k"],
            filter=_json(options["filter"], "--filter"),
            mode=options["mode"],
            exact=options["exact"],
        )
        for hit in document_service(options["database"]).search(options["collection"], request):
            self.stdout.write(_as_json(hit) if options["json"] else _as_text(hit))


def _json(given: str | None, option: str) -> Any:
    try:
        return None if given is None else json.loads(given)
    except (ValueError, RecursionError) as error:
        message = f"{option} requires JSON, got {given!r:.80}: {error}"
        raise CommandError(message) from error


def _as_json(hit: SearchHit) -> str:
    return json.dumps(hit.model_dump(exclude_none=True), ensure_ascii=False)


def _as_text(hit: SearchHit) -> str:
    measures = (hit.score, hit.distance, hit.text_rank)
    best = next((measure for measure in measures if measure is not None), 0.0)
    return f"{hit.rank}\t{best:.6f}\t{hit.id}\t{' '.join(hit.content.split())}"
