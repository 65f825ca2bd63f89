"""What the store connects to, which sides that has, and when the collection is made."""

from __future__ import annotations

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from sqlalchemy import NullPool, create_engine, make_url, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker

from rowspace import AsyncDatabase, CollectionRepository, Database, DocumentService
from rowspace.errors import (
    CollectionNotFound,
    ConfigurationError,
    PermissionDenied,
    SchemaNotReady,
    StoreUnavailable,
)
from rowspace.integrations.langchain import DistanceStrategy, RowspaceEmbeddings, RowspaceVectorStore
from rowspace.migrations import downgrade
from rowspace.testing import HashingEmbedder
from rowspace.wire import instrument


class Embedder(HashingEmbedder, Embeddings):
    pass


@pytest.fixture
async def make(name):
    """A function that makes a store; what it opened is closed after the test."""
    made = []

    def make(connection, **options):
        made.append(RowspaceVectorStore(Embedder(16), connection=connection, **{"collection_name": name, **options}))
        return made[-1]

    yield make
    for store in made:
        await store.aclose()


def use(store):
    store.add_texts(["a"], ids=["1"])
    assert [document.id for document in store.similarity_search("a")] == ["1"]


async def ause(store):
    await store.aadd_texts(["a"], ids=["1"])
    assert [document.id for document in await store.asimilarity_search("a")] == ["1"]
    assert [document.id for document in await store.ahybrid_search("a")] == ["1"]


async def test_an_engine_is_sync_only_and_stays_open(make, url):
    engine = create_engine(url)
    with make(engine, async_mode=True) as store:
        use(store)
        with pytest.raises(ConfigurationError, match="only sync, but async was requested"):
            await store.asimilarity_search("a")
    assert engine.pool.checkedin() == 1
    engine.dispose()


async def test_an_async_engine_is_async_only_and_stays_open(make, driver_url):
    engine = create_async_engine(driver_url)
    async with make(engine, async_mode=True) as store:
        await ause(store)
        with pytest.raises(ConfigurationError, match="only async, but sync was requested"):
            store.similarity_search("a")
    assert engine.pool.checkedin() == 1
    await engine.dispose()


@pytest.mark.parametrize("kind", [Database, AsyncDatabase])
async def test_a_database_that_was_opened_has_both_sides(make, url, kind):
    database = kind.open(url)
    async with make(database) as store:
        use(store)
        await ause(store)
    await ause(make(database)) if kind is AsyncDatabase else use(make(database))
    await database.close() if kind is AsyncDatabase else database.close()


async def test_the_other_side_has_the_schema_and_the_options(make, new_database):
    url = new_database(schema="apart")
    with Database.open(url, schema="apart", connect_args={"application_name": "both"}) as database:
        async with make(database) as store:
            await ause(store)
            use(store)
            asynchronous = store._sides.asynchronous
            async with asynchronous.begin() as session:
                assert await session.scalar(text("SELECT current_setting('application_name')")) == "both"


async def test_session_factories(make, url, driver_url):
    engine, asynchronous = create_engine(url), create_async_engine(driver_url)
    for one in (engine, asynchronous):
        instrument(one)
    use(make(sessionmaker(engine)))
    await ause(make(async_sessionmaker(asynchronous)))
    engine.dispose()
    await asynchronous.dispose()


async def test_in_a_session_the_transaction_is_the_callers(make, url, driver_url, name):
    engine, asynchronous = create_engine(url, poolclass=NullPool), create_async_engine(driver_url, poolclass=NullPool)
    with Session(engine) as session:
        store = make(session)
        use(store)
        with pytest.raises(ConfigurationError):
            store.add_embeddings(["b"], [])
        use(store)
        session.rollback()
        use(store)
        session.rollback()
    async with AsyncSession(asynchronous) as session:
        await ause(make(session))
        await session.rollback()
    with pytest.raises(CollectionNotFound):
        make(url, create_collection=False).similarity_search("a")


def test_a_failure_leaves_the_callers_transaction_usable(make, url):
    engine = create_engine(url, poolclass=NullPool)
    with Session(engine) as session:
        store = make(session)
        use(store)
        with pytest.raises(ConfigurationError):
            store.similarity_search("a", filter={"a": 1}, max_distances=3)
        with pytest.raises(Exception, match="dimensions"):
            store.similarity_search_by_vector([1.0, 2.0])
        use(store)
        session.rollback()


async def test_nothing_happens_before_the_first_use(make):
    async with make("postgresql://nobody:secret@127.0.0.1:1/none") as store:
        assert "secret" not in repr(store)
        assert store.embeddings.dimension == 16


def test_what_it_embeds_by_is_embeddings_to_langchain(url):
    """LangChain's own parts are made of `store.embeddings`, and refuse what is no `Embeddings`."""
    given = HashingEmbedder(16)
    with RowspaceVectorStore(given, connection=url) as store:
        assert isinstance(store.embeddings, RowspaceEmbeddings)
        assert store.embeddings.embedder is given
        assert isinstance(store.embeddings.embed_query("tea"), list)


def test_no_connection_means_the_environment(make, url, monkeypatch):
    monkeypatch.setenv("ROWSPACE_DATABASE_URL", url)
    with make(None) as store:
        use(store)


def test_migrations_run_when_asked_and_never_otherwise(make, new_database):
    url = make_url(new_database())
    engine = create_engine(url, poolclass=NullPool)
    downgrade(engine, "base")
    with make(url, create_extension=True) as store, pytest.raises(SchemaNotReady, match="rowspace db upgrade"):
        store.add_texts(["a"])
    with make(url, migrate=True) as store:
        use(store)


async def test_migrations_run_when_asked_async(make, new_database, driver_url):
    url = make_url(new_database()).set(drivername=make_url(driver_url).drivername)
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(downgrade, "base")
    async with make(url) as store:
        with pytest.raises(SchemaNotReady, match="rowspace db upgrade"):
            await store.aadd_texts(["a"])
    async with make(url, migrate=True) as store:
        await ause(store)
    with pytest.raises(ConfigurationError, match="require an engine"):
        await make(async_sessionmaker(engine), migrate=True).acreate_collection()


async def test_pre_delete_collection_deletes_once(make, url):
    with make(url) as store:
        store.add_texts(["old"], ids=["old"])
    async with make(url, pre_delete_collection=True) as store:
        use(store)
        await ause(store)
        assert store.get_by_ids(["old"]) == []
    async with make(url, pre_delete_collection=True) as store:
        await ause(store)
        use(store)
        assert await store.aget_by_ids(["old"]) == []


async def test_a_dropped_collection_is_made_anew(make, url):
    async with make(url) as store:
        use(store)
        await store.adelete_collection()
        assert store.similarity_search("a") == []
        store.delete_collection()
        assert await store.asimilarity_search("a") == []


async def test_an_existing_index_has_to_be_there_and_nothing_is_left_open(url, name):
    with pytest.raises(CollectionNotFound, match=name):
        RowspaceVectorStore.from_existing_index(Embedder(16), connection=url, collection_name=name)
    with pytest.raises(CollectionNotFound, match=name):
        await RowspaceVectorStore.afrom_existing_index(Embedder(16), connection=url, collection_name=name)


async def test_a_role_that_may_not_create_tables_uses_what_is_there(make, url, name):
    """As an application that somebody else's migrations and collections serve."""
    with make(url) as store:
        use(store)
    role = name.replace("-", "_")
    with Database.open(url) as database, database.begin() as session:
        for statement in (
            f"CREATE ROLE {role}",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
            "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        ):
            session.execute(text(statement))
    as_role = make_url(url).update_query_dict({"options": f"-c role={role}"})
    async with make(as_role) as store:
        use(store)
        await ause(store)
        assert store.delete(["1"])
        with pytest.raises(PermissionDenied):
            make(as_role, collection_name=f"{name}-2").create_collection()


def test_a_new_collection_is_what_was_asked_for(make, url, name):
    with make(
        url,
        embedding_length=16,
        collection_metadata={"owner": "a"},
        distance_strategy=DistanceStrategy.EUCLIDEAN,
        collection_options={"language": "english", "index": None},
    ) as store:
        info = store.create_collection()
    assert (info.dimension, info.distance, info.language, info.index) == (16, "l2", "english", {})
    assert (info.metadata, info.embedder) == ({"owner": "a"}, "hashing-16")
    with pytest.raises(ConfigurationError, match="has the distance l2, but cosine was requested"):
        make(url, distance_strategy="cosine").create_collection()
    with pytest.raises(ConfigurationError, match="has the dimension 16, but 8 was requested"):
        make(url, embedding_length=8).create_collection()
    with make(url) as store:
        use(store)


def test_a_collection_that_another_process_makes_first(make, url, name, monkeypatch):
    with make(url) as store, Database.open(url) as database:
        get, looked = CollectionRepository.get, []

        def too_early(collections, wanted):
            if looked:
                return get(collections, wanted)
            looked.append(DocumentService(database).create_collection(name, 16))
            message = "not yet"
            raise CollectionNotFound(message)

        monkeypatch.setattr(CollectionRepository, "get", too_early)
        monkeypatch.setattr(CollectionRepository, "list", lambda _self: [])
        use(store)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"use_jsonb": False}, "use_jsonb"),
        ({"connection": 5}, "got int"),
        ({"connection": "nonsense"}, "cannot be read"),
        ({"distance_strategy": "manhattan"}, "The distance must be one of"),
        ({"distance_strategy": "hamming"}, "l2, cosine, inner_product or l1"),
        ({"connection": create_engine("postgresql+psycopg://"), "engine_args": {"echo": True}}, "engine_args"),
    ],
)
def test_options_that_cannot_be_honoured(options, message):
    with pytest.raises(ConfigurationError, match=message):
        RowspaceVectorStore(Embedder(16), **{"connection": "postgresql://localhost/x", **options})


async def test_a_text_is_searched_for_by_an_embedder():
    store = RowspaceVectorStore(None, connection="postgresql://localhost/x")
    with pytest.raises(ConfigurationError, match="needs an embedder"):
        store.similarity_search("a")
    with pytest.raises(ConfigurationError, match="needs an embedder"):
        await store.amax_marginal_relevance_search("a")


async def test_a_url_whose_options_the_other_driver_does_not_know(make):
    store = make("postgresql+asyncpg://localhost/x?ssl=require")
    with pytest.raises(ConfigurationError, match=r"does not support its options \(ssl\)"):
        store.similarity_search("a")


async def test_a_psycopg2_url_has_both_sides(make, url):
    async with make(url.replace("+psycopg", "+psycopg2"), engine_args={"pool_size": 1}) as store:
        use(store)
        await ause(store)


def test_langchain_core_is_needed_and_is_enough(tmp_path):
    import subprocess
    import sys

    code = """
import sys
sys.modules["langchain_core"] = None
try:
    import rowspace.integrations.langchain
except ImportError as error:
    assert type(error).__name__ == "MissingExtra", type(error)
    assert "rowspace[langchain]" in str(error)
else:
    raise SystemExit(1)
from rowspace.integrations.rag import AnswerService
AnswerService("postgresql://localhost/x")
try:
    AnswerService("postgresql://localhost/x", model=object())
except ImportError as error:
    assert "rowspace[langchain]" in str(error)
del sys.modules["langchain_core"]
import rowspace.integrations.langchain
others = {"langchain", "langchain_classic", "langchain_openai", "langchain_community", "openai", "tiktoken"}
assert not others & set(sys.modules), others & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


@pytest.mark.parametrize(
    ("maker", "given"),
    [("from_texts", ["a"]), ("from_documents", [Document("a")]), ("from_embeddings", [("a", [1.0] * 16)])],
)
async def test_a_store_that_could_not_be_filled_is_closed(maker, given):
    """Nobody else could close it: the caller never sees it."""
    closed = []

    class Store(RowspaceVectorStore):
        def close(self):
            closed.append("sync")
            super().close()

        async def aclose(self):
            closed.append("async")
            await super().aclose()

    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    with pytest.raises(StoreUnavailable):
        getattr(Store, maker)(given, Embedder(16), connection=nowhere)
    assert closed == ["sync"]
    with pytest.raises(StoreUnavailable):
        await getattr(Store, f"a{maker}")(given, Embedder(16), connection=nowhere)
    assert closed == ["sync", "async"]
