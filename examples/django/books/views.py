"""Views: a search, two async views, and one that writes with both ORMs in a single transaction."""

from functools import cache

from django.db import transaction
from django.http import JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST
from sqlalchemy import NullPool

from books.models import Book
from rowspace import AsyncDocumentService
from rowspace.integrations.django import async_database, document_service, embedder

REVIEWS = "reviews"


def search(request):
    """Show the books nearest to a text, by meaning and keyword."""
    text = request.GET.get("q", "")
    books = Book.objects.filter(year__gte=request.GET.get("since") or 0)
    hits = books.hybrid(text, k=5, text_field="summary", language="english", highlight=True) if text else []
    return render(request, "books/search.html", {"q": text, "hits": hits})


@transaction.non_atomic_requests
async def similar(request):
    """Return the books nearest to a text as JSON, on Django's own connection and in its thread."""
    hits = await Book.objects.anearest(request.GET["q"], k=3)
    return JsonResponse({"books": [{"title": hit.entity.title, "distance": hit.distance} for hit in hits]})


@cache
def async_reviews():
    """Return the document service on its own async connections."""
    # No pool: it would belong to one event loop, and under WSGI, Django creates one per request.
    return AsyncDocumentService(async_database(poolclass=NullPool), embedder())


@transaction.non_atomic_requests
async def reviews(request):
    """Return the reviews nearest to a text as JSON, on Rowspace's own connection and without a thread."""
    hits = await async_reviews().search(REVIEWS, request.GET["q"], k=3)
    return JsonResponse({"reviews": [{"id": hit.id, "text": hit.content} for hit in hits]})


@require_POST
def add_review(request):
    """Count a review of a book and store its text. If one of them fails, neither is kept."""
    book = Book.objects.select_for_update().get(title=request.POST["title"])
    book.metadata["reviews"] = book.metadata.get("reviews", 0) + 1
    book.save(update_fields=["metadata"])
    review = {"content": request.POST["text"], "metadata": {"book": book.pk}}
    report = document_service().add(REVIEWS, [review])
    return JsonResponse({"stored": report.written})
