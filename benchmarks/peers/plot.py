"""Draw the figures of `python -m benchmarks.peers --json FILE`: `plot.py FILE PICTURE.svg`. This needs matplotlib."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
mpl.rcParams.update({"svg.hashsalt": "rowspace", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9})

from matplotlib import pyplot as plt  # noqa: E402 -- after the choice of a backend

#: The figure, the title, and whether more is better.
PANELS = (
    ("ingest", "load, rows/s", True),
    ("upsert", "upsert of existing rows, rows/s", True),
    ("search", "search, ms", False),
    ("filtered", "under a 1 % filter, ms", False),
    ("rows", "rows of 10 under that filter", True),
    ("concurrent", "32 concurrent searches, searches/s", True),
)
OURS, THEIRS, FLOOR = "#0b7285", "#adb5bd", "#495057"


def main(source: str, target: str) -> None:
    """Draw one panel per figure."""
    figures: dict[str, dict[str, Any]] = json.loads(Path(source).read_text("utf-8"))["figures"]
    figure, axes = plt.subplots(3, 2, figsize=(10, 8.5), layout="constrained")
    for axis, (name, title, more) in zip(axes.flat, PANELS, strict=True):
        _panel(
            axis,
            {peer: row[name] for peer, row in figures.items()},
            title if more else f"{title}: less is better",
        )
    figure.savefig(target, metadata={"Date": None})


def _panel(axis: Any, values: dict[str, float | None], title: str) -> None:
    peers = list(values)[::-1]
    lengths = [values[peer] or 0 for peer in peers]
    bars = axis.barh(peers, lengths, color=[_color(peer) for peer in peers])
    labels = ["none" if values[peer] is None else _number(values[peer] or 0) for peer in peers]
    axis.bar_label(bars, labels=labels, padding=3, fontsize=8)
    axis.set_title(title, fontsize=10, loc="left")
    axis.set_xlim(0, 1.18 * max(lengths))
    axis.spines[["top", "right", "bottom"]].set_visible(False)
    axis.tick_params(axis="x", bottom=False, labelbottom=False)
    axis.tick_params(axis="y", length=0)


def _color(peer: str) -> str:
    return OURS if peer.startswith("Rowspace") else FLOOR if peer.startswith("raw") else THEIRS


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main(*sys.argv[1:])
