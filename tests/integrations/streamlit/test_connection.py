"""`st.connection` with Rowspace's connection, in apps of one's own; and the example."""

from __future__ import annotations

from pathlib import Path

import pytest
import streamlit as st
from sqlalchemy import event, make_url
from streamlit.runtime.secrets import secrets_singleton
from streamlit.testing.v1 import AppTest

from rowspace import Database, DocumentService
from rowspace.integrations.streamlit import RowspaceConnection
from rowspace.testing import HashingEmbedder

EXAMPLE = Path(__file__).resolve().parents[3] / "examples/streamlit/app.py"

SCRIPT = """
import streamlit as st
from rowspace.integrations.streamlit import RowspaceConnection

connection = st.connection("rowspace", type=RowspaceConnection)
st.text([one.name for one in connection.collections()])
st.text([hit.id for hit in connection.search("poems", "a warm sofa", k=1)])
st.text(str(id(connection.database)))
"""


@pytest.fixture(autouse=True)
def clean():
    yield
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture
def connection(url):
    made = RowspaceConnection("rowspace", url=url, embedder="rowspace.testing:HashingEmbedder")
    yield made
    made.close()


@pytest.fixture
def secrets(url, monkeypatch):
    """What `.streamlit/secrets.toml` says; the secrets of an AppTest do not reach connections."""
    kind = "rowspace.integrations.streamlit.RowspaceConnection"
    given = {"url": url, "embedder": "rowspace.testing:HashingEmbedder", "type": kind}
    monkeypatch.setattr(secrets_singleton, "_secrets", {"connections": {"rowspace": given}})


def test_the_url_and_the_embedder_come_from_the_secrets(secrets, poems):
    app = AppTest.from_string(SCRIPT)
    names, ids, database = [one.value for one in app.run().text]
    assert not app.exception
    assert (names, ids) == ("['poems']", "['cat']")
    assert app.run().text[2].value == database, "the connection is made once"


def test_results_are_remembered_for_a_while(connection, url, poems):
    first = connection.search("poems", "something new", k=10)
    with Database.open(url) as database:
        documents = DocumentService(database, HashingEmbedder())
        documents.add("poems", [{"id": "new", "content": "something new"}])
    try:
        assert connection.search("poems", "something new", k=10) == first
        assert connection.search("poems", "something new", k=10, ttl=0)[0].id == "new"
        other = RowspaceConnection("rowspace", url=url, embedder="rowspace.testing:HashingEmbedder")
        assert other.search("poems", "something new", k=10)[0].id == "new", "each remembers its own"
        other.close()
    finally:
        with Database.open(url) as database:
            DocumentService(database, HashingEmbedder()).delete("poems", ["new"])


def test_sessions_are_the_caller_s(connection, poems):
    from rowspace import CollectionRepository

    with connection.begin() as session:
        assert CollectionRepository(session).get("poems").embedder == "hashing-64"
    with connection.session() as session:
        assert CollectionRepository(session).get("poems").name == "poems"


def test_reset_and_close_give_the_connections_back(connection, poems):
    engine, embedder = connection.database.engine, connection.embedder
    connection.collections(ttl=0)
    assert engine.pool.checkedin() == 1
    connection.reset()
    assert engine.pool.checkedin() == 0
    assert connection.embedder is not embedder
    assert connection.database.engine is not engine
    connection.collections(ttl=0)
    connection.close()
    assert connection.database.engine.pool.checkedin() == 0


def test_streamlit_closes_what_it_lets_go_of(secrets, poems):
    app = AppTest.from_string(SCRIPT + "\nst.session_state['engine'] = connection.database.engine")
    engine = app.run().session_state["engine"]
    assert engine.pool.checkedin() == 1
    st.cache_resource.clear()
    assert engine.pool.checkedin() == 0


def test_a_host_that_does_not_answer_is_not_waited_for(url):
    def timeout_of(connection):
        given = []
        event.listen(connection.database.engine, "do_connect", lambda *arguments: given.append(arguments[-1]))
        connection.database.engine.connect().close()
        connection.close()
        return int(given[0]["connect_timeout"])

    patient = make_url(url).update_query_dict({"connect_timeout": "60"}).render_as_string(hide_password=False)
    assert timeout_of(RowspaceConnection("rowspace", url=url, embedder="none")) == 5
    assert timeout_of(RowspaceConnection("rowspace", url=patient, embedder="none")) == 60


def test_there_may_be_no_embedder(url):
    made = RowspaceConnection("rowspace", url=url, embedder="none")
    assert made.embedder is None
    made.close()


def test_the_password_is_not_shown(url):
    made = RowspaceConnection("rowspace", url="postgresql://me:p4ssw0rd@127.0.0.1:1/x", embedder="none")
    assert "p4ssw0rd" not in repr(made.database)
    made.close()


def test_the_example(new_database, monkeypatch):
    monkeypatch.setenv("ROWSPACE_DATABASE_URL", new_database())
    monkeypatch.setenv("ROWSPACE_EMBEDDER", "rowspace.testing:HashingEmbedder")
    app = AppTest.from_file(str(EXAMPLE), default_timeout=30).run()
    assert not app.exception
    app.text_input[0].input("set a new password").run()
    assert not app.exception
    assert app.text[0].value.startswith("To set a new password")
    app.pills[0].set_value("parcel").run()
    assert len(app.text) == 3
    assert all(not one.value.startswith("To set") for one in app.text)


def test_the_example_without_a_server_is_one_sentence(monkeypatch):
    monkeypatch.setenv("ROWSPACE_DATABASE_URL", "postgresql://me:p4ssw0rd@127.0.0.1:1/none")
    app = AppTest.from_file(str(EXAMPLE), default_timeout=30).run()
    assert not app.exception
    assert "Check that the server is running" in app.error[0].value
    assert "p4ssw0rd" not in app.error[0].value
