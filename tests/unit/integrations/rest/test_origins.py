from __future__ import annotations

import pytest

from rowspace.integrations.rest.origins import origin_headers

PAGE = {"Origin": "https://a.example"}
ASKS = PAGE | {"Access-Control-Request-Method": "POST"}


@pytest.mark.parametrize(("headers", "allowed"), [(PAGE, ()), ({}, ("https://a.example",)), ({}, ("*",))])
def test_nothing_is_said_where_nobody_asks_or_nobody_may(headers, allowed):
    assert origin_headers(headers, allowed, method="GET") == {}


def test_another_page_is_allowed_nothing():
    assert origin_headers(ASKS, ["https://b.example"], method="OPTIONS") == {"Vary": "Origin"}


@pytest.mark.parametrize(("allowed", "said"), [("https://a.example", "https://a.example"), ("*", "*")])
@pytest.mark.parametrize("method", ["POST", "OPTIONS"])
def test_a_page_that_may_reads_its_answer(allowed, said, method):
    given = origin_headers(PAGE, [allowed], method=method)
    assert (given["Access-Control-Allow-Origin"], given["Vary"]) == (said, "Origin")
    assert "Retry-After" in given["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Methods" not in given


def test_a_page_that_may_is_told_what_when_it_asks():
    given = origin_headers(ASKS, ["https://a.example"], method="OPTIONS")
    assert given["Access-Control-Allow-Methods"] == "GET, POST, DELETE"
    assert "Authorization" in given["Access-Control-Allow-Headers"]
