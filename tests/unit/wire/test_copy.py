"""What encoding a driver says that a connection has, as it is reported to it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from rowspace.wire.copy import _encoding


@pytest.mark.parametrize(
    ("reported", "expected"),
    [("UTF8", "UTF8"), ("utf8", "UTF8"), ("utf-8", "UTF8"), ("unicode", "UTF8"), ("LATIN1", "LATIN1")],
)
def test_an_encoding_is_known_by_each_of_its_names(reported, expected):
    asked = {"client_encoding": reported}
    assert _encoding(SimpleNamespace(get_parameter_status=asked.get)) == expected
    assert _encoding(SimpleNamespace(info=SimpleNamespace(parameter_status=asked.get))) == expected


def test_asyncpg_has_one_whatever_pgbouncer_calls_it():
    settings = SimpleNamespace(client_encoding="'utf-8'")
    assert _encoding(SimpleNamespace(get_settings=lambda: settings)) == "UTF8"
