"""Searches by keyword and hybrid searches, on every driver: in Chinese and Japanese, and against a fusion in Python."""

from __future__ import annotations

import random
from itertools import product

import numpy as np
import pytest
from sqlalchemy import Computed, Enum, Index, Text, TypeDecorator, text
from sqlalchemy.dialects.postgresql import DOMAIN, TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from rowspace import HNSW, Fusion, Highlight, SearchSettings, Vector, text_vector
from rowspace.errors import ConfigurationError, DimensionMismatch, InvalidFilter, InvalidText
from rowspace.models import Collection
from rowspace.repositories import AsyncCollectionRepository, AsyncDocumentRepository, AsyncHybridRepository

DIMENSION = 8
TEXTS = {
    "zh": "PostgreSQL数据库支持全文检索，也支持向量搜索。",
    "weather": "今天天气很好，适合出门。",
    "ja": "ベクトル検索とPostgreSQLの全文検索を組み合わせる。",
    "ko": "한국어를 검색하는 방법",
    "en": "The database keeps vectors; searching them is fast.",
    "html": "<b>vectors</b> & <i>databases</i>",
    "long": "database " + "filler " * 200 + "vectors",
}
WORDS = ["vector", "database", "index", "table", "row", "数据", "検索", "天气"]


class Base(DeclarativeBase):
    pass


class Article(Base):
    __tablename__ = "hybrid_articles"
    __table_args__ = (Index("ix_hybrid_articles_body", text_vector("english", text("body")), postgresql_using="gin"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    words: Mapped[str] = mapped_column(
        TSVECTOR, Computed(text_vector("english", text("body")), persisted=True), deferred=True
    )
    embedding: Mapped[np.ndarray | None] = mapped_column(Vector(2), deferred=True)


class Lone(Base):
    __tablename__ = "lones"

    id: Mapped[int] = mapped_column(primary_key=True)
    embedding: Mapped[np.ndarray] = mapped_column(Vector(2))


class Share(Base):
    """Its keys have the names that one might give a position and a part of a score."""

    __tablename__ = "shares"

    place: Mapped[str] = mapped_column(primary_key=True)
    share: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str] = mapped_column(Text)
    embedding: Mapped[np.ndarray] = mapped_column(Vector(2))


class Lower(TypeDecorator):
    impl = Text
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return value.lower()


class Letter(Base):
    """Its text is of a type that is one in the database; that of its state is none there."""

    __tablename__ = "letters"

    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(Enum("sent", "read", name="state_of_letters"))
    body: Mapped[str] = mapped_column(Lower)
    embedding: Mapped[np.ndarray] = mapped_column(Vector(2))


class Postcard(Base):
    __tablename__ = "postcards"

    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str] = mapped_column(DOMAIN("body_of_postcards", Text))
    words: Mapped[str] = mapped_column(Text().with_variant(TSVECTOR(), "postgresql"))
    embedding: Mapped[np.ndarray] = mapped_column(Vector(2))


def make_corpus() -> tuple[list[dict], np.ndarray]:
    chance = random.Random(7)
    vectors = np.random.default_rng(7).normal(size=(600, DIMENSION)).astype(np.float32)
    rows = [
        {
            "id": f"r{number:03}",
            "content": " ".join(chance.choices(WORDS, k=chance.randint(1, 12))),
            "meta": {"group": number % 4, "rare": number % 150 == 0},
            "embedding": vector,
        }
        for number, vector in enumerate(vectors)
    ]
    return rows, vectors


ROWS, VECTORS = make_corpus()


@pytest.fixture(scope="module", autouse=True)
def _tables(create_tables):
    create_tables(Base.metadata)


@pytest.fixture
async def some(session) -> Collection:
    """A few texts in several languages."""
    return await fill(
        session,
        "some",
        [
            {"id": id_, "content": content, "meta": {}, "embedding": np.ones(DIMENSION)}
            for id_, content in TEXTS.items()
        ],
    )


@pytest.fixture
async def many(session) -> Collection:
    """Six hundred texts of few words, with vectors."""
    return await fill(session, "many", ROWS)


async def fill(session, name, rows, **options) -> Collection:
    collection = await AsyncCollectionRepository(session).create(name, DIMENSION, **options)
    repository = AsyncDocumentRepository(session, collection)
    await repository.upsert(rows)
    await repository.create_indexes()
    return collection


async def ids(session, collection, query, **options) -> list[str]:
    return [hit.entity.id for hit in await AsyncHybridRepository(session, collection).text(query, **options)]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("数据库", {"zh"}),
        ("天气", {"weather"}),
        ("气天", set()),
        ("全文检索", {"zh"}),
        ("全文検索", {"ja"}),
        ("検索", {"ja"}),
        ("ベクトル", {"ja"}),
        ("トル検", {"ja"}),
        ("한국", {"ko"}),
        ("postgresql", {"zh", "ja"}),
        ("PostgreSQL検索", {"ja"}),
        ("PostgreSQL数据库", {"zh"}),
        ("天气 or 検索", {"weather", "ja"}),
        ("PostgreSQL -検索", {"zh"}),
        ("支持 -“全文检索，也”", set()),
        ('"数据库支持"', {"zh"}),
        ('"支持数据库"', set()),
        ("「全文検索」", {"ja"}),
        ("数据库　向量", {"zh"}),
        ("database", {"en", "long"}),
        ('"the database"', {"en"}),
        ("", set()),
        ("、。", set()),
        ("\0", set()),
    ],
)
async def test_what_a_query_finds(session, some, query, found):
    hits = await ids(session, some, query)
    assert set(hits) == found
    assert len(hits) == len(found)


async def test_a_backslash_is_one_where_the_session_makes_escapes_of_them(session, some):
    await session.execute(text("SET LOCAL standard_conforming_strings = off"))
    assert set(await ids(session, some, "检索")) == {"zh"}
    [hit] = await AsyncHybridRepository(session, some).text("天气", highlight=True)
    assert "<mark>天气</mark>" in hit.highlight


async def test_a_repository_remembers_no_query(session, some):
    """Of one repository each search is about its own text, vector, filter and fusion."""
    hybrid = AsyncHybridRepository(session, some)
    first = await hybrid.hybrid("postgresql", np.ones(DIMENSION), 1, highlight=True)
    second = await hybrid.hybrid("天气", np.ones(DIMENSION), 1, fusion="weighted", highlight=True)
    assert "PostgreSQL" in first[0].highlight
    assert (second[0].entity.id, second[0].text_rank is not None) == ("weather", True)
    assert "<mark>天气</mark>" in second[0].highlight
    assert await hybrid.hybrid("postgresql", np.ones(DIMENSION), 1, highlight=True) == first
    assert {hit.entity.id for hit in await hybrid.text("database")} == {"en", "long"}
    assert {hit.entity.id for hit in await hybrid.text("検索")} == {"ja"}


async def test_a_language_finds_other_forms_and_leaves_out_stop_words(session):
    rows = [{"id": id_, "content": content, "embedding": np.ones(DIMENSION)} for id_, content in TEXTS.items()]
    collection = await fill(session, "english", rows, language="english")
    assert set(await ids(session, collection, "search vector")) == {"en"}
    assert set(await ids(session, collection, "检索")) == {"zh"}
    assert await ids(session, collection, "the of and") == []


async def test_an_unknown_language_is_refused_before_there_is_a_collection(session):
    repository = AsyncCollectionRepository(session)
    with pytest.raises(ConfigurationError, match=r"no text-search configuration 'klingon'; it has .*english.*simple"):
        await repository.create("lost", 3, language="klingon")
    assert "lost" not in [collection.name for collection in await repository.list()]
    with pytest.raises(ConfigurationError, match="klingon"):
        await AsyncHybridRepository(session, Article, text="body", language="klingon").text("a")


async def test_the_best_come_first_and_ties_by_id(session, many):
    hits = await AsyncHybridRepository(session, many).text("vector -index", k=1000)
    expected = {row["id"] for row in ROWS if "vector" in row["content"] and "index" not in row["content"]}
    assert {hit.entity.id for hit in hits} == expected
    order = [(-hit.text_rank, hit.entity.id) for hit in hits]
    assert order == sorted(order)
    assert len({rank for rank, _ in order}) < len(order)
    first = await AsyncHybridRepository(session, many).text("vector -index", k=7)
    assert [hit.entity.id for hit in first] == [id_ for _, id_ in order[:7]]


async def test_only_some_matches_are_ranked_when_asked(session, many):
    assert len(await ids(session, many, "vector", k=1000, max_ranked=5)) == 5
    assert await ids(session, many, "vector", k=9, max_ranked=None) == await ids(session, many, "vector", k=9)


async def test_a_filter_and_conditions_limit_a_text_search(session, many):
    document = (await AsyncHybridRepository(session, many).text("vector", 1))[0].entity
    hits = await ids(session, many, "vector", k=1000, where={"group": 1})
    assert set(hits) == {row["id"] for row in ROWS if "vector" in row["content"] and row["meta"]["group"] == 1}
    assert await ids(session, many, "vector", where=[type(document).id == document.id]) == [document.id]


@pytest.mark.parametrize(
    ("query", "id_", "excerpt"),
    [
        ("数据库 搜索", "zh", "PostgreSQL<mark>数据库</mark>支持全文检索，也支持向量<mark>搜索</mark>。"),
        ("天气", "weather", "今天<mark>天气</mark>很好，适合出门。"),
        (
            "postgresql 検索",
            "ja",
            "ベクトル<mark>検索</mark>と<mark>PostgreSQL</mark>の全文<mark>検索</mark>を組み合わせる。",
        ),
        (
            "databases",
            "html",
            "&lt;b&gt;vectors&lt;/b&gt; &amp; &lt;i&gt;<mark>databases</mark>&lt;/i&gt;",
        ),
    ],
)
async def test_highlights(session, some, query, id_, excerpt):
    (hit,) = [h for h in await AsyncHybridRepository(session, some).text(query, highlight=True) if h.entity.id == id_]
    assert hit.highlight == excerpt


async def test_highlights_as_the_caller_wants_them(session, some):
    style = Highlight("[", "]", max_words=6, min_words=3, fragments=2, escape=False)
    hits = await AsyncHybridRepository(session, some).text("database vectors", highlight=style)
    excerpts = {hit.entity.id: hit.highlight for hit in hits}
    assert excerpts["en"] == "The [database] keeps [vectors]; searching them"
    # Before 16, `ts_headline` looks no further than a hundred words for the next word of the query.
    sees_far = (await session.connection()).dialect.server_version_info >= (16,)
    assert excerpts["long"].count(" … ") == sees_far
    assert len(excerpts["long"].split()) < 15
    (plain, *_) = await AsyncHybridRepository(session, some).text("database")
    assert plain.highlight is None


def reference(text_hits, query, fusion, k, allowed):
    """Fuse in Python: exact distances in NumPy, ranks as the text search gave them."""
    fetch = fusion.fetch(k)
    unit = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    distances = 1 - unit.astype(np.float64) @ (query / np.linalg.norm(query))
    near = sorted((distances[n], ROWS[n]["id"]) for n in range(len(ROWS)) if allowed(ROWS[n]))[:fetch]
    by_vector = {id_: (place, -distance) for place, (distance, id_) in enumerate(near, 1)}
    by_text = {hit.entity.id: (place, hit.text_rank) for place, hit in enumerate(text_hits[:fetch], 1)}
    scores = dict.fromkeys(by_vector | by_text, 0.0)
    for side, weight in ((by_vector, fusion.vector_weight), (by_text, fusion.text_weight)):
        values = [value for _, value in side.values()]
        for id_, (place, value) in side.items():
            if fusion.method == "rrf":
                scores[id_] += weight / (fusion.rrf_k + place)
            else:
                low, high = min(values), max(values)
                scores[id_] += weight * ((value - low) / (high - low) if high > low else 1.0)
    nowhere = (len(ROWS), 0)
    order = sorted(
        scores, key=lambda id_: (-round(scores[id_], 6), by_vector.get(id_, nowhere)[0], by_text.get(id_, nowhere)[0])
    )
    return [(id_, scores[id_], by_text.get(id_, (0, None))[1]) for id_ in order[:k]]


FUSIONS = [
    Fusion(),
    Fusion("weighted"),
    Fusion(vector_weight=0.3, text_weight=2, rrf_k=5, fetch_k=17),
    Fusion("weighted", vector_weight=3, fetch_k=200),
    Fusion(text_weight=0),
    Fusion(vector_weight=0),
]


@pytest.mark.parametrize("where", [None, {"group": 2}, {"rare": True}])
async def test_the_fusion_is_that_of_the_reference(session, many, where):
    repository = AsyncHybridRepository(session, many)
    for query, fusion in product(["vector database", "数据 or 検索", "天气 -index"], FUSIONS):
        vector = np.random.default_rng(len(query)).normal(size=DIMENSION)
        by_text = await repository.text(query, fusion.fetch(10), where=where)
        hits = await repository.hybrid(query, vector, 10, where=where, fusion=fusion, exact=True)
        expected = reference(by_text, vector, fusion, 10, lambda row: not where or where.items() <= row["meta"].items())
        assert [hit.entity.id for hit in hits] == [id_ for id_, _, _ in expected]
        assert [hit.score for hit in hits] == pytest.approx([score for _, score, _ in expected], abs=1e-5)
        assert [hit.text_rank for hit in hits] == [rank for _, _, rank in expected]


async def test_every_hit_has_its_distance(session, many):
    vector = np.arange(1, DIMENSION + 1)
    hits = await AsyncHybridRepository(session, many).hybrid("table", vector, fusion=Fusion(text_weight=9), exact=True)
    for hit in hits:
        other = VECTORS[int(hit.entity.id[1:])]
        cosine = float(vector @ other / np.linalg.norm(vector) / np.linalg.norm(other))
        assert hit.distance == pytest.approx(1 - cosine, abs=1e-5)
        assert hit.similarity == 1 - hit.distance


@pytest.mark.parametrize("query", ["", "nothing-like-it", "-vector", "、"])
async def test_without_a_text_that_ranks_the_order_is_by_vector(session, many, query):
    vector = np.ones(DIMENSION)
    nearest = await AsyncDocumentRepository(session, many).nearest(vector, 12, exact=True)
    hits = await AsyncHybridRepository(session, many).hybrid(query, vector, 12, exact=True)
    assert [hit.entity.id for hit in hits] == [hit.entity.id for hit in nearest]
    assert {hit.text_rank for hit in hits} == {None}


@pytest.mark.parametrize(("where", "k", "count"), [(None, 600, 600), ({"rare": True}, 10, 4), ({"group": 9}, 10, 0)])
async def test_k_rows_come_where_k_rows_match(session, many, where, k, count):
    hits = await AsyncHybridRepository(session, many).hybrid("nothing", np.ones(DIMENSION), k, where=where)
    assert len({hit.entity.id for hit in hits}) == count


async def test_the_index_finds_what_the_exact_scan_finds(session, many):
    repository = AsyncHybridRepository(session, many)
    for seed in range(5):
        vector = np.random.default_rng(seed).normal(size=DIMENSION)
        found, exact = [
            {hit.entity.id for hit in await repository.hybrid("vector", vector, 20, where={"group": 1}, exact=exact)}
            for exact in (False, True)
        ]
        assert len(found & exact) >= 19


@pytest.mark.parametrize("quantize", ["halfvec", "bit"])
async def test_a_quantized_index_serves_the_vector_side(session, quantize):
    collection = await fill(session, "rough", ROWS, index=HNSW(quantize=quantize))
    repository = AsyncHybridRepository(session, collection)
    vector = np.random.default_rng(3).normal(size=DIMENSION)
    settings = SearchSettings(oversample=10)
    found = await repository.hybrid("vector", vector, 10, settings=settings)
    exact = await repository.hybrid("vector", vector, 10, exact=True)
    assert len({hit.entity.id for hit in found} & {hit.entity.id for hit in exact}) >= 9


async def test_a_vector_of_zeros_comes_last(session):
    rows = [
        {"id": "zero", "content": "word", "embedding": np.zeros(DIMENSION)},
        {"id": "far", "content": "other", "embedding": -np.ones(DIMENSION)},
        {"id": "near", "content": "other", "embedding": np.ones(DIMENSION)},
    ]
    collection = await fill(session, "zeros", rows, index=None)
    repository = AsyncHybridRepository(session, collection)
    for fusion in ("rrf", "weighted"):
        hits = await repository.hybrid("nothing", np.ones(DIMENSION), fusion=fusion)
        assert [hit.entity.id for hit in hits] == ["near", "far", "zero"]
        (hit, *_) = await repository.hybrid("word", np.ones(DIMENSION), fusion=Fusion(fusion, text_weight=5))
        assert hit.entity.id == "zero"
        assert np.isnan(hit.distance)


async def test_highlights_of_a_hybrid_search(session, some):
    hits = await AsyncHybridRepository(session, some).hybrid("検索", np.ones(DIMENSION), 7, highlight=True)
    excerpts = {hit.entity.id: hit.highlight for hit in hits}
    assert hits[0].entity.id == "ja"
    assert excerpts["ja"].startswith("ベクトル<mark>検索</mark>とPostgreSQL")
    assert excerpts["weather"] == TEXTS["weather"]


async def test_what_is_refused(session, many):
    repository = AsyncHybridRepository(session, many)
    with pytest.raises(DimensionMismatch):
        await repository.hybrid("a", [1, 2])
    with pytest.raises(InvalidFilter):
        await repository.hybrid("a", np.ones(DIMENSION), where={"group": {"$up": 1}})
    with pytest.raises(InvalidText, match="1,000 characters"):
        await repository.text("a" * 1_001)
    with pytest.raises(ConfigurationError, match="has one text and one language"):
        AsyncHybridRepository(session, many, language="english")
    with pytest.raises(ConfigurationError, match=r"has several text attributes \(title, body, words\)"):
        AsyncHybridRepository(session, Article)
    with pytest.raises(ConfigurationError, match="no text attribute; it has none"):
        AsyncHybridRepository(session, Lone)
    with pytest.raises(ConfigurationError, match="no text attribute 'boody'"):
        AsyncHybridRepository(session, Article, text="boody")


@pytest.mark.parametrize("column", ["body", "words"])
async def test_a_model_of_ones_own(session, column):
    bodies = ["searching databases", "数据库 and searches", "nothing of the kind"]
    session.add_all(
        Article(id=number, title="t", body=body, embedding=[1, number]) for number, body in enumerate(bodies)
    )
    await session.flush()
    repository = AsyncHybridRepository(session, Article, text=column, language="english")
    assert {hit.entity.id for hit in await repository.text("search")} == {0, 1}
    assert [hit.entity.id for hit in await repository.text("数据库", where=[Article.id > 0])] == [1]
    hits = await repository.hybrid("数据", [1, 0], 2)
    assert [(hit.entity.id, hit.text_rank is None) for hit in hits] == [(1, False), (0, True)]


async def test_what_is_text_is_so_in_the_database(session):
    session.add_all(Letter(id=number, state="sent", body=f"Word{number}", embedding=[1, number]) for number in range(3))
    session.add(Postcard(id=1, body="greetings", words="hello", embedding=[1, 1]))
    await session.flush()
    letters = AsyncHybridRepository(session, Letter)
    assert [hit.entity.id for hit in await letters.hybrid("word2", [1, 0])] == [2, 0, 1]
    with pytest.raises(ConfigurationError, match="no text attribute 'state'; it has body"):
        AsyncHybridRepository(session, Letter, text="state")
    for name, word in (("body", "greetings"), ("words", "hello")):
        assert [hit.entity.id for hit in await AsyncHybridRepository(session, Postcard, text=name).text(word)] == [1]


@pytest.mark.parametrize("fusion", ["rrf", "weighted"])
async def test_a_primary_key_of_any_name(session, fusion):
    session.add_all(Share(place="x", share=number, body=f"word{number}", embedding=[1, number]) for number in range(3))
    await session.flush()
    hits = await AsyncHybridRepository(session, Share).hybrid("word2", [1, 0], fusion=Fusion(fusion, text_weight=3))
    assert [(hit.entity.place, hit.entity.share) for hit in hits] == [("x", 2), ("x", 0), ("x", 1)]


async def test_a_row_without_a_vector_is_found_by_its_text_alone(session):
    session.add(Article(id=1, title="t", body="vectorless"))
    await session.flush()
    repository = AsyncHybridRepository(session, Article, text="body", language="english")
    assert [hit.entity.id for hit in await repository.text("vectorless")] == [1]
    assert await repository.hybrid("vectorless", [1, 0]) == []


async def test_what_a_query_excludes_is_not_marked(session, some):
    repository = AsyncHybridRepository(session, some)
    hits = await repository.hybrid("database -vectors -天气", np.ones(DIMENSION), 7, highlight=True)
    excerpts = {hit.entity.id: hit.highlight for hit in hits}
    assert excerpts["en"] == "The <mark>database</mark> keeps vectors; searching them is fast."
    assert excerpts["weather"] == TEXTS["weather"]
    (hit,) = [
        hit for hit in await repository.text("-天气 or 검색 or -vectors", highlight=True) if hit.entity.id == "ko"
    ]
    assert hit.highlight == "한국어를 <mark>검색</mark>하는 방법"


async def test_a_stored_tsvector_has_no_text_to_highlight(session):
    repository = AsyncHybridRepository(session, Article, text="words", language="english")
    with pytest.raises(ConfigurationError, match=r"Article\.words is a tsvector"):
        await repository.text("a", highlight=True)
