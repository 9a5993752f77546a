"""The one place where settings are read and objects are joined."""
