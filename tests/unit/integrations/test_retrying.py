"""How long a server asks to wait, however it says so."""

from __future__ import annotations

import datetime as dt
from email.utils import format_datetime

import pytest

from rowspace.integrations.retrying import retry_after, status_of


class HttpError(Exception):
    def __init__(self, **headers):
        self.response = type("Response", (), {"headers": headers, "status_code": 429})()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"RETRY-AFTER": "-1"}, 0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after-ms": "1e999"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 -0000"}, 0),
    ],
    ids=str,
)
def test_seconds(headers, seconds):
    assert retry_after(HttpError(**headers)) == seconds


def test_a_date_to_come():
    later = format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(hours=1), usegmt=True)
    assert 3_500 < retry_after(HttpError(**{"retry-after": later})) <= 3_600


def test_status():
    assert status_of(HttpError()) == 429
    assert status_of(ValueError()) is None
