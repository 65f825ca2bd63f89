"""Build the sdist, the wheel from it, and try the wheel in an empty environment without extras.

    python tools/smoke_wheel.py

It finds what an editable installation hides: a file that was not packed, an optional dependency that is required.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parent.parent

# For the empty environment, where every warning is an error: each module imports, or names the extra that it needs.
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
        # The fixtures are loaded by pytest itself.
        assert (module.name.split(".")[1], error.name) == ("testing", "pytest"), f"{module.name}: {error}"
"""


def run(*command: str | Path, cwd: Path) -> None:
    """Run a command and stop with its output when it fails."""
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout}\nsmoke_wheel: this failed: {' '.join(map(str, command[:4]))} ...")


def expected() -> set[str]:
    """Return what has to be in the wheel: the package, and the migration environment inside it."""
    trees = {ROOT / "src/rowspace": "rowspace", ROOT / "alembic": "rowspace/_alembic"}
    files = {
        f"{name}/{path.relative_to(tree).as_posix()}"
        for tree, name in trees.items()
        for path in tree.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    return files | {"rowspace/_alembic/alembic.ini"}


def main() -> None:
    """Build, look inside, install, import."""
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
