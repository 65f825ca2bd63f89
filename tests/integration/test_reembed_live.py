"""A re-embedding while other threads search and write, without pause: nobody sees an error, nothing is lost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from time import monotonic, sleep

import numpy as np
import pytest
from sqlalchemy import text

from rowspace import (
    CollectionRepository,
    Database,
    DocumentRepository,
    DocumentService,
    MatrixRepository,
    ReembedRepository,
)
from rowspace.errors import EmbedderMismatch
from rowspace.testing import HashingEmbedder

OLD, NEW = HashingEmbedder(16), HashingEmbedder(24)
ROWS = 300


@pytest.fixture
def database(new_database):
    with Database.open(new_database()) as opened:
        yield opened


def rows(numbers, word="text"):
    return [{"id": f"{at:04}", "content": f"{word} {at}"} for at in numbers]


def searching(database, ended):
    """Search by the embedder that the collection asks for, until the end; return how often by each."""
    answers = {OLD.name: 0, NEW.name: 0}
    embedder = OLD
    while not ended.is_set() or not answers[NEW.name]:
        try:
            hits = DocumentService(database, embedder).search("news", "text 7", k=5)
        except EmbedderMismatch:
            embedder = NEW
            continue
        assert len(hits) == 5
        assert hits[0].id == "0007"
        answers[embedder.name] += 1
    return answers


def writing(database, ended):
    """Change, add and delete documents until the end; return what has to be there."""
    expected = {row["id"]: row["content"] for row in rows(range(ROWS))}
    embedder, turn = OLD, 0
    while not ended.is_set() or embedder is OLD:
        turn += 1
        changed = rows([8 + turn % 200, 1_000 + turn], f"turn {turn}")
        gone = f"{250 + turn % 40:04}"
        service = DocumentService(database, embedder)
        try:
            service.add("news", changed)
        except EmbedderMismatch:
            embedder = NEW
            continue
        service.delete("news", [gone])
        expected.update({row["id"]: row["content"] for row in changed})
        expected.pop(gone, None)
    return expected


class Slow(HashingEmbedder):
    """Takes longer than it takes to write, as a hosted one does."""

    def embed_documents(self, texts):
        sleep(0.1)
        return super().embed_documents(texts)


def written_until_the_swap(database, began):
    """Change a document without pause; tell whether it came to an end by the swap, and not by the time."""
    service, turn = DocumentService(database, OLD), 0
    while monotonic() - began < 30:
        try:
            service.add("news", rows([3], f"turn {turn}"))
        except EmbedderMismatch:
            return True
        turn += 1
    return False


def test_changes_without_pause_do_not_put_off_the_swap_of_a_slow_embedder(database):
    service = DocumentService(database, OLD)
    service.create_collection("news")
    service.add("news", rows(range(ROWS)))
    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(written_until_the_swap, database, monotonic())
        assert service.reembed("news", Slow(24)).dimension == 24
        assert writer.result()


def test_searches_and_writes_go_on(database):
    service = DocumentService(database, OLD)
    service.create_collection("news")
    service.add("news", rows(range(ROWS)))
    ended = Event()
    with ThreadPoolExecutor(2) as pool:
        search, write = pool.submit(searching, database, ended), pool.submit(writing, database, ended)
        try:
            info = service.reembed("news", NEW, batch_size=20)
        finally:
            ended.set()
        answers, expected = search.result(), write.result()
    assert (info.dimension, info.embedder) == (24, "hashing-24")
    assert min(answers.values()) > 0
    with database.begin() as session:
        collection = CollectionRepository(session).get("news")
        matrix = MatrixRepository(session, collection).read()
        found = {one.id: one.content for one in DocumentRepository(session, collection).get(matrix.keys)}
    assert found == expected
    wanted = np.array([NEW.embed_query(found[key]) for key in matrix.keys], np.float32)
    np.testing.assert_allclose(matrix.vectors, wanted, rtol=1e-6)


def test_a_batch_costs_the_same_however_many_went_before(database):
    """The last id that is embedded is looked up in the key: the plan is that of an empty table, without statistics."""
    DocumentService(database, OLD).create_collection("news")
    with database.begin() as session:
        repository = ReembedRepository(session, CollectionRepository(session).get("news"))
        repository.begin("new", 3, None)
        # A table without a page may be read as a whole.
        session.execute(text("SET LOCAL enable_seqscan = off"))
        session.execute(text("SET LOCAL enable_bitmapscan = off"))
        plan = session.scalars(text(f"EXPLAIN {repository._tables().rest(5)}")).all()
    last = next(at for at, line in enumerate(plan) if "documents_1_next" in line)
    assert "Backward" in plan[last]
    assert "Limit" in plan[last - 1]
