"""Write files completely or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

from rowspace.errors import RowspaceError

__all__ = ["complete", "naming"]

#: Errors of a disk or directory about a file. A lost connection is not one of them.
_OF_FILES = {
    *(errno.EACCES, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOSPC),
    *(errno.ENOTDIR, errno.EPERM, errno.EROFS),
}


@contextmanager
def complete(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield the path of a temporary file next to `path`. It is renamed to `path` at the end, and deleted on an error.

    Raises:
        FileExistsError: the file exists and `overwrite` is false, or `path` is not a regular file.
        OSError: the file cannot be written. The error contains the name of `path`.
    """
    # Write the target of a link, and keep the link. `Path.resolve` does not raise OSError for a circular link.
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
            # A temporary file is readable only by its owner. Set the usual permissions.
            unfinished.chmod(0o666 & ~_umask())
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Set the file name of disk errors to `path`. Some errors have no name, others that of a temporary file.

    Raises:
        OSError: the same error with the name.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None or error.errno not in _OF_FILES or isinstance(error, RowspaceError):
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


def _check(target: Path, *, overwrite: bool) -> None:
    if target.is_symlink() or (target.exists() and not target.is_file()):
        # For example a device or a circular link, which a rename would replace with a file.
        raise FileExistsError(errno.EEXIST, "The path exists and is not a regular file", str(target))
    if target.exists() and not overwrite:
        raise FileExistsError(errno.EEXIST, "The file exists; use overwrite to replace it", str(target))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
