"""The pages of the application, as Streamlit runs them, on a real database."""

from __future__ import annotations


def html_of(app):
    return "".join(one.proto.body for one in app.get("html"))


def test_a_search_by_meaning(open_app, url, poems):
    app = open_app(url)
    app.text_input(key="search_text").input("database rows").run()
    assert not app.exception
    assert not app.error
    shown = html_of(app)
    assert shown.index(">db<") < shown.index(">cat<")
    assert "similarity 0." in shown
