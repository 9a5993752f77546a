"""The registry: `protocol` (what both ends agree on, pure), `server` (keeps every layer once) and `client`."""
