"""The build context: which files there are, which are ignored, and the digests of those that a step names."""
