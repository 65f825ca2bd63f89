"""The error of a block outlives that of its exit."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager

import pytest

from rowspace.wire.interrupted import interruptible, interruptible_async


class Lost(Exception):
    pass


class Opened:
    """A context manager, sync and async, that says `value` and loses its connection at its end where it is told to."""

    def __init__(self, *, fails: bool) -> None:
        self._fails, self.ends = fails, 0

    def __enter__(self):
        return "value"

    def __exit__(self, *_):
        self.ends += 1
        if self._fails:
            raise Lost

    async def __aenter__(self):
        return "value"

    async def __aexit__(self, *at):
        self.__exit__(*at)


@contextmanager
def enter(opened):
    with interruptible(opened) as value:
        yield value


@asynccontextmanager
async def enter_async(opened):
    async with interruptible_async(opened) as value:
        yield value


async def run(opened, raised, *, is_async):
    if is_async:
        async with enter_async(opened) as value:
            assert value == "value"
            if raised is not None:
                raise raised
        return
    with enter(opened) as value:
        assert value == "value"
        if raised is not None:
            raise raised


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    ("raised", "fails", "told"),
    [
        (KeyboardInterrupt(), True, KeyboardInterrupt),
        (asyncio.CancelledError(), True, asyncio.CancelledError),
        (asyncio.CancelledError(), False, asyncio.CancelledError),
        (ValueError(), True, ValueError),
        (ValueError(), False, ValueError),
        (None, True, Lost),
    ],
)
async def test_the_interruption_is_raised(raised, fails, told, is_async):
    opened = Opened(fails=fails)
    with pytest.raises(told) as error:
        await run(opened, raised, is_async=is_async)
    assert opened.ends == 1
    # Neither is hidden.
    assert isinstance(error.value.__context__, Lost) == (fails and raised is not None)


@pytest.mark.parametrize("is_async", [False, True])
async def test_without_one_nothing_is(is_async):
    await run(Opened(fails=False), None, is_async=is_async)
