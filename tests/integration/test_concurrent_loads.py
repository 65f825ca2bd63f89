"""Loads of the same rows at once: they wait for each other, and none is a deadlock's victim."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from rowspace import Database, DocumentService
from rowspace.errors import CollectionNotFound, TransactionConflict
from rowspace.services._sync.loads import Loader
from rowspace.testing import HashingEmbedder

WRITERS, LOADS, ROWS = 4, 6, 300


@pytest.fixture
def service(new_database):
    with Database.open(new_database()) as database:
        service = DocumentService(database, HashingEmbedder(8))
        service.create_collection("shared", index=None)
        service.add("shared", ["the first"])
        yield service


@pytest.mark.parametrize("changes", ["text", "metadata"])
def test_writers_of_the_same_ids_do_not_stand_in_each_others_way(service, changes):
    start = Barrier(WRITERS)

    def write(writer):
        dice = random.Random(writer)
        for load in range(LOADS):
            ids = dice.sample(range(ROWS), ROWS)
            said = {"text": f"{writer} {load}", "metadata": ""}[changes]
            rows = [{"id": str(at), "content": f"{at} {said}", "metadata": {"by": [writer, load]}} for at in ids]
            start.wait()
            try:
                service.add("shared", rows)
            except TransactionConflict:
                start.abort()
                raise

    with ThreadPoolExecutor(WRITERS) as pool:
        for done in [pool.submit(write, writer) for writer in range(WRITERS)]:
            done.result()
    assert service.count("shared") == ROWS + 1
    last = service.get("shared", map(str, range(ROWS)))
    assert {tuple(document.metadata["by"]) for document in last} <= {(writer, LOADS - 1) for writer in range(WRITERS)}


class Meanwhile(HashingEmbedder):
    """Lets another load go first, between what a load compares and what it writes."""

    def __init__(self, then):
        super().__init__(8)
        self.then = then

    def embed_documents(self, texts):
        self.then()
        return super().embed_documents(texts)


@pytest.mark.parametrize("commit_batches", [False, True])
def test_the_text_of_one_load_never_has_the_metadata_of_another(service, commit_batches):
    def another():
        service.add("shared", [{"id": "a", "content": "two", "metadata": {"of": "two"}}])

    for of in ("two", "one"):
        service.add("shared", [{"id": "a", "content": of, "metadata": {"of": of}}])
    slow = DocumentService(service._sessions, Meanwhile(another))
    rows = [{"id": "a", "content": "one", "metadata": {"of": "one", "n": 2}}, {"id": "b", "content": "to be embedded"}]
    slow.add("shared", rows, commit_batches=commit_batches)
    [found] = service.get("shared", ["a"])
    assert (found.content, found.metadata) == ("two", {"of": "two"})


def test_a_collection_that_is_dropped_at_the_end_of_its_first_load(service, monkeypatch, caplog):
    service.create_collection("fleeting")

    def drop(loader, repository):
        service.drop_collection("fleeting")
        return True

    monkeypatch.setattr(Loader, "_wants_indexes", drop)
    with pytest.raises(CollectionNotFound, match="'fleeting' was dropped after it was looked up"):
        service.add("fleeting", ["a"], commit_batches=True)
    assert caplog.messages == []
