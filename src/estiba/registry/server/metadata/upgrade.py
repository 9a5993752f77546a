"""Brings a database to the newest revision; alembic is loaded only where there is something to do."""

from __future__ import annotations

import os

import sqlalchemy as sa

from estiba.errors import Conflict

NEWEST = "r0001"
"""The newest revision in `migrations/versions`; a test holds it to that."""


class TooNew(Conflict):
    def __init__(self, revision: str) -> None:
        super().__init__(
            f"the registry's catalogue is of revision {revision}, this Estiba knows up to {NEWEST}",
            remedy="Run the newer Estiba that made it.",
        )


def upgrade(connection: sa.Connection) -> None:
    """Make or renew the tables, within the caller's transaction.

    Raises:
        TooNew: a later version has written this database.
    """
    found = _revision(connection)
    if found == NEWEST:
        return
    if found is not None and found > NEWEST:
        raise TooNew(found)
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", os.path.join(os.path.dirname(__file__), "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
