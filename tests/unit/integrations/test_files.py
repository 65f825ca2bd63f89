from __future__ import annotations

import errno
import os

import pytest

from rowspace.errors import StoreUnavailable
from rowspace.integrations._files import complete


def test_a_file_has_its_name_when_it_is_complete(tmp_path):
    target = tmp_path / "x.csv"
    before = os.umask(0o027)
    try:
        with complete(target) as path:
            path.write_text("whole")
            assert not target.exists()
    finally:
        os.umask(before)
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("x.csv", "whole")]
    assert target.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_what_was_there(tmp_path, error):
    target = tmp_path / "x.csv"
    target.write_text("before")
    with pytest.raises(error), complete(target, overwrite=True):
        raise error
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("x.csv", "before")]
    with pytest.raises(FileExistsError, match="The file exists"), complete(target):
        pass


def test_what_a_link_points_to_is_written(tmp_path):
    link, target = tmp_path / "link.csv", tmp_path / "target.csv"
    link.symlink_to(target)
    for text in ("first", "second"):
        with complete(link, overwrite=True) as path:
            path.write_text(text)
        assert (link.is_symlink(), target.read_text()) == (True, text)


def test_links_in_a_circle_are_not_replaced(tmp_path):
    one, other = tmp_path / "one.csv", tmp_path / "other.csv"
    one.symlink_to(other)
    other.symlink_to(one)
    with (
        pytest.raises(FileExistsError, match="The path exists and is not a regular file"),
        complete(one, overwrite=True),
    ):
        pass
    assert one.is_symlink()


@pytest.mark.parametrize("name", ["x" * 255, "数" * 85])
def test_a_name_as_long_as_they_can_be(tmp_path, name):
    name = os.fsdecode(name.encode())  # for a locale whose files have other letters
    with complete(tmp_path / name) as path:
        path.write_text("whole")
    assert (tmp_path / name).read_text() == "whole"
    longer = tmp_path / f"{name}x"
    with pytest.raises(OSError, match="File name too long") as caught, complete(longer):
        pass
    assert caught.value.filename == str(longer)


def test_what_is_no_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        with (
            pytest.raises(FileExistsError, match="The path exists and is not a regular file"),
            complete(tmp_path / name, overwrite=True),
        ):
            pass


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_an_error_of_the_disk_names_the_file(tmp_path, number):
    # As Arrow raises it, and as a file does.
    for error in (OSError(number, "Error writing bytes to file"), OSError(number, "x", str(tmp_path / ".x.part"))):
        with pytest.raises(OSError, match=os.strerror(number)) as caught, complete(tmp_path / "x.csv"):
            raise error
        assert (caught.value.errno, caught.value.filename) == (number, str(tmp_path / "x.csv"))
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_missing_is_told_by_the_name_of_the_file(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, complete(tmp_path / "none" / "x.csv"):
        pass
    assert caught.value.filename == str(tmp_path / "none" / "x.csv")


@pytest.mark.parametrize("error", [StoreUnavailable("gone"), ConnectionResetError(errno.ECONNRESET, "gone")])
def test_a_lost_server_is_no_error_of_the_file(tmp_path, error):
    with pytest.raises(type(error), match="gone") as caught, complete(tmp_path / "x.csv"):
        raise error
    assert caught.value is error
