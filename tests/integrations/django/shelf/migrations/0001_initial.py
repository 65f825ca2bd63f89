import django.db.models.deletion
import pgvector.django
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    # Where the extension comes from.
    dependencies = (("rowspace", "0001_initial"),)
    operations = (
        migrations.CreateModel(
            name="Author",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.TextField()),
            ],
        ),
        migrations.CreateModel(
            name="Article",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("title", models.CharField(max_length=200)),
                ("body", models.TextField(default="")),
                ("year", models.IntegerField(default=2000)),
                ("tags", models.JSONField(default=dict)),
                ("vector", pgvector.django.VectorField(db_column="embedding_col", dimensions=3, null=True)),
                (
                    "author",
                    models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, to="shelf.author"),
                ),
            ],
            options={
                "db_table": "Shelf: articles",
                "indexes": [
                    pgvector.django.HnswIndex(fields=["vector"], name="shelf_article_l2", opclasses=["vector_l2_ops"])
                ],
            },
        ),
        migrations.CreateModel(name="RecentArticle", fields=[], options={"proxy": True}, bases=("shelf.article",)),
    )
