"""A COPY that is left early, and cannot be cancelled in peace: its connection is closed, not given back as it is."""

from __future__ import annotations

import asyncio

import pytest
from psycopg.pq import TransactionStatus

from rowspace.wire.messages import blocks, blocks_async


class Server:
    """Stands for a connection of psycopg in the middle of a COPY, whose cancellation is interrupted."""

    transaction_status = TransactionStatus.ACTIVE

    def __init__(self, interruption):
        self.pgconn, self.is_closed, self._interruption = self, False, interruption

    def finish(self):
        self.is_closed = True

    def wait(self, generator):
        generator.close()
        return b"a block"

    def cancel_safe(self):
        raise self._interruption


class AsyncServer(Server):
    async def wait(self, generator):
        return super().wait(generator)

    async def cancel_safe(self):
        super().cancel_safe()


def test_ctrl_c():
    server = Server(KeyboardInterrupt())
    stream = blocks(server, "COPY")
    assert next(stream) == b"a block"
    with pytest.raises(KeyboardInterrupt):
        stream.close()
    assert server.is_closed


async def test_a_second_cancellation():
    server = AsyncServer(asyncio.CancelledError())
    stream = blocks_async(server, "COPY")
    assert await anext(stream) == b"a block"
    with pytest.raises(asyncio.CancelledError):
        await stream.aclose()
    assert server.is_closed
