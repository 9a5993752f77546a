"""The executable of the monitor: ``python -I -S launcher.py RUN``, descriptor 3 is the socket to the starter.

It finds the package by its own place, because neither the site module nor the environment is read. It leaves its parent
at once, so that nobody has to wait for it later.
"""

import os
import sys

if __name__ == "__main__":
    if os.fork():
        os._exit(0)
    os.setsid()
    os.closerange(4, 1 << 20)  # what the caller's parent left open must not live on in us
    package_root = os.path.abspath(__file__)
    for _ in range(4):
        package_root = os.path.dirname(package_root)
    sys.path.insert(0, package_root)
    from estiba.engine.monitor.main import main

    main()
