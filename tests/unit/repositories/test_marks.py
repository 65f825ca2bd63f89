from __future__ import annotations

from hypothesis import given, strategies as st

from rowspace.repositories.marks import Marks

HASHES = st.integers(-5, 5) | st.integers(-(2**63), 2**63 - 1)


@given(st.lists(st.lists(HASHES)))
def test_marks_are_a_set(batches):
    marks, known = Marks(), set()
    for batch in batches:
        assert marks.add(batch) == known & set(batch)
        known |= set(batch)


def test_a_mark_takes_eight_bytes_and_there_are_few_arrays():
    marks = Marks()
    for start in range(0, 100_000, 500):
        assert marks.add(range(start, start + 500)) == set()
    assert sum(run.nbytes for run in marks._runs) == 800_000
    assert len(marks._runs) < 10
    assert marks.add([99_999, 100_000, -1, 0]) == {0, 99_999}
