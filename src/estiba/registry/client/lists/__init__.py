"""Lists of images for several platforms: composed on this machine, pushed as one index."""
