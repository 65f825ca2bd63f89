"""Matrices of NumPy's that are none, or that change while they are read. What is loaded is tested on a database."""

from __future__ import annotations

import io
import os
import pickle
from itertools import islice

import numpy as np
import pytest

from rowspace.errors import InvalidRow
from rowspace.integrations._ingest.documents import Fields, Format, read


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.npy"


#: Long enough for some thousands to be more than what is read ahead, 128 KiB on Python 3.14.
LINE = '{"content": "%s"}\n' % ("x" * 100)


def saved(path, matrix):
    np.save(path, matrix)
    path.with_suffix(".ids.jsonl").write_text(LINE * len(matrix))


def documents(path):
    with path.open("rb") as file:
        yield from read(file, Format.NPY, Fields(embedding="embedding"))


def header(text):
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + bytes(24)


def archive():
    out = io.BytesIO()
    np.savez(out, a=np.ones((2, 2)))
    return out.getvalue()


class _Harm:
    def __reduce__(self):
        return (os.abort, ())


def objects():
    out = io.BytesIO()
    np.save(out, np.array([[_Harm()]], dtype=object), allow_pickle=True)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a matrix in NumPy's format: EOF"),
        (archive(), "not a matrix in NumPy's format: the magic string is not correct"),
        (b"PK\x03\x04 and no archive", "not a matrix in NumPy's format: the magic string is not correct"),
        (pickle.dumps(_Harm()), "not a matrix in NumPy's format: the magic string is not correct"),
        (
            b"\x93NUMPY\x03\x00" + bytes(24),
            "not a matrix in NumPy's format: version (3, 0) is not supported for a matrix of",
        ),
        (objects(), "expected a matrix of numbers, got one of object."),
        (header("{'descr': '<f4'"), "not a matrix in NumPy's format: "),
        (header("{'descr': ',f4', 'fortran_order': False, 'shape': (3, 2), }"), "not a matrix in NumPy's format: "),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (True, 2), }"), "expected a matrix of shape"),
        (header("{'descr': '<f4', 'fortran_order': False, 'shape': (-3, 2), }"), "expected a matrix of shape"),
        (
            header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({2**62}, 8), }}"),
            "not a matrix in NumPy's format: its header states 147,573,952,589,676,412,928 bytes, but 24 follow.",
        ),
    ],
    ids=range(11),
)
def test_what_is_no_matrix(path, data, message):
    path.write_bytes(data)
    with pytest.raises(InvalidRow) as caught:
        list(documents(path))
    assert str(caught.value).startswith(message)
    assert "pickle" not in str(caught.value)


@pytest.mark.parametrize("order", ["C", "F"])
def test_each_row_of_several_blocks(path, order):
    matrix = np.arange(9_000, dtype=np.float32).reshape(4_500, 2)
    saved(path, np.asarray(matrix, order=order))
    assert (np.stack([one.embedding for one in documents(path)]) == matrix).all()


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_matrix_that_becomes_shorter(path, order):
    saved(path, np.ones((10_000, 8), np.float32, order=order))
    found = documents(path)
    next(found)
    os.truncate(path, 10_000)
    with pytest.raises(InvalidRow, match=r"m\.npy changed while it was read"):
        list(found)


@pytest.mark.parametrize(("lines", "at"), [(-1, 2_500), (1, 3_000)])
def test_documents_that_become_fewer_or_more(path, lines, at):
    saved(path, np.ones((3_000, 2)))
    beside = path.with_suffix(".ids.jsonl")
    found = documents(path)
    next(found)
    if lines < 0:
        os.truncate(beside, 2_500 * len(LINE))
    else:
        with beside.open("a") as out:
            out.write('{"content": "y"}\n')
    # All of those before it came, each with its own vector.
    assert len(list(islice(found, at - 1))) == at - 1
    with pytest.raises(InvalidRow, match=r"m\.ids\.jsonl changed while it was read"):
        next(found)
