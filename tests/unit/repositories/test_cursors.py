"""Cursors and keys."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from hypothesis import given, strategies as st
from sqlalchemy import JSON, Column, Integer
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import declarative_base

from rowspace.distance import Distance
from rowspace.errors import ConfigurationError, InvalidCursor, InvalidFilter
from rowspace.models import Collection, Document
from rowspace.repositories.cursors import read_cursor, understood, write_cursor
from rowspace.repositories.keys import key_of, named_keys
from rowspace.statements.browse import Key
from rowspace.statements.listing import After, Listing
from rowspace.statements.search import Target


def listing(collection=1, key=None, *, descending=False):
    return Listing(Target(Document, "embedding", Distance.COSINE, 3, (("collection_id", collection),)), key, descending)


YEAR = Key(Document, "meta", ("year",))
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
STORED = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner)
)


def forged(value):
    payload = json.dumps(value).encode()
    return base64.urlsafe_b64encode(hashlib.sha256(payload).digest()[:6] + payload).rstrip(b"=").decode()


@given(st.none() | STORED, STORED)
def test_a_cursor_comes_back_as_it_was(value, key):
    after = After(value, (key,))
    cursor = write_cursor(listing(key=YEAR), after)
    assert cursor.isascii()
    assert cursor.replace("-", "").replace("_", "").isalnum()
    assert read_cursor(listing(key=YEAR), cursor) == after


@given(st.integers(0, 200), st.sampled_from("Aa1-_é="))
def test_a_changed_cursor_is_refused(at, character):
    cursor = write_cursor(listing(key=YEAR), After("2020", ("a",)))
    changed = cursor[: at % len(cursor)] + character + cursor[at % len(cursor) + 1 :]
    # The bits of the last character that no byte needs do not change what it says.
    if changed != cursor and at % len(cursor) != len(cursor) - 1:
        with pytest.raises(InvalidCursor, match="Expected the cursor of a page"):
            read_cursor(listing(key=YEAR), changed)


@given(TEXT)
def test_no_text_is_taken_for_a_cursor(text):
    with pytest.raises(InvalidCursor):
        read_cursor(listing(), text)


@given(JSONS)
def test_no_json_is_taken_for_a_cursor(value):
    with pytest.raises(InvalidCursor):
        read_cursor(listing(), forged(value))


@pytest.mark.parametrize(
    ("value", "keys"),
    [
        ("2020", []),
        ("2020", ["a", "b"]),
        ("2020", "a"),
        ("2020", [1]),
        ("2020", [None]),
        (2020, ["a"]),
        ({}, ["a"]),
        ("\0", ["a"]),
        ("\ud800", ["a"]),
        ("2020", ["\0"]),
    ],
)
def test_a_forged_cursor_holds_texts_that_can_be_stored(value, keys):
    with pytest.raises(InvalidCursor, match="Expected the cursor of a page"):
        read_cursor(listing(key=YEAR), forged([listing(key=YEAR).signature, value, keys]))


@pytest.mark.parametrize("signature", [[], ["a", [], [[]], True, 1], [["a"], [], [], True], ["a", 1, 2, 3], "abcd"])
def test_a_forged_cursor_of_no_listing(signature):
    with pytest.raises(InvalidCursor, match="Expected the cursor of a page"):
        read_cursor(listing(), forged([signature, None, ["a"]]))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            listing(key=YEAR, descending=True),
            "documents:1 by meta.year, and this is a listing of documents:1 by meta.year desc",
        ),
        (listing(), "this is a listing of documents:1 by primary key"),
        (listing(2, YEAR), "this is a listing of documents:2 by meta.year"),
        (listing(key=Key(Document, "created_at")), "this is a listing of documents:1 by created_at"),
    ],
)
def test_a_cursor_of_another_listing_is_refused(other, message):
    with pytest.raises(InvalidCursor, match=message):
        read_cursor(other, write_cursor(listing(key=YEAR), After("2020", ("a",))))


def test_what_a_server_says_without_a_cursor_is_about_something_else():
    class Refused(Exception):
        sqlstate = "22P02"

    error = DBAPIError("SELECT", None, Refused())
    with pytest.raises(DBAPIError), understood(None):
        raise error
    with pytest.raises(InvalidCursor), understood("x"):
        raise error


def test_what_a_key_may_be():
    assert key_of(Document, "a.b\\.c") == Key(Document, "meta", ("a", "b.c"))
    assert key_of(Document, Document.created_at) == Key(Document, "created_at")
    assert list(named_keys(Document, ["kind", Document.id])) == ["kind", "id"]
    assert list(named_keys(Document, "kind")) == ["kind"]


def test_what_a_key_may_not_be():
    class Plain(declarative_base()):
        __tablename__ = "plain"
        id = Column(Integer, primary_key=True)
        facts = Column(JSON)

    with pytest.raises(InvalidFilter, match="a name on each side of every dot"):
        key_of(Document, "a..b")
    with pytest.raises(ConfigurationError, match="Document has no column"):
        key_of(Document, Collection.name)
    with pytest.raises(ConfigurationError, match=r"Name a column by its attribute, Plain\.year"):
        key_of(Plain, "year")
    with pytest.raises(ConfigurationError, match=r"Plain\.facts is JSON, .* Change it to JSONB"):
        key_of(Plain, Plain.facts)
