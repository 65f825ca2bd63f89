"""Run a statement that takes minutes and watch its progress: in a thread for sync code, in a task for async code."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from typing import Any

__all__ = ["arun_watched", "line_of", "run_watched"]

#: The number of seconds to wait for the server after a cancellation.
_PATIENCE = 10.0


def line_of(connection: Any) -> Callable[[], None]:
    """Return a function that shuts down the socket, so that a thread or a task that waits for it gets an error.

    The driver's own `close` waits for the same lock, or leaves them waiting for a file descriptor that is closed.
    """
    driver = getattr(connection, "sync_connection", connection).connection.driver_connection
    return driver.terminate if hasattr(driver, "terminate") else partial(_hang_up, driver)


def _hang_up(driver: Any) -> None:
    with suppress(Exception), socket.socket(fileno=os.dup(driver.fileno())) as line:  # it may already be closed
        line.shutdown(socket.SHUT_RDWR)


def run_watched(
    work: Callable[[], object],
    watch: Callable[[], object],
    *,
    cancel: Callable[[], object],
    hang_up: Callable[[], object],
    every: float,
) -> None:
    """Run `work` in a thread and call `watch` in this one at intervals of so many seconds until it ends.

    After an error of `watch` or Ctrl-C, call `cancel`, wait for the end of `work`, and raise. If `work` does not end
    within ten seconds, if `cancel` fails, or at a second Ctrl-C, `hang_up` ends it here, whatever the server does.
    """
    with ThreadPoolExecutor(1, "rowspace-build") as pool:
        running = pool.submit(work)
        try:
            while not wait([running], timeout=every).done:
                watch()
        except BaseException:
            try:
                with suppress(Exception):
                    cancel()
                    wait([running], timeout=_PATIENCE)
            finally:
                if not running.done():
                    _give_up(hang_up)
            raise
        running.result()


async def arun_watched(
    work: Callable[[], Coroutine[Any, Any, object]],
    watch: Callable[[], Awaitable[object]],
    *,
    cancel: Callable[[], Awaitable[object]],
    hang_up: Callable[[], object],
    every: float,
) -> None:
    """Run `work` in a task of the event loop; if the caller is cancelled, so is the work on the server."""
    running = asyncio.create_task(work())
    try:
        while not (await asyncio.wait([running], timeout=every))[0]:
            await watch()
    except BaseException:
        try:
            # A second cancellation does not wait for the answer, but the server still gets the request.
            await asyncio.shield(_stopped(running, cancel))
        finally:
            if not running.done():
                _give_up(hang_up)
                await asyncio.wait([running])
            running.exception()  # retrieved, so that the loop does not report it as lost
        raise
    running.result()


async def _stopped(running: asyncio.Task[object], cancel: Callable[[], Awaitable[object]]) -> None:
    with suppress(Exception):
        async with asyncio.timeout(_PATIENCE):
            await cancel()
            await asyncio.wait([running])


def _give_up(hang_up: Callable[[], object]) -> None:
    hang_up()
    error = sys.exception()
    if error is not None:
        error.add_note("The server did not answer, and may still be running it.")
