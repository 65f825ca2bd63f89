"""Ask Rowspace's own documentation with one command. This needs no server, API key or network.

    python examples/rag "How do I search by keyword?"
    python examples/rag --model openai:gpt-4o-mini

The first run fills a collection of the embedded server, or of the database in ROWSPACE_DATABASE_URL. Later runs embed
only sections that changed, and delete those that no longer exist. Without a model, the answers are extractive. Without
a question on the command line, the program prompts for questions.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rowspace import BrowseRepository, CollectionRepository, Database, DocumentService
from rowspace.errors import RowspaceError
from rowspace.integrations.local import LocalEmbedder
from rowspace.integrations.rag import Answer, AnswerService
from rowspace.migrations import upgrade

DOCS = Path(__file__).resolve().parents[2] / "docs"
COLLECTION = "rag-example"
_HEADING = re.compile(r"^#{1,3} +(.+)$", re.MULTILINE)
_CODE = re.compile(r"^( *)```.*?^\1```$\n*", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\|(.+)\|$", re.MULTILINE)


def prose(text: str) -> str:
    """Return a page without its code, and with table rows as sentences, so that answers can quote it."""

    def sentence(row: re.Match[str]) -> str:
        cells = [cell.strip() for cell in row[1].split("|") if cell.strip(" -")]
        return f"{': '.join(cells)}." if cells else ""

    return _ROW.sub(sentence, _CODE.sub("", text))


def sections(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the sections of all Markdown pages in a folder as documents, each with its page and title."""
    for path in sorted(folder.rglob("*.md")):
        page = path.relative_to(folder).as_posix()
        _, *parts = _HEADING.split(prose(path.read_text("utf-8")))
        for number, (title, body) in enumerate(zip(parts[::2], parts[1::2], strict=True)):
            if body.strip():
                content = f"{title}\n\n{body.strip()}"
                yield {"id": f"{page}#{number}", "content": content, "metadata": {"page": page, "title": title}}


def fill(database: Database, embedder: Any, folder: Path) -> None:
    """Bring the tables and the collection up to date."""
    upgrade(database.engine)
    documents = DocumentService(database, embedder)
    documents.create_collection(COLLECTION, exist_ok=True)
    current = list(sections(folder))
    report = documents.add(COLLECTION, current)
    with database.begin() as session:
        stored = BrowseRepository(session, CollectionRepository(session).get(COLLECTION))
        gone = {document.id for document in stored.stream()} - {section["id"] for section in current}
    documents.delete(COLLECTION, gone)
    print(f"{report.received} sections, {report.written} of them new or changed, {len(gone)} deleted.")


def ask(answers: AnswerService, question: str) -> Answer:
    """Print the answer as it arrives, followed by its sources."""
    print(f"\n> {question}")
    for event in answers.stream(question, mode="hybrid", k=5):
        if event.token is not None:
            print(event.token, end="", flush=True)
        if event.answer is not None:
            answer = event.answer
    print(f"\n\n{answer.notice}" if answer.notice else "\n")
    for source in answer.sources:
        print(f"  [{source.number}] {source.metadata['page']}: {source.metadata['title']}")
    return answer


def main(arguments: list[str]) -> int:
    """Fill the collection, answer the questions, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python examples/rag", description="Ask Rowspace's documentation.")
    parser.add_argument("questions", nargs="*", metavar="question")
    parser.add_argument("--model", help="a LangChain chat model, such as openai:gpt-4o-mini; needs langchain")
    parser.add_argument("--docs", type=Path, default=DOCS, help="a folder of Markdown pages")
    options = parser.parse_args(arguments)
    embedder = LocalEmbedder()
    try:
        with Database.open() as database:
            fill(database, embedder, options.docs)
            answers = AnswerService(
                database, embedder, model=options.model, collection=COLLECTION, metadata_keys=["page", "title"]
            )
            for question in options.questions or iter(lambda: input("\nQuestion (empty to end): ").strip(), ""):
                ask(answers, question)
    except RowspaceError as error:
        print(error, file=sys.stderr)
        return 1
    except (EOFError, KeyboardInterrupt):
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
