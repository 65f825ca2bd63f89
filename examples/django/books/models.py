"""A model with a vector field, with the searches `nearest` and `hybrid`."""

from django.db import models
from pgvector.django import HnswIndex, VectorField

from rowspace.integrations.django import embedder
from rowspace.integrations.django.querysets import VectorQuerySet


class Book(models.Model):
    """A book and its summary."""

    title = models.CharField(max_length=200, unique=True)
    summary = models.TextField()
    year = models.IntegerField()
    metadata = models.JSONField(default=dict, blank=True)
    embedding = VectorField(dimensions=512, null=True, editable=False)

    objects = VectorQuerySet.as_manager()

    class Meta:
        indexes = [HnswIndex(name="books_book_embedding", fields=["embedding"], opclasses=["vector_cosine_ops"])]

    def __str__(self):
        return self.title

    def save(self, *args, **kwargs):
        """Save the book with the embedding of its summary."""
        self.embedding = embedder().embed_query(self.summary)
        super().save(*args, **kwargs)
