from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from sqlalchemy import NullPool, QueuePool
from sqlalchemy.exc import DBAPIError, TimeoutError as PoolTimeout

from rowspace.services import lanes
from rowspace.services.lanes import AsyncLanes
from rowspace.wire.alive import IDLE_SECONDS


def pool_of(size: int, seconds: float = 30) -> QueuePool:
    return QueuePool(lambda: None, pool_size=size, timeout=seconds)


class Connections:
    """Stands for the way into the pool and back, and counts what is out of it."""

    def __init__(self) -> None:
        self.opened, self.shut, self.invalidated = 0, 0, 0

    def open(self, _engine):
        self.opened += 1
        return SimpleNamespace(invalidate=self.invalidate, is_valid=True, number=self.opened)

    def invalidate(self, _error):
        self.invalidated += 1

    def close(self, _proxied):
        self.shut += 1

    @property
    def out(self):
        return self.opened - self.shut


@pytest.fixture
def connections(monkeypatch):
    made = Connections()
    monkeypatch.setattr(lanes, "_without_transactions", made.open)
    monkeypatch.setattr(lanes, "_shut", made.close)
    monkeypatch.setattr(lanes, "is_observed", lambda _engine: False)
    monkeypatch.setattr(lanes, "prepared", lambda _dialect, statement: statement)
    return made


def lanes_of(pool) -> AsyncLanes:
    return AsyncLanes(SimpleNamespace(sync_engine=SimpleNamespace(pool=pool, dialect=None)))


@pytest.fixture
def run(monkeypatch):
    """What a search does with its connection; it is given the connection and the statement."""

    def install(search):
        async def run(proxied, statement, _values):
            return await search(proxied, statement)

        monkeypatch.setattr(lanes, "_run", run)

    return install


async def test_turns_come_in_their_order_and_no_more_at_once_than_connections(connections, run):
    order, together = [], []

    async def search(_proxied, number):
        order.append(number)
        together.append(number)
        assert len(together) <= 2
        await asyncio.sleep(0)
        together.remove(number)
        return [number]

    run(search)
    turns = lanes_of(pool_of(2))
    assert await asyncio.gather(*(turns.fetch(number, {}) for number in range(20))) == [[n] for n in range(20)]
    assert order == list(range(20))
    assert connections.out == 0


async def test_a_connection_is_handed_over_while_somebody_waits(connections, run):
    async def search(proxied, _statement):
        await asyncio.sleep(0)
        return [proxied.number]

    run(search)
    turns = lanes_of(pool_of(1))
    assert await asyncio.gather(*(turns.fetch(None, {}) for _ in range(9))) == [[1]] * 9
    assert (connections.opened, connections.shut) == (1, 1)
    assert await turns.fetch(None, {}) == [2]


async def test_a_connection_goes_through_the_pool_and_its_checks_after_a_while(connections, run, monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(lanes, "monotonic", lambda: next(clock) * IDLE_SECONDS)

    async def search(proxied, _statement):
        await asyncio.sleep(0)
        return [proxied.number]

    run(search)
    turns = lanes_of(pool_of(1))
    assert await asyncio.gather(*(turns.fetch(None, {}) for _ in range(3))) == [[1], [2], [3]]
    assert connections.out == 0


async def test_who_waits_for_longer_than_the_pool_allows_is_told_as_by_the_pool(connections, run):
    over = asyncio.Event()

    async def search(_proxied, _statement):
        await over.wait()
        return []

    run(search)
    turns = lanes_of(pool_of(1, 0.01))
    first = asyncio.create_task(turns.fetch(None, {}))
    await asyncio.sleep(0)
    with pytest.raises(PoolTimeout, match=r"within 0\.01 seconds"):
        await turns.fetch(None, {})
    over.set()
    assert await first == await turns.fetch(None, {}) == []
    assert connections.out == 0


async def test_who_gives_up_in_the_moment_of_its_turn_leaves_it_to_the_next(connections, run):
    async def search(proxied, _statement):
        return [proxied.number]

    run(search)
    turns = lanes_of(pool_of(1))
    assert await turns._turn() is None
    waiting = asyncio.create_task(turns.fetch(None, {}))
    after = asyncio.create_task(turns.fetch(None, {}))
    await asyncio.sleep(0)
    turns._hand_over(lanes._Lane(connections.open(None), lanes.monotonic()))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await after == [2]
    assert await turns.fetch(None, {}) == [3]
    assert connections.out == 0


@pytest.mark.parametrize(("error", "invalidated"), [(ValueError, 0), (asyncio.CancelledError, 1)])
async def test_a_failed_search_returns_its_connection_and_its_turn(connections, run, error, invalidated):
    async def search(_proxied, statement):
        if statement == "fails":
            raise error
        return []

    run(search)
    turns = lanes_of(pool_of(1))
    with pytest.raises(error):
        await turns.fetch("fails", {})
    assert (connections.out, connections.invalidated) == (0, invalidated)
    assert await turns.fetch("works", {}) == []


async def test_a_connection_that_cannot_be_had_costs_no_turn(connections, run, monkeypatch):
    async def search(_proxied, _statement):
        return []

    def refuse(_engine):
        raise ConnectionError

    run(search)
    turns = lanes_of(pool_of(1))
    with monkeypatch.context() as patched:
        patched.setattr(lanes, "_without_transactions", refuse)
        with pytest.raises(ConnectionError):
            await turns.fetch(None, {})
    assert await turns.fetch(None, {}) == []
    assert connections.out == 0


async def test_who_listens_gets_the_statement_from_sqlalchemy(connections, monkeypatch):
    monkeypatch.setattr(lanes, "is_observed", lambda _engine: True)
    monkeypatch.setattr(lanes, "_fetch", lambda _engine, statement, _values: [statement])
    turns = lanes_of(pool_of(1))
    assert await asyncio.gather(*(turns.fetch(number, {}) for number in range(3))) == [[0], [1], [2]]
    assert connections.opened == 0


async def test_who_begins_to_listen_leaves_no_connection_behind_that_was_handed_over(connections, run, monkeypatch):
    async def search(_proxied, statement):
        await asyncio.sleep(0)
        monkeypatch.setattr(lanes, "is_observed", lambda _engine: True)
        return [statement]

    run(search)
    monkeypatch.setattr(lanes, "_fetch", lambda _engine, statement, _values: [statement])
    turns = lanes_of(pool_of(1))
    assert await asyncio.gather(*(turns.fetch(number, {}) for number in range(2))) == [[0], [1]]
    assert (connections.opened, connections.out) == (1, 0)


@pytest.mark.parametrize("pool", [NullPool(lambda: None), pool_of(0, 1)])
async def test_a_pool_without_a_size_has_no_end_of_turns(connections, run, pool):
    together = []

    async def search(proxied, _statement):
        together.append(proxied.number)
        await asyncio.sleep(0)
        return together

    run(search)
    turns = lanes_of(pool)
    await asyncio.gather(*(turns.fetch(None, {}) for _ in range(5)))
    assert sorted(together) == [1, 2, 3, 4, 5]
    assert connections.out == 0


class ServerError(Exception):
    def __init__(self, sqlstate):
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


class Driver:
    """asyncpg's way to run a statement."""

    def __init__(self, answer):
        self.answer = answer

    async def fetch(self, _text, *parameters):
        if isinstance(self.answer, Exception):
            raise self.answer
        return [(*parameters, self.answer)]


STATEMENT = SimpleNamespace(
    parameters=lambda values: list(values.values()),
    is_known=True,
    text="SELECT",
    converted=lambda rows: rows,
    dialect=SimpleNamespace(is_disconnect=lambda error, *_: str(error) == "XX000"),
)


def proxied_of(answer, invalidated):
    return SimpleNamespace(driver_connection=Driver(answer), dbapi_connection=None, invalidate=invalidated.append)


async def test_a_known_statement_runs_by_the_drivers_own_coroutines():
    assert await lanes._run(proxied_of(2, []), STATEMENT, {"a": 1}) == [(1, 2)]


@pytest.mark.parametrize(
    ("sqlstate", "ends"),
    [
        *(("57P01", True), ("08006", True), ("0A000", True), ("40001", True), ("57014", False), ("42703", False)),
        ("XX000", True),  # which the dialect says of it
    ],
)
async def test_an_error_of_the_servers_is_sqlalchemys_and_may_end_the_connection(sqlstate, ends):
    invalidated = []
    with pytest.raises(DBAPIError, match=sqlstate) as caught:
        await lanes._run(proxied_of(ServerError(sqlstate), invalidated), STATEMENT, {})
    assert bool(invalidated) is ends
    assert caught.value.params is None


async def test_an_error_of_the_drivers_is_told_by_sqlalchemy(monkeypatch):
    monkeypatch.setattr(lanes, "run", lambda _proxied, _statement, parameters, invalidate: [parameters])
    assert await lanes._run(proxied_of(OSError("closed"), []), STATEMENT, {"a": 1}) == [[1]]


class Ended:
    """A connection that the server has ended, which the driver notices when autocommit is switched."""

    autocommit = property(lambda _: False, lambda _self, _value: (_ for _ in ()).throw(OSError("ended")))


def test_a_connection_that_cannot_be_switched_is_not_given_back_to_others():
    invalidated = []
    proxied = SimpleNamespace(dbapi_connection=Ended(), info={}, invalidate=invalidated.append)
    with pytest.raises(OSError, match="ended") as caught:
        lanes._without_transactions(SimpleNamespace(raw_connection=lambda: proxied))
    assert invalidated == [caught.value]
