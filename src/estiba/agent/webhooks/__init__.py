"""What the forges send, each in its own file: a signature that is checked, and a payload that becomes an event."""
