"""The container's root filesystem: everything mounted through descriptors, before the process moves into it."""
