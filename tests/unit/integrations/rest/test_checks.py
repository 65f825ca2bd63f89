"""What a server checks beyond the models."""

from __future__ import annotations

import pytest

from rowspace.errors import RowNotFound
from rowspace.integrations.rest.checks import check_media_type, check_number, checked_search, one_document
from rowspace.integrations.rest.errors import RequestFault
from rowspace.integrations.rest.queries import BatchBody, ChatBody, SearchBody
from rowspace.integrations.rest.settings import Limits
from rowspace.services import DocumentOut

LIMITS = Limits(max_k=10, max_queries=2, max_documents=3)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (SearchBody(collection="c", text="a", k=11), "/k"),
        (SearchBody(collection="c", text="a", mode="mmr", fetch_k=11), "/fetch_k"),
        (BatchBody(collection="c", queries=["a"], k=11), "/k"),
        (BatchBody(collection="c", queries=["a", "b", "c"]), "/queries"),
        (ChatBody(collection="c", question="a", k=11), "/k"),
        (ChatBody(collection="c", question="a", mode="mmr", fetch_k=100), "/fetch_k"),
    ],
)
def test_limits_of_this_server(body, pointer):
    with pytest.raises(RequestFault, match="at most") as raised:
        checked_search(body, LIMITS)
    assert (raised.value.status, raised.value.pointer) == (422, pointer)


def test_what_is_within_them():
    body = SearchBody(collection="c", text="a", mode="mmr", k=10, fetch_k=10)
    assert checked_search(body, LIMITS) is body
    checked_search(BatchBody(collection="c", queries=["a", "b"], k=10), LIMITS)
    check_number(3, LIMITS)
    with pytest.raises(RequestFault, match="The body has 4 documents, expected at most 3"):
        check_number(4, LIMITS)


def test_a_k_that_is_not_given_is_never_beyond_them():
    few = Limits(max_k=5)
    assert checked_search(SearchBody(collection="c", text="a"), few).k == 5
    assert checked_search(BatchBody(collection="c", queries=["a"], mode="text"), few).options() == {
        "k": 5,
        "mode": "text",
    }
    assert checked_search(ChatBody(collection="c", question="a", stream=True), few).request().k == 5
    with pytest.raises(RequestFault, match="k is 10, expected at most 5"):
        checked_search(SearchBody(collection="c", text="a", k=10), few)


@pytest.mark.parametrize(("given", "said"), [("text/plain", "text/plain"), (None, "missing")])
def test_media_types(given, said):
    check_media_type("application/json; charset=utf-8")
    with pytest.raises(RequestFault, match=said) as raised:
        check_media_type(given)
    assert raised.value.status == 415


def test_one_document_or_none():
    document = DocumentOut(id="a", content="b", metadata={})
    assert one_document([document], "c", "a") is document
    with pytest.raises(RowNotFound, match="no document 'a' in the collection 'c'"):
        one_document([], "c", "a")
