"""Plans, recall and tuning on a real server, and searches over quantized indexes against brute force."""

from __future__ import annotations

from uuid import uuid4

import numpy as np
import pytest
from sqlalchemy import Integer, text
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.schema import CreateIndex, CreateTable

from rowspace import (
    HNSW,
    AsyncCollectionRepository,
    AsyncDocumentRepository,
    AsyncIndexAdvisor,
    AsyncRepository,
    AsyncSearchRepository,
    Collection,
    Distance,
    IVFFlat,
    SearchSettings,
    Vector,
)
from rowspace.errors import CollectionNotFound, ConfigurationError, InvalidSetting, InvalidVector, PermissionDenied
from rowspace.indexes import to_dict
from rowspace.statements.tunings import comment_of, comment_on, tunings_in
from rowspace.tuning import TUNING, Tuning, tuning_of

ROWS, DIMENSION = 2_000, 96
KINDS = [HNSW(quantize="halfvec"), HNSW(quantize="bit"), IVFFlat(lists=8, quantize="bit"), HNSW("l2", quantize="bit")]


@pytest.fixture
async def fill(session, vectors):
    """Return a function that makes a collection of 2,000 documents, one in 40 of them rare, with its indexes."""

    async def fill(index, distance="cosine", build=None):
        collections = AsyncCollectionRepository(session)
        collection = await collections.create(uuid4().hex, DIMENSION, index=index, distance=distance)
        documents = AsyncDocumentRepository(session, collection)
        await documents.upsert(
            {"id": str(n), "content": "text", "embedding": v, "meta": {"rare": n % 40 == 0}}
            for n, v in enumerate(vectors)
        )
        await documents.create_indexes()
        # Small as it is, the table would be read as a whole.
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        return documents

    return fill


def queries_of(vectors, count=40):
    random = np.random.default_rng(9)
    noise = 0.02 * random.standard_normal((count, DIMENSION))
    return (vectors[random.integers(0, ROWS, count)] + noise).astype(np.float32)


def nearest_of(vectors, query, k, distance="cosine", among=None):
    rows = np.arange(ROWS) if among is None else among
    by = {
        "cosine": 1 - vectors[rows] @ query / np.linalg.norm(query),
        "l2": np.linalg.norm(vectors[rows] - query, axis=1),
    }[distance]
    order = np.argsort(by, kind="stable")[:k]
    return {str(row) for row in rows[order]}, np.sort(by)[:k]


@pytest.mark.parametrize("spec", KINDS, ids=str)
async def test_a_quantized_search_finds_what_brute_force_finds(fill, vectors, spec):
    documents = await fill(spec, spec.distance)
    settings = SearchSettings(probes=8) if spec.method == "ivfflat" else None
    found = []
    for query in queries_of(vectors):
        hits = await documents.nearest(query, 10, settings=settings)
        wanted, _ = nearest_of(vectors, query, 10, spec.distance)
        ids = [hit.entity.id for hit in hits]
        found.append(len(wanted.intersection(ids)) / 10)
        true = {str(n): float(d) for n, d in zip(ids, [hit.distance for hit in hits], strict=True)}
        assert list(true.values()) == sorted(true.values())
        row = vectors[int(ids[0])]
        distance = 1 - row @ query / np.linalg.norm(query) if spec.distance == "cosine" else np.linalg.norm(row - query)
        assert hits[0].distance == pytest.approx(distance, abs=1e-6)
    assert np.mean(found) >= 0.95
    plan = await AsyncIndexAdvisor(documents.session, documents.collection).explain(queries_of(vectors)[0], 10)
    assert plan.index == f"ix_{documents.collection.partition}_embedding"


@pytest.mark.parametrize("spec", KINDS[:2], ids=str)
async def test_a_quantized_search_with_a_filter_and_a_range(fill, vectors, spec):
    documents = await fill(spec)
    rare = np.arange(0, ROWS, 40)
    for query in queries_of(vectors, 10):
        wanted, distances = nearest_of(vectors, query, 10, among=rare)
        hits = await documents.nearest(query, 10, where={"rare": True})
        assert {hit.entity.id for hit in hits} == wanted
        far = float(distances[5])
        inside = await documents.nearest(query, 10, where={"rare": True}, max_distance=far + 1e-6)
        assert len(inside) == 6
        outside = await documents.nearest(query, 4, where={"rare": True}, min_distance=far + 1e-6)
        assert [hit.distance for hit in outside] == pytest.approx(list(distances[6:10]), abs=1e-6)
    assert len(await documents.nearest(query, 200, where={"rare": True})) == 50
    assert {hit.entity.id for hit in await documents.nearest(query, 10, exact=True)} == nearest_of(vectors, query, 10)[
        0
    ]


async def test_more_rows_than_the_index_gives_at_once(fill, vectors):
    documents = await fill(HNSW(quantize="bit"))
    (query,) = queries_of(vectors, 1)
    hits = await documents.nearest(query, 300)
    wanted, _ = nearest_of(vectors, query, 300)
    assert len(hits) == 300
    assert len(wanted & {hit.entity.id for hit in hits}) >= 285


async def test_a_model_with_a_bit_index(session, vectors):
    class Own(DeclarativeBase):
        pass

    class Picture(Own):
        __tablename__ = f"pictures_{uuid4().hex[:8]}"
        __table_args__ = (HNSW("l2", quantize="bit").index("embedding"),)
        id = mapped_column(Integer, primary_key=True)
        embedding = mapped_column(Vector(DIMENSION))

    await session.execute(CreateTable(Picture.__table__))
    for index in Picture.__table__.indexes:
        await session.execute(CreateIndex(index))
    repository = AsyncRepository(session, Picture)
    await repository.upsert({"id": n, "embedding": vector} for n, vector in enumerate(vectors))
    await session.execute(text("SET LOCAL enable_seqscan = off"))
    found = []
    for query in queries_of(vectors):
        hits = await repository.nearest(query, 10, where=[Picture.id < 1_500])
        wanted, _ = nearest_of(vectors, query, 10, "l2", among=np.arange(1_500))
        found.append(len(wanted & {str(hit.entity.id) for hit in hits}) / 10)
    assert np.mean(found) >= 0.95
    advisor = AsyncIndexAdvisor(session, Picture)
    assert (await advisor.explain(query)).index == f"ix_{Picture.__tablename__}_embedding"
    asked = queries_of(vectors, 20)
    tuning = await advisor.tune(0.9, queries=asked)
    assert tuning.reached
    settings = tuning.settings()
    assert settings.ef_search == tuning.chosen.setting
    assert await advisor.recall(queries=asked, settings=settings) == pytest.approx(tuning.chosen.recall)


def model_of_places(spec):
    class Own(DeclarativeBase):
        pass

    class Place(Own):
        __tablename__ = f"Places {uuid4().hex[:8]}"
        __table_args__ = (spec.index("embedding"),)
        id = mapped_column(Integer, primary_key=True)
        embedding = mapped_column(Vector(DIMENSION))

    return Place


async def filled_places(session, vectors):
    """Return a model with a table, its index, and 50 rows."""
    model = model_of_places(HNSW())
    await session.execute(CreateTable(model.__table__))
    for index in model.__table__.indexes:
        await session.execute(CreateIndex(index))
    await AsyncRepository(session, model).upsert({"id": n, "embedding": v} for n, v in enumerate(vectors[:50]))
    return model


async def test_a_model_keeps_its_tuning_in_the_comment_of_its_index(session, vectors):
    place = model_of_places(HNSW(m=4, ef_construction=16))
    table, (index,) = place.__table__, place.__table__.indexes
    await session.execute(CreateTable(table))
    repository = AsyncRepository(session, place)
    await repository.upsert({"id": n, "embedding": vector} for n, vector in enumerate(vectors))
    await session.execute(CreateIndex(index))
    written = "Ours:\nit's 50 % \\ done, see :name"
    await session.execute(comment_on(index.name, "public", written))
    await session.execute(text("SET LOCAL enable_seqscan = off"))
    with pytest.raises(InvalidSetting, match="needs a measured curve"):
        await repository.nearest(vectors[0], recall=0.9)

    advisor = AsyncIndexAdvisor(session, place)
    assert (await advisor.tune(0.97, queries=30)).reached
    tuning = await advisor.tune(0.96, queries=30)
    comment = await session.scalar(comment_of(index.name, "public"))
    assert comment.startswith(f"{written}\nrowspace tuning: ")
    assert comment.count("rowspace tuning") == 1
    assert tunings_in([comment]) == {("embedding", "cosine"): Tuning.from_dict(tuning.to_dict())}

    async def ef_search_of(search, **options):
        await session.execute(text("SET LOCAL hnsw.ef_search = 1"))
        await search(vectors[0], **options)
        return int(await session.scalar(text("SHOW hnsw.ef_search")))

    chosen, lowest = tuning.chosen.setting, tuning.points[0]
    assert await ef_search_of(repository.nearest) == chosen
    assert await ef_search_of(repository.nearest, settings=SearchSettings(ef_search=33)) == 33
    assert await ef_search_of(repository.nearest, recall=lowest.recall - 0.01) == lowest.setting
    assert await ef_search_of(AsyncSearchRepository(session, place).grouped, by=place.id) == chosen
    # Another distance has no index, and no curve.
    assert await ef_search_of(AsyncRepository(session, place, distance="l2").nearest) == 1


async def test_a_tuning_that_is_rolled_back_is_not_used(session, vectors):
    place = await filled_places(session, vectors)
    repository = AsyncRepository(session, place)
    await session.commit()
    await session.execute(text("SET LOCAL enable_seqscan = off"))
    await AsyncIndexAdvisor(session, place).tune(0.5, queries=3)
    assert len(await repository.nearest(vectors[0], 3, recall=0.5)) == 3
    await session.rollback()
    with pytest.raises(InvalidSetting, match="needs a measured curve"):
        await repository.nearest(vectors[0], 3, recall=0.5)
    await session.execute(text("SET LOCAL enable_seqscan = off"))
    await AsyncIndexAdvisor(session, place).tune(0.5, queries=3)
    await session.commit()
    assert len(await repository.nearest(vectors[0], 3, recall=0.5)) == 3


async def test_a_partial_index_serves_searches_with_its_filter(fill, session, vectors):
    documents = await fill(HNSW(quantize="halfvec", where={"rare": True}))
    rare = np.arange(0, ROWS, 40)
    for query in queries_of(vectors, 8):
        hits = await documents.nearest(query, 5, where={"rare": True})
        assert {hit.entity.id for hit in hits} == nearest_of(vectors, query, 5, among=rare)[0]
        hits = await documents.nearest(query, 5)
        assert {hit.entity.id for hit in hits} == nearest_of(vectors, query, 5)[0]
    await session.execute(text("SET LOCAL enable_bitmapscan = off"))
    advisor = AsyncIndexAdvisor(session, documents.collection)
    name = f"ix_{documents.collection.partition}_embedding"
    walk = SearchSettings(iterative_scan="relaxed_order")
    for _ in range(8):
        assert (await advisor.explain(query, 5, where={"rare": True}, settings=walk)).index == name
    plan = await advisor.explain(query, 5)
    assert plan.index is None
    assert plan.advice[0].startswith(f"The index {name} is partial")


async def test_tune_reaches_its_target_is_kept_and_used(fill, session, vectors):
    documents = await fill(HNSW(m=4, ef_construction=16))
    specified = documents.collection.index
    advisor = AsyncIndexAdvisor(session, documents.collection)
    with pytest.raises(InvalidSetting, match="needs a measured curve"):
        await documents.nearest(vectors[0], recall=0.9)
    seen = []
    tuning = await advisor.tune(0.97, queries=30, progress=seen.append)
    assert tuple(seen) == tuning.points
    assert tuning.reached
    assert tuning.chosen.recall >= 0.97
    assert all(point.recall < 0.97 for point in tuning.points if point.setting < tuning.chosen.setting)
    assert tuning.points[0].recall < tuning.points[-1].recall
    await session.refresh(documents.collection)
    assert documents.collection.index == {**specified, TUNING: tuning.to_dict()}
    kept = tuning_of(documents.collection.index)
    assert (kept.chosen.setting, kept.target, kept.k, kept.queries) == (tuning.chosen.setting, 0.97, 10, 30)

    async def ef_search_of(**options):
        await session.execute(text("SET LOCAL hnsw.ef_search = 1"))
        await documents.nearest(vectors[0], **options)
        return int(await session.scalar(text("SHOW hnsw.ef_search")))

    assert await ef_search_of() == tuning.chosen.setting
    assert await ef_search_of(settings=SearchSettings(ef_search=33)) == 33
    lowest = tuning.points[0]
    assert await ef_search_of(recall=lowest.recall - 0.01) == lowest.setting
    assert await ef_search_of(settings=SearchSettings(recall=lowest.recall - 0.01)) == lowest.setting


async def test_tune_keeps_what_changed_since_the_collection_was_loaded(fill, session):
    documents = await fill(HNSW())
    stale, name = documents.collection, uuid4().hex
    session.expunge(stale)
    renamed = text('UPDATE collections SET name = :name, metadata = \'{"owner": "ada"}\' WHERE id = :id')
    await session.execute(renamed, {"name": name, "id": stale.id})
    tuning = await AsyncIndexAdvisor(session, stale).tune(0.5, queries=3)
    assert tuning_of(stale.index).chosen.setting == tuning.chosen.setting
    session.expunge_all()
    kept = await session.get(Collection, stale.id)
    assert (kept.name, kept.meta) == (name, {"owner": "ada"})
    assert tuning_of(kept.index).chosen.setting == tuning.chosen.setting
    await session.delete(kept)
    await session.flush()
    with pytest.raises(CollectionNotFound, match="was dropped after it was looked up"):
        await AsyncIndexAdvisor(session, stale).tune(0.5, queries=3)


async def test_tune_takes_numpys_numbers_and_refuses_what_is_none(fill, session):
    documents = await fill(HNSW())
    advisor = AsyncIndexAdvisor(session, documents.collection)
    tuning = await advisor.tune(np.float64(0.5), np.int64(3), queries=np.int64(4))
    kept = tuning_of(documents.collection.index)
    assert (kept.target, kept.k, kept.queries) == (tuning.target, tuning.k, tuning.queries) == (0.5, 3, 4)
    assert len(await documents.nearest(np.ones(DIMENSION), 3, recall=np.float32(0.1))) == 3
    for wrong in (0, "3", 2.5, None):
        with pytest.raises(InvalidSetting, match="k must be a whole number of at least 1"):
            await advisor.tune(0.9, wrong)
        with pytest.raises(InvalidSetting, match="k must be a whole number of at least 1"):
            await advisor.recall(wrong)
    for wrong in (None, "0.9", True, 0, 1.1):
        with pytest.raises(InvalidSetting, match="recall must be above 0 and at most 1"):
            await advisor.tune(wrong)
    with pytest.raises(InvalidVector, match=r"Expected vectors as an array of shape \(q, n\) or as a list, got None"):
        await advisor.recall(queries=None)


async def test_tune_of_an_ivfflat_index_varies_probes(fill, session):
    documents = await fill(IVFFlat(lists=20))
    tuning = await AsyncIndexAdvisor(session, documents.collection).tune(0.95, queries=20)
    assert (tuning.name, tuning.points[0].setting) == ("probes", 1)
    assert 1 < tuning.chosen.setting <= 20


async def test_tune_refuses_what_has_no_index(fill, session):
    documents = await fill(None)
    with pytest.raises(ConfigurationError, match=r"do not use a vector index.*Set its `index` to to_dict"):
        await AsyncIndexAdvisor(session, documents.collection).tune()
    # What it advises leads to an index.
    documents.collection.index = to_dict(HNSW())
    with pytest.raises(ConfigurationError, match=r"every row was compared\. IndexBuilder\.create\(\) makes it"):
        await AsyncIndexAdvisor(session, documents.collection).tune()


async def reader_of(session):
    """Make a role that may read what there is, and return its name."""
    name = f"reader_{uuid4().hex[:8]}"
    await session.execute(text(f"CREATE ROLE {name}"))
    await session.execute(text(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}"))
    return name


@pytest.mark.parametrize("over", ["collection", "model"])
async def test_tune_refuses_to_measure_what_it_may_not_keep(fill, session, vectors, over):
    if over == "model":
        subject = await filled_places(session, vectors)
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        allow = f'ALTER TABLE "{subject.__tablename__}" OWNER TO'
    else:
        subject = (await fill(HNSW())).collection
        allow = "GRANT UPDATE ON collections TO"
    advisor = AsyncIndexAdvisor(session, subject)
    role, seen = await reader_of(session), []

    async def tune(limit):
        async with session.begin_nested():
            await session.execute(text(limit))
            await advisor.tune(0.5, queries=3, progress=seen.append)

    with pytest.raises(PermissionDenied, match="is read-only"):
        await tune("SET LOCAL transaction_read_only = on")
    with pytest.raises(PermissionDenied, match=r"only its owner can set|permission denied for table collections"):
        await tune(f"SET LOCAL ROLE {role}")
    assert seen == []
    # The right to keep it, and no other.
    await session.execute(text(f"{allow} {role}"))
    await tune(f"SET LOCAL ROLE {role}")
    assert seen != []


async def test_recall_of_given_queries(fill, session, vectors):
    documents = await fill(HNSW())
    advisor = AsyncIndexAdvisor(session, documents.collection)
    assert await advisor.recall(queries=queries_of(vectors, 10)) >= 0.9
    assert await advisor.recall(queries=5, where={"rare": True}) == 1.0
    with pytest.raises(ConfigurationError, match="no vector"):
        await advisor.recall(queries=[])
    await documents.delete(where={"rare": {"$in": [True, False]}})
    with pytest.raises(ConfigurationError, match="no row"):
        await advisor.recall()


async def test_explain_tells_index_rows_and_settings(fill, session, vectors):
    documents = await fill(HNSW())
    advisor = AsyncIndexAdvisor(session, documents.collection)
    plan = await advisor.explain(vectors[0], 5, settings=SearchSettings(ef_search=55))
    assert (plan.index, plan.scan) == (f"ix_{documents.collection.partition}_embedding", "Index Scan")
    assert (plan.rows_returned, plan.rows_scanned, plan.rows_filtered) == (5, 5, 0)
    assert plan.settings["hnsw.ef_search"] == "55"
    assert plan.milliseconds > 0
    assert plan.buffers > 0
    assert plan.advice == ()


async def test_explain_advises(fill, session, vectors):
    documents = await fill(HNSW())
    collection = documents.collection
    advisor = AsyncIndexAdvisor(session, collection)
    (advice,) = (await advisor.explain(vectors[0], 60)).advice
    assert advice.startswith("k is above ef_search (60 > 40)")
    (advice,) = (await advisor.explain(vectors[0], exact=True)).advice
    assert advice.startswith("The search is exact, as requested")
    collection.distance = Distance.L2.value
    (advice,) = (await AsyncIndexAdvisor(session, collection).explain(vectors[0])).advice
    assert advice.startswith(f"The index ix_{collection.partition}_embedding is on cosine but the query is l2")
    collection.distance = Distance.COSINE.value
    await session.execute(text("SET LOCAL enable_seqscan = on"))
    await session.execute(text("SET LOCAL random_page_cost = 400"))
    plan = await advisor.explain(vectors[0])
    assert (plan.index, plan.scan, plan.rows_scanned) == (None, "Seq Scan", ROWS)
    assert plan.advice[0].startswith(f"Sequential scan although ix_{collection.partition}_embedding fits")
    assert plan.advice[0].endswith("set random_page_cost to 1.1 (it is 400).")
    await session.execute(text(f"DROP INDEX ix_{collection.partition}_embedding"))
    (advice,) = (await advisor.explain(vectors[0])).advice
    assert advice.startswith(f"No index: the collection '{collection.name}' has no vector index")
