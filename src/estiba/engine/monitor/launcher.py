"""The executable of the monitor: ``python -I -S launcher.py RUN``, descriptor 3 is the socket to the starter.

``RUN PROGRAM N`` is the same monitor later: the program that goes on in its place, with the state behind descriptor N.

It finds the package by its own place, because neither the site module nor the environment is read. It leaves its parent
at once, so that nobody has to wait for it later.
"""

import os
import sys

if __name__ == "__main__":
    is_new = len(sys.argv) < 4
    if is_new:
        if os.fork():
            os._exit(0)
        os.setsid()
        os.closerange(4, 1 << 20)  # what the caller's parent left open must not live on in us
    package_root = os.path.abspath(__file__)
    for _ in range(4):
        package_root = os.path.dirname(package_root)
    sys.path.insert(0, package_root)
    if is_new:
        from estiba.engine.monitor.main import main

        main()
    else:
        from estiba.engine.monitor.settled import main as go_on

        go_on(sys.argv[2], int(sys.argv[3]))
