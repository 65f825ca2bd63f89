from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import NullPool, QueuePool
from sqlalchemy.exc import TimeoutError as PoolTimeout

from rowspace.services.slots import AsyncSlots, Slots


def pool_of(size: int, seconds: float) -> QueuePool:
    return QueuePool(lambda: None, pool_size=size, timeout=seconds)


async def test_turns_come_in_their_order_and_no_more_at_once_than_connections():
    slots, order, together = AsyncSlots(pool_of(2, 30)), [], []

    async def search(number: int) -> None:
        async with slots:
            order.append(number)
            together.append(number)
            assert len(together) <= 2
            await asyncio.sleep(0)
            together.remove(number)

    await asyncio.gather(*(search(number) for number in range(20)))
    assert order == list(range(20))


async def test_who_waits_for_longer_than_the_pool_allows_is_told_as_by_the_pool():
    slots = AsyncSlots(pool_of(1, 0.01))
    async with slots:
        with pytest.raises(PoolTimeout, match=r"within 0\.01 seconds"):
            async with slots:
                pytest.fail("there was one turn")
    async with slots:
        pass


@pytest.mark.parametrize("pool", [NullPool(lambda: None), pool_of(0, 1)])
async def test_a_pool_without_a_size_has_no_end_of_turns(pool):
    slots = AsyncSlots(pool)
    async with slots, slots, slots:
        pass


def test_threads_wait_in_the_pool():
    slots = Slots(pool_of(1, 1))
    with slots, slots:
        pass
