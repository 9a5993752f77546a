"""Images from one place to another, byte for byte, without being unpacked and without the store."""
