"""The memory of this process, from Linux's /proc."""

from __future__ import annotations

from pathlib import Path

__all__ = ["forget_peak", "memory"]


def forget_peak() -> float:
    """Reset the peak of this process's memory (man 5 proc, clear_refs) and return its current memory in MB."""
    Path("/proc/self/clear_refs").write_text("5", "ascii")
    return memory("VmRSS")


def memory(name: str) -> float:
    """Return this process's memory in MB: `VmRSS` is the current value, `VmHWM` the peak."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1_000
