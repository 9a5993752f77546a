"""The quick way into the runtime: ``python -I -S launcher.py …`` without the site module and what it would load."""

from __future__ import annotations

import os
import sys


def launch() -> None:
    """Find the package that this file is part of, and run the command line."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.path.insert(0, os.path.dirname(package))
    from estiba.runtime.main import main

    sys.exit(main())


if __name__ == "__main__":
    launch()
