"""The Docker Engine API over the engine, so that Docker's own tools work with Estiba unchanged.

    request ──routes──▶ handler ──threads──▶ engine, store, networks, and what `backends.py` asks for
                          └── raw streams ⇄ monitors (attach) and keepers (exec)

Every call that may block runs in a thread; the loop only moves bytes.
"""
