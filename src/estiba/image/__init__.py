"""Images: immutable views, and the ways into and out of a store."""
