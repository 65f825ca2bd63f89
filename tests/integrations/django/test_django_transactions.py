"""One transaction for both: what Django's ORM and Rowspace's session wrote is there together or not at all."""

from __future__ import annotations

import asyncio
from io import StringIO

import pytest
from sqlalchemy import bindparam, delete, insert, text, update
from sqlalchemy.exc import ProgrammingError

from rowspace.errors import ConfigurationError, InvalidVector, StoreUnavailable

pytestmark = pytest.mark.usefixtures("ground")


@pytest.fixture
def names():
    """The names of the authors and the collections that another connection sees."""

    def read():
        from django.db import connections

        with connections["other"].cursor() as cursor:
            cursor.execute("SELECT name FROM shelf_author UNION ALL SELECT name FROM collections")
            return {row[0] for row in cursor.fetchall()}

    return read


def write_both(name, *, fail=False):
    from shelf.models import Author

    from rowspace import CollectionRepository
    from rowspace.integrations.django import session

    Author.objects.create(name=f"author {name}")
    with session() as made:
        CollectionRepository(made).create(f"collection {name}", 3)
    if fail:
        raise ZeroDivisionError


def clean(*names):
    from shelf.models import Author

    from rowspace.integrations.django.models import Collection

    Author.objects.filter(name__in=names).delete()
    Collection.objects.filter(name__in=names).delete()


def test_an_atomic_block_commits_both(names):
    from django.db import transaction

    with transaction.atomic():
        write_both("kept")
        assert not names() & {"author kept", "collection kept"}
    assert names() >= {"author kept", "collection kept"}
    clean("author kept", "collection kept")
    assert not names() & {"author kept", "collection kept"}


def test_an_exception_after_both_wrote_leaves_neither(names):
    from django.db import transaction

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        write_both("gone", fail=True)
    assert not names() & {"author gone", "collection gone"}


def test_an_exception_in_the_session_undoes_the_block_and_nothing_else(db):
    from django.db import transaction
    from shelf.models import Author

    from rowspace import CollectionRepository
    from rowspace.integrations.django import session
    from rowspace.integrations.django.models import Collection

    Author.objects.create(name="before")

    def fail(made):
        CollectionRepository(made).create("inside", 3)
        Author.objects.create(name="inside")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), session() as made:
        fail(made)
    assert [author.name for author in Author.objects.all()] == ["before"]
    assert not Collection.objects.filter(name="inside").exists()
    assert not transaction.get_connection().needs_rollback


def test_a_savepoint_of_django_covers_the_session(db):
    from django.db import transaction

    from rowspace.integrations.django.models import Collection

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        write_both("savepoint", fail=True)
    write_both("after")
    assert [c.name for c in Collection.objects.all()] == ["collection after"]


def test_a_savepoint_of_the_session_keeps_what_was_before(db):
    from rowspace import CollectionRepository
    from rowspace.errors import CollectionExists
    from rowspace.integrations.django import session
    from rowspace.integrations.django.models import Collection

    with session() as made:
        CollectionRepository(made).create("one", 3)
        with pytest.raises(CollectionExists):
            CollectionRepository(made).create("one", 3)
        assert Collection.objects.get(name="one").dimension == 3


def test_each_sees_what_the_other_wrote(db):
    from shelf.models import Author

    from rowspace import CollectionRepository
    from rowspace.integrations.django import session
    from rowspace.integrations.django.models import Collection

    Author.objects.create(name="first")
    with session() as made:
        assert made.scalar(text("SELECT name FROM shelf_author")) == "first"
        CollectionRepository(made).create("second", 3)
        assert Collection.objects.get().name == "second"


def test_commit_ends_at_the_session(names):
    from django.db import connection, transaction

    from rowspace import CollectionRepository
    from rowspace.integrations.django import session

    with transaction.atomic():
        with session() as made:
            CollectionRepository(made).create("not yet", 3)
            made.commit()
            assert made.scalar(text("SELECT count(*) FROM collections WHERE name = 'not yet'")) == 1
        assert "not yet" not in names()
        assert connection.in_atomic_block
        transaction.set_rollback(True)
    assert "not yet" not in names()
    assert connection.is_usable()


def test_rollback_takes_the_block_back_at_its_end(db):
    from django.db.transaction import TransactionManagementError
    from shelf.models import Author

    from rowspace.integrations.django import session

    with session() as made:
        Author.objects.create(name="inside")
        made.rollback()
        with pytest.raises(TransactionManagementError):
            Author.objects.count()
        with pytest.raises(TransactionManagementError):
            made.scalar(text("SELECT 1"))
    assert Author.objects.count() == 0


def test_a_rollback_inside_of_another_block_still_takes_back_the_session(db):
    from django.db import transaction
    from shelf.models import Author

    from rowspace.integrations.django import session

    with session() as made:
        Author.objects.create(name="outer")
        with transaction.atomic():
            made.scalar(text("SELECT 1"))
            made.rollback()
    assert Author.objects.count() == 0


def test_what_was_added_is_flushed_at_the_end(db):
    from rowspace import Collection
    from rowspace.integrations.django import session
    from rowspace.integrations.django.models import Collection as DjangoCollection

    with session() as made:
        made.add(Collection(name="pending", dimension=3))
    assert DjangoCollection.objects.get().name == "pending"


def test_no_transaction_is_a_clear_error():
    from rowspace.integrations.django import session

    with (
        pytest.raises(ConfigurationError, match=r"none is open\. Open one: with transaction\.atomic"),
        session(),
    ):
        pass


def test_nothing_leaves_the_database_that_is_named(tmp_path):
    from django.core.management import call_command
    from django.db import transaction

    from rowspace.integrations.django import document_service
    from rowspace.integrations.django.models import Collection, Document

    def call(command, *arguments):
        out = StringIO()
        call_command(command, *arguments, "--database", "other", stdout=out, stderr=StringIO())
        return out.getvalue()

    file = tmp_path / "texts.jsonl"
    file.write_text('{"id": "b", "content": "another text"}\n')
    # What is not committed in the one is not there in the other, which has no transaction either.
    with transaction.atomic(using="other"):
        made = Collection(name="elsewhere", dimension=64)
        made.save(using="other")
        assert made._state.db == "other"
        document_service("other").add("elsewhere", [{"id": "a", "content": "a text"}])
        call("rowspace_ingest", str(file), "-c", "elsewhere")
        assert call("rowspace_search", "another text", "-c", "elsewhere", "-k", "1").endswith("b\tanother text\n")
        call("rowspace_migrate")
        documents = Document.objects.using("other").in_collection("elsewhere")
        for hits in (documents.nearest("a text", 2), documents.hybrid("a text", k=2), documents[:2].nearest("a text")):
            assert [hit.entity.id for hit in hits] == ["a", "b"]
            assert {hit.entity._state.db for hit in hits} == {"other"}
        made.name = "renamed"
        made.save()
        made.delete()
        transaction.set_rollback(True, using="other")
    assert not Collection.objects.filter(name__in=["elsewhere", "renamed"])


def test_async_code_is_refused_with_djangos_error():
    from django.core.exceptions import SynchronousOnlyOperation

    from rowspace.integrations.django import session

    async def use():
        with session():
            pass

    with pytest.raises(SynchronousOnlyOperation):
        asyncio.run(use())


def test_a_failed_statement_that_is_swallowed_is_not_committed_in_silence(db):
    from django.db.utils import InternalError
    from sqlalchemy.exc import ProgrammingError

    from rowspace.integrations.django import session

    with pytest.raises(InternalError, match="aborted"), session() as made, pytest.raises(ProgrammingError):
        made.execute(text("SELECT nonsense"))


def test_another_thread_may_not_use_the_connection(db):
    from concurrent.futures import ThreadPoolExecutor

    from django.db import DatabaseError

    from rowspace.integrations.django import session

    with session() as made, ThreadPoolExecutor(1) as threads:
        asked = threads.submit(made.execute, text("SELECT 1"))
        with pytest.raises(DatabaseError, match="can only be used in that same thread"):
            asked.result()


def test_an_error_has_django_look_at_its_connection(db):
    from django.db import connection

    from rowspace.integrations.django import session

    with pytest.raises(ProgrammingError), session() as made:
        made.execute(text("SELECT nonsense"))
    assert connection.errors_occurred
    connection.errors_occurred = False


def test_vectors_go_in_binary(db):
    from rowspace import CollectionRepository, DocumentRepository
    from rowspace.integrations.django import session
    from rowspace.wire.psycopg import WireValue

    with session() as made:
        collection = CollectionRepository(made).create("binary", 3)
        DocumentRepository(made, collection).upsert([{"id": "a", "content": "a", "embedding": [1, 2, 3]}])
        sent = []

        def spy(execute, sql, params, many, context):
            sent.append(params)
            return execute(sql, params, many, context)

        with made.bind.connection.dbapi_connection.wrapper.execute_wrapper(spy):
            (hit,) = DocumentRepository(made, collection).nearest([1, 2, 3], 1, with_embedding=True)
    assert hit.entity.embedding.tolist() == [1, 2, 3]
    assert [type(v) for p in sent for v in (p or {}).values() if not isinstance(v, int)] == [WireValue]


def test_a_statement_is_executed_for_many_rows_beside_djangos_own(db):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext
    from shelf.models import Article

    from rowspace.integrations.django import session
    from rowspace.integrations.django.tables import mapped

    mine = mapped(Article)
    with session() as made:
        Article.objects.bulk_create(Article(title=f"django {n}", vector=[n, 0, 0]) for n in range(3))
        with CaptureQueriesContext(connection) as captured:
            rows = [{"title": f"mine {n}", "body": "it's 5 %", "year": n, "vector": [n, 1, 1]} for n in range(3)]
            made.execute(insert(mine), [{**row, "tags": {"n": row["year"]}} for row in rows])
            keys = Article.objects.order_by("id").values_list("id", flat=True)
            made.execute(update(mine), [{"id": key, "vector": [n, 2, 2]} for n, key in enumerate(keys) if n % 2])
            gone = delete(mine.__table__).where(mine.__table__.c.title == bindparam("gone"))
            assert made.connection().execute(gone, [{"gone": "django 2"}, {"gone": "mine 0"}]).rowcount == 2
    many = [query["sql"].split()[:3] for query in captured if "times" in query["sql"]]
    assert many == [["3", "times:", "INSERT"], ["3", "times:", "UPDATE"], ["2", "times:", "DELETE"]]
    assert [(one.title, one.body, one.tags, [*one.vector]) for one in Article.objects.order_by("id")] == [
        ("django 0", "", {}, [0, 0, 0]),
        ("django 1", "", {}, [1, 2, 2]),
        ("mine 1", "it's 5 %", {"n": 1}, [1, 1, 1]),
        ("mine 2", "it's 5 %", {"n": 2}, [5, 2, 2]),
    ]


def test_statements_are_in_djangos_query_log(db):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from rowspace.integrations.django import session

    with CaptureQueriesContext(connection) as captured, session() as made:
        made.scalar(text("SELECT 42"))
    statements = [query["sql"] for query in captured]
    assert [sql.partition(" ")[0] for sql in statements] == ["SAVEPOINT", "SELECT", "RELEASE"]
    assert statements[1] == "SELECT 42"


def test_a_few_rows_are_one_statement(db):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from rowspace import CollectionRepository, DocumentRepository
    from rowspace.integrations.django import session

    with session() as made:
        documents = DocumentRepository(made, CollectionRepository(made).create("few", 2))
        with CaptureQueriesContext(connection) as captured:
            documents.upsert([{"id": "a", "content": "it's 5 %", "embedding": [1, 2]}], fresh=False)
        assert [document.content for document in documents.get(["a"])] == ["it's 5 %"]
    assert [query["sql"].partition("(")[0] for query in captured] == [
        "SELECT row_security_active",
        "WITH rowspace_given ",
    ]


def test_a_result_can_be_read_bit_by_bit(db):
    from rowspace.integrations.django import session

    with session() as made:
        rows = made.execute(text("SELECT generate_series(1, 1000)"), execution_options={"yield_per": 100})
        # By a cursor of the server's, which keeps what has not been asked for.
        assert made.scalar(text("SELECT count(*) FROM pg_cursors")) == 1
        assert sum(rows.scalars()) == 500_500


def test_json_and_time_zones_are_sqlalchemys_own(db):
    from rowspace import Collection, CollectionRepository
    from rowspace.integrations.django import session

    with session() as made:
        CollectionRepository(made).create("json", 3, metadata={"a": [1, None, "数"]})
        made.expunge_all()
        found = made.query(Collection).one()
        assert found.meta == {"a": [1, None, "数"]}
        assert found.created_at.tzinfo is not None


def test_a_refused_value_is_rowspaces_error_and_the_transaction_goes_on(db):
    from shelf.models import Author

    from rowspace.integrations.django import document_service

    service = document_service()
    service.create_collection("service", 3)
    with pytest.raises(InvalidVector):
        service.search("service", [1.0, 2.0])
    Author.objects.create(name="after")
    assert Author.objects.count() == 1


def test_a_service_outside_of_a_transaction_commits(names):
    from rowspace.integrations.django import document_service

    service = document_service()
    service.create_collection("by itself")
    assert service.add("by itself", ["one", "two"]).inserted == 2
    assert "by itself" in names()
    service.drop_collection("by itself")
    assert "by itself" not in names()


def lose_the_connection():
    from django.db import connections

    from rowspace.integrations.django import session

    with session() as made:
        pid = made.scalar(text("SELECT pg_backend_pid()"))
        with connections["other"].cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        made.scalar(text("SELECT 1"))


def test_a_lost_connection_is_said_so_and_django_makes_another():
    from django.db import transaction
    from shelf.models import Author

    with pytest.raises(StoreUnavailable), transaction.atomic():
        lose_the_connection()
    assert Author.objects.count() == 0
