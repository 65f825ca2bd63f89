"""`manage.py demo`: migrate, load some books and reviews, search them."""

from django.core.management import BaseCommand, call_command
from django.db import transaction

from books.models import Book
from books.views import REVIEWS
from rowspace.integrations.django import document_service

BOOKS = [
    ("The Art of Sourdough", 2019, "How flour, water and patience become bread with an open crumb."),
    ("Index Cards", 2021, "A history of how libraries and databases find one page among millions."),
    ("Far Orbits", 2015, "The spacecraft that left the solar system, and the people who listen to them."),
    ("Small Gardens", 2010, "Vegetables and herbs on a balcony, from seed to kitchen."),
    ("The Quiet Compiler", 2023, "How source code becomes machine instructions, told for the curious."),
]
TEXTS = ["My first loaf rose at last.", "I finally understand B-trees.", "A moving story about distant machines."]


class Command(BaseCommand):
    """Show what the example can do."""

    help = "Migrate, load some books and reviews, and search them."

    def handle(self, *_args, **_options):
        """Run the demo."""
        call_command("migrate", verbosity=0)
        with transaction.atomic():
            for title, year, summary in BOOKS:
                Book.objects.update_or_create(title=title, defaults={"year": year, "summary": summary})
            reviews = document_service()
            reviews.create_collection(REVIEWS, exist_ok=True)
            reviews.add(REVIEWS, TEXTS)
        for query in ("baking", "how computers work"):
            self.stdout.write(f"\nBooks about {query!r}:")
            for hit in Book.objects.filter(year__gte=2012).nearest(query, k=2):
                self.stdout.write(f"  {hit.distance:.3f}  {hit.entity.title} ({hit.entity.year})")
        self.stdout.write("\nReviews about 'space travel':")
        for hit in reviews.search(REVIEWS, "space travel", k=1):
            self.stdout.write(f"  {hit.distance:.3f}  {hit.content}")
        self.stdout.write("\nFor the website, run: python examples/django/manage.py runserver")
