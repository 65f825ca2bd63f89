"""Search requests per second and their latency: `rowspace serve` compared with a bare endpoint with the same SQL."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from sqlalchemy import URL

from benchmarks.corpus import load_corpus
from benchmarks.database import Filled, fill, open_database
from benchmarks.http.load import Load, run_wrk, write_script
from benchmarks.http.servers import Server, serve
from benchmarks.searching import raw_sql

#: The minimum of Rowspace's requests per second, relative to those of the bare endpoint.
TARGET = 0.75
#: The number of connections that each server may open.
POOL = 20
#: How much a server's memory may grow during a soak, in MiB.
GROWTH = 20


def main(arguments: list[str]) -> int:
    """Measure, print a table, and return 1 if a target was missed."""
    options = _options(arguments)
    with _servers(options) as (servers, script):
        for server in servers.values():
            run_wrk(server.url, script, connections=8, seconds=2)
        missed = [_compare(servers, script, connections, options) for connections in options.connections]
        if options.soak:
            missed.append(_soak(servers["rowspace"], script, options.soak))
    return int(any(missed))


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http", description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000, help="documents in the collection (default: 20,000)")
    parser.add_argument("--dimension", type=int, default=256, help="numbers of an embedding (default: 256)")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 64], metavar="N", help="default: 1 8 64")
    parser.add_argument("--seconds", type=float, default=5, help="of one run (default: 5)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each server, taking turns (default: 3)")
    parser.add_argument("--soak", type=float, default=0, metavar="SECONDS", help="then load Rowspace this long")
    parser.add_argument("--driver", default="asyncpg", choices=["asyncpg", "psycopg"], help="Rowspace's driver")
    parser.add_argument("--synthetic", action="store_true", help="clustered random vectors in place of real ones")
    return parser.parse_args(arguments)


@contextmanager
def _servers(options: argparse.Namespace) -> Iterator[tuple[dict[str, Server], Path]]:
    corpus = load_corpus(options.rows, synthetic=options.synthetic)
    print(f"{len(corpus.texts):,} documents of {options.dimension} dimensions: {corpus.source}")
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        database = stack.enter_context(open_database())
        filled = fill(database, corpus, options.dimension)
        url = database.engine.url.set(drivername="postgresql")
        plain = url.render_as_string(hide_password=False)
        # Without a host, asyncpg would combine the port with an empty host name.
        query = {**url.query, "port": str(url.port)}
        dsn = URL.create("postgresql", url.username, database=url.database, query=query)
        bare = {"BENCH_DSN": str(dsn), "BENCH_SQL": raw_sql(filled, "$1", documents=True), "BENCH_POOL": str(POOL)}
        own = {
            "ROWSPACE_DATABASE_URL": plain.replace("postgresql", f"postgresql+{options.driver}", 1),
            "ROWSPACE_EMBEDDER": "none",
            "ROWSPACE_POOL_SIZE": str(POOL),
            "ROWSPACE_POOL_TIMEOUT": "30",
        }
        servers = {
            "bare": stack.enter_context(serve("benchmarks.http.bare:create_app", bare)),
            "rowspace": stack.enter_context(serve("rowspace.integrations.fastapi:create_app", own)),
        }
        yield servers, write_script(directory, _bodies(filled))


def _bodies(filled: Filled) -> list[str]:
    name, queries = filled.collection.name, filled.corpus.queries
    return [json.dumps({"collection": name, "vector": [round(float(x), 6) for x in query]}) for query in queries]


def _compare(servers: dict[str, Server], script: Path, connections: int, options: argparse.Namespace) -> bool:
    """Load both servers in turns, and return whether Rowspace missed the target."""
    loads: dict[str, list[Load]] = {name: [] for name in servers}
    for turn in range(options.rounds):
        for name in list(servers)[:: -1 if turn % 2 else 1]:
            loads[name].append(run_wrk(servers[name].url, script, connections=connections, seconds=options.seconds))
    for name, runs in loads.items():
        print(f"{connections:>3} connections  {name:<9}{_line(runs)}", flush=True)
    ratio = median(own.rate / bare.rate for own, bare in zip(loads["rowspace"], loads["bare"], strict=True))
    errors = sum(load.errors for load in loads["rowspace"])
    missed = ratio < TARGET or errors > 0
    print(
        f"{connections:>3} connections  ratio {ratio:.2f}, target {TARGET}: {'MISSED' if missed else 'met'}\n",
        flush=True,
    )
    return missed


def _line(runs: list[Load]) -> str:
    rate, p50, p99 = (median(getattr(run, name) for run in runs) for name in ("rate", "p50", "p99"))
    return f"{rate:>7.0f} requests/s  p50 {p50:>6.2f} ms  p99 {p99:>6.2f} ms  {sum(run.errors for run in runs)} errors"


def _soak(server: Server, script: Path, seconds: float) -> bool:
    """Load Rowspace for a long time, and return whether errors occurred or its memory grew."""
    before = server.memory
    parts = [run_wrk(server.url, script, connections=8, seconds=seconds / 5) for _ in range(5)]
    grown, errors = server.memory - before, sum(part.errors for part in parts)
    missed = errors > 0 or grown > GROWTH
    rates = ", ".join(f"{part.rate:.0f}" for part in parts)
    print(f"soak of {seconds:g} s at 8 connections: {sum(part.requests for part in parts):,} requests, {errors} errors")
    print(f"  requests/s by fifths: {rates}")
    print(f"  memory {before:.0f} MiB, then {grown:+.1f} MiB: {'MISSED' if missed else 'met'}")
    return missed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
