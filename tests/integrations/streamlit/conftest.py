"""The application on a database of the run, with an embedder that needs no model.

Its script and its pages are imported where they run alone: what they keep in Streamlit's cache warns anywhere else.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from rowspace import Database, DocumentService
from rowspace.integrations import streamlit as adapter
from rowspace.integrations.streamlit.options import UiOptions, given
from rowspace.testing import HashingEmbedder

EMBEDDER = "rowspace.testing:HashingEmbedder"

POEMS = [
    {"id": "db", "content": "A database stores rows of data", "metadata": {"kind": "tech", "year": 2001}},
    {"id": "cat", "content": "A cat sleeps on the warm sofa", "metadata": {"kind": "animal", "year": 2002}},
    {"id": "中", "content": "数据库存储很多行数据", "metadata": {"kind": "tech", "tags": ["中文"]}},
    {"id": "evil", "content": "<script>alert('row')</script> a row of rows", "metadata": {"kind": "<b>bad</b>"}},
]


@pytest.fixture(autouse=True)
def main_module(monkeypatch):
    """Give `__main__` back: AppTest leaves its script there, and a process that is spawned later would run it."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture(scope="module")
def url(new_module_database):
    """A migrated database for one module."""
    return new_module_database()


@pytest.fixture(scope="module")
def poems(url):
    """The name of a collection with a few documents and its indexes."""
    with Database.open(url) as database:
        service = DocumentService(database, HashingEmbedder())
        service.create_collection("poems")
        service.add("poems", POEMS)
    return "poems"


@pytest.fixture
def open_app():
    """A function that runs the application on a database, and returns the page that comes first."""
    opened = []

    def run(url, page=None, *, embedder=EMBEDDER, **options):
        scope = given(UiOptions(url=url, embedder=embedder, **options))
        scope.__enter__()
        opened.append(scope)
        test = AppTest.from_file(Path(adapter.__file__).with_name("app.py"), default_timeout=30).run()
        return test if page is None else test.switch_page(f"views/{page}.py").run()

    yield run
    for scope in reversed(opened):
        scope.__exit__(None, None, None)
    st.cache_data.clear()
    st.cache_resource.clear()
