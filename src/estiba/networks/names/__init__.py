"""How containers find each other by name.

    message     the wire format: a question, and what may be answered (pure)
    directory   who has which name in the networks of a container
    doors       the sockets that a container's questions come to, in its network namespace
    server      what answers there
    passing_on  what is not known here goes to the host's servers
    streams     questions over TCP

The name server of a container is part of its monitor: it needs no process of its own, and ends with the container.
"""
