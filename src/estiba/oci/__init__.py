"""The values of the field: frozen, parsed once, without any input or output."""
