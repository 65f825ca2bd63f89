"""What outlives a transaction and what does not: settings, pools, engines. On a database of its own, with commits."""

from __future__ import annotations

import gc

import pytest
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rowspace import (
    AsyncCollectionRepository,
    AsyncDatabase,
    AsyncDocumentRepository,
    AsyncDocumentService,
    AsyncRepository,
    SearchSettings,
    Vector,
)
from rowspace.errors import (
    CollectionExists,
    ConfigurationError,
    EmbedderMismatch,
    StoreUnavailable,
    TransactionConflict,
)
from rowspace.testing import HashingEmbedder


class Base(DeclarativeBase):
    pass


class Article(Base):
    __tablename__ = "articles"
    id: Mapped[int] = mapped_column(primary_key=True)
    embedding: Mapped[object] = mapped_column(Vector(2))


@pytest.fixture
async def url(new_database, driver):
    return new_database().replace("+psycopg", f"+{driver}")


@pytest.fixture
async def database(url):
    async with AsyncDatabase.open(url, pool_size=1, max_overflow=0, pool_timeout=0.2) as database:
        async with database.engine.begin() as connection:
            await connection.execute(text("CREATE TABLE articles (id int PRIMARY KEY, embedding vector(2))"))
        yield database


async def setting(session, name):
    return await session.scalar(text(f"SELECT current_setting('{name}')"))


async def backend(session):
    return await session.scalar(text("SELECT pg_backend_pid()"))


async def test_settings_do_not_leak_through_the_pool(database):
    names = ("hnsw.ef_search", "hnsw.iterative_scan", "hnsw.max_scan_tuples", "ivfflat.probes")
    async with database.session() as session:
        await session.execute(text("SELECT '[1]'::vector"))  # loads the library that defines the settings
        before = [await setting(session, name) for name in names]
        pid = await backend(session)
    async with database.begin() as session:
        settings = SearchSettings(ef_search=123, probes=7, max_scan_tuples=99, iterative_scan="relaxed_order")
        await AsyncRepository(session, Article).nearest([1, 2], where=[Article.id > 0], settings=settings)
        assert [await setting(session, name) for name in names] == ["123", "relaxed_order", "99", "7"]
    async with database.session() as session:
        assert await backend(session) == pid
        assert [await setting(session, name) for name in names] == before


async def test_settings_that_autocommit_would_drop_are_refused(database):
    async with database.begin() as session:
        await AsyncRepository(session, Article).upsert(
            [{"id": number, "embedding": [1, number]} for number in range(9)]
        )
    async with database.session() as session:
        await session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
        articles = AsyncRepository(session, Article)
        # What Rowspace sets by itself it can do without.
        hits = await articles.nearest([1, 2], 4, where=[Article.id > 4])
        assert [hit.entity.id for hit in hits] == [5, 6, 7, 8]
        with pytest.raises(ConfigurationError, match=r"In AUTOCOMMIT mode, SET LOCAL hnsw.ef_search = 99 would"):
            await articles.nearest([1, 2], settings=SearchSettings(ef_search=99))
        with pytest.raises(ConfigurationError, match="The session is in AUTOCOMMIT"):
            _ = [hit async for hit in articles.stream([1, 2])]


async def test_begin_commits_and_an_error_rolls_back(database):
    async with database.begin() as session:
        await AsyncRepository(session, Article).upsert([{"id": 1, "embedding": [1, 2]}])

    async def fail():
        async with database.begin() as session:
            await AsyncRepository(session, Article).upsert([{"id": 2, "embedding": [1, 2]}])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with database.session() as session:
        await AsyncRepository(session, Article).upsert([{"id": 3, "embedding": [1, 2]}])
    async with database.session() as session:
        assert await AsyncRepository(session, Article).count() == 1


async def test_an_exhausted_pool_is_unavailable(database):
    async with database.begin() as session:
        await session.connection()
        with pytest.raises(StoreUnavailable, match="QueuePool limit"):
            async with database.begin() as other:
                await AsyncRepository(other, Article).count()
    async with database.begin() as session:
        assert await AsyncRepository(session, Article).count() == 0


async def test_no_connection_is_held_after_a_search(database):
    async with database.begin() as session:
        await AsyncRepository(session, Article).nearest([1, 2])
    assert database.engine.pool.checkedout() == 0


async def test_an_engine_handed_in_is_not_closed(url):
    engine = create_async_engine(url, pool_size=1)
    async with AsyncDatabase(engine) as database, database.begin() as session:
        pid = await backend(session)
    async with AsyncSession(engine) as session:
        assert await backend(session) == pid
    await engine.dispose()


async def test_a_database_that_was_opened_is_closed(url):
    async with AsyncDatabase.open(url) as database:
        async with database.begin() as session:
            await session.connection()
        assert database.engine.pool.checkedin() == 1
    assert database.engine.pool.checkedin() == 0


async def test_an_engine_may_have_served_before_it_was_instrumented(url):
    engine = create_async_engine(url, pool_size=1)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE articles (id int PRIMARY KEY, embedding vector(2))"))
    database = AsyncDatabase(engine)
    async with database.begin() as session:
        await AsyncRepository(session, Article).upsert([{"id": 1, "embedding": [1, 2]}])
        (hit,) = await AsyncRepository(session, Article).nearest([1, 2], with_embedding=True)
        assert hit.entity.embedding.tolist() == [1, 2]
    await engine.dispose()


async def test_a_connection_that_the_server_ended_is_unavailable_and_then_replaced(database, rowspace_url):
    admin = create_engine(rowspace_url, poolclass=NullPool)

    async def cut():
        async with database.begin() as session:
            pid = await backend(session)
            with admin.connect() as connection:
                connection.execute(text(f"SELECT pg_terminate_backend({pid}, 5000)"))
            await AsyncRepository(session, Article).count()

    with pytest.raises(StoreUnavailable, match="Check that the server is running"):
        await cut()
    async with database.begin() as session:
        assert await AsyncRepository(session, Article).count() == 0


async def test_a_search_whose_connection_is_gone_is_unavailable_and_the_session_goes_on(database, rowspace_url):
    admin = create_engine(rowspace_url, poolclass=NullPool)
    async with database.session() as session:
        articles = AsyncRepository(session, Article)
        await articles.upsert([{"id": 1, "embedding": [1, 2]}])
        await session.commit()
        # By the ORM, and by the driver's cursor.
        assert [len(await articles.nearest([1, 2])) for _ in range(2)] == [1, 1]
        session.expunge_all()
        pid = await backend(session)
        with admin.connect() as connection:
            connection.execute(text(f"SELECT pg_terminate_backend({pid}, 5000)"))
        with pytest.raises(StoreUnavailable, match="Check that the server is running"):
            await articles.nearest([1, 2])
        await session.rollback()
        assert len(await articles.nearest([1, 2])) == 1
        assert await backend(session) != pid


# psycopg does not count a cursor as closed that it could not tell the server to close.
@pytest.mark.filterwarnings("ignore:Exception ignored (in|while):pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("reads_on", [True, False])
async def test_a_stream_whose_connection_is_gone_is_unavailable(database, rowspace_url, caplog, reads_on):
    """Read on or left, it is said: nobody takes what came for all there was."""
    admin = create_engine(rowspace_url, poolclass=NullPool)
    async with database.begin() as session:
        await AsyncRepository(session, Article).upsert({"id": at, "embedding": [1, at]} for at in range(20_000))

    async def cut():
        async with database.session() as session:
            pid = await backend(session)
            async for _ in AsyncRepository(session, Article).stream([1, 2], chunk_size=5):
                with admin.connect() as connection:
                    connection.execute(text(f"SELECT pg_terminate_backend({pid}, 5000)"))
                if not reads_on:
                    raise ZeroDivisionError

    with pytest.raises(StoreUnavailable if reads_on else (ZeroDivisionError, StoreUnavailable)):
        await cut()
    # The log holds the error, and so the cursor.
    caplog.clear()
    gc.collect()
    async with database.session() as session:
        assert await AsyncRepository(session, Article).count() == 20_000


async def test_a_name_taken_in_another_transaction(url):
    async with AsyncDatabase.open(url) as database, database.session() as first, database.session() as second:
        await AsyncCollectionRepository(first).create("news", 3)
        await second.execute(text("SET LOCAL lock_timeout = '100ms'"))
        with pytest.raises(Exception, match="lock timeout"):
            await AsyncCollectionRepository(second).create("news", 3)
        await second.rollback()
        await first.commit()
        with pytest.raises(CollectionExists):
            await AsyncCollectionRepository(second).create("news", 3)
        assert [made.name for made in await AsyncCollectionRepository(second).list()] == ["news"]


async def test_creating_a_collection_holds_up_no_reader_and_no_writer(url):
    async with AsyncDatabase.open(url) as database:
        async with database.begin() as session:
            old = await AsyncCollectionRepository(session).create("old", 2)
        async with database.session() as creating, database.begin() as working:
            await AsyncCollectionRepository(creating).create("new", 3)
            await working.execute(text("SET LOCAL lock_timeout = '200ms'"))
            documents = AsyncDocumentRepository(working, old)
            await documents.upsert([{"id": "1", "content": "c", "embedding": [1, 2]}])
            assert [hit.entity.id for hit in await documents.nearest([1, 2])] == ["1"]


class Overtaken(HashingEmbedder):
    """While it embeds, another load of the same collection begins and ends."""

    async def aembed_documents(self, texts):
        other = HashingEmbedder(8)
        other.name = "another"
        await AsyncDocumentService(self.database, other).add("news", ["second"])
        return [[1.0] * 8 for _ in texts]


async def test_two_embedders_cannot_fill_one_new_collection(url):
    async with AsyncDatabase.open(url) as database:
        await AsyncDocumentService(database).create_collection("news", 8)
        slow = Overtaken(8)
        slow.database = database
        with pytest.raises(
            EmbedderMismatch, match=r"was filled by the embedder 'another', whose vectors .* with those of 'hashing-8'"
        ):
            await AsyncDocumentService(database, slow).add("news", ["first"])
        async with database.begin() as session:
            contents = await session.scalars(text("SELECT content FROM documents"))
            assert contents.all() == ["second"]


async def test_a_conflict_says_to_try_again(url):
    async with AsyncDatabase.open(url, isolation_level="SERIALIZABLE") as database:
        async with database.begin() as session:
            await session.execute(text("CREATE TABLE articles (id int PRIMARY KEY, embedding vector(2))"))
            await AsyncRepository(session, Article).upsert([{"id": 1, "embedding": [1, 2]}])
        async with database.session() as one, database.session() as two:
            articles = AsyncRepository(two, Article)
            assert await articles.count() == 1
            await AsyncRepository(one, Article).upsert([{"id": 1, "embedding": [2, 2]}])
            await one.commit()
            with pytest.raises(TransactionConflict, match="run the whole transaction again"):
                await articles.upsert([{"id": 1, "embedding": [3, 3]}])
