"""Files that are complete or not there."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

from rowspace.errors import RowspaceError

__all__ = ["complete", "naming"]

#: What a disk or a directory may have against a file; a lost connection is another matter.
_OF_FILES = {
    *(errno.EACCES, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOSPC),
    *(errno.ENOTDIR, errno.EPERM, errno.EROFS),
}


@contextmanager
def complete(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield the path of a temporary file beside `path`, which gets that name at the end, and is deleted on an error.

    Raises:
        FileExistsError: there is a file of that name, and it is not to be overwritten; or what is there is no file.
        OSError: it cannot be written; the error has its name.
    """
    # What a link points to is written, and the link stays. Not by `Path`, which has no `OSError` for links in a circle.
    target = Path(os.path.realpath(path))
    _check(target, overwrite=overwrite)
    with naming(path):
        with NamedTemporaryFile(
            dir=target.parent, prefix=f".{target.name[:40]}.", suffix=".part", delete=False
        ) as file:
            unfinished = Path(file.name)
        try:
            yield unfinished
            _check(target, overwrite=overwrite)
            # Not the rights of a temporary file, which only its owner may read.
            unfinished.chmod(0o666 & ~_umask())
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Give errors of the disk the name that the caller knows: some have none, others that of a temporary file.

    Raises:
        OSError: the same error, with the name.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None or error.errno not in _OF_FILES or isinstance(error, RowspaceError):
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


def _check(target: Path, *, overwrite: bool) -> None:
    if target.is_symlink() or (target.exists() and not target.is_file()):
        # A device, say, or links in a circle, which would be replaced by a file.
        raise FileExistsError(errno.EEXIST, "What is there is no file", str(target))
    if target.exists() and not overwrite:
        raise FileExistsError(errno.EEXIST, "There is a file of that name; say overwrite to replace it", str(target))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
