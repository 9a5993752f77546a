"""What alembic runs for every upgrade: the steps, on the connection that it was handed, in that one's transaction."""

from __future__ import annotations

from alembic import context

from estiba.registry.server.metadata.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
