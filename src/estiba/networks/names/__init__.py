"""How containers find each other by name.

    message     the wire format: a question, and what may be answered (pure)
    directory   who has which name in the networks of a container
    server      the name server inside a container's network namespace; what it does not know goes to the host's servers

The name server of a container is part of its monitor: it needs no process of its own, and ends with the container.
"""
