"""The book. It depends on Rowspace's own migration, which creates the extension."""

import pgvector.django
from django.db import migrations, models


class Migration(migrations.Migration):
    """The table and its vector index."""

    initial = True

    dependencies = [("rowspace", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Book",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("title", models.CharField(max_length=200, unique=True)),
                ("summary", models.TextField()),
                ("year", models.IntegerField()),
                ("metadata", models.JSONField(blank=True, default=dict)),
                ("embedding", pgvector.django.VectorField(dimensions=512, editable=False, null=True)),
            ],
            options={
                "indexes": [
                    pgvector.django.HnswIndex(
                        fields=["embedding"], name="books_book_embedding", opclasses=["vector_cosine_ops"]
                    )
                ],
            },
        ),
    ]
