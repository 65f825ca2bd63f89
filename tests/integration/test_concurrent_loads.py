"""Loads of the same rows at once: they wait for each other, and none is a deadlock's victim."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from rowspace import Database, DocumentService
from rowspace.errors import TransactionConflict
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
