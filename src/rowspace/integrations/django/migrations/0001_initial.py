"""Collections and documents: Rowspace's Alembic revision 0001 in the database, unmanaged models in Django's state."""

import django.db.models.deletion
import django.db.models.functions.datetime
import pgvector.django
from django.db import migrations, models

from rowspace.integrations.django.migrating import alembic
from rowspace.migrations import downgrade, upgrade


class Migration(migrations.Migration):
    """As with any app's first migration, reversing it drops both tables and all documents."""

    initial = True

    dependencies = ()

    operations = (
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(alembic(upgrade, "0001"), alembic(downgrade, "base"))],
            state_operations=[
                migrations.CreateModel(
                    name="Collection",
                    fields=[
                        ("id", models.BigAutoField(primary_key=True, serialize=False)),
                        ("name", models.TextField(unique=True)),
                        ("dimension", models.IntegerField()),
                        (
                            "distance",
                            models.TextField(
                                choices=[(name, name) for name in ("cosine", "l2", "inner_product", "l1")],
                                default="cosine",
                            ),
                        ),
                        ("language", models.TextField(default="simple")),
                        ("index", models.JSONField(blank=True, default=dict, editable=False)),
                        ("embedder", models.TextField(blank=True, editable=False, null=True)),
                        ("metadata", models.JSONField(blank=True, default=dict)),
                        (
                            "created_at",
                            models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                        ),
                        ("updated_at", models.DateTimeField(auto_now=True)),
                    ],
                    options={"db_table": "collections", "ordering": ("name",), "managed": False},
                ),
                migrations.CreateModel(
                    name="Document",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "collection_id", "id", blank=True, editable=False, primary_key=True, serialize=False
                            ),
                        ),
                        (
                            "collection",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="documents",
                                to="rowspace.collection",
                            ),
                        ),
                        ("id", models.TextField()),
                        ("content", models.TextField()),
                        ("embedding", pgvector.django.VectorField()),
                        ("metadata", models.JSONField(blank=True, default=dict)),
                        (
                            "created_at",
                            models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                        ),
                        ("updated_at", models.DateTimeField(auto_now=True)),
                    ],
                    options={"db_table": "documents", "managed": False},
                ),
            ],
        ),
    )
