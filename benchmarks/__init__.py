"""Rowspace measured against what it stands on: `python -m benchmarks` prints ratios of times taken in one run."""
