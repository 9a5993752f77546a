"""Blobs: bytes under their digest, written once, never changed."""
