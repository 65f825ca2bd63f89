"""What encoding a driver says that a connection has, and what it is given to send."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from rowspace.wire.copy import _encoding, _send_async


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


async def test_asyncpg_is_given_no_more_at_once_than_one_message_may_hold():
    """Of a block of 1 GB it made one message, at which the server hung up, and waited for the answer for ever."""
    given = []

    async def take(*_args, source, **_options):
        given.extend([piece async for piece in source])

    blocks = [b"header", bytes(range(256)) * 10_000]
    into = SimpleNamespace(table="t", schema=None, columns=("c",))
    await _send_async(SimpleNamespace(copy_to_table=take), into, blocks)
    assert b"".join(given) == b"".join(blocks)
    assert [len(piece) for piece in given] == [6, 1 << 20, 1 << 20, 2_560_000 - (2 << 20)]
