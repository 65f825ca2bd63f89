"""Searches from querysets: over the documents of a collection, and over a model of the project's own."""

from __future__ import annotations

import numpy as np
import pytest

from rowspace.errors import (
    CollectionNotFound,
    ConfigurationError,
    DimensionMismatch,
    EmbedderMismatch,
    InvalidFilter,
    InvalidVector,
)
from rowspace.testing import HashingEmbedder

pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture
def articles(db):
    """Forty articles on a line, so that the nearest to (0, 0, 0) are the first by number."""
    from shelf.models import Article, Author

    ann, bob = (Author.objects.create(name=name) for name in ("Ann: 100 %s", "Bob"))
    Article.objects.bulk_create(
        Article(
            title=f"a{number}",
            body="apple pie" if number % 2 else "vector database",
            year=2000 + number,
            author=ann if number % 4 == 0 else bob,
            tags={"parity": number % 2, "name": f"n{number}"},
            vector=[number, 0, 0],
        )
        for number in range(40)
    )
    Article.objects.create(title="without a vector")
    return Article.objects


@pytest.fixture
def collection(db):
    from rowspace.integrations.django import document_service
    from rowspace.integrations.django.models import Collection

    service = document_service()
    service.create_collection("notes")
    texts = [f"note {number} about {'apples' if number % 2 else 'databases'}" for number in range(30)]
    service.add("notes", [{"id": f"d{n}", "content": t, "metadata": {"n": n}} for n, t in enumerate(texts)])
    return Collection.objects.get(name="notes")


def titles(hits):
    return [hit.entity.title for hit in hits]


def test_a_search_leaves_djangos_own_statements_as_they_are(articles):
    from django.db import connection

    before = connection.features.uses_server_side_binding
    assert titles(articles.filter(year__gt=2003).nearest([0, 0, 0], k=1)) == ["a4"]
    assert connection.features.uses_server_side_binding is before is False


def test_a_text_is_embedded_for_a_model_too(articles, settings_of):
    vector = HashingEmbedder(3).embed_query("a word")
    # Given as a function, which is called.
    with settings_of(ROWSPACE={"EMBEDDER": "shelf.embedders.small"}):
        assert articles.nearest("a word", k=3) == articles.nearest(vector, k=3)
        assert articles.hybrid("apple", k=3, text_field="body")
    with settings_of(ROWSPACE={}), pytest.raises(ConfigurationError, match="A text needs an embedder"):
        articles.nearest("a word")


def test_a_collection_that_was_deleted_is_said_to_be_gone(collection):
    from rowspace.integrations.django.models import Document

    documents = Document.objects.filter(collection_id=collection.pk)
    collection.delete()
    with pytest.raises(CollectionNotFound, match="no longer exists"):
        documents.nearest([1.0] * 64)


def test_nearest_orders_by_the_distance_of_the_index(articles):
    hits = articles.nearest([0, 0, 0], k=3)
    assert titles(hits) == ["a0", "a1", "a2"]
    # Cosine, the default without an index, has no distance to a zero vector.
    assert [hit.distance for hit in hits] == [0, 1, 2]
    assert hits[1].similarity == pytest.approx(0.5)


def test_another_distance_may_be_asked_for(articles):
    (hit,) = articles.filter(title="a3").nearest([1, 1, 0], k=1, distance="l1")
    assert hit.distance == 3


def test_k_rows_whenever_k_match(articles):
    assert titles(articles.filter(year__gte=2037).nearest([0, 0, 0], k=10)) == ["a37", "a38", "a39"]
    assert len(articles.nearest([0, 0, 0], k=1_000)) == 40


def test_a_rare_filter_over_the_index_finds_all_that_match(articles):
    from django.db import connection
    from shelf.models import Article

    from rowspace.integrations.django import session

    vectors = np.random.default_rng(1).normal(size=(2_000, 3))
    Article.objects.bulk_create(
        Article(title=f"r{n}", year=1900 if n % 50 == 0 else 1950, vector=v.tolist()) for n, v in enumerate(vectors)
    )
    ran = []

    def spy(execute, sql, params, many, context):
        ran.append((sql, params))
        return execute(sql, params, many, context)

    with connection.cursor() as cursor:
        cursor.execute('ANALYZE "Shelf: articles"')
        cursor.execute("SET LOCAL enable_seqscan = off")
    with connection.execute_wrapper(spy):
        hits = Article.objects.filter(year=1900).nearest([0, 0, 0], k=30)
    exact = np.sort(np.linalg.norm(vectors[::50], axis=1))[:30]
    np.testing.assert_allclose([hit.distance for hit in hits], exact, rtol=1e-6)
    sql, params = next((sql, params) for sql, params in ran if "<->" in sql)
    with session() as made:
        plan = made.connection().exec_driver_sql(f"EXPLAIN {sql}", params).scalars().all()
    assert any("Index Scan using shelf_article_l2" in line for line in plan)


def test_conditions_by_joins_annotations_and_subqueries(articles):
    from django.db.models import Count, Exists, F, OuterRef
    from shelf.models import Author

    assert titles(articles.filter(author__name="Ann: 100 %s").nearest([0, 0, 0], k=3)) == ["a0", "a4", "a8"]
    assert titles(articles.exclude(author__name="Bob").nearest([0, 0, 0], k=2)) == ["a0", "a4"]
    mine = Author.objects.filter(pk=OuterRef("author_id"), name__startswith="Ann: 100 %")
    assert titles(articles.filter(Exists(mine)).nearest([0, 0, 0], k=2)) == ["a0", "a4"]
    assert titles(articles.annotate(next=F("year") + 1).filter(next=2006).nearest([0, 0, 0])) == ["a5"]
    counted = articles.annotate(c=Count("author")).filter(c=1, year__lt=2002)
    assert titles(counted.nearest([0, 0, 0])) == ["a0", "a1"]


def test_slices_and_unions(articles):
    assert titles(articles.order_by("-year")[:3].nearest([0, 0, 0], k=10)) == ["a37", "a38", "a39"]
    both = articles.filter(year=2003).union(articles.filter(year=2005))
    assert titles(both.nearest([0, 0, 0], k=10)) == ["a3", "a5"]
    assert titles(articles.filter(author__name="Bob").distinct().nearest([0, 0, 0], k=1)) == ["a1"]


def test_what_a_manager_finds_is_not_what_the_default_manager_hides(articles):
    from shelf.models import RecentArticle

    assert titles(RecentArticle.objects.nearest([0, 0, 0], k=1)) == ["a30"]
    every = RecentArticle.everything
    assert titles(every.order_by("year", "title")[:2].nearest([0, 0, 0])) == ["a0"]
    assert titles(every.filter(year=2003).union(every.filter(year=2005)).nearest([0, 0, 0])) == ["a3", "a5"]


def test_distinct_on_chooses_by_the_order(articles):
    newest = articles.filter(author__isnull=False).order_by("author", "-year").distinct("author")
    assert titles(newest.nearest([0, 0, 0])) == ["a36", "a39"]


def test_a_slice_and_a_window_keep_what_the_queryset_loads(articles, django_assert_num_queries):
    from django.db.models import Value, Window
    from django.db.models.functions import RowNumber

    numbered = articles.annotate(n=Window(RowNumber(), order_by="-year"), mark=Value("x")).select_related("author")
    for queryset in (
        numbered.filter(author__isnull=False),
        numbered.filter(author__isnull=False).order_by("year")[:3],
        numbered.filter(n__gte=38, author__isnull=False),
    ):
        (hit,) = queryset.nearest([0, 0, 0], k=1)
        with django_assert_num_queries(0):
            assert (hit.entity.title, hit.entity.n, hit.entity.mark) == ("a0", 40, "x")
            assert hit.entity.author.name == "Ann: 100 %s"
    assert numbered.filter(n=1, year=1).nearest([0, 0, 0]) == []


def test_a_window_over_documents(collection):
    from django.db.models import Window
    from django.db.models.functions import RowNumber

    numbered = collection.documents.annotate(place=Window(RowNumber(), order_by="metadata__n"))
    found = numbered.filter(place__lte=3).nearest("apples", k=9)
    assert sorted((hit.entity.id, hit.entity.place) for hit in found) == [("d0", 1), ("d1", 2), ("d2", 3)]


def test_windows(articles):
    from django.db.models import Window
    from django.db.models.functions import RowNumber

    numbered = articles.annotate(n=Window(RowNumber(), order_by="-year"))
    assert titles(numbered.filter(n__gte=35, n__lte=37).nearest([0, 0, 0], k=10)) == ["a3", "a4", "a5"]


def test_either_or_stays_together(articles):
    from django.db.models import Q

    found = articles.filter(Q(year=2001) | Q(year=2002)).nearest([0, 0, 0], k=9)
    assert titles(found) == ["a1", "a2"]


def test_nothing_matches(articles):
    assert articles.none().nearest([0, 0, 0]) == []
    assert articles.filter(pk__in=[]).nearest([0, 0, 0]) == []


@pytest.mark.parametrize("value", ["O'Brien", ":name", "%s", "%", "\\", "a::b", "数", '"', "x' OR '1'='1"])
def test_values_are_parameters(articles, value):
    from shelf.models import Article

    Article.objects.create(title=value, vector=[9, 9, 9])
    (hit,) = articles.filter(title=value, title__contains=value).nearest([0, 0, 0], k=10)
    assert hit.entity.title == value


def test_what_the_queryset_loads_is_loaded(articles, django_assert_num_queries):
    from django.db.models import Value

    chosen = articles.select_related("author").defer("vector").annotate(mark=Value("x"))
    (hit,) = chosen.nearest([0, 0, 0], k=1)
    with django_assert_num_queries(0):
        assert (hit.entity.author.name, hit.entity.mark) == ("Ann: 100 %s", "x")
    assert hit.entity.get_deferred_fields() == {"vector"}


def test_vectors_are_loaded_when_they_are_asked_for(articles, collection):
    def deferred(queryset, **options):
        query = [0, 0, 0] if queryset.model is articles.model else [1] * 64
        (hit,) = queryset.nearest(query, k=1, **options)
        return hit.entity.get_deferred_fields()

    assert deferred(articles.all()) == {"vector"}
    assert deferred(articles.all(), with_embedding=True) == set()
    assert deferred(articles.defer("body")) == {"body"}
    assert deferred(articles.defer("body", "vector"), with_embedding=True) == {"body"}
    assert "vector" in deferred(articles.only("title"))
    assert "vector" not in deferred(articles.only("title"), with_embedding=True)
    assert deferred(collection.documents.all()) == {"embedding"}
    assert deferred(collection.documents.all(), with_embedding=True) == set()


def test_options_of_every_search(articles):
    assert titles(articles.nearest([0, 0, 0], k=9, max_distance=1.5)) == ["a0", "a1"]
    assert titles(articles.nearest([0, 0, 0], k=1, min_distance=1.5)) == ["a2"]
    with pytest.raises(TypeError, match="no option 'max_distanc'"):
        articles.nearest([0, 0, 0], max_distanc=1)
    with pytest.raises(DimensionMismatch):
        articles.nearest([0, 0])


def test_values_querysets_are_refused(articles):
    with pytest.raises(ConfigurationError, match=r"Do not combine it with values\(\)"):
        articles.values("title").nearest([0, 0, 0])


def test_a_model_without_a_vector_is_refused(articles):
    from shelf.models import Author

    from rowspace.integrations.django.querysets import VectorQuerySet

    with pytest.raises(ConfigurationError, match="Author has no vector column"):
        VectorQuerySet(Author).nearest([0, 0, 0])


def test_metadata_filters_on_a_field_of_ones_own(articles):
    odd = articles.filter_metadata({"parity": 1, "name": {"$in": ["n3", "n4", "n5"]}}, field="tags")
    assert odd.count() == 2
    assert titles(odd.nearest([0, 0, 0])) == ["a3", "a5"]
    assert articles.filter_metadata({}, field="tags").count() == 41
    assert articles.filter_metadata(None, field="tags").filter(year=2001).count() == 1
    with pytest.raises(InvalidFilter):
        articles.filter_metadata({"a": {"$nope": 1}}, field="tags")


def test_a_metadata_filter_may_be_negated_and_go_over_a_relation(articles):
    from shelf.models import Author

    from rowspace.integrations.django.querysets import MetadataFilter

    assert articles.exclude(MetadataFilter("tags", {"parity": 1})).count() == 21
    found = Author.objects.filter(MetadataFilter("article__tags", {"name": {"$like": "n4"}}))
    assert [author.name for author in found] == ["Ann: 100 %s"]


def test_a_metadata_filter_is_served_by_the_index_of_documents(collection):
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = collection.documents.filter_metadata({"n": 3}).explain()
    assert "Bitmap Index Scan" in plan
    assert "jsonb" in plan


def test_hybrid_over_a_model(articles):
    hits = articles.filter(year__gte=2010).hybrid("apple", [0, 0, 0], k=3, text_field="body", highlight=True)
    assert titles(hits)[0] == "a11"
    assert "<mark>apple</mark>" in hits[0].highlight
    assert hits[0].score > hits[1].score
    assert hits[0].text_rank > 0


def test_documents_of_a_collection(collection):
    hits = collection.documents.filter_metadata({"n": {"$gte": 10}}).nearest("note about databases", k=5)
    assert len(hits) == 5
    assert all("databases" in hit.entity.content and hit.entity.metadata["n"] >= 10 for hit in hits)
    assert [hit.distance for hit in hits] == sorted(hit.distance for hit in hits)
    assert hits[0].entity.pk == (collection.pk, hits[0].entity.id)
    assert "embedding" in hits[0].entity.get_deferred_fields()


def test_documents_by_the_name_of_the_collection(collection):
    from rowspace.integrations.django.models import Collection, Document

    vector = HashingEmbedder().embed_query("note 7 about apples")
    (hit,) = Document.objects.in_collection("notes").filter(id__in=["d7", "d8"]).nearest(vector, k=1)
    assert hit.entity.id == "d7"
    assert hit.distance == pytest.approx(0, abs=1e-6)
    with pytest.raises(CollectionNotFound, match="'nets'"):
        Document.objects.in_collection("nets")
    with pytest.raises(ConfigurationError, match="covers one collection"):
        Document.objects.nearest(vector)
    with pytest.raises(ConfigurationError, match="covers one collection"):
        Document.objects.exclude(collection=collection).nearest(vector)
    with pytest.raises(ConfigurationError, match="covers one collection"):
        Document.objects.filter(collection=Collection.objects.values("pk")[:1]).nearest(vector)


def test_hybrid_over_documents(collection):
    hits = collection.documents.filter(id__in=["d3", "d4", "d5"]).hybrid("apples", k=5, highlight=True)
    assert {hit.entity.id for hit in hits[:2]} == {"d3", "d5"}
    assert len(hits) == 3
    assert "<mark>apples</mark>" in hits[0].highlight


def test_documents_of_another_embedder_are_refused(collection, settings_of):
    with settings_of(ROWSPACE={"EMBEDDER": "shelf.embedders.other"}), pytest.raises(EmbedderMismatch):
        collection.documents.nearest("text")
    with settings_of(ROWSPACE={}), pytest.raises(ConfigurationError, match="needs an embedder"):
        collection.documents.nearest("text")


def test_documents_are_written_by_django_too(collection):
    from rowspace.integrations.django.models import Document

    Document.objects.create(collection=collection, id="new", content="by Django", embedding=[1.0] + [0.0] * 63)
    (hit,) = collection.documents.nearest([1.0] + [0.0] * 63, k=1)
    assert hit.entity.content == "by Django"
    assert list(hit.entity.embedding[:2]) == [1.0, 0.0]
    Document.objects.get(pk=(collection.pk, "new")).delete()
    assert not collection.documents.filter(id="new").exists()


async def search(collection):
    return await collection.documents.filter_metadata({"n": {"$lt": 3}}).anearest("databases", k=2)


async def search_by_both(collection):
    return await collection.documents.ahybrid("apples", k=1)


def test_async_search_outside_of_a_transaction(collection):
    # In Django's thread for synchronous code, which is this one: it sees what this transaction wrote.
    from asgiref.sync import async_to_sync

    hits = async_to_sync(search)(collection)
    assert {hit.entity.metadata["n"] for hit in hits} == {0, 2}
    assert async_to_sync(search_by_both)(collection)[0].text_rank > 0


def test_bits_are_written_as_text(db):
    from django.db import connection, models
    from django.test.utils import isolate_apps
    from pgvector.django import BitField

    from rowspace.integrations.django.querysets import VectorQuerySet

    with isolate_apps("shelf"):

        class Picture(models.Model):
            bits = BitField(length=4)
            objects = VectorQuerySet.as_manager()

            class Meta:
                app_label = "shelf"

    with connection.schema_editor(atomic=False) as editor:
        editor.create_model(Picture)
    for bits in ("1111", "1010", "0000"):
        Picture.objects.create(bits=bits)
    hits = Picture.objects.nearest("1011", distance="hamming", with_embedding=True)
    assert [(str(hit.entity.bits), hit.distance) for hit in hits] == [("1111", 1), ("1010", 1), ("0000", 3)]
    with pytest.raises(InvalidVector, match="0 and 1"):
        Picture.objects.nearest("a picture", distance="hamming")
