"""What every test shares: a missing service is a failure where a gate says so."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

# A skip that the gate accepts: its reason, word for word, beside the why.
ALLOWED_SKIPS: frozenset[str] = frozenset()


def _forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure when ROWSPACE_TEST_NO_SKIP is 1; an expected failure is not a skip."""
    if os.environ.get("ROWSPACE_TEST_NO_SKIP") != "1" or not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
    if reason.removeprefix("Skipped: ") not in ALLOWED_SKIPS:
        report.outcome = "failed"
        report.longrepr = f"{reason} (a skip fails because ROWSPACE_TEST_NO_SKIP=1)"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _forbid_skip(report)
    return report
