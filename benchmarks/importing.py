"""The cost of `import rowspace`. Each import runs in its own process."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.harness import Measure, Times

__all__ = ["measure_import"]

_TIMED = "from time import perf_counter as now; t = now(); {}; print(now() - t)"
_IMPORTS = {
    "sqlalchemy.orm": "import sqlalchemy.orm",
    "rowspace": "import rowspace",
    "Repository": "from rowspace import Repository",
    "DocumentService": "from rowspace import DocumentService",
}


def measure_import(turns: int) -> list[Measure]:
    """Compare imports with that of SQLAlchemy's ORM, without the interpreter's startup, which would flatter them."""
    seconds: dict[str, list[float]] = {name: [] for name in _IMPORTS}
    for turn in range(-1, turns):
        for name, statement in _IMPORTS.items():
            run = subprocess.run(
                [sys.executable, "-c", _TIMED.format(statement)], capture_output=True, check=True, text=True
            )
            if turn >= 0:
                seconds[name].append(float(run.stdout))
    times = Times(seconds)

    def line(name: str, target: float | None) -> Measure:
        detail = times.milliseconds("sqlalchemy.orm", name)
        return Measure("import", _IMPORTS[name], times.ratio(name, "sqlalchemy.orm"), at_most=target, detail=detail)

    return [line("rowspace", 1.5), line("Repository", None), line("DocumentService", None)]
