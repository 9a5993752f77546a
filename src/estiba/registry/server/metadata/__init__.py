"""The catalogue: which repository holds what. Small rows in a database; the bytes of blobs are the storage's."""
