"""How `rowspace serve` speaks HTTP: as uvicorn does, and without waiting for the client in the middle of an answer."""

from __future__ import annotations

import asyncio
import socket

from uvicorn.protocols.http.auto import AutoHTTPProtocol

__all__ = ["PromptProtocol"]


class PromptProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """Uvicorn's protocol on connections that send each packet at once.

    Asyncio sees to that where it opens the socket. That of several workers is uvicorn's, whose connections asyncio does
    not know for TCP: the body of each answer would wait for the client to acknowledge the headers, for 40 ms.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Set the option of a new connection."""
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family in {socket.AF_INET, socket.AF_INET6}:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)
