"""The registry client: images travel between a store and any registry of the distribution-spec."""
