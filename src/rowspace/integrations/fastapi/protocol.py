"""What `rowspace serve` has of its own below HTTP: uvicorn's protocol that waits for no client, and its supervisor."""

from __future__ import annotations

import asyncio
import socket

from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.supervisors import Multiprocess

__all__ = ["PromptProtocol", "Supervisor"]


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


class Supervisor(Multiprocess):
    """Uvicorn's process above several workers, which takes no connection once it is to stop.

    Uvicorn closes the socket when the last request is done: until then the system would take connections that nobody
    answers, and reset them in the end. Refused, a proxy goes to another server at once.
    """

    def terminate_all(self) -> None:
        """Stop to listen, and let the workers finish."""
        for listener in self.sockets:
            listener.close()
        super().terminate_all()
