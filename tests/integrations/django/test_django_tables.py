"""How a Django model becomes a table of SQLAlchemy's."""

from __future__ import annotations

import pytest

from rowspace.types import Bit, HalfVector, SparseVector, Vector

pytestmark = pytest.mark.usefixtures("django_project")


@pytest.fixture
def isolated(django_project):
    """Models that are known to nobody but the test."""
    from django.test.utils import isolate_apps

    with isolate_apps("shelf"):
        yield


def test_kinds_of_vectors_and_keys(isolated):
    from django.db import models
    from pgvector.django import BitField, HalfVectorField, SparseVectorField, VectorField
    from sqlalchemy import inspect, types
    from sqlalchemy.dialects.postgresql import JSONB

    from rowspace.integrations.django.tables import mapped

    class Many(models.Model):
        id = models.UUIDField(primary_key=True)
        full = VectorField(dimensions=3)
        half = HalfVectorField(dimensions=4)
        sparse = SparseVectorField(dimensions=5)
        bits = BitField(length=6)
        data = models.JSONField()

        class Meta:
            app_label = "shelf"
            db_table = 'rag"."many'
            # Only those of vectors count.
            indexes = (models.Index(fields=["data"], name="ordinary", opclasses=["jsonb_path_ops"]),)

    entity = mapped(Many)
    assert mapped(Many) is entity
    table = inspect(entity).local_table
    assert (table.schema, table.name) == ("rag", "many")
    assert {c.name: type(c.type) for c in table.c} == {
        "id": types.Uuid,
        "full": Vector,
        "half": HalfVector,
        "sparse": SparseVector,
        "bits": Bit,
        "data": JSONB,
    }
    assert [table.c[name].type.dimension for name in ("full", "half", "sparse", "bits")] == [3, 4, 5, 6]
    assert [c.name for c in table.primary_key] == ["id"]
    assert table.indexes == set()


def test_inherited_models_and_proxies(isolated):
    from django.db import models
    from pgvector.django import VectorField
    from sqlalchemy import inspect

    from rowspace.integrations.django.tables import mapped

    class Parent(models.Model):
        class Meta:
            app_label = "shelf"

    class Child(Parent):
        vector = VectorField(dimensions=3)

        class Meta:
            app_label = "shelf"

    class Proxy(Child):
        class Meta:
            app_label = "shelf"
            proxy = True

    for model in (Child, Proxy):
        table = inspect(mapped(model)).local_table
        assert (table.name, [c.name for c in table.primary_key]) == ("shelf_child", ["parent_ptr_id"])


def test_keys_are_those_of_the_instances(isolated):
    from ipaddress import ip_address
    from types import SimpleNamespace
    from uuid import UUID

    from django.db import connection, models

    from rowspace.integrations.django.tables import key_of

    class Coded(models.Field):
        def from_db_value(self, value, _expression, _connection):
            return f"code-{value.hex}"

    class Thing(models.Model):
        id = Coded(primary_key=True)

        class Meta:
            app_label = "shelf"

    class Host(models.Model):
        address = models.GenericIPAddressField(primary_key=True)

        class Meta:
            app_label = "shelf"

    class Part(models.Model):
        pk = models.CompositePrimaryKey("thing", "number")
        thing = models.ForeignKey(Thing, models.CASCADE)
        number = models.IntegerField()

        class Meta:
            app_label = "shelf"

    def key(model, **row):
        return key_of(SimpleNamespace(**row), model, connection)

    assert key(Thing, id=UUID(int=1)) == f"code-{1:032x}"
    assert key(Host, address=ip_address("10.0.0.1")) == "10.0.0.1"
    assert key(Part, thing_id=UUID(int=1), number=2) == (f"code-{1:032x}", 2)


def test_the_text_of_django_keeps_its_meaning(django_project):
    from sqlalchemy.dialects import postgresql

    from rowspace.integrations.django.conditions import _fragment

    compiled = _fragment("a::text = %s AND b LIKE '%%:x' AND c = '\\:y' AND d = %s", ["1", 2]).compile(
        dialect=postgresql.dialect(paramstyle="pyformat")
    )
    assert str(compiled) == (
        "(a::text = %(rowspace_django_0)s AND b LIKE '%%:x' AND c = '\\:y' AND d = %(rowspace_django_1)s)"
    )
    assert compiled.params == {"rowspace_django_0": "1", "rowspace_django_1": 2}
