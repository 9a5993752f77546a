"""The executable of a keeper: ``python -I -S launcher.py RUN``; descriptor 3 is the socket to who asked.

Descriptors 0, 1 and 2 are those of the process to come. It leaves its parent at once, as a monitor does.
"""

import os
import sys

if __name__ == "__main__":
    if os.fork():
        os._exit(0)
    os.setsid()
    os.closerange(4, 1 << 20)
    package_root = os.path.abspath(__file__)
    for _ in range(4):
        package_root = os.path.dirname(package_root)
    sys.path.insert(0, package_root)
    from estiba.engine.keeper.main import main

    main()
