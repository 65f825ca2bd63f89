"""The repository over models of one's own: adding, finding, changing and searching in the caller's transaction."""

from __future__ import annotations

import math
import uuid
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import REAL, Double, Integer, String, Text, func, inspect, select, text, true
from sqlalchemy.dialects.postgresql import CITEXT, INT4RANGE, Range
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, undefer

from rowspace import (
    HNSW,
    AsyncBrowseRepository,
    AsyncIndexAdvisor,
    AsyncMatrixRepository,
    AsyncRepository,
    AsyncSearchRepository,
    Distance,
    SearchSettings,
    Vector,
)
from rowspace.errors import (
    ConfigurationError,
    DimensionMismatch,
    InvalidRow,
    InvalidSetting,
    InvalidText,
    InvalidVector,
    RowNotFound,
    SchemaNotReady,
)
from rowspace.results import LoadReport


class Base(DeclarativeBase):
    pass


class Article(Base):
    __tablename__ = "articles"
    __table_args__ = (HNSW(Distance.L2).index("embedding", name="ix_articles_embedding"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(Text, server_default="untitled")
    year: Mapped[int | None] = mapped_column(Integer)
    embedding: Mapped[object] = mapped_column(Vector(2), deferred=True)


class Part(Base):
    __tablename__ = "parts"

    tenant: Mapped[str] = mapped_column(Text, primary_key=True)
    number: Mapped[int] = mapped_column("n", primary_key=True)
    embedding: Mapped[object] = mapped_column(Vector(2), deferred=True)


class Event(Base):
    __tablename__ = "events"
    __table_args__ = {"postgresql_partition_by": "LIST (year)"}  # noqa: RUF012

    year: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[int] = mapped_column(primary_key=True)
    embedding: Mapped[object] = mapped_column(Vector(2), deferred=True)


class Tagged(Base):
    __tablename__ = "tagged"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    embedding: Mapped[object] = mapped_column(Vector(2), deferred=True)


class Unmade(DeclarativeBase):
    pass


class Missing(Unmade):
    __tablename__ = "unmade"

    id: Mapped[int] = mapped_column(primary_key=True)
    embedding: Mapped[object] = mapped_column(Vector(2))


@pytest.fixture(scope="module", autouse=True)
def tables(create_tables):
    create_tables(Base.metadata)


@pytest.fixture
async def articles(session):
    """Five articles on a line: the distance of article n from the origin is n."""
    repository = AsyncRepository(session, Article)
    rows = [{"id": n, "title": f"t{n}", "year": 2020 + n, "embedding": [n, 0]} for n in (3, 1, 5, 2, 4)]
    assert await repository.upsert(rows) == LoadReport(5, inserted=5)
    return repository


def ids(hits):
    return [hit.entity.id for hit in hits]


async def test_add_brings_the_servers_defaults(session):
    article = await AsyncRepository(session, Article).add(Article(id=1, embedding=[1, 2]))
    assert article.title == "untitled"
    assert article in session


async def test_add_all_flushes(session):
    repository = AsyncRepository(session, Article)
    await repository.add_all(Article(id=n, embedding=[n, n]) for n in range(3))
    assert not session.new
    assert await session.scalar(text("SELECT count(*) FROM articles")) == 3


async def test_a_wrong_vector_is_refused_by_its_own_error(session):
    repository = AsyncRepository(session, Article)
    with pytest.raises(DimensionMismatch, match=r"^Expected 2 dimensions, got 3\.$"):
        await repository.add(Article(id=1, embedding=[1, 2, 3]))


async def test_a_partitioned_model_is_loaded_through_its_parent(session):
    for year in (2025, 2026):
        await session.execute(text(f"CREATE TABLE events_{year} PARTITION OF events FOR VALUES IN ({year})"))
    events = AsyncRepository(session, Event)
    rows = [{"year": 2025 + n % 2, "id": n, "embedding": [n, 0]} for n in range(6)]
    assert await events.upsert(rows[:4], batch_size=2) == LoadReport(4, inserted=4)
    assert await events.upsert(rows, batch_size=3) == LoadReport(6, inserted=2, updated=4)
    assert [hit.entity.id for hit in await events.nearest([0, 0], 2, where=[Event.year == 2026])] == [1, 3]
    keys = ({"year": 2025, "id": n} for n in (0, 6))
    with pytest.raises(Exception, match="embedding"):
        await events.upsert(keys)


async def test_a_few_rows_of_more_values_than_a_statement_has_parameters(session):
    class Own(DeclarativeBase):
        pass

    names = [f"n{at}" for at in range(700)]
    columns = {name: mapped_column(Integer) for name in names} | {"embedding": mapped_column(Vector(1))}
    wide = type("Wide", (Own,), {"__tablename__": "wide", "id": mapped_column(Integer, primary_key=True), **columns})
    await session.execute(
        text(f"CREATE TABLE wide (id int PRIMARY KEY, embedding vector(1), {' int, '.join(names)} int)")
    )
    rows = [{"id": at, "embedding": [at]} | dict.fromkeys(names, at) for at in range(100)]
    assert await AsyncRepository(session, wide).upsert(rows) == LoadReport(100, inserted=100)


async def test_text_of_a_collation_of_its_own_is_loaded(session):
    class Own(DeclarativeBase):
        pass

    class City(Own):
        __tablename__ = "cities"
        name: Mapped[str] = mapped_column(String(9, collation="C"), primary_key=True)
        country: Mapped[str] = mapped_column(Text(collation="POSIX"))
        embedding = mapped_column(Vector(1))

    columns = 'name varchar(9) COLLATE "C" PRIMARY KEY, country text COLLATE "POSIX", embedding vector(1)'
    await session.execute(text(f"CREATE TABLE cities ({columns})"))
    cities = AsyncRepository(session, City)
    rows = [{"name": name, "country": "é", "embedding": [1]} for name in ("b", "B", "é")]
    assert await cities.upsert(rows) == LoadReport(3, inserted=3)
    assert await cities.upsert(rows) == LoadReport(3, updated=3)
    assert [city.country for city in await cities.get_many(["é", "b"])] == ["é", "é"]
    assert await AsyncMatrixRepository(session, City).update(["é", "c"], [[2], [3]]) == 1


async def test_get(articles):
    assert (await articles.get(3)).title == "t3"
    assert await articles.get(9) is None
    with pytest.raises(ConfigurationError, match=r"The key of Article is \(id\), got \(1, 2\)"):
        await articles.get((1, 2))


@pytest.mark.parametrize("key", ["abc", "3", 2**40, True])
async def test_a_key_of_another_type_is_refused_before_any_sql(articles, key):
    for call, given in ((articles.get, key), (articles.get_many, [key]), (articles.delete, [key])):
        with pytest.raises(ConfigurationError, match=r"articles\.id must be Integer\(\), got "):
            await call(given)
    assert (await articles.get(np.int64(3))).title == "t3"


async def test_get_many_keeps_the_order_and_the_gaps(articles):
    found = await articles.get_many([5, 9, 1, 5])
    assert [article and article.id for article in found] == [5, None, 1, 5]
    assert await articles.get_many([]) == []


async def test_get_many_of_more_keys_than_a_statement_takes(articles):
    found = await articles.get_many(range(70_000))
    assert [article.id for article in found if article] == [1, 2, 3, 4, 5]


async def test_composite_keys(session):
    repository = AsyncRepository(session, Part)
    rows = [{"tenant": t, "number": n, "embedding": [n, 0]} for t in "ab" for n in (1, 2)]
    assert await repository.upsert(rows) == LoadReport(4, inserted=4)
    assert await repository.upsert([*rows[:1], *rows[:1]]) == LoadReport(2, updated=1, duplicates=1)
    assert (await repository.get(("b", 2))).tenant == "b"
    found = await repository.get_many([("b", 1), ("c", 1), ["a", 2]])
    assert [part and (part.tenant, part.number) for part in found] == [("b", 1), None, ("a", 2)]
    assert await repository.delete([("a", 1), ("a", 9)]) == 1
    assert await repository.count() == 3
    hits = await repository.nearest([1, 0], 2, where=[Part.tenant == "b"])
    assert {(hit.entity.tenant, hit.entity.number) for hit in hits} == {("b", 1), ("b", 2)}


async def test_more_composite_keys_than_the_server_compares_in_one_statement(session):
    repository = AsyncRepository(session, Part)
    await repository.upsert({"tenant": "a", "number": n, "embedding": [n, 0]} for n in range(3))
    keys = [("a", n) for n in reversed(range(12_000))]
    found = await repository.get_many(keys)
    assert [part.number for part in found if part] == [2, 1, 0]
    assert await repository.delete(keys) == 3


async def test_delete(articles, session):
    assert await articles.delete([1, 2, 9]) == 2
    assert await articles.delete([]) == 0
    assert await articles.delete_where(Article.year > 2024) == 1
    assert sorted(await session.scalars(select(Article.id))) == [3, 4]
    with pytest.raises(ConfigurationError, match="needs at least one condition"):
        await articles.delete_where()
    assert await articles.delete_where(true()) == 2


VECTORS_TO_DELETE = {
    "there": Article.embedding.is_not(None),
    "equal": Article.embedding == [1, 0],
    "one of": Article.embedding.in_([[1, 0], [2, 0]]),
}


@pytest.mark.parametrize("condition", VECTORS_TO_DELETE.values(), ids=VECTORS_TO_DELETE)
async def test_what_the_session_holds_follows_a_delete_by_vector(articles, session, condition):
    """SQLAlchemy compared the arrays in Python: an error, or entities that were there without their rows."""
    held = (await session.scalars(select(Article).options(undefer(Article.embedding)))).all()
    assert await articles.delete_where(condition) > 0
    left = await session.scalars(select(Article.id))
    assert [article.id for article in held if article in session] == sorted(left)


@pytest.mark.parametrize("one", [Article.year == 2022, Article.year > 2022], ids=["equal", "greater"])
async def test_one_condition_is_not_taken_for_none(articles, session, one):
    """SQLAlchemy takes `Article.year == 2022` for false where Python asks: every row was found."""
    browse, advisor = AsyncBrowseRepository(session, Article), AsyncIndexAdvisor(session, Article)
    search, matrix = AsyncSearchRepository(session, Article), AsyncMatrixRepository(session, Article)
    for call in (
        partial(articles.nearest, [1, 1]),
        partial(search.nearest_many, [[1, 1]]),
        partial(search.grouped, [1, 1], Article.title),
        partial(advisor.explain, [1, 1]),
        browse.scroll,
        partial(browse.facets, Article.title),
        matrix.read,
    ):
        with pytest.raises(ConfigurationError, match="Expected where as a list of conditions or a filter as a dict"):
            await call(where=one)
    assert len(await articles.nearest([1, 1], where=[one])) < 5


async def test_one_key_is_not_taken_for_its_letters(articles):
    for call in (articles.get_many, articles.delete):
        with pytest.raises(ConfigurationError, match=r"Expected keys as a list or another iterable, got str '12'"):
            await call("12")
    assert await articles.count() == 5


async def test_count(articles):
    assert await articles.count() == 5
    assert await articles.count(Article.year > 2022, Article.title != "t4") == 2


# Upsert


@pytest.mark.parametrize("many", [3, 300])
async def test_a_row_without_its_key_is_new(session, many):
    articles = AsyncRepository(session, Article)
    rows = [{"title": f"t{n}", "embedding": [n, 0]} for n in range(many)]
    assert await articles.upsert(rows, batch_size=200) == LoadReport(many, inserted=many)
    assert await articles.upsert(rows[:1]) == LoadReport(1, inserted=1)
    # In the order of the rows, and the server goes on behind them.
    keys = (await session.scalars(select(Article.id).order_by(Article.id))).all()
    added = await articles.add(Article(embedding=[0, 9]))
    assert [*keys, added.id] == list(range(keys[0], keys[0] + many + 2))
    assert (await articles.get(keys[2])).title == "t2"

    tagged = AsyncRepository(session, Tagged)
    assert (await tagged.upsert([{"embedding": [n, 0]} for n in range(many)])).inserted == many
    assert await tagged.count() == many


async def test_upsert_inserts_updates_and_counts(articles, session):
    rows = [{"id": n, "title": f"new{n}", "year": None, "embedding": [n, 1]} for n in (4, 5, 6)]
    assert await articles.upsert(rows) == LoadReport(3, inserted=1, updated=2)
    assert await session.scalar(select(Article.title).where(Article.id == 4)) == "new4"
    assert (await session.scalar(select(Article.embedding).where(Article.id == 4))).tolist() == [4, 1]


async def test_one_batch_has_more_values_than_a_statement_has_parameters(session):
    parts, count = AsyncRepository(session, Part), 25_000
    for counted in ({"inserted": count}, {"updated": count}):
        rows = ({"tenant": "a", "number": at, "embedding": [at, 1]} for at in range(count))
        assert await parts.upsert(rows, batch_size=count) == LoadReport(count, **counted)
    assert await parts.count() == count


async def test_the_last_of_one_key_wins_across_batches(session):
    repository = AsyncRepository(session, Article)
    keys = [1, 2, 1, 3, 3, 1, 4]
    rows = ({"id": key, "title": str(at), "embedding": [0, 1]} for at, key in enumerate(keys))
    assert await repository.upsert(rows, batch_size=2) == LoadReport(7, inserted=4, duplicates=3)
    titles = (await session.execute(select(Article.id, Article.title).order_by(Article.id))).all()
    assert titles == [(1, "5"), (2, "1"), (3, "4"), (4, "6")]


async def test_a_generator_is_read_once_and_a_batch_at_a_time(session):
    repository = AsyncRepository(session, Article)
    sizes = []

    def rows():
        for at in range(10):
            sizes.append(at)
            yield {"id": at, "embedding": np.array([at, at], np.float64)}

    assert await repository.upsert(rows(), batch_size=3) == LoadReport(10, inserted=10)
    assert sizes == list(range(10))


@pytest.mark.parametrize("size", [0, -1, 2.5, "5", None, True])
async def test_a_batch_has_a_size(session, size):
    rows = [{"id": at, "embedding": [at, 1]} for at in range(3)]
    with pytest.raises(ConfigurationError, match="batch_size must be a whole number of at least 1"):
        await AsyncRepository(session, Article).upsert(rows, batch_size=size)
    assert (await AsyncRepository(session, Article).upsert(rows, batch_size=np.int64(2))).inserted == 3


async def test_no_rows(session):
    assert await AsyncRepository(session, Article).upsert([]) == LoadReport()
    assert await AsyncRepository(session, Article).upsert(iter([])) == LoadReport()


async def test_what_the_session_has_not_flushed_comes_first(session):
    repository = AsyncRepository(session, Article)
    session.add(Article(id=1, title="old", embedding=[0, 1]))
    assert await repository.upsert([{"id": 1, "title": "new", "embedding": [1, 1]}]) == LoadReport(1, updated=1)


@pytest.mark.parametrize(
    ("bad", "kind", "message"),
    [
        (
            {"title": "a\0b"},
            InvalidText,
            "Row 3 (id 3), column 'title': PostgreSQL cannot store a NUL byte in text. Remove it,",
        ),
        ({"embedding": [1]}, DimensionMismatch, "Row 3 (id 3), column 'embedding': Expected 2 dimensions, got 1."),
        ({"embedding": [1, math.nan]}, InvalidVector, "Row 3 (id 3), column 'embedding': A vector cannot contain NaN"),
        ({"year": "2024"}, InvalidRow, "Row 3 (id 3), column 'year': "),
        ({"extra": 1}, InvalidRow, "Row 3 has different attributes than the first row: missing [], unknown ['extra']."),
    ],
)
async def test_a_row_that_cannot_be_stored_is_named_and_the_transaction_lives_on(session, bad, kind, message):
    repository = AsyncRepository(session, Article)
    rows = [{"id": n, "title": "t", "year": 1, "embedding": [1, 2]} for n in range(5)]
    rows[3] |= bad
    with pytest.raises(kind) as refused:
        await repository.upsert(rows, batch_size=2)
    assert str(refused.value).startswith(message)
    assert await repository.count() == 2
    assert await repository.upsert([rows[4]]) == LoadReport(1, inserted=1)


async def test_an_error_of_the_generator_is_the_callers_own(session):
    def rows():
        yield {"id": 1, "embedding": [1, 2]}
        Path("/nowhere/rows.jsonl").read_text()

    with pytest.raises(FileNotFoundError):
        await AsyncRepository(session, Article).upsert(rows())


async def test_two_models_in_one_session(session):
    articles, parts = AsyncRepository(session, Article), AsyncRepository(session, Part)
    await articles.upsert([{"id": 1, "embedding": [1, 2]}])
    await parts.upsert([{"tenant": "a", "number": 1, "embedding": [3, 4]}])
    (article,), (part,) = await articles.nearest([1, 2]), await parts.nearest([3, 4])
    assert isinstance(article.entity, Article)
    assert isinstance(part.entity, Part)


# Search


async def test_nearest(articles):
    hits = await articles.nearest([0, 0], 3)
    assert ids(hits) == [1, 2, 3]
    assert [hit.distance for hit in hits] == [1, 2, 3]
    assert [hit.similarity for hit in hits] == pytest.approx([1 / 2, 1 / 3, 1 / 4])
    assert hits[0].entity.title == "t1"


@pytest.mark.parametrize("query", [[0, 0], (0.0, 0.0), np.zeros(2), np.zeros(2, np.float16)])
async def test_any_array_is_a_query(articles, query):
    assert ids(await articles.nearest(query, 2)) == [1, 2]


async def test_ranges_and_conditions(articles):
    assert ids(await articles.nearest([0, 0], max_distance=3)) == [1, 2, 3]
    assert ids(await articles.nearest([0, 0], min_distance=4)) == [4, 5]
    assert ids(await articles.nearest([0, 0], max_distance=4, min_distance=2)) == [2, 3, 4]
    assert ids(await articles.nearest([0, 0], where=[Article.year > 2022, Article.title != "t4"])) == [3, 5]
    assert ids(await articles.nearest([0, 0], 1, where=[Article.year > 2022])) == [3]
    assert await articles.nearest([0, 0], where=[Article.year > 3000]) == []
    assert await articles.nearest([0, 0], max_distance=0.5) == []
    # l2: a similarity of 1 / (1 + distance).
    assert ids(await articles.nearest([0, 0], min_similarity=0.25)) == [1, 2, 3]
    assert ids(await articles.nearest([0, 0], 2, where=[Article.title.ilike("T%")], exact=True)) == [1, 2]


@pytest.mark.parametrize("options", [{}, {"exact": True}, {"settings": SearchSettings(iterative_scan="strict_order")}])
async def test_more_than_there_is(articles, options):
    assert ids(await articles.nearest([0, 0], 100, **options)) == [1, 2, 3, 4, 5]


async def test_the_embedding_is_loaded_only_when_asked_for(articles, session):
    (hit,) = await articles.nearest([0, 0], 1)
    assert "embedding" in inspect(hit.entity).unloaded
    (hit,) = await articles.nearest([0, 0], 1, with_embedding=True)
    assert hit.entity.embedding.tolist() == [1, 0]
    session.expunge_all()
    (hit,) = await articles.nearest([0, 0], 1, with_embedding=True, where=[Article.year > 2022])
    assert hit.entity.embedding.tolist() == [3, 0]
    assert "embedding" in inspect(await articles.get(4)).unloaded


async def test_hits_are_entities_of_the_session(articles, session):
    (hit,) = await articles.nearest([0, 0], 1, where=[Article.year > 2022])
    hit.entity.title = "changed"
    await session.flush()
    assert await session.scalar(select(Article.title).where(Article.id == 3)) == "changed"


async def test_a_distance_other_than_the_indexs(session, articles):
    rows = [{"id": 10, "embedding": [0, 100]}, {"id": 11, "embedding": [3, 4]}]
    await articles.upsert(rows)
    by_angle = AsyncRepository(session, Article, distance="cosine")
    assert ids(await by_angle.nearest([0, 1], 2)) == [10, 11]
    by_product = AsyncRepository(session, Article, distance=Distance.INNER_PRODUCT)
    (hit,) = await by_product.nearest([0, 1], 1)
    assert (hit.entity.id, hit.distance, hit.similarity) == (10, -100, 100)


async def test_queries_that_cannot_be(articles):
    with pytest.raises(DimensionMismatch, match="Expected 2 dimensions, got 3"):
        await articles.nearest([1, 2, 3])
    with pytest.raises(InvalidVector, match="NaN"):
        await articles.nearest([1, math.nan])
    with pytest.raises(InvalidSetting, match="k must be a whole number"):
        await articles.nearest([1, 2], 0)
    assert len(await articles.nearest([1, 2])) == 5


async def test_settings_hold_until_the_transaction_ends(articles, session):
    async def setting(name):
        return await session.scalar(select(func.current_setting(name)))

    await articles.nearest([0, 0], settings=SearchSettings(ef_search=77, max_scan_tuples=5000))
    assert await setting("hnsw.ef_search") == "77"
    assert await setting("hnsw.max_scan_tuples") == "5000"


async def test_missing_tables_say_what_to_do(session):
    with pytest.raises(SchemaNotReady, match=r"unmade.* Run the migrations"):
        async with session.begin_nested():
            await AsyncRepository(session, Missing).nearest([1, 2])


# The caller's transaction


async def test_a_load_leaves_no_table_in_the_session(articles, session):
    rows = [{"id": at, "embedding": [1, at]} for at in range(301)]
    await articles.upsert(rows, batch_size=150)
    await AsyncMatrixRepository(session, Article).update([1], [[1, 2]])
    temporary = "SELECT count(*) FROM pg_class WHERE relpersistence = 't' AND relname LIKE 'rowspace%'"
    assert await session.scalar(text(temporary)) == 0


async def test_nothing_commits(engine, articles, session):
    assert await articles.count() == 5
    await session.rollback()
    assert await articles.count() == 0


class Word(Base):
    __tablename__ = "words_by_key"

    tenant: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    word: Mapped[str] = mapped_column(CITEXT, primary_key=True)
    embedding: Mapped[object] = mapped_column(Vector(2), deferred=True)

    def __bool__(self):
        return False


async def test_a_load_does_not_end_at_what_is_no_row(session):
    words = AsyncRepository(session, Word)
    rows = [{"tenant": uuid.UUID(int=at), "word": "Ada", "embedding": [1, 2]} for at in range(5)]
    for at in range(5):
        with pytest.raises(InvalidRow, match=f"Row {at}: expected a mapping .*, got NoneType None"):
            await words.upsert([*rows[:at], None, *rows[at:]], batch_size=2)


async def test_a_key_is_what_the_server_takes_for_it(session):
    words, tenant = AsyncRepository(session, Word), uuid.UUID(int=5)
    for word in ("Ada", "Bob"):
        await words.add(Word(tenant=tenant, word=word, embedding=[1, 2]))
    session.expunge_all()
    keys = [
        (tenant, "bob"),
        (str(tenant), "Ada"),
        (tenant.hex, "nobody"),
        (str(tenant).upper(), "ADA"),
        (tenant, "Ada"),
    ]
    found = await words.get_many(keys)
    assert [None if one is None else one.word for one in found] == ["Bob", "Ada", None, "Ada", "Ada"]
    assert (await words.get([tenant.hex, "BOB"])) is found[0]
    assert await words.get_many([(tenant, "Ada"), (tenant, "ADA"), (tenant, "nobody")]) == [found[1], found[1], None]
    with pytest.raises(ConfigurationError, match=r"words_by_key\.tenant must be a UUID, got 'nonsense'\."):
        await words.get_many([("nonsense", "Ada")])
    with pytest.raises(InvalidRow, match=r"Row 0: expected a mapping of attributes to values, got int 5\."):
        await words.upsert([5])
    searches = AsyncSearchRepository(session, Word)
    [hit] = await searches.recommend([(str(tenant), "ADA")])
    assert hit.entity is found[0]
    assert [hit.entity for hit in await searches.similar_to((tenant.hex, "ADA"))] == [found[0]]
    with pytest.raises(RowNotFound, match="Word has no row"):
        await searches.recommend([(tenant, "nobody")])
    with pytest.raises(ConfigurationError, match=r"words_by_key\.tenant must be a UUID, got 'nonsense'\."):
        await searches.similar_to(("nonsense", "Ada"))
    assert await words.delete(keys[:2]) == 2


class Measure(Base):
    __tablename__ = "measures_by_key"

    number: Mapped[float] = mapped_column(Double, primary_key=True)
    single: Mapped[float] = mapped_column(REAL, primary_key=True)
    numbers: Mapped[Range[int]] = mapped_column(INT4RANGE, primary_key=True)
    embedding: Mapped[object] = mapped_column(Vector(2), deferred=True)


async def test_a_key_is_found_that_is_equal_in_the_server_alone(session):
    measures, nan = AsyncRepository(session, Measure), float("nan")
    await measures.upsert([{"number": nan, "single": 0.1, "numbers": Range(1, 4, bounds="[]"), "embedding": [1, 2]}])
    keys = [(nan, 0.1, Range(1, 5)), (nan, np.float32(0.1), Range(1, 4, bounds="[]"))]
    found = await measures.get_many([*keys, (nan, 0.2, Range(1, 5))])
    # Of a NaN, which no other is equal to, the session makes another object each time.
    assert [one and one.numbers for one in found] == [Range(1, 5), Range(1, 5), None]
    assert await AsyncMatrixRepository(session, Measure).update(keys[:1], [[3, 4]]) == 1
    assert await measures.delete(keys) == 1


async def test_keys_that_are_one_to_the_server_alone_are_refused_in_words(session):
    tenant = uuid.UUID(int=6)
    rows = [{"tenant": tenant, "word": word, "embedding": [1, 2]} for word in ("Ada", "ada")]
    with pytest.raises(
        InvalidRow, match="The server considers the keys of two rows of this batch equal, such as 'A' and 'a'"
    ):
        async with session.begin_nested():
            await AsyncRepository(session, Word).upsert(rows)
