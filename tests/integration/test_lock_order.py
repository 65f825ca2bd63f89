"""Operations that meet on a collection: one waits for the other, and neither is a deadlock's victim."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from rowspace import (
    CollectionRepository,
    Database,
    DocumentRepository,
    DocumentService,
    IndexBuilder,
    ReembedRepository,
)
from rowspace.errors import CollectionNotFound, ConfigurationError, TransactionConflict
from rowspace.repositories._sync.progress import ProgressRepository
from rowspace.statements.catalog import BUILD_UNLOCK, build_lock
from rowspace.testing import HashingEmbedder

ROW = {"id": "1", "content": "text 1", "embedding": [1, 2]}


@pytest.fixture
def database(new_database):
    with Database.open(new_database()) as database:
        DocumentService(database).create_collection("news", 2)
        yield database


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2) as pool:
        yield pool


def documents(session):
    return DocumentRepository(session, CollectionRepository(session).get("news"))


def begin_reembedding(database, embedder="new"):
    with database.begin() as session:
        ReembedRepository(session, CollectionRepository(session).get("news")).begin(embedder, 3, None)


def abandon(database):
    with database.begin() as session:
        ReembedRepository(session, CollectionRepository(session).get("news")).abandon()


def test_a_reembedding_begins_while_a_load_writes_its_first_batch(database, pool, wait_for_lock):
    with database.begin() as session:
        repository = documents(session)
        repository.upsert([ROW])
        beginning = pool.submit(begin_reembedding, database)
        wait_for_lock(database.engine, beginning)
        ProgressRepository(session, repository.collection).record("key", "", "digest", {})
    beginning.result()
    assert DocumentService(database).count("news") == 1


@pytest.mark.parametrize("first", ["the row", "a document"])
def test_a_drop_gives_way_to_who_has_the_row_of_the_collection(database, pool, first, wait_for_lock):
    with database.begin() as session:
        repository = documents(session)
        if first == "a document":
            repository.is_empty()
        else:
            CollectionRepository(session).lock(repository.collection, ["embedder"])
        dropping = pool.submit(DocumentService(database).drop_collection, "news")
        wait_for_lock(database.engine, dropping)
        CollectionRepository(session).lock(repository.collection, ["embedder"])
        assert repository.upsert([ROW]).inserted == 1
    dropping.result()
    assert DocumentService(database).collections() == []


def test_a_rename_of_what_is_being_dropped_finds_nothing(database, pool, wait_for_lock):
    with database.begin() as session:
        CollectionRepository(session).drop("news")
        renaming = pool.submit(DocumentService(database).rename_collection, "news", "old")
        wait_for_lock(database.engine, renaming)
    with pytest.raises(CollectionNotFound, match="'news' was dropped after it was looked up"):
        renaming.result()


def test_a_drop_takes_a_reembedding_along_that_began_since_it_looked(database):
    with database.begin() as session:
        CollectionRepository(session).get("news")
        begin_reembedding(database)
        CollectionRepository(session).drop("news")
    with database.begin() as session:
        left = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'documents%1%'"
        assert session.scalars(text(left)).all() == []


def test_no_builder_begins_during_a_first_load(database):
    """It would wait for the load, and the load for it when it comes to its own indexes."""
    with database.begin() as session:
        repository = documents(session)
        assert repository.begin_first_load()
        builder = IndexBuilder(database.engine, repository.collection)
        with pytest.raises(ConfigurationError, match="will do so at the end of its load"):
            builder.create()
        repository.upsert([ROW])
        repository.create_indexes()
    assert {status.state for status in builder.create()} == {"valid"}


def test_nobody_who_would_wait_for_a_builder_begins_while_it_works(database):
    """It waits for all transactions that began before: a drop that tried for its lock for two minutes stalled both."""
    service = DocumentService(database)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as builder:
        assert builder.scalar(build_lock("documents_1", None))
        calls = [
            lambda: service.add("news", [ROW]),
            lambda: service.build_indexes("news"),
            lambda: service.drop_collection("news"),
            lambda: begin_reembedding(database),
        ]
        for call in calls:
            with pytest.raises(ConfigurationError, match="building or dropping indexes of documents_1"):
                call()
        builder.execute(BUILD_UNLOCK)
        begin_reembedding(database)
        assert builder.scalar(build_lock("documents_1", None))
        with pytest.raises(ConfigurationError, match="building or dropping indexes of documents_1"):
            abandon(database)
        builder.execute(BUILD_UNLOCK)
    assert service.count("news") == 0
    assert service.add("news", [ROW]).inserted == 1


def test_a_collection_that_was_dropped_cannot_be_kept(database):
    with database.session() as session:
        found = CollectionRepository(session).get("news")
        session.commit()
        DocumentService(database).drop_collection("news")
        with pytest.raises(CollectionNotFound, match="'news' was dropped after it was looked up"):
            CollectionRepository(session).lock(found, ["embedder"])


def test_searches_go_on_while_an_abandonment_waits_for_a_long_transaction(database, pool, wait_for_lock):
    begin_reembedding(database)
    with database.session() as long:
        documents(long).nearest([1, 2], 1)
        abandoning = pool.submit(abandon, database)
        wait_for_lock(database.engine, abandoning)
        try:
            with database.begin() as session:
                session.execute(text("SET LOCAL lock_timeout = '10s'"))
                assert documents(session).nearest([1, 2], 1) == []
            assert not abandoning.done()
        finally:
            long.rollback()
        abandoning.result()
    with database.begin() as session:
        assert session.scalar(text("SELECT to_regclass('documents_1_next') IS NULL"))


class Meeting(HashingEmbedder):
    """Calls something while it embeds."""

    def __init__(self, dimension, meanwhile):
        super().__init__(dimension)
        self.meanwhile = meanwhile

    def embed_documents(self, texts):
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return super().embed_documents(texts)


@pytest.fixture
def service(database):
    service = DocumentService(database, HashingEmbedder(2))
    service.add("news", [{"id": str(at), "content": f"text {at}"} for at in range(9)])
    return service


def test_the_second_of_two_that_reembed_at_once_says_that_the_first_is_done(service):
    first = HashingEmbedder(24)
    second = Meeting(24, lambda: service.reembed("news", first))
    with pytest.raises(TransactionConflict, match="Another call has finished or abandoned the re-embedding of 'news'"):
        service.reembed("news", second)
    assert service.collection("news").dimension == 24


def test_embeddings_do_not_come_into_the_table_of_another_embedder(database, service):
    """One that was abandoned while it embedded has vectors of the same dimension as that which was begun since."""

    def replace():
        abandon(database)
        begin_reembedding(database, "other")

    with pytest.raises(ConfigurationError, match="is being re-embedded by 'other'"):
        service.reembed("news", Meeting(3, replace))
    with database.begin() as session:
        assert session.scalar(text("SELECT count(*) FROM documents_1_next")) == 0


def test_two_that_reembed_take_turns(database, service, pool, wait_for_lock):
    begin_reembedding(database)
    with database.begin() as session:
        ReembedRepository(session, CollectionRepository(session).get("news")).go_on("new", 3)

        def count():
            with database.begin() as other:
                repository = ReembedRepository(other, CollectionRepository(other).get("news"))
                repository.go_on("new", 3)
                return repository.counts()

        counting = pool.submit(count)
        wait_for_lock(database.engine, counting)
        repository = ReembedRepository(session, CollectionRepository(session).get("news"))
        repository.store(repository.rest(9), [[1, 2, 3]] * 9)
    assert counting.result() == (9, 9)


def test_a_document_that_is_deleted_while_its_load_embeds_stays_deleted(database, service):
    """The load had only its metadata to write, and finds nothing to write it to."""
    meeting = Meeting(2, lambda: service.delete("news", ["3"]))
    changed = [{"id": "3", "content": "text 3", "metadata": {"new": 1}}, {"id": "9", "content": "text 9"}]
    assert DocumentService(database, meeting).add("news", changed).received == 2
    assert [one.id for one in service.get("news", ["3", "9"])] == ["9"]


def test_a_reembedding_of_a_collection_that_was_dropped_says_so(database, service):
    begin_reembedding(database)
    with database.session() as session:
        repository = ReembedRepository(session, CollectionRepository(session).get("news"))
        session.commit()
        service.drop_collection("news")
        with pytest.raises(CollectionNotFound, match="'news' was dropped after it was looked up"):
            repository.go_on("new", 3)


def test_a_swap_is_not_waited_for_by_who_waits_for_a_turn(database, service, pool, wait_for_lock):
    """Who waits has read `collections`: a swap that took its turn first would wait for it, and give way each time."""
    begin_reembedding(database)
    with database.begin() as session:
        repository = ReembedRepository(session, CollectionRepository(session).get("news"))
        assert repository.lock()

        def go_on():
            with database.begin() as other:
                ReembedRepository(other, CollectionRepository(other).get("news")).go_on("new", 3)

        waiting = pool.submit(go_on)
        wait_for_lock(database.engine, waiting)
        repository.go_on("new", 3)
    waiting.result()
