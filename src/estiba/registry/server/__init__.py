"""The registry server: one catalogue in a database, every blob stored once, over HTTP."""
