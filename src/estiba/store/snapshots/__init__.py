"""Snapshots: layer stacks on disk, *active* while they are written, then *committed* and never changed again.

`base.py` has the protocol, `overlay.py` and `copying.py` its implementations, `choose.py` says which one works here.
"""
