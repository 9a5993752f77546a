"""Base images without any hub: made from a distribution's own packages."""
