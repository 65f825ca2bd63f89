"""The pages of the application, as Streamlit runs them, on a real database."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest
from langchain_core.language_models import FakeListChatModel
from sqlalchemy import NullPool, create_engine, make_url

from rowspace import CollectionRepository, Database, DocumentService, IndexBuilder
from rowspace.migrations import upgrade
from rowspace.testing import HashingEmbedder


def html_of(app):
    return "".join(one.proto.body for one in app.get("html"))


def texts(elements):
    return [one.value for one in elements]


def error_of(app):
    """Return the one sentence that a page shows for an error."""
    assert not app.exception
    (error,) = texts(app.error)
    return error.replace("\\", "")


def quiet(app):
    """Return a page that shows no error."""
    assert not app.exception
    assert texts(app.error) == []
    return app


def search(app, text, mode="vector"):
    if mode != "vector":
        app.button_group[0].set_value(mode)
    return quiet(app.text_input(key="search_text").input(text).run())


def test_a_search_by_meaning(open_app, url, poems):
    shown = html_of(search(open_app(url), "database rows"))
    assert shown.index(">db<") < shown.index(">cat<")
    assert "similarity 0." in shown
    assert "distance 0." in shown
    assert "<b>kind</b>tech" in shown


def test_a_database_that_is_open_already_is_used_and_stays_open(open_app, url, poems):
    with Database.open(url) as database:
        shown = html_of(search(open_app("postgresql://nobody@127.0.0.1:1/none", database=database), "database rows"))
        assert ">db<" in shown
        from rowspace.integrations.streamlit import state

        state.connection().reset()
        assert database.engine.pool.checkedin() > 0


@pytest.mark.parametrize("mode", ["text", "hybrid"])
def test_highlights_are_marked_and_all_else_is_escaped(open_app, url, poems, mode):
    shown = html_of(search(open_app(url), "row", mode))
    assert "a <mark>row</mark> of rows" in shown
    assert "&lt;script&gt;" in shown
    assert "<script" not in shown
    assert "<b>bad</b>" not in shown


def test_chinese_is_found_by_keyword(open_app, url, poems):
    shown = html_of(search(open_app(url), "数据库", "text"))
    assert "<mark>数据库</mark>存储很多行数据" in shown
    assert ">cat<" not in shown


def test_variety_asks_how_much(open_app, url, poems):
    app = search(open_app(url), "database rows", "mmr")
    first = html_of(app)
    app.slider(key="search_variety").set_value(1.0).run()
    assert html_of(quiet(app)) != first


def test_filters_are_the_facets_of_the_collection(open_app, url, poems):
    app = open_app(url)
    kind = app.multiselect(key="filter:poems:kind")
    assert kind.options == ["tech (2)", "<b>bad</b> (1)", "animal (1)"]
    kind.set_value(["animal"])
    shown = html_of(search(app, "database rows"))
    assert ">cat<" in shown
    assert ">db<" not in shown
    assert any("with this filter" in text for text in texts(app.caption))
    app.multiselect(key="filter:poems:tags").set_value(["中文"]).run()
    assert texts(app.info) == ["No document matches with this filter."]


def test_the_map_shows_documents_query_and_hits(open_app, url, poems):
    app = quiet(open_app(url, "map"))
    assert "all 4 documents" in texts(app.caption)[-1]
    app.text_input(key="map_text").input("cat").run()
    chart = json.loads(quiet(app).get("vega_lite_chart")[0].proto.spec)
    layers = [layer["data"]["name"] if "name" in layer["data"] else layer["data"] for layer in chart["layer"]]
    rows = [chart["datasets"][name] if isinstance(name, str) else name["values"] for name in layers]
    assert {row["id"] for row in rows[0]} == {"db", "cat", "中", "evil"}
    assert rows[1][0]["id"] == "cat"
    assert rows[1][0]["rank"] == 1
    assert [row["text"] for row in rows[-1]] == ["cat"]


def test_a_question_is_answered_with_sources(open_app, url, poems):
    app = quiet(open_app(url, "ask"))
    app.chat_input[0].set_value("What does a database store?").run()
    shown = html_of(quiet(app))
    assert 'A database stores rows of data <sup class="rs-number">1</sup>' in shown
    assert "No language model is configured." in "".join(texts(app.caption))
    assert ">db<" in shown
    app.chat_input[0].set_value("Who sleeps?").run()
    assert [text.value for text in quiet(app).text] == ["What does a database store?", "Who sleeps?"]


def test_a_model_that_is_none_is_a_sentence(open_app, url, poems):
    app = open_app(url, "ask", model="no-such-model")
    app.chat_input[0].set_value("Who sleeps?").run()
    assert "no-such-model" in error_of(app)


def test_a_chat_model_answers_where_one_is_named(open_app, url, poems, monkeypatch):
    asked = []

    class Model(FakeListChatModel):
        def _stream(self, messages, *arguments, **options):
            asked.append(messages)
            return super()._stream(messages, *arguments, **options)

    # The second answer is that to the conversation: a question that stands by itself.
    model = Model(responses=["Rows <b>of</b> data [1].", "Who sleeps on a sofa?", "A cat [1]."])
    monkeypatch.setattr("langchain.chat_models.init_chat_model", lambda _: model)
    app = open_app(url, "ask", model="fake:model")
    app.chat_input[0].set_value("What does a database store?").run()
    app.chat_input[0].set_value("Who sleeps?").run()
    shown = html_of(quiet(app))
    assert 'Rows &lt;b&gt;of&lt;/b&gt; data <sup class="rs-number">1</sup>.' in shown
    assert 'A cat <sup class="rs-number">1</sup>.' in shown
    assert "extractive" not in "".join(texts(app.caption))
    assert "Rows <b>of</b> data [1]." in [message.content for message in asked[1]]


CSV = "id,text,year\n1,a red apple,2020\n2,a green pear,2021\n"


def upload(app, name, content):
    return app.file_uploader(key="load_file").upload(name, content).run()


def test_a_table_becomes_a_new_collection(open_app, new_database):
    url = new_database()
    app = quiet(open_app(url))
    assert "There is no collection yet." in texts(app.info)[0]
    app.switch_page("views/load.py").run()
    quiet(upload(app, "*fruit*.csv", CSV.encode()))
    assert "text" in [one.value for one in app.selectbox if one.label == "Field with the text"]
    quiet(app.button(key="load_button").click().run())
    said = r"2 documents from \*fruit\*.csv into \*fruit\*: 2 new, 0 updated, 0 unchanged, 0 duplicates."
    assert texts(app.success) == [said]
    with Database.open(url) as database:
        (hit,) = DocumentService(database, HashingEmbedder()).search("*fruit*", "pear", k=1)
    assert (hit.id, hit.metadata) == ("2", {"year": 2021})
    quiet(app.run())
    assert app.selectbox(key="collection").value == "*fruit*", "the next page shows what was loaded"


def test_a_search_after_a_load_finds_what_was_loaded(open_app, new_database):
    url = new_database()
    with Database.open(url) as database:
        service = DocumentService(database, HashingEmbedder())
        service.create_collection("fruit")
        service.add("fruit", ["a red apple"])
    app = quiet(open_app(url))
    assert "green pear" not in html_of(search(app, "green pear"))
    upload(app.switch_page("views/load.py").run(), "more.csv", CSV.encode())
    app.selectbox(key="load_into").set_value("fruit").run()
    quiet(app.button(key="load_button").click().run())
    assert "green pear" in html_of(search(app.switch_page("views/search.py").run(), "green pear"))


def test_vectors_that_a_csv_has_as_text_can_be_taken(open_app, new_database):
    url = new_database()
    app = upload(open_app(url, "load"), "exported.csv", b'id,content,embedding\na,one,"[1.0, 2.0]"\n')
    next(box for box in app.selectbox if box.label == "Field with the vector").set_value("embedding").run()
    quiet(app.button(key="load_button").click().run())
    with Database.open(url) as database:
        assert DocumentService(database).collection("exported").dimension == 2


def test_texts_go_into_a_collection_of_the_same_embedder_alone(open_app, new_database):
    url = new_database()
    with Database.open(url) as database:
        service = DocumentService(database, HashingEmbedder(8))
        service.create_collection("small")
        service.add("small", ["a text"])
    app = open_app(url, "load")
    upload(app, "more.txt", "第一段。\n\n第二段。".encode())
    app.selectbox(key="load_into").set_value("small").run()
    app.button(key="load_button").click().run()
    assert error_of(app).startswith("The collection 'small' was filled by the embedder 'hashing-8', whose vectors")


def test_a_choice_outlives_a_change_of_the_collection(open_app, new_database):
    url = new_database()
    with Database.open(url) as database:
        service = DocumentService(database, HashingEmbedder())
        for name, kinds in (("first", "ab"), ("second", "cd")):
            service.create_collection(name)
            service.add(
                name,
                [
                    {"content": f"{kinds[n % 2]} {n}", "metadata": {"[k](x)": kinds[n % 2], "n": n / 2}}
                    for n in range(24)
                ],
            )
    app = open_app(url)
    assert app.multiselect(key="filter:first:[k](x)").label == r"\[k\](x)"
    app.multiselect(key="filter:first:[k](x)").set_value(["a"])
    app.slider(key="filter:first:n").set_value((1.0, 3.0)).run()
    assert html_of(search(app, "a")).count('class="rs-hit"') == 3
    app.selectbox(key="collection").set_value("second").run()
    assert html_of(quiet(app)).count('class="rs-hit"') == 10
    with Database.open(url) as database:
        DocumentService(database).delete("first", where={"k": "a"})
    from rowspace.integrations.streamlit import state

    state.forget()
    app.selectbox(key="collection").set_value("first").run()
    quiet(app)


def test_a_server_that_goes_away_is_one_sentence(open_app, new_database):
    url = new_database()
    app = quiet(open_app(url))
    target = make_url(url)
    admin = create_engine(target.set(database="postgres"), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {target.database} WITH (FORCE)")
        try:
            app.run()
        finally:
            connection.exec_driver_sql(f"CREATE DATABASE {target.database}")
    assert "Check that the server is running" in error_of(app)
    with Database.open(url) as database:
        upgrade(database.engine)
    app.button[0].click().run()
    assert "There is no collection yet." in texts(quiet(app).info)[0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("bad.csv", b"id,text\n1,a,b\n", "bad.csv, line 2: 3 cells under 2 column names."),
        ("bad.jsonl", b"[1]\n", "bad.jsonl, line 1: expected a JSON object"),
        ("late.jsonl", b'{"text": "a"}\n' * 30 + b"{", "late.jsonl, line 31: not JSON"),
        ("bad.txt", b"good\n\xff\xfe", "bad.txt, line 2: not UTF-8"),
        ("nul.txt", b"good\nb\0d", "nul.txt, line 2: a NUL byte, which PostgreSQL cannot store. Remove it."),
        ("empty.txt", b" \n", "The file contains no documents."),
    ],
)
def test_a_bad_upload_is_one_sentence_and_leaves_nothing(open_app, url, poems, name, content, message):
    app = upload(open_app(url, "load"), name, content)
    if not app.error:
        app.button(key="load_button").click().run()
    assert error_of(app).startswith(message)
    with Database.open(url) as database, database.begin() as session:
        assert [one.name for one in CollectionRepository(session).list()] == ["poems"]


def test_indexes_are_built_and_the_recall_is_measured(open_app, new_database):
    url = new_database()
    with Database.open(url) as database:
        service = DocumentService(database, HashingEmbedder())
        service.create_collection("numbers")
        service.add("numbers", [f"the number {n}" for n in range(300)], build_indexes=False)
    app = quiet(open_app(url, "index"))
    assert set(app.dataframe[0].value["state"]) == {"missing"}
    quiet(app.button(key="index_build").click().run())
    assert set(app.dataframe[0].value["state"]) == {"valid"}
    with Database.open(url) as database, database.begin() as session:
        statuses = IndexBuilder(database.engine, CollectionRepository(session).get("numbers")).status()
    assert all(status.fits for status in statuses if status.wanted)
    quiet(app.button(key="index_measure").click().run())
    assert any("exact" in text for text in texts(app.info)), "the planner reads so few rows one by one"
    with Database.open(url) as database:
        DocumentService(database, HashingEmbedder()).add("numbers", [f"a number like {n}" for n in range(3_000)])
        with database.begin() as session:
            session.connection().exec_driver_sql("ANALYZE documents")
    quiet(app.button(key="index_measure").click().run())
    assert any("Searches use `ef_search = " in text for text in texts(app.markdown))


def test_a_collection_of_another_embedder_is_searched_by_keyword(open_app, url, poems, monkeypatch):
    made = SimpleNamespace(embed_query=None, embed_documents=None, name="other")
    monkeypatch.setitem(sys.modules, "other_embedder", SimpleNamespace(make=lambda: made))
    app = quiet(open_app(url, embedder="none"))
    assert "There is no embedder" in texts(app.caption)[0]
    assert "<mark>cat</mark>" in html_of(search(app, "cat", "text"))
    other = quiet(open_app(url, embedder="other_embedder:make"))
    assert "by the embedder 'hashing-64', but this one is 'other'" in texts(other.caption)[0].replace("\\", "")


def test_a_wrong_password_is_one_sentence(open_app, url):
    wrong = make_url(url).set(username="nobody-here", password="p4ssw0rd").render_as_string(hide_password=False)
    app = open_app(wrong)
    assert "nobody-here" in error_of(app)
    assert "p4ssw0rd" not in error_of(app)
    assert [button.label for button in app.button] == ["Try again"]


def test_a_server_that_is_away_is_one_sentence(open_app):
    app = open_app("postgresql://me:p4ssw0rd@127.0.0.1:1/none")
    assert "Check that the server is running" in error_of(app)
    assert "p4ssw0rd" not in error_of(app)


def test_a_database_without_tables_is_one_sentence(open_app, new_database):
    url = new_database(empty=True)
    assert "Run the migrations: `rowspace db upgrade`" in error_of(open_app(url, "load"))


def test_a_fault_of_ours_shows_no_details(open_app, url, poems, monkeypatch, caplog):
    app = open_app(url)
    from rowspace.integrations.streamlit import state

    monkeypatch.setattr(state, "size", lambda _: "secret detail" + 1)
    assert error_of(app.run()).endswith("an error in Rowspace (TypeError). See the terminal.")
    assert "can only concatenate" in caplog.text


def test_every_page_on_an_empty_database(open_app, new_database):
    url = new_database()
    for page in ("map", "load", "index", "ask"):
        quiet(open_app(url, page))
