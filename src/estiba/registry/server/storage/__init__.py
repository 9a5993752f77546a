"""Where the registry's blobs and growing uploads lie: one protocol, and its implementations."""
