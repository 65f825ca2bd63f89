"""Compare some ratios with recorded ones, with a tolerance: `python -m benchmarks.guard`.

The exit status is 1 on a regression. The gate runs this. Ratios hardly depend on the machine, but somewhat on its load,
so up to three times the recorded value passes, and a worse ratio is measured again before it counts. `--record`
replaces the recorded ratios.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

RECORD = Path(__file__).with_name("recorded.json")
#: A ratio may be up to this many times worse than recorded.
TOLERANCE = 3.0
COMMAND = ("-m", "benchmarks", "--quick", "--synthetic", "--rows", "5000")
THEMES = ("load", "search", "filter", "matrix")


def main() -> int:
    """Measure, compare and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guard", description=__doc__)
    parser.add_argument("--record", action="store_true", help="write the ratios of this run as those to compare with")
    if parser.parse_args().record:
        RECORD.write_text(json.dumps(_measured(), indent=2) + "\n", "utf-8")
        return 0
    recorded = json.loads(RECORD.read_text("utf-8"))
    worse = _worse(recorded, _measured()) and _worse(recorded, _measured())
    for line in worse:
        print(line)
    if not worse:
        print(f"{len(recorded)} ratios are at most {TOLERANCE:g} times worse than recorded.")
    return bool(worse)


def _measured() -> dict[str, dict[str, float]]:
    """Return the value of each measure that has a target, by the kind of target."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.json"
        themes = [argument for theme in THEMES for argument in ("--only", theme)]
        command = [sys.executable, *COMMAND, *themes, "--json", str(report)]
        # Status 1 means a missed target, which is not the question here.
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if not report.exists():
            sys.exit(f"{done.stdout}\nThe benchmarks failed.")
        measures = json.loads(report.read_text("utf-8"))["measures"]
    return {
        f"{one['theme']}: {one['name']}": {kind: one["value"]}
        for one in measures
        for kind in ("at_most", "at_least")
        if one[kind] is not None
    }


def _worse(recorded: dict[str, dict[str, float]], measured: dict[str, dict[str, float]]) -> list[str]:
    lines = []
    for name, record in recorded.items():
        ((kind, before),) = record.items()
        if name not in measured:
            lines.append(f"{name} is on record but was not measured: python -m benchmarks.guard --record")
            continue
        now = measured[name][kind]
        times = now / before if kind == "at_most" else before / now if now else float("inf")
        if times > TOLERANCE:
            lines.append(f"{name}: {now:.3g}, {times:.1f} times worse than the {before:.3g} on record")
    return lines


if __name__ == "__main__":
    sys.exit(main())
