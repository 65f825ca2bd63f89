"""`rowspace reembed`: replace the embeddings of a collection with those of another embedder."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from rowspace.cli.console import progress_of
from rowspace.cli.process import ExitCode, say
from rowspace.cli.session import embedder_for, open_database, settings_of
from rowspace.integrations._progress import plural

__all__ = ["reembed"]


def reembed(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The collection.")],
    *,
    embedder: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="local, or module:attribute; by default, ROWSPACE_EMBEDDER."),
    ] = None,
    index: Annotated[str, typer.Option(help="hnsw, ivfflat or none; same keeps the index.")] = "same",
    processes: Annotated[int, typer.Option(min=1, metavar="N", help="Number of embedding processes.")] = 1,
    abandon: Annotated[bool, typer.Option("--abandon", help="Discard an unfinished run.")] = False,
) -> None:
    """Embed the documents of a collection again, with another embedder. Searches and writes continue meanwhile.

    The collection gets the dimension of the new embedder. The new embeddings are stored next to the old ones and
    swapped at the end. After an interruption, run the command again to continue. When it is done, set
    ROWSPACE_EMBEDDER, so that other commands use the new embedder.

    \b
    Examples:
      rowspace reembed articles --embedder myapp.embedders:make
      rowspace reembed articles --embedder local --processes 4
      rowspace reembed articles --abandon
    """  # noqa: D301
    from rowspace import CollectionRepository, DocumentService, ReembedRepository

    if index not in {"hnsw", "ivfflat", "none", "same"}:
        message = f"expected hnsw, ivfflat, none, or same, got {index!r}."
        raise typer.BadParameter(message, param_hint="--index")
    if abandon and (embedder is not None or index != "same" or processes > 1):
        message = "it only discards an unfinished run. Omit --embedder, --index and --processes."
        raise typer.BadParameter(message, param_hint="--abandon")
    settings = settings_of(context)
    spec: Any = None if index == "none" else index
    with open_database(settings) as database:
        if abandon:
            with database.begin() as session:
                ReembedRepository(session, CollectionRepository(session).get(name)).abandon()
            say(f"{name!r} is unchanged.")
            return
        try:
            with (
                embedder_for(embedder or settings.embedder, processes) as made,
                progress_of("Embedding", then="Building the indexes and swapping") as advance,
            ):
                info = DocumentService(database).reembed(
                    name,
                    made,
                    index=spec,
                    progress=lambda at: advance(at.done, at.done / max(at.total, 1) if at.phase == "embedding" else 1),
                )
        except KeyboardInterrupt:
            say("Interrupted. The collection is unchanged. To continue, run the command again; to give up, --abandon.")
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        count = DocumentService(database).count(name)
    say(f"{name!r}: {plural(count, 'document')} by {info.embedder!r}, {info.dimension} dimensions.")
