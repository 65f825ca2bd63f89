"""Bodies about collections and documents."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from rowspace.integrations.rest.models import (
    CollectionBody,
    CountBody,
    DeleteBody,
    DocumentBody,
    DocumentsBody,
    LoadResult,
    ScrollBody,
)
from rowspace.results import LoadReport


@pytest.mark.parametrize(
    ("model", "body", "place"),
    [
        (CollectionBody, {"name": ""}, ("name",)),
        (CollectionBody, {"name": "-a"}, ("name",)),
        (CollectionBody, {"name": "a b"}, ("name",)),
        (CollectionBody, {"name": "a", "dimension": "4"}, ("dimension",)),
        (CollectionBody, {"name": "a", "dimension": 1.5}, ("dimension",)),
        (CollectionBody, {"name": "a", "dimension": 16_001}, ("dimension",)),
        (CollectionBody, {"name": "a", "distance": "hamming"}, ("distance",)),
        (CollectionBody, {"name": "a", "dimensions": 4}, ("dimensions",)),
        (DocumentBody, {"content": "a\0"}, ("content",)),
        (DocumentBody, {"content": "a", "id": ""}, ("id",)),
        (DocumentBody, {"content": "a", "id": "x" * 501}, ("id",)),
        (DocumentBody, {"content": "a", "embedding": []}, ("embedding",)),
        (DocumentBody, {"content": "a", "embedding": ["1"]}, ("embedding", 0)),
        (DocumentBody, {"content": "a", "embedding": [1e39]}, ("embedding", 0)),
        (DocumentsBody, {"documents": [{"content": "a"}, {"content": 5}]}, ("documents", 1, "content")),
        (CountBody, {"filter": {"tags": [{"a": 1}]}}, ("filter",)),
        (ScrollBody, {"limit": 0}, ("limit",)),
        (ScrollBody, {"order_by": "a..b"}, ("order_by",)),
        (DeleteBody, {"ids": ["a", 5]}, ("ids", 1)),
        (DeleteBody, {}, ()),
        (DeleteBody, {"filter": {}}, ()),
        (DeleteBody, {"ids": ["a"], "filter": {"b": 1}}, ()),
    ],
    ids=str,
)
def test_refused_with_its_place(model, body, place):
    with pytest.raises(ValidationError) as raised:
        model.model_validate(body)
    assert raised.value.errors()[0]["loc"] == place


def test_taken():
    assert CollectionBody.model_validate({"name": "文章.v-1", "dimension": 4.0}).dimension == 4
    assert ScrollBody.model_validate({"limit": 10.0, "order_by": r"a\.b.c"}).limit == 10
    assert DocumentBody.model_validate({"content": "茶", "embedding": [1, 2.5]}).embedding == [1, 2.5]
    assert DeleteBody.model_validate({"filter": {"$and": [{"a": 1}, {"b": {"$in": [1, 2]}}]}}).ids == []


def test_the_report_of_a_load():
    result = LoadResult.from_report(LoadReport(received=10, inserted=1, updated=2, unchanged=3, duplicates=4))
    assert (result.received, result.inserted, result.duplicates) == (10, 1, 4)
