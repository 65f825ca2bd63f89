"""Resumable loads and re-embedding: Rowspace's Alembic revision 0002."""

from django.db import migrations, models

from rowspace.integrations.django.migrating import alembic
from rowspace.migrations import downgrade, upgrade


class Migration(migrations.Migration):
    """If Rowspace's own migrations have already run, this changes nothing in the database."""

    dependencies = (("rowspace", "0001_initial"),)

    operations = (
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(alembic(upgrade, "0002"), alembic(downgrade, "0001"))],
            state_operations=[
                migrations.AddField(
                    model_name="collection",
                    name="reembedding",
                    field=models.JSONField(blank=True, editable=False, null=True),
                )
            ],
        ),
    )
