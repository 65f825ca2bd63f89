from __future__ import annotations

from types import SimpleNamespace

import pytest

from rowspace.services import direct


class Ended:
    """A connection that the server has ended, which the driver notices when autocommit is switched."""

    autocommit = property(lambda _: False, lambda _self, _value: (_ for _ in ()).throw(OSError("ended")))


def test_a_connection_that_cannot_be_switched_is_not_given_back_to_others():
    invalidated = []
    proxied = SimpleNamespace(dbapi_connection=Ended(), info={}, invalidate=invalidated.append)
    with pytest.raises(OSError, match="ended") as caught:
        direct.without_transactions(SimpleNamespace(raw_connection=lambda: proxied))
    assert invalidated == [caught.value]
