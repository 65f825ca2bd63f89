"""A run of wrk, with its results as numbers."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Load", "run_wrk", "write_script"]

#: Posts the bodies in turn, and prints the counts as JSON in the last line.
_SCRIPT = """
local bodies, n = {}, 0
for line in io.lines("%s") do bodies[#bodies + 1] = line end
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
function request()
  n = n %% #bodies + 1
  return wrk.format(nil, "/api/search", nil, bodies[n])
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\\n{"requests": %%d, "microseconds": %%d, "p50": %%f, "p99": %%f, "errors": %%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """The results of a run: requests per second, milliseconds, and failures, including statuses other than 2xx."""

    rate: float
    p50: float
    p99: float
    requests: int
    errors: int


def write_script(directory: Path, bodies: list[str]) -> Path:
    """Write the bodies, and the script that posts them in turn."""
    (directory / "bodies").write_text("\n".join(bodies) + "\n", "utf-8")
    script = directory / "search.lua"
    script.write_text(_SCRIPT % (directory / "bodies"), "utf-8")
    return script


def run_wrk(url: str, script: Path, *, connections: int, seconds: float) -> Load:
    """Load a server for some seconds from one thread.

    Raises:
        RuntimeError: wrk is not installed, or fails.
    """
    program = shutil.which("wrk")
    if program is None:
        message = "The load comes from wrk: on Debian, apt-get install wrk."
        raise RuntimeError(message)
    command = [program, "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "10s", "-s", str(script), url]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = run.stdout.strip().splitlines()
    if run.returncode or not lines or not lines[-1].startswith("{"):
        message = f"wrk failed: {run.stderr.strip() or run.stdout.strip()}"
        raise RuntimeError(message)
    counts = json.loads(lines[-1])
    rate = counts["requests"] / counts["microseconds"] * 1e6
    return Load(rate, counts["p50"] / 1e3, counts["p99"] / 1e3, counts["requests"], counts["errors"])
