"""Changes to uvicorn for `rowspace serve`: a protocol without delayed packets, and a supervisor."""

from __future__ import annotations

import asyncio
import socket

from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.supervisors import Multiprocess

__all__ = ["PromptProtocol", "Supervisor"]


class PromptProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """Uvicorn's protocol, with TCP_NODELAY on each connection.

    Asyncio sets the option if it opens the socket. With several workers, uvicorn opens it, and asyncio does not see
    that it is TCP. Each response body would then wait up to 40 ms for the client to acknowledge the headers.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Set TCP_NODELAY on a new connection."""
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family in {socket.AF_INET, socket.AF_INET6}:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)


class Supervisor(Multiprocess):
    """Uvicorn's supervisor of several workers, which stops accepting connections as soon as it is to stop.

    Uvicorn closes the socket only after the last request. Until then, the kernel would accept connections that nobody
    serves, and reset them at the end. If they are refused instead, a proxy switches to another server at once.
    """

    def terminate_all(self) -> None:
        """Stop listening, and let the workers finish."""
        for listener in self.sockets:
            listener.close()
        super().terminate_all()
