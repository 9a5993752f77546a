"""One step in a process of its own.

Its mounts live in a mount namespace of that process, so they end with it however it ends, and nothing of the build's
own process is forked.
"""
