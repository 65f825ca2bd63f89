from django.db import models
from pgvector.django import HnswIndex, VectorField

from rowspace.integrations.django.querysets import VectorQuerySet


class Author(models.Model):
    name = models.TextField()


class Article(models.Model):
    """Indexed by L2, with a column name that is not the attribute's."""

    title = models.CharField(max_length=200)
    body = models.TextField(default="")
    year = models.IntegerField(default=2000)
    author = models.ForeignKey(Author, null=True, on_delete=models.CASCADE)
    tags = models.JSONField(default=dict)
    vector = VectorField(dimensions=3, null=True, db_column="embedding_col")

    objects = VectorQuerySet.as_manager()

    class Meta:
        db_table = "Shelf: articles"
        indexes = (HnswIndex(name="shelf_article_l2", fields=["vector"], opclasses=["vector_l2_ops"]),)


class Recent(models.Manager.from_queryset(VectorQuerySet)):
    def get_queryset(self):
        return super().get_queryset().filter(year__gte=2030)


class RecentArticle(Article):
    """Its default manager hides rows, which another one finds."""

    objects = Recent()
    everything = VectorQuerySet.as_manager()

    class Meta:
        proxy = True
