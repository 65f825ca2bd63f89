"""`rowspace demo`: search real text, from an empty directory to results."""

from __future__ import annotations

import platform
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rowspace.cli.console import output, print_hits, progress_of, step
from rowspace.cli.process import fail, say
from rowspace.cli.session import one_transaction, open_database, place_of, settings_of

if TYPE_CHECKING:
    from rowspace import Database, DocumentService, SearchHit
    from rowspace.cli.settings import Settings
    from rowspace.integrations.local import LocalEmbedder

__all__ = ["COLLECTION", "QUESTIONS", "demo"]

COLLECTION = "python-docs"

QUESTIONS: tuple[tuple[str, dict[str, Any] | None], ...] = (
    ("parse a JSON string", None),
    ("compress data", {"kind": "function"}),
    ("解析 JSON 字符串", None),
    ("读取压缩文件", {"kind": "method"}),
)

# A key in the collection's metadata that marks it as the demo's, and the current edition of the demo.
_MARK = "rowspace demo"
_EDITION = 1


def demo(
    context: typer.Context,
    collection: Annotated[str, typer.Option(metavar="NAME", help="The collection to create.")] = COLLECTION,
    k: Annotated[int, typer.Option("--k", min=1, max=100, help="Number of hits per question.")] = 5,
    limit: Annotated[int | None, typer.Option(min=1, hidden=True)] = None,
) -> None:
    """Search the documentation of Python itself.

    Starts PostgreSQL, creates the tables, loads about 5,500 docstrings, builds the indexes and runs some searches. The
    load is one transaction: if interrupted, it leaves nothing behind. Later runs reuse the documents.

    \b
    Examples:
      rowspace demo
      rowspace --url postgresql://me@localhost/scratch demo
    """  # noqa: D301
    from rowspace.integrations.local import LocalEmbedder
    from rowspace.migrations import upgrade

    settings = settings_of(context)
    with _connected(settings) as database:
        with step("Brought the tables up to date"):
            upgrade(database.engine)
        embedder = LocalEmbedder()
        _ensure_loaded(database, embedder, collection, limit)
        with step(f"Loaded the sentence model {embedder.name}"):
            embedder.embed_query("")
        _answer(database, embedder, collection, k)
        _what_next(settings, collection)


@contextmanager
def _connected(settings: Settings) -> Iterator[Database]:
    with ExitStack() as stack:
        with step(f"Connected to {place_of(settings)}"):
            database = stack.enter_context(open_database(settings))
            database.engine.connect().close()
        yield database


def _ensure_loaded(database: Database, embedder: LocalEmbedder, name: str, limit: int | None) -> None:
    """Load the corpus unless all of it is present.

    The load is one transaction, not one per batch. A collection that exists is therefore complete, and checking it
    does not require collecting the corpus. An interruption costs only seconds of work.
    """
    from rowspace import DocumentService

    with one_transaction(database) as sessions:
        documents = DocumentService(sessions, embedder)
        known = {one.name: one for one in documents.collections()}
        if name in known:
            mark = known[name].metadata.get(_MARK)
            if mark is None:
                fail(f"The demo did not create the collection {name!r}. Choose another name: --collection {name}-demo")
            count = documents.count(name)
            if mark == _mark(count, limit):
                say(f"         Found the {count:,} documents of {name!r} from an earlier run")
                return
            documents.drop_collection(name)
        _load(documents, embedder, name, limit)


def _mark(count: int, limit: int | None) -> dict[str, Any]:
    return {"edition": _EDITION, "python": platform.python_version(), "limit": limit, "documents": count}


def _load(documents: DocumentService, embedder: LocalEmbedder, name: str, limit: int | None) -> None:
    from rowspace.cli import corpus

    with step("Read the docstrings of Python's standard library"):
        found = list(corpus.documents(limit))
    documents.create_collection(name, embedder.dimension, metadata={_MARK: _mark(len(found), limit)})
    label = f"Embedding and storing {len(found):,} documents"
    with step(f"Embedded and stored {len(found):,} documents"), progress_of(label, len(found)) as advance:
        documents.add(
            name, found, batch_size=100, build_indexes=False, progress=lambda report: advance(report.received)
        )
    with step("Built the indexes: HNSW on the vectors, GIN on metadata and text"):
        documents.build_indexes(name)


def _answer(database: Database, embedder: LocalEmbedder, name: str, k: int) -> None:
    from rowspace import DocumentService

    documents = DocumentService(database, embedder)
    for question, filter_ in QUESTIONS:
        with step(f"Searched for {question!r}"):
            hits = documents.search(name, question, k=k, filter=filter_)
        with_filter = f"   filter {filter_}" if filter_ else ""
        output().print(f"\n{question}{with_filter}")
        print_hits(hits, _summary)


def _summary(hit: SearchHit) -> str:
    return str(hit.metadata.get("summary") or hit.content)


def _what_next(settings: Settings, collection: str) -> None:
    command, name = _this_command(), shlex.quote(collection)
    output().print(
        f"\nThe documents are in {place_of(settings)}.\nTry:",
        f"  {command} search 'sort a list in place' --collection {name}",
        f"""  {command} search '随机数' --collection {name} --filter '{{"module": "random"}}' --json""",
        f"  {command} search 'sort a list in place' --collection {name} --sql",
        f"  {command} collections",
        sep="\n",
        soft_wrap=True,
    )
    if settings.database_url is not None:
        output().print("Pass the same --url to these commands, or set ROWSPACE_DATABASE_URL.")


def _this_command() -> str:
    """Return how this program was started, so that users can paste the examples and run them."""
    if Path(sys.argv[0]).name == "__main__.py":
        return f"{_as_typed(sys.executable)} -m rowspace"
    return _as_typed(sys.argv[0])


def _as_typed(program: str) -> str:
    found = shutil.which(Path(program).name)
    return Path(program).name if found is not None and Path(found).samefile(program) else shlex.quote(program)
