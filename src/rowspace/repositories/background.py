"""A statement that takes minutes, watched from the side: in a thread for sync code, in a task for async."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

__all__ = ["arun_watched", "run_watched"]


def run_watched(
    work: Callable[[], object], watch: Callable[[], object], *, cancel: Callable[[], object], every: float
) -> None:
    """Run `work` in a thread and call `watch` in this one every so many seconds until it ends.

    An error of `watch`, and Ctrl-C, call `cancel`, wait for the end of `work` and go on to the caller.
    """
    with ThreadPoolExecutor(1, "rowspace-build") as pool:
        running = pool.submit(work)
        try:
            while not wait([running], timeout=every).done:
                watch()
        except BaseException:
            cancel()
            wait([running])
            raise
        running.result()


async def arun_watched(
    work: Callable[[], Coroutine[Any, Any, object]],
    watch: Callable[[], Awaitable[object]],
    *,
    cancel: Callable[[], Awaitable[object]],
    every: float,
) -> None:
    """Do the same in a task of the running event loop; a cancelled caller cancels the work on the server too."""
    running = asyncio.create_task(work())
    try:
        while not (await asyncio.wait([running], timeout=every))[0]:
            await watch()
    except BaseException:
        # Who cancels again, out of patience, does not wait for the end; the work is to end all the same.
        await asyncio.shield(_stopped(running, cancel))
        raise
    running.result()


async def _stopped(running: asyncio.Task[object], cancel: Callable[[], Awaitable[object]]) -> None:
    await cancel()
    await asyncio.wait([running])
    running.exception()  # looked at, so that the loop does not report it as lost
