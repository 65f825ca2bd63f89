"""The app as a whole: models, commands, checks, admin, migrations, settings."""

from __future__ import annotations

import asyncio
import json
from io import StringIO

import pytest

from rowspace.errors import CollectionExists, ConfigurationError

pytestmark = pytest.mark.usefixtures("db")


def call(*args, **options):
    from django.core.management import call_command

    out = StringIO()
    call_command(*args, stdout=out, **options)
    return out.getvalue()


def partitions():
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relname LIKE 'documents\\_%' AND relkind = 'r'")
        return {row[0] for row in cursor.fetchall()}


@pytest.fixture
def collection(db):
    from rowspace.integrations.django.models import Collection

    return Collection.objects.create(name="made by Django", dimension=3, distance="l2", metadata={"a": 1})


def test_a_new_collection_comes_with_its_partition_and_goes_with_it(collection):
    from django.utils import timezone

    assert f"documents_{collection.pk}" in partitions()
    assert collection.index["method"] == "hnsw"
    assert collection.created_at <= timezone.now()
    pk = collection.pk
    collection.delete()
    assert f"documents_{pk}" not in partitions()


def test_deleting_by_queryset_drops_partitions_too(collection):
    from rowspace.integrations.django.models import Collection

    Collection.objects.only("name").filter(pk=collection.pk).delete()
    assert partitions() == set()


def test_deleting_by_a_proxy_drops_partitions_too(collection):
    from django.test.utils import isolate_apps

    with isolate_apps("shelf"):

        class Shelf(type(collection)):
            class Meta:
                app_label = "shelf"
                proxy = True

    Shelf.objects.get(pk=collection.pk).delete()
    assert partitions() == set()


def test_deleting_drops_what_reembedding_made_since(collection):
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE documents_{collection.pk}_next ()")
    collection.delete()
    assert partitions() == set()


def test_a_fixture_brings_collections_with_their_partitions(collection, tmp_path):
    from rowspace.integrations.django.models import Document

    file = tmp_path / "notes.json"
    Document.objects.create(collection=collection, id="a", content="x", embedding=[1, 2, 3])
    call("dumpdata", "rowspace", output=str(file))
    collection.delete()
    call("loaddata", str(file))
    (hit,) = type(collection).objects.get().documents.nearest([1, 2, 3])
    assert (hit.entity.id, hit.distance) == ("a", 0)
    file.write_text(file.read_text().replace('"dimension": 3', '"dimension": 4'), "utf-8")
    with pytest.raises(ConfigurationError, match="dimension of a collection cannot change"):
        call("loaddata", str(file))


def test_a_collection_is_changed_where_it_may_be(collection):
    from rowspace.integrations.django.models import Collection

    found = Collection.objects.get(pk=collection.pk)
    found.name = "renamed"
    found.save()
    assert str(Collection.objects.get(pk=collection.pk)) == "renamed"
    found.dimension = 4
    with pytest.raises(ConfigurationError, match="The dimension of a collection cannot change"):
        found.save()
    with pytest.raises(ConfigurationError, match="The language of a collection cannot change"):
        Collection.objects.update(language="english")
    assert Collection.objects.update(name="again") == 1


def test_a_stale_instance_does_not_write_back_what_rowspace_keeps(collection):
    from rowspace.integrations.django import document_service

    document_service().add(collection.name, [{"content": "x", "embedding": [1, 2, 3]}])
    type(collection).objects.update(embedder="known since", index={})
    collection.metadata = {"a": 2}
    collection.save()
    collection.refresh_from_db()
    assert (collection.embedder, collection.index, collection.metadata) == ("known since", {}, {"a": 2})


def test_bad_collections_are_refused(collection):
    from django.db import IntegrityError

    from rowspace.integrations.django.models import Collection

    # By Django's own error get_or_create knows that somebody else was faster.
    for error in (CollectionExists, IntegrityError):
        with pytest.raises(error):
            Collection.objects.create(name="made by Django", dimension=3)
    with pytest.raises(ConfigurationError, match="dimension"):
        Collection.objects.create(name="other", dimension=0)
    with pytest.raises(ConfigurationError, match="needs its own partition"):
        Collection.objects.bulk_create([Collection(name="bulk", dimension=3)])


def test_signals_are_sent(db):
    from django.db.models.signals import post_save, pre_save

    from rowspace.integrations.django.models import Collection

    seen = []

    def receive(instance, raw, using, update_fields, created=None, **kwargs):
        seen.append((instance.name, raw, using, update_fields, created))

    for signal in (pre_save, post_save):
        signal.connect(receive, sender=Collection)
    try:
        Collection.objects.create(name="signalled", dimension=3)
    finally:
        for signal in (pre_save, post_save):
            signal.disconnect(receive, sender=Collection)
    assert seen == [("signalled", False, "default", None, None), ("signalled", False, "default", None, True)]


def test_ingest_and_search(tmp_path):
    file = tmp_path / "notes.jsonl"
    rows = [
        {"id": f"n{n}", "content": f"note {n} on {'cats' if n % 2 else 'dogs'}", "猫": "é", "n": n} for n in range(6)
    ]
    file.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    assert call("rowspace_ingest", str(file), collection="pets").startswith("6 documents into 'pets': 6 new")
    assert "6 unchanged" in call("rowspace_ingest", str(file), collection="pets")
    assert call("rowspace_ingest", str(file), collection="pets", verbosity=0) == ""
    lines = call(
        "rowspace_search", "note on dogs", "-c", "pets", "-k", "2", "--filter", '{"n": {"$gt": 1}}'
    ).splitlines()
    assert [line.split("\t")[0] for line in lines] == ["1", "2"]
    assert {line.split("\t")[2] for line in lines} == {"n2", "n4"}
    (found,) = call("rowspace_search", "cats", "-c", "pets", "-k", "1", "--mode", "text", "--json").splitlines()
    assert json.loads(found)["id"] in {"n1", "n3", "n5"}
    assert '"猫": "é"' in found


def test_ingest_of_csv_with_vectors(tmp_path):
    file = tmp_path / "v.csv"
    file.write_text('key,text,v,year\na,one,"[1, 0]",2020\nb,two,"[0, 1]",2021\n', "utf-8")
    call(
        "rowspace_ingest",
        str(file),
        "-c",
        "v",
        "--content",
        "text",
        "--id",
        "key",
        "--embedding",
        "v",
        "--detect-types",
    )
    out = call("rowspace_search", "-c", "v", "--vector", "[0, 2]", "-k", "1", "--json")
    assert json.loads(out)["metadata"] == {"year": 2021}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("rowspace_search", "x", "-c", "none"), "There is no collection 'none'"),
        (("rowspace_search", "x"), "arguments are required: --collection"),
        (("rowspace_search", "-c", "none"), "a search needs a text or a vector"),
        (("rowspace_search", "x", "-c", "none", "--filter", "{"), "--filter requires JSON"),
        (("rowspace_ingest", "x.pdf", "-c", "none"), "is not that of a format"),
        (("rowspace_ingest", "/nowhere/x.csv", "-c", "none"), r"^/nowhere/x\.csv: No such file or directory\.$"),
        (("rowspace_search", "x", "-c", "none", "--database", "third"), "choose from .*default.*other"),
        (("rowspace_migrate", "--downgrade"), "requires a revision"),
        (("rowspace_migrate", "nonsense"), "nonsense"),
    ],
)
def test_errors_of_commands_are_sentences(args, message):
    from django.core.management import CommandError

    with pytest.raises(CommandError, match=message):
        call(*args)


def test_a_bad_line_leaves_nothing(tmp_path):
    from django.core.management import CommandError

    from rowspace.integrations.django.models import Collection

    file = tmp_path / "bad.jsonl"
    file.write_text('{"content": "good"}\nnonsense\n', "utf-8")
    with pytest.raises(CommandError, match=r"bad\.jsonl, line 2: not JSON.*Nothing was written"):
        call("rowspace_ingest", str(file), "-c", "bad")
    assert not Collection.objects.exists()


def test_migrate_forth_and_back():
    from django.core.management import CommandError

    from rowspace.migrations import head

    assert "newest revision" in call("rowspace_migrate", "--check")
    assert f"are at {head()}" in call("rowspace_migrate")
    said = f"Rowspace's tables in 'default': from {head()} to None.\n"
    assert call("rowspace_migrate", "base", "--downgrade") == said
    with pytest.raises(CommandError, match="at revision None"):
        call("rowspace_migrate", "--check")
    assert f"from None to {head()}" in call("rowspace_migrate")


def test_migrate_prints_sql():
    assert "CREATE TABLE documents" in call("rowspace_migrate", "--sql")


@pytest.mark.parametrize("backwards", [False, True])
def test_sqlmigrate_changes_nothing(backwards):
    from django.core.management import CommandError
    from django.db import connection

    name = "0001_initial" if backwards else "0003_indexed_keys"
    call("migrate", "rowspace", "0002", verbosity=0)
    assert "rowspace_migrate --sql" in call("sqlmigrate", "rowspace", name, backwards=backwards)
    assert "documents" in connection.introspection.table_names()
    with pytest.raises(CommandError, match="at revision 0002"):
        call("rowspace_migrate", "--check")


def test_djangos_migration_is_reversible():
    from django.db import connection

    call("migrate", "shelf", "zero", verbosity=0)
    call("migrate", "rowspace", "zero", verbosity=0)
    assert not {"documents", "collections"} & set(connection.introspection.table_names())
    call("migrate", verbosity=0)
    assert {"documents", "collections"} <= set(connection.introspection.table_names())


def test_djangos_migrations_bring_the_newest_revision():
    call("migrate", "shelf", "zero", verbosity=0)
    call("migrate", "rowspace", "zero", verbosity=0)
    call("migrate", "rowspace", verbosity=0)
    # Where this fails, a new Alembic revision lacks the Django migration that runs it.
    assert "newest revision" in call("rowspace_migrate", "--check")


def test_djangos_migrations_step_by_step():
    from django.db import connection

    from rowspace.integrations.django import session
    from rowspace.migrations import current

    for name, revision in (("0001", "0001"), ("0002", "0002"), ("0003", "0003"), ("0001", "0001")):
        call("migrate", "rowspace", name, verbosity=0)
        with session() as made:
            assert current(made.connection()) == revision
    assert "reembedding" not in {
        column.name for column in connection.introspection.get_table_description(connection.cursor(), "collections")
    }


def test_djangos_migrations_after_rowspaces_own():
    call("migrate", "shelf", "zero", verbosity=0)
    call("migrate", "rowspace", "zero", verbosity=0)
    call("rowspace_migrate")
    call("migrate", verbosity=0)
    assert "newest revision" in call("rowspace_migrate", "--check")


def test_models_and_migrations_agree():
    assert call("makemigrations", check=True, dry_run=True) == "No changes detected\n"


def test_columns_are_those_of_the_migrations():
    from rowspace import models as rows
    from rowspace.integrations.django import models

    for ours, django in ((rows.Collection, models.Collection), (rows.Document, models.Document)):
        assert {field.column for field in django._meta.concrete_fields} == {*ours.__table__.c.keys()}
        nullable = {field.column for field in django._meta.concrete_fields if field.null}
        assert nullable == {column.name for column in ours.__table__.c if column.nullable}


def test_the_database_checks_find_nothing():
    call("check", database=["default", "other"], fail_level="WARNING")


def test_the_database_checks_find_an_old_schema():
    from rowspace.integrations.django.checks import check_databases

    call("rowspace_migrate", "base", "--downgrade")
    (found,) = check_databases(["default"])
    assert found.id == "rowspace.W002"
    assert found.hint.startswith("Run: python manage.py migrate --database default. ")
    # Django takes its migrations for done.
    call("migrate", database="default", verbosity=0)
    assert check_databases(["default"]) == [found]
    call("rowspace_migrate", database="default")
    assert check_databases(["default"]) == []
    assert check_databases(["other"]) == []
    assert check_databases(None) == []


def test_the_database_checks_find_a_missing_extension():
    from django.db import connection

    from rowspace.integrations.django.checks import check_databases

    with connection.cursor() as cursor:
        cursor.execute("DROP EXTENSION vector CASCADE")
    hints = {found.id: found.hint for found in check_databases(["default"])}
    # No migration would: they have all run.
    assert hints["rowspace.W001"] == "CREATE EXTENSION vector;"


def test_the_database_checks_find_an_invalid_index():
    from django.db import connection

    from rowspace.integrations.django.checks import check_databases

    with connection.cursor() as cursor:
        cursor.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'shelf_article_l2'::regclass")
    (found,) = check_databases(["default"])
    assert found.id == "rowspace.W003"
    assert "shelf_article_l2" in found.msg
    assert "REINDEX" in found.hint


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"DATABAS": "x"}, "no key 'DATABAS'"),
        ({"DATABASE": "x"}, "not in DATABASES"),
        ("x", "ROWSPACE must be a dict"),
    ],
)
def test_the_setting_is_checked(settings_of, setting, message):
    from rowspace.integrations.django.checks import check_settings

    with settings_of(ROWSPACE=setting):
        (found, *_) = check_settings()
    assert message in found.msg
    assert found.id == "rowspace.E001"


def test_a_database_that_cannot_be_used_is_found(monkeypatch):
    from django.db import connections

    from rowspace.integrations.django.checks import check_settings

    monkeypatch.setattr(connections["default"], "vendor", "sqlite")
    (found,) = check_settings()
    assert (found.id, "uses sqlite" in found.msg) == ("rowspace.E002", True)


def test_models_that_go_to_another_database_are_found(settings_of):
    from rowspace.integrations.django.checks import check_settings

    assert check_settings() == []
    with settings_of(ROWSPACE={"DATABASE": "other"}):
        (found,) = check_settings()
    assert (found.id, "RowspaceRouter" in found.hint) == ("rowspace.W004", True)


@pytest.mark.parametrize("path", ["nowhere.at.all", "shelf.models.Author", "math.pi"])
def test_a_wrong_embedder_is_a_clear_error(settings_of, path):
    from rowspace.integrations.django import embedder

    with settings_of(ROWSPACE={"EMBEDDER": path}), pytest.raises(ConfigurationError, match=path.replace(".", r"\.")):
        embedder()


def test_other_databases_and_drivers_are_refused():
    from types import SimpleNamespace

    from rowspace.integrations.django.databases import check_backend

    lite = SimpleNamespace(vendor="sqlite", alias="default")
    with pytest.raises(ConfigurationError, match="uses sqlite, but Rowspace requires the engine"):
        check_backend(lite)
    old = SimpleNamespace(vendor="postgresql", alias="default", Database=SimpleNamespace(__name__="psycopg2"))
    with pytest.raises(ConfigurationError, match=r"uses psycopg2.*pip install 'psycopg\[binary\]'"):
        check_backend(old)


def test_a_url_becomes_an_entry_of_databases(monkeypatch):
    from rowspace.integrations.django import database_settings

    assert database_settings("postgresql://us%40er:p%40ss@db.example.org:6432/app?sslmode=require") == {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "app",
        "USER": "us@er",
        "PASSWORD": "p@ss",
        "HOST": "db.example.org",
        "PORT": 6432,
        "OPTIONS": {"sslmode": "require"},
    }
    # Django writes these without a check for None.
    bare = database_settings("postgresql:///?host=/run/postgresql")
    assert (bare["NAME"], bare["USER"], bare["PASSWORD"], bare["PORT"], bare["OPTIONS"]) == ("", "", "", "", {})
    assert bare["HOST"] == "/run/postgresql"
    # As os.environ.get gives it where the variable is not set: no other database is taken in its place.
    monkeypatch.setenv("ROWSPACE_DATABASE_URL", "postgresql://other/database")
    for none in ("", None):
        with pytest.raises(ConfigurationError, match="cannot be read; expected postgresql://"):
            database_settings(none)


@pytest.fixture
def describe(monkeypatch):
    """What an engine is made with for the settings of a database."""
    from django.db import connections

    from rowspace.integrations.django import databases

    def described(**given):
        base = {"NAME": "app", "USER": "", "PASSWORD": "", "HOST": "", "PORT": "", "OPTIONS": {}}
        with monkeypatch.context() as patch:
            patch.setattr(connections["default"], "settings_dict", {**base, **given})
            return databases._described("default")

    return described


def test_settings_become_an_engine(describe):
    odd = "p@ss:w/rd#?%&='"
    url, role, options = describe(
        USER="us@er",
        PASSWORD=odd,
        HOST="db.example.org",
        PORT="6432",
        OPTIONS={
            "sslmode": "verify-full",
            "sslrootcert": "/ca.pem",
            "options": "-c search_path=rag,public",
            "isolation_level": 3,
            "assume_role": "owner",
            "pool": True,
            "server_side_binding": True,
        },
    )
    assert (url.username, url.password, url.host, url.port, url.database) == (
        "us@er",
        odd,
        "db.example.org",
        6432,
        "app",
    )
    assert odd not in str(url)
    assert role == "owner"
    assert options["isolation_level"] == "REPEATABLE READ"
    assert options["connect_args"] == {
        "prepare_threshold": None,
        "client_encoding": "UTF8",
        "sslmode": "verify-full",
        "sslrootcert": "/ca.pem",
        "options": "-c search_path=rag,public",
    }


def test_a_service_file_and_no_name(describe):
    url, _, options = describe(NAME="", OPTIONS={"service": "app"})
    assert url.database is None
    assert options["connect_args"]["service"] == "app"
    assert describe(NAME=None)[0].database == "postgres"


@pytest.mark.usefixtures("ground")
def test_engines_of_rowspaces_own_read_what_is_committed():
    from django.db import connections
    from sqlalchemy import text

    from rowspace.integrations.django import async_database, database

    connections["default"].settings_dict["OPTIONS"]["assume_role"] = "pg_monitor"
    try:
        # Also on a connection that was rolled back since.
        with database(pool_size=1) as made:
            for _ in range(2):
                with made.session() as session:
                    assert session.scalar(text("SELECT current_user")) == "pg_monitor"

        async def ask():
            async with async_database() as made, made.begin() as session:
                return await session.scalar(text("SELECT current_user"))

        assert asyncio.run(ask()) == "pg_monitor"
    finally:
        del connections["default"].settings_dict["OPTIONS"]["assume_role"]


@pytest.fixture
def client(db):
    from django.contrib.auth.models import User
    from django.test import Client

    made = Client(raise_request_exception=True)
    made.force_login(User.objects.create_superuser("admin"))
    return made


def test_admin_searches(client, collection):
    from rowspace.integrations.django import document_service

    service = document_service()
    service.create_collection("notes", metadata={"x": 1})
    service.add(
        "notes", [{"id": "<b>1</b>", "content": "cats & <i>dogs</i>", "metadata": {"n": 1, "items": "<i>"}}, "apples"]
    )
    pk = next(c.pk for c in type(collection).objects.filter(name="notes"))
    assert f"/admin/rowspace/collection/{pk}/search/" in client.get("/admin/rowspace/collection/").content.decode()
    assert "Search documents" in client.get(f"/admin/rowspace/collection/{pk}/change/").content.decode()
    page = f"/admin/rowspace/collection/{pk}/search/"
    empty = client.get(page).content.decode()
    assert "Similarity" not in empty
    assert "null" not in empty
    for mode in ("vector", "text", "hybrid"):
        shown = client.get(page, {"text": "dogs", "mode": mode, "k": 1, "filter": '{"n": 1}'}).content.decode()
        assert "&lt;b&gt;1&lt;/b&gt;" in shown
        assert "{&quot;n&quot;: 1}</textarea>" in shown
        assert "items: &lt;i&gt;" in shown
        assert "<i>" not in shown
        assert ("<mark>dogs</mark>" in shown) == (mode != "vector")
    assert "No document matches" in client.get(page, {"text": "x", "mode": "text", "k": 1}).content.decode()
    bad = client.get(page, {"text": "x", "mode": "text", "k": 1, "filter": '{"n": {"$no": 1}}'}).content.decode()
    assert bad.count("unknown operator") == 1
    assert "JSON object" in client.get(page, {"text": "x", "mode": "text", "k": 1, "filter": "[1]"}).content.decode()
    assert client.get("/admin/rowspace/collection/999999/search/").status_code == 404


def test_admin_adds_changes_and_deletes(client):
    from rowspace.integrations.django.models import Collection

    form = {"name": "by admin", "dimension": 3, "distance": "cosine", "language": "simple", "metadata": "{}"}
    refused = client.post("/admin/rowspace/collection/add/", {**form, "dimension": 99_999})
    assert "16000" in refused.content.decode()
    refused = client.post("/admin/rowspace/collection/add/", {**form, "language": "klingon"})
    assert "has no text-search configuration" in refused.content.decode()
    assert client.post("/admin/rowspace/collection/add/", {**form, "metadata": ""}).status_code == 302
    made = Collection.objects.get(name="by admin")
    assert f"documents_{made.pk}" in partitions()
    for bad, why in (
        ({"name": "n" * 201}, "1 to 200 printable characters"),
        ({"metadata": "[1]"}, "a JSON object"),
        ({"metadata": '{"a": "\\u0000"}'}, "NUL"),
        ({"metadata": '{"a": NaN}'}, "no JSON form"),
    ):
        refused = client.post(f"/admin/rowspace/collection/{made.pk}/change/", {**form, **bad})
        assert (refused.status_code, refused.content.decode().count(why)) == (200, 1)
    changed = {"name": "renamed", "metadata": ""}
    assert client.post(f"/admin/rowspace/collection/{made.pk}/change/", changed).status_code == 302
    assert [*Collection.objects.values_list("name", "metadata")] == [("renamed", {})]
    chosen = {"action": "delete_selected", "_selected_action": [made.pk], "post": "yes"}
    assert client.post("/admin/rowspace/collection/", chosen).status_code == 302
    assert partitions() == set()


def test_who_may_not_look_may_not_search(db, collection):
    from django.contrib.auth.models import User
    from django.test import Client

    client = Client()
    client.force_login(User.objects.create_user("staff", is_staff=True))
    assert client.get(f"/admin/rowspace/collection/{collection.pk}/search/").status_code == 403


def test_the_router_sends_collections_to_their_database(settings_of):
    from shelf.models import Author

    from rowspace.integrations.django.models import Collection
    from rowspace.integrations.django.routers import RowspaceRouter

    router = RowspaceRouter()
    with settings_of(ROWSPACE={"DATABASE": "other"}):
        assert router.db_for_read(Collection) == router.db_for_write(Collection) == "other"
        assert router.allow_migrate("other", "rowspace") is True
        assert router.allow_migrate("default", "rowspace") is False
        assert router.db_for_read(Author) is router.db_for_write(Author) is None
        assert router.allow_migrate("default", "shelf") is None
