"""Files that are complete or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

__all__ = ["complete"]


@contextmanager
def complete(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield the path of a temporary file beside `path`, which gets that name at the end, and is deleted on an error.

    Raises:
        FileExistsError: there is a file of that name, and it is not to be overwritten.
    """
    target = Path(path)
    _check(target, overwrite=overwrite)
    with NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", suffix=".part", delete=False) as file:
        unfinished = Path(file.name)
    try:
        yield unfinished
        _check(target, overwrite=overwrite)
        # Not the rights of a temporary file, which only its owner may read.
        unfinished.chmod(0o666 & ~_umask())
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def _check(target: Path, *, overwrite: bool) -> None:
    if target.exists() and not overwrite:
        raise FileExistsError(17, "There is a file of that name", str(target))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
