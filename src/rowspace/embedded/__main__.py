"""Stop an embedded server unless a process uses it. This runs when a process that used the server was killed."""

from __future__ import annotations

import sys
from pathlib import Path

from rowspace.embedded._wheel import start, wheel

if __name__ == "__main__":
    start(wheel(), Path(sys.argv[1]), sys.argv[2]).cleanup()
