"""Wrappers for embedders: several processes for local ones, several concurrent requests for hosted ones.

Each wrapper is itself an embedder. It has the name of the wrapped one, and returns vectors in the order of the texts.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, CancelledError, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any, Self
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from rowspace._optional import require
from rowspace.errors import DimensionMismatch, EmbedderFailed
from rowspace.integrations.retrying import Retry
from rowspace.repositories.given import size
from rowspace.services.embedding import (
    Embedder,
    aembed_query,
    aembed_texts,
    checked_embedder,
    embed_query,
    embed_texts,
    embedder_name,
)

__all__ = ["ConcurrentEmbedder", "ParallelEmbedder", "Retry"]

Float32 = NDArray[np.float32]

#: The embedder of a `ParallelEmbedder` process, and its factory.
_here: dict[str, Any] = {}


class ParallelEmbedder:
    """Embeds in several processes, for embedders that compute in Python, which threads cannot speed up.

    Each process creates its own embedder when its first texts arrive. Processes are spawned, not forked, so a script
    that uses them needs `if __name__ == "__main__":`. They end with `close`, or with this process, however it ends.

    Args:
        factory: a class or function without arguments that returns an embedder. It must be importable by name; a
            `functools.partial` of an importable one works too.
        processes: the number of processes; by default one per processor.
        chunk_size: the number of texts to pass to a process at once.

    Raises:
        ConfigurationError: a number is below 1.
    """

    def __init__(self, factory: Callable[[], Embedder], *, processes: int | None = None, chunk_size: int = 32) -> None:
        self._processes = size("processes", os.cpu_count() or 1 if processes is None else processes)
        self._chunk = size("chunk_size", chunk_size)
        self._factory = factory
        self._pool: ProcessPoolExecutor | None = None
        self._starting = threading.Lock()
        self._name: str | None = None

    @property
    def name(self) -> str:
        """The name of the wrapped embedder."""
        if self._name is None:
            (self._name,) = self._run(_name_here, [()])
        return str(self._name)

    def embed_documents(self, texts: Sequence[str], /) -> Float32:
        """Return the vectors as a matrix of shape (texts, dimension).

        Raises:
            EmbedderFailed: a process died while working, or could not start. The next call starts new processes.
        """
        if not texts:
            return np.empty((0, 0), np.float32)
        return _joined(self._run(_embed_here, _chunks(texts, self._chunk)))

    def embed_query(self, text: str, /) -> Float32:
        """Return the vector of a query, of shape (dimension,). It raises the errors of `embed_documents`."""
        vector: Float32 = self._run(_embed_query_here, [text])[0]
        return vector

    def close(self) -> None:
        """Stop the processes. A later call starts new ones."""
        with self._starting:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _run(self, work: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        pool = self._started()
        try:
            return list(pool.map(work, items))
        except BrokenProcessPool as error:
            with self._starting:
                # Unless another thread has already replaced the pool.
                self._pool = None if self._pool is pool else self._pool
            message = (
                "An embedding process has ended: it was killed, for example because memory ran out, it crashed, or it "
                f"could not import {self._factory!r}. Scripts need `if __name__ == '__main__':` around their code."
            )
            raise EmbedderFailed(message) from error

    def _started(self) -> ProcessPoolExecutor:
        # Concurrent threads, such as requests to a server, share the processes.
        with self._starting:
            if self._pool is None:
                context = multiprocessing.get_context("spawn")
                self._pool = ProcessPoolExecutor(
                    self._processes, context, initializer=_prepare_process, initargs=(self._factory,)
                )
            return self._pool


class ConcurrentEmbedder:
    """Embeds with several concurrent requests and retries transient failures, for hosted embedders.

    Async calls use the async methods of the wrapped embedder, and all calls in an event loop share the limit. Sync
    calls use threads, and share the limit with one another.

    Args:
        embedder: the wrapped embedder.
        limit: the maximum number of concurrent requests.
        chunk_size: the number of texts per request.
        retry: which errors to retry, how often and when.

    Raises:
        ConfigurationError: a number is below 1, or the embedder lacks required methods. MissingExtra: tenacity is not
            installed.
    """

    def __init__(self, embedder: Embedder, *, limit: int = 8, chunk_size: int = 64, retry: Retry | None = None) -> None:
        self._embedder = checked_embedder(embedder)
        self._limit = size("limit", limit)
        self._chunk = size("chunk_size", chunk_size)
        self._tenacity = require("tenacity", extra="langchain")
        self._options = (retry or Retry()).options(self._tenacity)
        self._slots = threading.BoundedSemaphore(limit)
        self._aslots: WeakKeyDictionary[Any, asyncio.Semaphore] = WeakKeyDictionary()

    @property
    def name(self) -> str:
        """The name of the wrapped embedder."""
        return embedder_name(self._embedder)

    def embed_documents(self, texts: Sequence[str], /) -> Float32:
        """Return the vectors as a matrix of shape (texts, dimension). It raises the last error of a request."""
        if not texts:
            return np.empty((0, 0), np.float32)
        given_up = threading.Event()
        pool = ThreadPoolExecutor(self._limit, "rowspace-embed")
        try:
            parts = [pool.submit(self._try, embed_texts, part, given_up) for part in _chunks(texts, self._chunk)]
            # Wait for any failure: the first part may be waiting for a retry.
            for part in wait(parts, return_when=FIRST_EXCEPTION).done:
                part.result()
            return _joined([part.result() for part in parts])
        finally:
            # After an error or Ctrl-C, do not wait for pending requests.
            given_up.set()
            pool.shutdown(wait=False, cancel_futures=True)

    def embed_query(self, text: str, /) -> Float32:
        """Return the vector of a query, of shape (dimension,)."""
        vector: Float32 = self._try(embed_query, text, threading.Event())
        return vector

    async def aembed_documents(self, texts: Sequence[str], /) -> Float32:
        """Return the vectors as a matrix of shape (texts, dimension). It raises the last error of a request."""
        if not texts:
            return np.empty((0, 0), np.float32)
        # As with threads: while some requests wait for a retry, the others do not burden an unavailable server.
        turns = asyncio.Semaphore(self._limit)

        async def in_turn(part: list[str]) -> Any:
            async with turns:
                return await self._atry(aembed_texts, part)

        tasks = [asyncio.create_task(in_turn(part)) for part in _chunks(texts, self._chunk)]
        try:
            return _joined(await asyncio.gather(*tasks))
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise

    async def aembed_query(self, text: str, /) -> Float32:
        """Return the vector of a query, of shape (dimension,)."""
        vector: Float32 = await self._atry(aembed_query, text)
        return vector

    def _try(self, work: Callable[..., Any], given: Any, given_up: threading.Event) -> Any:
        def once() -> Any:
            # Hold the slot only during the request. A thread that waits for a retry releases it.
            with self._slots:
                if given_up.is_set():
                    raise CancelledError
                return work(self._embedder, given)

        return self._tenacity.Retrying(**{"sleep": given_up.wait, **self._options})(once)

    async def _atry(self, work: Callable[..., Awaitable[Any]], given: Any) -> Any:
        slots = self._aslots.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(self._limit))

        async def once() -> Any:
            async with slots:
                return await work(self._embedder, given)

        return await self._tenacity.AsyncRetrying(**self._options)(once)


def _chunks(texts: Sequence[str], size: int) -> list[list[str]]:
    return [list(texts[at : at + size]) for at in range(0, len(texts), size)]


def _joined(parts: Sequence[Float32]) -> Float32:
    dimensions = sorted({part.shape[1] for part in parts})
    if len(dimensions) > 1:
        message = f"The embedder returned vectors of {dimensions[0]} and of {dimensions[1]} dimensions, expected one."
        raise DimensionMismatch(message)
    return np.concatenate(parts)


def _prepare_process(factory: Callable[[], Embedder]) -> None:
    _here["factory"] = factory
    # Ctrl-C reaches every process of the terminal. Let the parent process decide.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Any) -> None:
    # A process that waits for work holds both ends of its pipe, so it would not notice the end of its parent.
    parent.join()
    os._exit(1)


def _embedder_here() -> Any:
    if "embedder" not in _here:
        _here["embedder"] = _here["factory"]()
    return _here["embedder"]


def _name_here(_: Any) -> str:
    return embedder_name(_embedder_here())


def _embed_here(texts: list[str]) -> Float32:
    return embed_texts(_embedder_here(), texts)


def _embed_query_here(text: str) -> Float32:
    return embed_query(_embedder_here(), text)
