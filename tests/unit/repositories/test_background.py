"""Work in the background: its result, its errors, and who is told to stop."""

from __future__ import annotations

import asyncio
from threading import Event
from time import sleep

import pytest

from rowspace.repositories import background
from rowspace.repositories.background import arun_watched, run_watched

UNANSWERED = "The server did not answer, and may still be running it."


class Oops(Exception):
    """What goes wrong here."""


def fail():
    raise Oops


def test_watched_until_it_ends():
    seen, end = [], Event()

    def watch():
        seen.append(1)
        if len(seen) == 3:
            end.set()
        assert len(seen) < 200

    run_watched(lambda: end.wait(5), watch, cancel=fail, hang_up=fail, every=0.01)
    assert len(seen) >= 3


def test_an_error_of_the_work_comes_out():
    with pytest.raises(Oops):
        run_watched(fail, lambda: None, cancel=fail, hang_up=fail, every=0.01)


def test_an_error_of_the_watch_stops_the_work_and_waits_for_it():
    stopped, ended = Event(), []

    def work():
        ended.append(stopped.wait(5))
        sleep(0.05)  # a server takes a moment to cancel
        raise RuntimeError

    with pytest.raises(Oops):
        run_watched(work, fail, cancel=stopped.set, hang_up=lambda: ended.append("hung up on"), every=0.01)
    assert ended == [True]


def swallowed():
    """A cancel that comes to nobody."""


def interrupted():
    raise KeyboardInterrupt


@pytest.mark.parametrize(("cancel", "error"), [(swallowed, Oops), (fail, Oops), (interrupted, KeyboardInterrupt)])
def test_a_server_that_does_not_answer_is_hung_up_on(monkeypatch, cancel, error):
    monkeypatch.setattr(background, "_PATIENCE", 0.01)
    lost, ended = Event(), []

    def watch():
        raise Oops(1)

    with pytest.raises(error) as raised:
        run_watched(lambda: ended.append(lost.wait()), watch, cancel=cancel, hang_up=lost.set, every=0.01)
    assert ended == [True]
    assert raised.value.__notes__ == [UNANSWERED]
    assert cancel is interrupted or raised.value.args == (1,)


async def test_watched_in_a_task():
    seen, end = [], asyncio.Event()

    async def work():
        await end.wait()

    async def watch():
        seen.append(1)
        if len(seen) == 3:
            end.set()

    async def cancel():
        fail()

    await arun_watched(work, watch, cancel=cancel, hang_up=fail, every=0.001)
    assert len(seen) >= 3


async def test_a_caller_that_is_cancelled_twice_hangs_up_and_has_the_server_cancel_too():
    began, lost, cancelled, ended = asyncio.Event(), asyncio.Event(), asyncio.Event(), []

    async def work():
        ended.append(await lost.wait())
        raise RuntimeError

    async def watch():
        began.set()

    async def cancel():
        await lost.wait()
        cancelled.set()

    task = asyncio.create_task(arun_watched(work, watch, cancel=cancel, hang_up=lost.set, every=0.001))
    await began.wait()
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as raised:
        await task
    assert ended == [True]
    assert raised.value.__notes__ == [UNANSWERED]
    await cancelled.wait()


async def test_a_server_that_does_not_answer_a_task_is_hung_up_on(monkeypatch):
    monkeypatch.setattr(background, "_PATIENCE", 0.01)
    lost, ended = asyncio.Event(), []

    async def work():
        ended.append(await lost.wait())

    async def watch():
        fail()

    async def cancel():
        swallowed()

    with pytest.raises(Oops) as raised:
        await arun_watched(work, watch, cancel=cancel, hang_up=lost.set, every=0.001)
    assert ended == [True]
    assert raised.value.__notes__ == [UNANSWERED]


async def test_a_cancelled_caller_stops_the_work_and_waits_for_it():
    stopped, ended = asyncio.Event(), []

    async def work():
        ended.append(await stopped.wait())
        await asyncio.sleep(0.01)
        raise RuntimeError

    async def watch():
        pass

    async def cancel():
        stopped.set()

    caller = asyncio.create_task(arun_watched(work, watch, cancel=cancel, hang_up=fail, every=0.001))
    await asyncio.sleep(0.01)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended == [True]
