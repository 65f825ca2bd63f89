"""Indexes on metadata keys: Rowspace's Alembic revision 0003."""

from django.db import migrations, models

from rowspace.integrations.django.migrating import alembic
from rowspace.migrations import downgrade, upgrade


class Migration(migrations.Migration):
    """If Rowspace's own migrations have already run, this changes nothing in the database."""

    dependencies = (("rowspace", "0002_reembedding"),)

    operations = (
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(alembic(upgrade, "0003"), alembic(downgrade, "0002"))],
            state_operations=[
                migrations.AddField(
                    model_name="collection",
                    name="indexed_keys",
                    field=models.JSONField(blank=True, default=list, editable=False),
                )
            ],
        ),
    )
