"""Compare Rowspace with the libraries that it builds on: `python -m benchmarks` prints ratios of times from one run."""
