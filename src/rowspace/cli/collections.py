"""`rowspace collections`: list them, create, rename and drop one."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from rowspace.cli.console import print_rows
from rowspace.cli.process import confirm, say
from rowspace.cli.session import service, settings_of
from rowspace.integrations._embedders import embedder_of
from rowspace.integrations._progress import plural

__all__ = ["app"]

app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="The collection.")]


@app.callback()
def collections(
    context: typer.Context,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """List, create, rename and drop collections.

    \b
    Examples:
      rowspace collections
      rowspace collections --json
      rowspace collections create articles --dimension 1536
    """  # noqa: D301
    if context.invoked_subcommand is not None:
        return
    with service(settings_of(context)) as documents:
        counts = documents.counts()
        found = [{**one.model_dump(), "documents": counts.get(one.name, 0)} for one in documents.collections()]
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
    elif found:
        columns = ("name", "dimension", "distance", "documents", "embedder", "index")
        print_rows(columns, [[_cell(one[key]) for key in columns] for one in found], numeric=("dimension", "documents"))
    else:
        say("There are no collections yet. `rowspace ingest` creates one, and `rowspace demo` creates an example.")


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("method", "-"))
    return "-" if value is None else str(value)


@app.command()
def create(
    context: typer.Context,
    name: _Name,
    *,
    dimension: Annotated[
        int | None, typer.Option(min=1, max=16_000, help="Dimension of the embeddings; by default, the embedder's.")
    ] = None,
    distance: Annotated[str, typer.Option(help="cosine, l2, inner_product or l1.")] = "cosine",
    index: Annotated[str, typer.Option(help="hnsw, ivfflat or none.")] = "hnsw",
    quantize: Annotated[
        str | None, typer.Option(help="halfvec or bit: a smaller index; hits are re-ranked by the true distance.")
    ] = None,
    language: Annotated[str, typer.Option(help="The text-search configuration.")] = "simple",
    key: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY", help="A metadata key to index, for filters by range; repeat the option for more keys."
        ),
    ] = None,
) -> None:
    """Create a collection.

    \b
    Examples:
      rowspace collections create notes
      rowspace collections create articles --dimension 1536 --distance inner_product
      rowspace collections create large --dimension 3072 --quantize bit
      rowspace collections create news --key published --key author.name
    """  # noqa: D301
    spec = _spec(index, distance, quantize)
    # The service rejects an unknown distance and lists the valid ones.
    metric: Any = distance
    settings = settings_of(context)
    with service(settings, embedder_of(settings.embedder) if dimension is None else None) as documents:
        made = documents.create_collection(
            name, dimension, distance=metric, index=spec, language=language, indexed_keys=key or ()
        )
    say(f"Created {name!r}.")
    if made.index.get("quantize") != quantize:
        say(f"{made.dimension:,} dimensions are too many for an index on vector, so the index is built on halfvec.")


def _spec(index: str, distance: str, quantize: str | None) -> Any:
    from rowspace.indexes import from_dict

    if index not in {"hnsw", "ivfflat", "none"}:
        message = f"expected hnsw, ivfflat or none, got {index!r}."
        raise typer.BadParameter(message, param_hint="--index")
    if quantize is None:
        return None if index == "none" else index
    if index == "none":
        message = "--quantize configures the vector index, but --index none creates no index."
        raise typer.BadParameter(message, param_hint="--quantize")
    return from_dict({"method": index, "distance": distance, "quantize": quantize})


@app.command()
def rename(
    context: typer.Context, name: _Name, new_name: Annotated[str, typer.Argument(metavar="NEW", help="The new name.")]
) -> None:
    """Rename a collection.

    \b
    Example:
      rowspace collections rename drafts articles
    """  # noqa: D301
    with service(settings_of(context)) as documents:
        documents.rename_collection(name, new_name)
    say(f"Renamed {name!r} to {new_name!r}.")


@app.command()
def drop(
    context: typer.Context,
    name: _Name,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Drop a collection with all its documents.

    \b
    Example:
      rowspace collections drop drafts --yes
    """  # noqa: D301
    with service(settings_of(context)) as documents:
        count = documents.count(name)
        confirm(f"Drop {name!r} with {plural(count, 'document')}?", yes=yes)
        documents.drop_collection(name)
    say(f"Dropped {name!r} with {plural(count, 'document')}.")
