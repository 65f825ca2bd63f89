"""Build the sdist and the wheel from it, and try the wheel in an empty environment without extras.

    python tools/smoke_wheel.py

It finds problems that an editable installation hides: files missing from the wheel, required optional dependencies.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parent.parent

# Runs in the empty environment with warnings as errors: each module must import, or name the extra that it needs.
PROBE = """
import importlib, importlib.metadata, pkgutil, re, sys
import rowspace
from rowspace.errors import MissingExtra

assert rowspace.__file__.startswith(sys.prefix), f"{rowspace.__file__} is not the wheel's"
extras = set(importlib.metadata.metadata("rowspace").get_all("Provides-Extra"))
for module in pkgutil.walk_packages(rowspace.__path__, "rowspace."):
    try:
        importlib.import_module(module.name)
    except MissingExtra as error:
        named = set(re.findall(r"rowspace\\[(\\w+)\\]", str(error)))
        assert named and named <= extras, f"{module.name}: {error}"
    except ModuleNotFoundError as error:
        # pytest itself loads the fixtures.
        assert (module.name.split(".")[1], error.name) == ("testing", "pytest"), f"{module.name}: {error}"
"""


def run(*command: str | Path, cwd: Path) -> None:
    """Run a command, and exit with its output if it fails."""
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout}\nsmoke_wheel: command failed: {' '.join(map(str, command[:4]))} ...")


def expected() -> set[str]:
    """Return the expected files of the wheel: the package, and the migration environment inside it."""
    trees = {ROOT / "src/rowspace": "rowspace", ROOT / "alembic": "rowspace/_alembic"}
    files = {
        f"{name}/{path.relative_to(tree).as_posix()}"
        for tree, name in trees.items()
        for path in tree.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    return files | {"rowspace/_alembic/alembic.ini"}


def main() -> None:
    """Build, inspect, install and import."""
    with TemporaryDirectory(prefix="rowspace-wheel-") as name:
        scratch = Path(name)
        python = scratch / "venv/bin/python"
        run(sys.executable, "-m", "build", "--outdir", scratch, ROOT, cwd=scratch)
        (wheel,) = scratch.glob("*.whl")
        with ZipFile(wheel) as archive:
            if missing := expected() - set(archive.namelist()):
                sys.exit(f"smoke_wheel: not in the wheel: {', '.join(sorted(missing))}")
        run(sys.executable, "-m", "venv", scratch / "venv", cwd=scratch)
        run(python, "-m", "pip", "install", "--constraint", ROOT / "constraints.txt", wheel, cwd=scratch)
        run(python, "-I", "-W", "error", "-c", PROBE, cwd=scratch)
    print("The wheel is complete and works without extras.")


if __name__ == "__main__":
    main()
