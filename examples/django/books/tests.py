"""Tests for Django's own test runner: `python examples/django/manage.py test books`."""

from io import StringIO
from unittest.mock import patch

from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import transaction
from django.test import TestCase, TransactionTestCase, override_settings

from books.models import Book
from books.views import REVIEWS, async_reviews
from rowspace import CollectionRepository, DocumentRepository
from rowspace.integrations.django import document_service, session
from rowspace.integrations.django.models import Collection, Document

hashing = override_settings(ROWSPACE={"EMBEDDER": "books.embedding.hashing"})


def load():
    for number, topic in enumerate(["bread and flour", "stars and space", "bread and butter"]):
        Book.objects.create(title=f"Book {number}", summary=f"A book on {topic}.", year=2000 + number)
    reviews = document_service()
    reviews.create_collection(REVIEWS)
    reviews.add(REVIEWS, ["I liked the bread.", "Too many stars."])


@hashing
class SearchTests(TestCase):
    @classmethod
    def setUpTestData(cls):
        load()

    def test_a_page_of_hits(self):
        page = self.client.get("/", {"q": "bread", "since": 2001})
        self.assertContains(page, "Book 2")
        self.assertContains(page, "<mark>bread</mark>")
        self.assertNotContains(page, "Book 0")

    async def test_an_async_view_on_djangos_connection(self):
        found = await self.async_client.get("/similar/", {"q": "A book on bread and flour."})
        self.assertEqual(found.json()["books"][0], {"title": "Book 0", "distance": 0.0})

    def test_a_review_is_counted_and_stored(self):
        self.assertEqual(self.client.post("/reviews/add/", {"title": "Book 1", "text": "Fine."}).json(), {"stored": 1})
        self.assertEqual(Book.objects.get(title="Book 1").metadata, {"reviews": 1})
        self.assertEqual(Document.objects.in_collection(REVIEWS).count(), 3)

    def test_the_admin_searches(self):
        self.client.force_login(User.objects.create_superuser("admin"))
        collection = Collection.objects.get(name=REVIEWS)
        page = self.client.get(
            f"/admin/rowspace/collection/{collection.pk}/search/", {"text": "bread", "mode": "text", "k": 1}
        )
        self.assertContains(page, "I liked the <mark>bread</mark>.")


@hashing
class RollbackTests(TestCase):
    """Both tests write the same names, so Rowspace's writes must have been rolled back with Django's."""

    def test_one(self):
        self.assertFalse(Collection.objects.exists())
        load()

    def test_two(self):
        self.test_one()

    def test_a_savepoint_covers_both(self):
        load()
        with self.assertRaises(ZeroDivisionError), transaction.atomic(), session() as made:
            Book.objects.all().delete()
            CollectionRepository(made).drop(REVIEWS)
            raise ZeroDivisionError
        self.assertEqual(Book.objects.count(), 3)
        self.assertEqual(Document.objects.in_collection(REVIEWS).count(), 2)


@hashing
class ProjectTests(TestCase):
    def test_the_demo_may_run_again(self):
        out = StringIO()
        call_command("demo", stdout=out)
        call_command("demo", stdout=out)
        self.assertEqual(out.getvalue().count("Books about 'baking'"), 2)
        self.assertEqual(Document.objects.in_collection(REVIEWS).count(), 3)

    def test_models_and_migrations_agree(self):
        call_command("makemigrations", check=True, dry_run=True, stdout=StringIO())

    def test_the_database_is_in_order(self):
        call_command("check", databases=["default"], fail_level="WARNING", stderr=StringIO())


@hashing
class RequestTests(TransactionTestCase):
    """The same code with real commits."""

    def setUp(self):
        load()

    def tearDown(self):
        # Django's flush skips Rowspace's tables, because they are unmanaged.
        Collection.objects.all().delete()

    def count(self):
        return Book.objects.get(title="Book 1").metadata.get("reviews", 0), Document.objects.count()

    def test_a_request_that_fails_after_both_wrote_leaves_neither(self):
        self.client.raise_request_exception = False
        with patch("books.views.JsonResponse", side_effect=ZeroDivisionError):
            answer = self.client.post("/reviews/add/", {"title": "Book 1", "text": "Fine."})
        self.assertEqual(answer.status_code, 500)
        self.assertEqual(self.count(), (0, 2))

    def test_a_request_that_fails_between_the_two_leaves_neither(self):
        self.client.raise_request_exception = False
        with patch.object(DocumentRepository, "upsert", side_effect=ZeroDivisionError):
            self.client.post("/reviews/add/", {"title": "Book 1", "text": "Fine."})
        self.assertEqual(self.count(), (0, 2))

    def test_a_request_commits_both(self):
        self.client.post("/reviews/add/", {"title": "Book 1", "text": "Fine."})
        self.assertEqual(self.count(), (1, 3))

    async def test_an_async_view_on_a_connection_of_its_own(self):
        self.addCleanup(async_reviews.cache_clear)
        found = await self.async_client.get("/reviews/", {"q": "bread"})
        self.assertEqual(found.json()["reviews"][0]["text"], "I liked the bread.")
